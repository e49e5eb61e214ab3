"""The measurement before a run of minutes: right by its own clock, and without a trace."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from charrnn import calibration, machine, planning
from charrnn.corpus import read_corpus
from charrnn.errors import TextError, UsageError
from charrnn.evaluation import STRETCHES, WARM
from charrnn.schedule import Budget
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.step import batches_of, take_step
from charrnn.training_state import fresh_state

CHOSEN = TrainingSettings(seq_length=6, batch_size=3, dropout=0.2)
MODEL = ModelSettings("gru", "tanh", 4, 5, 2)


@pytest.fixture
def clock(monkeypatch):
    """A clock by which a step takes 0.25 s and a scored character a millisecond."""
    now = [1_000.0]

    def step(*_):
        now[0] += 0.25
        return 1.0, 1.0

    def score(_model, ids, **_):
        now[0] += 1e-3 * (len(ids) + STRETCHES * WARM)

    monkeypatch.setattr(calibration.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(calibration, "take_step", step)
    monkeypatch.setattr(calibration, "score", score)
    return now


@pytest.fixture
def long_file(english, tmp_path) -> Path:
    path = tmp_path / "long.txt"
    path.write_text(english * 60, encoding="utf-8")
    return path


@pytest.mark.parametrize("val_fraction", [0.15, 0.5])
def test_it_tells_what_a_step_and_an_evaluation_take(val_fraction, long_file, clock):
    corpus = read_corpus([long_file], val_fraction=val_fraction)
    held_out = len(corpus.ids["val"])
    assert held_out > STRETCHES * WARM
    began = clock[0]
    timing = calibration.measure(corpus, MODEL, CHOSEN)
    assert timing.step_seconds == pytest.approx(0.25)
    # A tenth of a second is for the checkpoint that follows.
    scored = 1e-3 * (held_out + STRETCHES * WARM)
    assert timing.evaluation_seconds == pytest.approx(scored + 0.1)
    # It does not score more of a long text than it needs to.
    assert clock[0] - began < calibration.SECONDS + 6 * 0.25 + 2e-3 * STRETCHES * WARM + 1e-6


def test_without_held_out_text_an_evaluation_takes_no_time(english_file, clock):
    corpus = read_corpus([english_file], val_fraction=0.0)
    assert calibration.measure(corpus, MODEL, CHOSEN).evaluation_seconds == 0.0


def test_it_leaves_no_trace(english_file, tmp_path, monkeypatch):
    """No file, no random number, and training that goes on as if it had not been."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calibration, "SECONDS", 0.0)
    corpus = read_corpus([english_file])
    torch.manual_seed(91)
    torch.rand(3)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    ends = []
    for measured in False, True:
        state = fresh_state(MODEL, CHOSEN, len(corpus.vocabulary))
        take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
        if measured:
            timing = calibration.measure(corpus, MODEL, CHOSEN)
            assert timing.step_seconds > 0.0
            assert timing.evaluation_seconds > 0.0
        take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
        ends.append(state.model.arrays())
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][name])
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (np.random.get_state()[1] == before[2]).all()
    assert torch.is_grad_enabled()
    assert list(tmp_path.iterdir()) == []


def test_the_machine_s_speed_is_that_of_a_model_s_step(clock):
    """Six operations a weight and character, in the 0.25 s that a step takes by this clock."""
    operations = 6 * ModelSettings().parameters(0) * 48 * 48
    given = {"device": "cpu", "threads": 1}
    assert calibration.speed(10**6, given) == pytest.approx(operations / 0.25)
    window = given | {"batch_size": 3, "seq_length": 5}
    assert calibration.speed(10**6, window) == pytest.approx(operations / 0.25 * 3 * 5 / 48**2)


@pytest.mark.parametrize("window", [{"seq_length": 3_000}, {"batch_size": 400, "seq_length": 250}])
def test_however_long_a_window_is_the_machine_s_speed_is_measured_soon(window, monkeypatch):
    """Even one step of a window of thousands may take a minute."""
    steps = []
    monkeypatch.setattr(calibration, "take_step", lambda *taken: steps.append(taken[2]))
    monkeypatch.setattr(calibration, "SPEED_SECONDS", 0.0)
    calibration.speed(10**6, {"device": "cpu", "threads": 1} | window)
    assert all(t.seq_length * t.batch_size <= calibration.LARGEST for t in steps)
    assert 2 <= len(steps) <= 4


@pytest.mark.parametrize(("minutes", "steps"), [(0.1, 8), (10.0, 24), (60.0, 120), (600.0, 120)])
def test_the_more_minutes_steps_are_to_fill_the_longer_they_are_timed(
    minutes, steps, english_file, clock
):
    """A hundredth of them at 0.25 s a step, after three that are not counted."""
    corpus, began = read_corpus([english_file], val_fraction=0.0), clock[0]
    calibration.measure(corpus, MODEL, CHOSEN, minutes)
    assert clock[0] - began == pytest.approx((3 + steps) * 0.25)
    assert calibration.timing_seconds(minutes) == pytest.approx(steps * 0.25)


def test_steps_that_take_long_are_timed_by_one(english_file, clock, monkeypatch):
    monkeypatch.setattr(calibration, "SECONDS", 0.2)
    corpus, began = read_corpus([english_file], val_fraction=0.0), clock[0]
    assert calibration.measure(corpus, MODEL, CHOSEN).step_seconds == pytest.approx(0.25)
    assert clock[0] - began == pytest.approx(2 * 0.25)


def test_what_cannot_be_read_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(calibration, "speed", None)
    for window, error in ({"seq_length": 30_000}, TextError), ({"batch_size": 500}, UsageError):
        given = {"device": "cpu", "seq_length": 48} | window
        with pytest.raises(error):
            calibration.plan(20_000, budget=None, model={}, training=given)


@pytest.mark.parametrize(
    ("budget", "measured"),
    [
        (None, True),
        (Budget(minutes=3.0), True),
        (Budget(steps=3), False),
        (Budget(epochs=3.0), False),
    ],
)
def test_the_machine_is_measured_where_time_decides(budget, measured, monkeypatch):
    asked = []

    def speed(*machine, multiplies_bf16):
        asked.append(machine)
        return 1e11

    monkeypatch.setattr(calibration, "speed", speed)
    given = {"threads": 2, "device": "cpu"}
    made = calibration.plan(10**6, budget=budget, model={"model": "lstm"}, training=given)
    assert asked == [(10**6, given)] * measured
    assert made == planning.plan(
        characters=10**6,
        budget=budget,
        model={"model": "lstm"},
        training=given,
        operations_per_second=1e11 if measured else None,
        multiplies_bf16=machine.multiplies_bf16("cpu"),
    )


def test_without_a_plan_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(calibration, "speed", None)
    given = {"threads": 2, "device": "cpu"}
    made = calibration.plan(10**6, budget=None, model={}, training=given, mode="off")
    assert made == planning.fixed_plan(budget=None, model={}, training=given)
