"""A run of training as the benchmark of learning makes it: when it is scored, what time counts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charrnn import calibration, runs, training
from charrnn.calibration import Timing
from charrnn.corpus import Corpus, read_corpus
from charrnn.errors import DivergenceError
from charrnn.events import Evaluated, Progressed, Reported
from charrnn.learning_benchmark import MOMENTS, entrant
from charrnn.learning_contenders import begun, learn, watched
from charrnn.planning import Plan
from charrnn.schedule import Budget
from charrnn.scores import Score
from charrnn.settings import ModelSettings, TrainingSettings

PLAN = Plan(
    ModelSettings(embedding_size=4, hidden_size=8, layers=1),
    TrainingSettings(seq_length=6, batch_size=4, threads=1),
    Budget(steps=25),
)


@pytest.fixture(scope="module")
def corpus(english_file: Path) -> Corpus:
    return read_corpus([english_file])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def test_a_run_says_how_far_it_is_how_well_it_does_and_what_it_took(
    english_file: Path, corpus: Corpus, run: Path
) -> None:
    first, *said, last = learn(entrant(PLAN, english_file, run).task)
    assert first == {"kind": "begun", "steps": 25}
    scores = [each for each in said if each["kind"] == "evaluated"]
    assert [each["step"] for each in scores] == [4, 8, 12, 16, 20, 24, 25]
    assert scores[-1]["nats_per_char"] < scores[0]["nats_per_char"] - 0.01
    seconds = [0.0, *(each["seconds"] for each in scores)]
    assert seconds == sorted(set(seconds))
    assert last == {
        "kind": "done",
        "seconds": seconds[-1],
        "taken": 25,
        "per_epoch": (len(corpus.ids["train"]) - 6) // 24,
        "peak_memory_bytes": last["peak_memory_bytes"],
        "diverged": None,
    }
    assert runs.best(run) is not None


@pytest.mark.parametrize("steps", [6, 7, 11, 20, 100, 999, 12_345])
def test_it_is_scored_at_each_moment(steps: int, corpus: Corpus, run: Path) -> None:
    schedule = begun(run, corpus, replace(PLAN, budget=Budget(steps=steps)), MOMENTS).schedule
    assert schedule.steps == steps
    scored = [step for step in range(1, steps + 1) if schedule.evaluates(step)]
    for moment in range(1, MOMENTS + 1):
        wanted = moment * steps / MOMENTS
        off = min(abs(step - wanted) for step in scored)
        assert off <= steps / (2 * MOMENTS if steps < 100 else 30)


def test_minutes_are_those_of_steps_however_long_evaluations_take(
    corpus: Corpus, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "measure", lambda *_: Timing(0.01, evaluation_seconds=100))
    session = begun(run, corpus, replace(PLAN, budget=Budget(minutes=0.5)), MOMENTS)
    assert session.schedule.steps == 3_000


SCORE = Score(nats=20.0, characters=10, bytes=10, correct=1)


def told(*_: Any, **__: Any) -> Iterator[Any]:
    yield Progressed(1, 3.0)
    yield Reported(1, 0.1, 3.0, 1.0, 1e-3, 1.0, 100.0)
    yield Progressed(2, 2.5)
    yield Evaluated(2, 0.2, 2.7, SCORE, 3.0)
    yield Progressed(3, 2.0)
    raise DivergenceError("the loss is nan")


def test_time_is_that_of_steps_alone_and_a_divergence_is_told(
    corpus: Corpus, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begun(run, corpus, PLAN, MOMENTS)
    monkeypatch.setattr(training, "train", told)
    # 1 s a step; a report takes 10 s, an evaluation 100.
    times = iter([0, 1, 1, 11, 12, 12, 112, 113, 113])
    said = list(watched(session, lambda: float(next(times))))
    assert [(each["kind"], each.get("step"), each.get("seconds")) for each in said] == [
        ("progressed", 1, None),
        ("progressed", 2, None),
        ("evaluated", 2, 2.0),
        ("progressed", 3, None),
        ("done", None, 3.0),
    ]
    assert said[2]["nats_per_char"] == 2.0
    assert (said[-1]["taken"], said[-1]["diverged"]) == (3, "the loss is nan")
