"""Training that goes wrong: when it is said to, and that it goes on from before it went wrong."""

import itertools
import json
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from test_training import CHOSEN, SHORT, Sitting, asked, assert_same_end

from charrnn import runs, training
from charrnn import step as one_step
from charrnn.checkpoints import ModelRecord, model_path, read_checkpoint, read_resume
from charrnn.corpus import Corpus, read_corpus
from charrnn.divergence import FAR_OFF, LOWERING, MOST_RETRIES, PATIENCE, Watch
from charrnn.errors import DivergenceError
from charrnn.events import Evaluated, Progressed, Saved, Stopped, WentBack
from charrnn.metrics import METRICS_FILE
from charrnn.sampling import Sampler
from charrnn.schedule import Schedule
from charrnn.settings import ModelSettings, SamplingSettings
from charrnn.training_state import fresh_state, restored_state, save, snapshot

UNIFORM = 3.0
"""What guessing evenly costs, in nats."""

FULL = settings(deadline=None, max_examples=60)


# The watch


def seen(losses, watch=None):
    """After how many of the losses it is divergence, or None."""
    watch = watch or Watch()
    return next((n for n, loss in enumerate(losses, 1) if watch.diverges(loss, UNIFORM)), None)


@FULL
@given(some.lists(some.floats(0.0, 1e6), max_size=200))
def test_losses_that_fall_are_no_divergence(losses):
    assert seen(sorted(losses, reverse=True)) is None


@FULL
@given(some.lists(some.floats(0.0, UNIFORM), max_size=300))
def test_losses_below_guessing_are_no_divergence(losses):
    assert seen(losses) is None


@FULL
@given(some.floats(0.0, 1e3), some.lists(some.floats(0.0, FAR_OFF), max_size=300))
def test_losses_that_scatter_by_less_than_what_is_far_are_no_divergence(base, scattered):
    assert seen([base + s for s in scattered]) is None


@FULL
@given(some.integers(1, 100), some.floats(0.0, UNIFORM), some.floats(UNIFORM + 2, 1e30))
def test_spikes_are_no_divergence_until_there_are_too_many_in_a_row(before, usual, high):
    fewer = [high] * (PATIENCE - 1)
    assert seen([usual] * before + [*fewer, usual] * 5) is None
    assert seen([usual] * before + fewer + [high]) == before + PATIENCE


@FULL
@given(some.lists(some.floats(0.0, UNIFORM), max_size=50), some.sampled_from((math.nan, math.inf)))
def test_what_is_no_number_is_divergence_at_once(losses, last):
    assert seen([*losses, last]) == len(losses) + 1


def test_what_is_far_off_does_not_move_what_it_is_far_off_from():
    watch = Watch()
    seen([1.0] * 30 + [50.0] * (PATIENCE - 1), watch)
    assert (watch.level, watch.count, watch.far_off) == (1.0, 30, PATIENCE - 1)


def test_a_run_that_begins_badly_is_given_the_time_to_fall():
    """The first loss is no divergence, however high: weights may begin anywhere."""
    assert seen([1e4 * 0.99**n for n in range(2_000)]) is None


@FULL
@given(some.lists(some.floats(0.0, 10.0), max_size=40))
def test_the_watch_comes_back_from_a_checkpoint_the_same(small, tmp_path_factory, losses):
    corpus, model = small, ModelSettings("rnn", "tanh", 2, 2, 1)
    chosen = replace(CHOSEN, optimizer="sgd")
    state = fresh_state(model, chosen, len(corpus.vocabulary))
    seen(losses, state.watch)
    state.divergences, state.step = [3, 9], 11
    run = tmp_path_factory.mktemp("watched")
    record = ModelRecord(model, corpus.vocabulary, 11, {}, corpus.record(), "")
    save(snapshot(state), run, record)
    checkpoint = read_checkpoint(model_path(run, 11))
    back = restored_state(checkpoint, read_resume(model_path(run, 11), checkpoint.record), chosen)
    assert back.watch == state.watch
    assert back.divergences == [3, 9]
    assert back.lowered == LOWERING**2


# Going back


