"""Which of the checkpoints on disk training goes on from, and which it goes back to."""

import math

import pytest
import torch
from test_training import CHOSEN

from charrnn import runs
from charrnn.checkpoints import ModelRecord, model_path, resume_path
from charrnn.corpus import read_corpus
from charrnn.recovery import recover
from charrnn.settings import ModelSettings
from charrnn.step import batches_of, take_step
from charrnn.training_state import fresh_state, save, snapshot


@pytest.fixture
def saved(english, tmp_path):
    """A run of so many steps, each saved, some as asked for or with weights no numbers."""
    (tmp_path / "text").write_text(english[:120], encoding="utf-8")
    corpus, run = read_corpus([tmp_path / "text"], val_fraction=0.15), tmp_path / "run"
    run.mkdir()

    def make(steps, asked_for=(), broken=(), far_off=()):
        settings = ModelSettings("gru", "tanh", 4, 5, 1)
        state = fresh_state(settings, CHOSEN, len(corpus.vocabulary))
        for step in range(1, steps + 1):
            take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
            state.watch.far_off = int(step in far_off)
            if step in broken:
                with torch.no_grad():
                    state.model.get_parameter("output.bias")[0] = math.nan
            scores = {"val": {"nats_per_char": float(step)}}
            record = ModelRecord(settings, corpus.vocabulary, step, scores, corpus.record(), "")
            save(snapshot(state, asked_for=step in asked_for), run, record)
        return run

    return make


def found(run, **options):
    told = []
    result = recover(run, CHOSEN, skipped=told.append, **options)
    step = None if result.state is None else result.state.step
    steps = [[runs.step_of(path) for path in paths] for paths in result[2:]]
    return step, *steps, len(told)


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_where_there_is_nothing_nothing_is_found(tmp_path):
    assert found(tmp_path) == (None, [], [], 0)
    assert found(tmp_path / "none") == (None, [], [], 0)


def test_going_on_is_from_the_newest_whatever_it_is(saved):
    run = saved(4, asked_for=[4], far_off=[4])
    assert found(run) == (4, [], [], 0)
    assert recover(run, CHOSEN, skipped=print).scores == {"val": {"nats_per_char": 4.0}}


def test_a_damaged_model_is_passed_over_and_told(saved):
    run = saved(4)
    flip(model_path(run, 4))
    flip(model_path(run, 3))
    assert found(run) == (2, [4, 3], [], 2)


@pytest.mark.parametrize("how", [flip, lambda path: path.unlink()])
def test_a_model_without_its_resume_file_is_passed_over_and_kept(how, saved):
    """It is as good as ever to sample from."""
    run = saved(3)
    how(resume_path(model_path(run, 3)))
    assert found(run) == (2, [], [], 1)


def test_nothing_whole_is_nothing_found(saved):
    run = saved(2)
    for path in runs.model_files(run):
        flip(path)
    assert found(run) == (None, [2, 1], [], 2)
    assert found(run, before=9) == (None, [2, 1], [], 2)


def test_going_back_passes_over_what_was_asked_for(saved):
    assert found(saved(5, asked_for=[3, 4]), before=5) == (2, [], [5, 4, 3], 0)


def test_going_back_passes_over_weights_that_are_no_numbers(saved):
    assert found(saved(4, broken=[4]), before=9) == (3, [], [4], 0)


@pytest.mark.parametrize(("before", "state"), [(9, 4), (5, 4), (4, 3), (2, 1), (1, None)])
def test_going_back_is_to_an_earlier_step_than_the_first_that_was_bad(before, state, saved):
    later = [step for step in (4, 3, 2, 1) if step > (state or 0)]
    assert found(saved(4), before=before) == (state, [], later, 0)


def test_going_back_tells_damage_apart(saved):
    run = saved(5)
    flip(model_path(run, 3))
    assert found(run, before=5) == (4, [], [5], 0)
    assert found(run, before=4) == (2, [3], [5, 4], 1)
