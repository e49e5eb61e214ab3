"""Every cell, with and without dropout, stopped at every step of 30: the same end."""

import itertools
from dataclasses import replace

import pytest
from test_training import CHOSEN, Sitting, again, asked, assert_same_end

from charrnn.corpus import Corpus, read_corpus
from charrnn.events import Stopped
from charrnn.schedule import Schedule
from charrnn.settings import MODELS

THIRTY = Schedule(steps=30, warmup_steps=3, evaluation_steps=8, checkpoint_steps=5, report_steps=3)

CASES = list(itertools.product(MODELS, (0.0, 0.3)))

each_case = pytest.mark.parametrize(("model", "dropout"), CASES)


@pytest.fixture(scope="module")
def corpus(english: str, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    path = tmp_path_factory.mktemp("corpus") / "short.txt"
    path.write_text(english[:260], encoding="utf-8")
    return read_corpus([path], val_fraction=0.15)


@pytest.fixture(scope="module")
def uninterrupted(corpus, tmp_path_factory):
    done = {}

    def run(model, dropout):
        if (model, dropout) not in done:
            chosen = replace(CHOSEN, dropout=dropout)
            whole = Sitting(tmp_path_factory.mktemp("whole"), corpus, model, chosen, THIRTY)
            assert not isinstance(whole.train()[-1], Stopped)
            done[model, dropout] = whole
        return done[model, dropout]

    return run


def stopped_and_gone_on_with(whole, run, times):
    """At which step it was stopped, or None where it ended before that."""
    broken = again(whole, run)
    last = broken.train(stop=asked(times))[-1]
    if not isinstance(last, Stopped):
        return None
    broken.train()
    assert_same_end(broken, whole)
    return last.step


@each_case
def test_a_stop_changes_nothing_of_thirty_steps(model, dropout, uninterrupted, tmp_path):
    """Every fifth moment, others in each case; all of them are long."""
    first = CASES.index((model, dropout)) % 5
    for times in range(first, 35, 5):
        stopped_and_gone_on_with(uninterrupted(model, dropout), tmp_path / f"{times}", times)


@each_case
def test_three_stops_in_a_chain_change_nothing_of_thirty_steps(
    model, dropout, uninterrupted, tmp_path
):
    whole = uninterrupted(model, dropout)
    broken = again(whole, tmp_path / "chain")
    steps = [broken.train(stop=asked(times))[-1].step for times in (7, 9, 8)]
    assert 0 < steps[0] < steps[1] < steps[2] < 30
    broken.train()
    assert_same_end(broken, whole)


@pytest.mark.torture
@each_case
def test_a_stop_at_every_moment_changes_nothing_of_thirty_steps(
    model, dropout, uninterrupted, tmp_path
):
    whole, steps = uninterrupted(model, dropout), []
    for times in itertools.count():
        steps.append(stopped_and_gone_on_with(whole, tmp_path / f"{times}", times))
        if steps[-1] is None:
            break
    # In each evaluation it is asked once more, but for the last one, which ends the run.
    assert steps[:-1] == sorted([*range(31), 8, 16, 24])