@pytest.fixture(scope="module")
def small(english: str, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    path = tmp_path_factory.mktemp("corpus") / "short.txt"
    path.write_text(english[:120], encoding="utf-8")
    return read_corpus([path], val_fraction=0.15)


BROKEN = ("loss", "gradient", "weights")
"""What of a step is no number."""


def breaking(patch, what, step, times=1):
    """Training that breaks at a step, as long as it did not go back `times` times.

    A function of the state, as a fault of arithmetic is; so a resume meets it again.
    """
    take_gradient, take_step = one_step.take_gradient, training.take_step
    now = [False]

    def stepping(state, *rest):
        now[0] = state.step == step and len(state.divergences) < times
        if now[0] and what == "weights":
            with torch.no_grad():
                state.model.get_parameter("output.weight")[...] = math.nan
        return take_step(state, *rest)

    def computing(model, *rest, **options):
        loss, after = take_gradient(model, *rest, **options)
        if now[0] and what == "loss":
            loss = loss * math.nan
        if now[0] and what == "gradient":
            model.get_parameter("output.weight").grad[0, 0] = math.inf
        return loss, after

    patch.setattr(training, "take_step", stepping)
    patch.setattr(one_step, "take_gradient", computing)


def rates(events):
    """The learning rates that were reported, by step, as shares of the scheduled one."""
    found = {}
    for event in events:
        if type(event).__name__ == "Reported":
            scheduled = CHOSEN.learning_rate * SHORT.learning_rate(event.step - 1)
            found[event.step] = round(event.learning_rate / scheduled, 9)
    return found


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize(("step", "back"), [(7, 5), (5, 4), (8, 5), (2, 0)])
def test_a_run_that_breaks_goes_back_and_on_at_a_lower_rate(
    what, step, back, small, tmp_path, monkeypatch
):
    """Never to the state that broke: the same step from it would break again."""
    breaking(monkeypatch, what, step)
    sitting = Sitting(tmp_path, small)
    events = sitting.train()
    (went,) = (event for event in events if isinstance(event, WentBack))
    assert (went.step, went.learning_rate) == (back, CHOSEN.learning_rate * LOWERING)
    assert f"after step {step} at a learning rate of 0.01: " in went.diverged
    before = events[: events.index(went)]
    assert [e.step for e in before if isinstance(e, Progressed)] == [*range(1, step + 1)]
    assert set(rates(before).values()) <= {1.0}
    after = events[events.index(went) :]
    assert [e.step for e in after if isinstance(e, Progressed)] == [*range(back + 1, 13)]
    assert set(rates(after).values()) == {round(LOWERING, 9)}
    assert sitting.state.divergences == [step]
    lines = sitting.metrics()
    (told,) = (line for line in lines if line["kind"] == "divergence")
    assert told == {"kind": "divergence", "step": step, "back_to": back}
    assert [line["step"] for line in lines if line["kind"] == "report"] == [2, 4, 6, 8, 10, 12]
    assert [line["step"] for line in lines if line["kind"] == "evaluation"] == [5, 10, 12]


@pytest.fixture(scope="module")
def broken_run(small, tmp_path_factory):
    """A run that breaks at step 7, and again at step 9 on its second way, else undisturbed."""

    def run(model):
        with pytest.MonkeyPatch.context() as patch:
            breaking(patch, "loss", 7)
            breaking(patch, "weights", 9, times=2)
            whole = Sitting(tmp_path_factory.mktemp("broken"), small, model, DROPPING)
            events = whole.train()
        back = [event.step for event in events if isinstance(event, WentBack)]
        assert (back, whole.state.divergences) == ([5, 8], [7, 9])
        return whole

    return run


DROPPING = replace(CHOSEN, dropout=0.3)


@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_a_stop_at_any_moment_of_a_run_that_breaks_changes_nothing(
    model, broken_run, small, tmp_path, monkeypatch
):
    """The checkpoint of a stop is gone on from, and never gone back to."""
    whole = broken_run(model)
    breaking(monkeypatch, "loss", 7)
    breaking(monkeypatch, "weights", 9, times=2)
    stopped_at = []
    for times in itertools.count():
        sitting = Sitting(tmp_path / f"{times}", small, model, DROPPING)
        events = sitting.train(stop=asked(times))
        if not isinstance(events[-1], Stopped):
            break
        stopped_at.append(events[-1].step)
        sitting.train()
        assert_same_end(sitting, whole)
    assert set(stopped_at) == set(range(13))
    assert stopped_at != sorted(stopped_at), "also on the ways that were taken again"


def test_a_kill_after_anything_that_is_told_changes_nothing(
    broken_run, small, tmp_path, monkeypatch
):
    whole = broken_run("lstm")
    breaking(monkeypatch, "loss", 7)
    breaking(monkeypatch, "weights", 9, times=2)
    for count in itertools.count(1):
        sitting = Sitting(tmp_path / f"{count}", small, "lstm", DROPPING)
        events = sitting.events()
        told = len(list(itertools.islice(events, count)))
        events.close()
        sitting.train()
        assert_same_end(sitting, whole)
        if told < count:
            break
    assert count > 25


def test_stops_in_a_chain_change_nothing_of_a_run_that_breaks(
    broken_run, small, tmp_path, monkeypatch
):
    whole = broken_run("lstm")
    breaking(monkeypatch, "loss", 7)
    breaking(monkeypatch, "weights", 9, times=2)
    for name, chain in ("three", (6, 2, 3)), ("every", (1,) * 60):
        sitting = Sitting(tmp_path / name, small, "lstm", DROPPING)
        for times in chain:
            if not sitting.train(stop=asked(times)):
                break
        sitting.train()
        assert_same_end(sitting, whole)


def test_saves_that_a_signal_asked_for_change_nothing_of_a_run_that_breaks(
    broken_run, small, tmp_path, monkeypatch
):
    whole = broken_run("lstm")
    breaking(monkeypatch, "loss", 7)
    breaking(monkeypatch, "weights", 9, times=2)
    sitting = Sitting(tmp_path, small, "lstm", DROPPING)
    saved = [e.record.step for e in sitting.train(save=lambda: True) if isinstance(e, Saved)]
    assert {1, 2, 3, 6, 7, 9, 11} <= set(saved)
    assert_same_end(sitting, whole)
    assert [p.name for p in runs.model_files(tmp_path)] == [
        p.name for p in runs.model_files(whole.run)
    ]


def healthy(run, corpus):
    """Its newest and best checkpoint hold numbers, and write text."""
    for path in runs.model_files(run)[-1], runs.best(run):
        record, weights = read_checkpoint(path)
        assert all(math.isfinite(abs(array).max()) for array in weights.values())
        sampler = Sampler(record.settings, record.vocabulary, weights)
        text = sampler.sample(sampler.read_prompt(""), SamplingSettings(length=20), seed=1)
        assert len("".join(text)) == 20


def test_a_run_that_breaks_each_time_stops_with_its_good_checkpoint(small, tmp_path, monkeypatch):
    breaking(monkeypatch, "loss", 9, times=99)
    sitting, told = Sitting(tmp_path, small), []
    with pytest.raises(DivergenceError, match=r"after step 9 at a learning rate of 0\.00012: "):
        for event in sitting.events():
            told.append(event)
    assert sum(isinstance(event, WentBack) for event in told) == MOST_RETRIES
    assert runs.step_of(runs.model_files(tmp_path)[-1]) == 8
    healthy(tmp_path, small)


LONG = Schedule(steps=120, warmup_steps=1, evaluation_steps=60, checkpoint_steps=3, report_steps=10)

WILD = replace(CHOSEN, optimizer="sgd", clip=0.0, weight_decay=0.0, keep=0)


def exploding(run, corpus, rate, model="rnn-relu", **unlike):
    """A run of plain gradient descent without clipping; its events and what ended it."""
    sitting = Sitting(run, corpus, model, replace(WILD, learning_rate=rate, **unlike), LONG)
    events, error = [], None
    try:
        for event in sitting.events():
            events.append(event)
    except DivergenceError as raised:
        error = raised
    return sitting, events, error


@pytest.mark.parametrize("model", ["rnn-relu", "lstm", "gru"])
@pytest.mark.parametrize("rate", [10.0, 1e3, 1e30])
def test_a_learning_rate_far_too_high_ends_well_or_with_a_good_checkpoint(
    model, rate, small, tmp_path
):
    sitting, events, error = exploding(tmp_path, small, rate, model)
    back = [event for event in events if isinstance(event, WentBack)]
    if error is None:
        assert sitting.state.step == LONG.steps
    else:
        assert len(back) == MOST_RETRIES
        assert f"at a learning rate of {rate * LOWERING**MOST_RETRIES:.2g}: " in error.message
    if rate == 1e30:
        assert back
    newest = runs.model_files(tmp_path)
    for path in newest:
        weights = read_checkpoint(path).weights
        assert all(math.isfinite(abs(array).max()) for array in weights.values())
    for line in (tmp_path / METRICS_FILE).read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    if newest:
        healthy(tmp_path, small)


def refuse(constant):
    raise AssertionError(f"{constant} in metrics.jsonl")


def test_a_run_that_explodes_recovers(small, tmp_path):
    """The rate is too high at first, and a few lowerings bring it down."""
    _, events, error = exploding(tmp_path, small, 60.0, "rnn-relu")
    assert error is None
    assert any(isinstance(event, WentBack) for event in events)
    (last,) = (e for e in events if isinstance(e, Evaluated) and e.step == LONG.steps)
    assert last.score.nats_per_char < math.log(len(small.vocabulary))


def test_checkpoints_on_the_way_up_are_removed(small, tmp_path, monkeypatch):
    """The loss is far off from step 7 on; what was saved after that is never the newest."""
    steady = training.take_step

    def rising(state, *rest):
        loss, norm = steady(state, *rest)
        return (loss + 30.0 if state.step > 7 and not state.divergences else loss), norm

    monkeypatch.setattr(training, "take_step", rising)
    schedule = replace(LONG, steps=40)
    sitting, seen_files = Sitting(tmp_path, small, schedule=schedule), set()
    for event in sitting.events():
        if isinstance(event, Saved):
            seen_files.add(event.record.step)
        if isinstance(event, WentBack):
            assert event.step == 6
            assert [runs.step_of(path) for path in runs.model_files(tmp_path)][-1] == 6
            assert {9, 12, 24} <= seen_files
            rate = "at a learning rate of 0.01"
            assert f"after step {7 + PATIENCE} {rate}: the loss is 3" in event.diverged
    assert sitting.state.divergences == [7 + PATIENCE]


def test_stopping_at_divergence_keeps_what_was_good(small, tmp_path, monkeypatch):
    breaking(monkeypatch, "weights", 10)
    sitting = Sitting(tmp_path, small, settings=replace(CHOSEN, on_divergence="stop"))
    with pytest.raises(DivergenceError, match="after step 10 at "):
        sitting.train()
    assert sitting.state.divergences == []
    assert runs.step_of(runs.model_files(tmp_path)[-1]) == 8
    healthy(tmp_path, small)


@pytest.mark.parametrize("held_out", [0.15, 0.0])
@pytest.mark.parametrize("what", BROKEN)
def test_continuing_all_the_same_goes_to_the_end(what, held_out, english, tmp_path, monkeypatch):
    (tmp_path / "text").write_text(english[:120], encoding="utf-8")
    corpus = read_corpus([tmp_path / "text"], val_fraction=held_out)
    breaking(monkeypatch, what, 7)
    chosen = replace(CHOSEN, on_divergence="continue", dropout=0.3)
    whole = Sitting(tmp_path / "whole", corpus, settings=chosen)
    events = whole.train()
    assert not [event for event in events if isinstance(event, WentBack)]
    assert whole.state.step == SHORT.steps
    for line in (whole.run / METRICS_FILE).read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    for times in range(20):
        sitting = Sitting(tmp_path / f"{times}", corpus, settings=chosen)
        sitting.train(stop=asked(times))
        sitting.train()
        assert_same_bits(sitting, whole)


def assert_same_bits(ours, theirs):
    """The same end, where what is no number is the same as itself."""
    assert ours.state.step == theirs.state.step
    for a, b in zip(ours.state.model.parameters(), theirs.state.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
    theirs_kept = theirs.state.optimizer.remembered()
    for name, kept in ours.state.optimizer.remembered().items():
        torch.testing.assert_close(kept, theirs_kept[name], rtol=0, atol=0, equal_nan=True)
    assert ours.metrics() == theirs.metrics()


def test_stopping_at_divergence_keeps_what_a_signal_saved_before(small, tmp_path, monkeypatch):
    """It is good, and the newest: the hours before it must not be lost."""
    settings = replace(CHOSEN, on_divergence="stop", keep=0)
    sitting = Sitting(tmp_path, small, settings=settings)
    assert sitting.train(stop=asked(7))[-1].step == 6
    breaking(monkeypatch, "weights", 7)
    with pytest.raises(DivergenceError):
        sitting.train()
    assert [runs.step_of(path) for path in runs.model_files(tmp_path)][-1] == 6
    monkeypatch.undo()
    assert not isinstance(sitting.train()[-1], Stopped)
