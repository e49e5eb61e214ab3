"""The table of charrnn benchmark learning: which run stands for several, and what a column is."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charrnn.commands.differences import Scored
from charrnn.commands.learning_run import Run
from charrnn.commands.learning_table import at, median, ranked, show
from charrnn.learning_benchmark import Learned, Point, row
from charrnn.planning import Plan
from charrnn.schedule import Budget
from charrnn.settings import ModelSettings, TrainingSettings

PLAN = Plan(ModelSettings(), TrainingSettings(seed=3), Budget(steps=10))
LEARNED = Learned(PLAN, 10, 1.0, 1.0, 1.0, None, (Point(1.0, 10, 1.5),))


def run(nats: float, model: str = "gru", learned: Learned = LEARNED) -> Run:
    """A run with a score; one that is infinite has diverged."""
    plan = replace(learned.plan, model=ModelSettings(model=model))
    learned = replace(learned, plan=plan, diverged="the loss is nan" if math.isinf(nats) else None)
    scored = None if learned.diverged else Scored({"nats_per_char": nats}, "", np.zeros(0))
    return Run(learned, row(learned, Path("text.txt"), 30), scored)


@pytest.mark.parametrize(
    ("scores", "middle"),
    [
        ([1.5], 1.5),
        ([1.7, 1.5, 1.6], 1.6),
        ([1.7, 1.5], 1.7),
        ([1.8, 1.5, 1.7, 1.6], 1.7),
        ([math.inf, 1.5, 1.6], 1.6),
        ([math.inf, 1.5, math.inf], math.inf),
    ],
)
def test_the_median_is_a_run_that_was_made(scores: list[float], middle: float) -> None:
    assert median([run(score) for score in scores]).nats_per_char == middle


def test_models_are_ranked_by_their_median_runs() -> None:
    groups = [
        [run(1.2, "rnn"), run(1.9, "rnn"), run(1.8, "rnn")],
        [run(math.inf, "product")],
        [run(1.7, "gru"), run(1.6, "gru"), run(1.5, "gru")],
        [],
    ]
    assert [runs[0].row["model"] for runs in ranked(groups)] == ["gru", "rnn", "product"]


def test_the_range_of_several_seeds_says_how_many_diverged(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([[run(score) for score in (1.72, math.inf, 1.51)]], PLAN.budget)
    assert "\n  3 seeds: 1.5100 to 1.7200, 1 diverged\n" in capsys.readouterr().out


def test_losses_keep_to_their_columns(capsys: pytest.CaptureFixture[str]) -> None:
    absurd = replace(LEARNED, curve=(Point(1.0, 5, 12.3456), Point(1.0, 10, 123456.0)))
    show([[run(1.5, "gru-reset-before", absurd)]], PLAN.budget)
    _, _, head, line, *_ = capsys.readouterr().out.splitlines()
    assert len(line) == len(head) == 80
    assert line.split()[:8] == ["gru-reset-before", "-", "-", "12.3", "-", "-", "1e+05", "1.500"]


@pytest.mark.parametrize(
    ("columns", "heads"),
    [
        (120, ["2", "3", "5", "7", "8", "10"]),
        (80, ["2", "3", "5", "7", "8", "10"]),
        (79, ["3", "7", "10"]),
        (62, ["3", "7", "10"]),
        (60, ["5", "10"]),
        (50, ["10"]),
        (20, ["10"]),
    ],
)
def test_a_narrow_terminal_is_shown_fewer_moments(columns, heads, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    show([[run(1.5)]], PLAN.budget)
    _, _, head, line, *_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["model", *heads, "best", "epochs", "params", "char/s"]
    assert len(head) == len(line) <= max(columns, 50)


@pytest.mark.parametrize(
    ("budget", "heads"),
    [
        (Budget(minutes=1.3), ["13s", "39s", "78s"]),
        (Budget(minutes=0.1), ["1s", "3s", "6s"]),
        (Budget(minutes=10.0), ["100s", "300s", "600s"]),
        (Budget(minutes=100.0), ["16.7m", "50m", "100m"]),
        (Budget(minutes=1_000.0), ["2.78h", "8.33h", "16.7h"]),
        (Budget(steps=7), ["1", "4", "7"]),
        (Budget(steps=123_456), ["20.6k", "61.7k", "123k"]),
        (Budget(epochs=0.5), ["0.0833", "0.25", "0.5"]),
    ],
)
def test_a_moment_is_named_in_the_budgets_unit(budget: Budget, heads: list[str]) -> None:
    assert [at(share, budget) for share in (1 / 6, 1 / 2, 1)] == heads


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (78.0, ""),
        (70.3, ""),
        (101.1, "gru, seed 3: its steps took 101.1 s instead of 78.0: the machine was busier"),
        (60.0, "gru, seed 3: its steps took 60.0 s instead of 78.0: the machine was less busy"),
    ],
)
def test_a_run_longer_or_shorter_than_it_was_to_be_is_told(
    seconds: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = Budget(minutes=1.3)
    plan = Plan(ModelSettings(), TrainingSettings(seed=3), budget)
    learned = Learned(plan, 10, 1.0, seconds, 1.0, None, (Point(seconds, 10, 1.5),))
    show([[run(1.5, learned=learned)]], budget)
    warned = capsys.readouterr().err
    assert warned.startswith(f"warning: {said}") if said else not warned
