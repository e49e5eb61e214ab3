"""From a corpus, a machine and a budget to settings, with the reasons."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.corpus import Corpus, windows_per_epoch
from charrnn.schedule import Budget
from charrnn.settings import ModelSettings, TrainingSettings, to_json

DEFAULT_MINUTES = 10.0


@dataclass(frozen=True)
class Plan:
    """What a run will be."""

    model: ModelSettings
    training: TrainingSettings
    budget: Budget


def plan(
    *,
    characters: int,
    budget: Budget | None,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
) -> Plan:
    """Choose what was not given for a training text of N = `characters`.

    `model` and `training` are the settings that were given, by name; they are obeyed and
    the rest fits around them. Raises UsageError for a value that cannot be.
    """
    budget = budget or Budget(minutes=DEFAULT_MINUTES)
    size = _hidden_size(characters)
    settings = ModelSettings(**({"hidden_size": size} | dict(model)))
    window: dict[str, Any] = {"seq_length": _seq_length(characters, training)} | dict(training)
    batch_size = _batch_size(characters, window["seq_length"])
    return Plan(settings, TrainingSettings(**({"batch_size": batch_size} | window)), budget)


def _hidden_size(characters: int) -> int:
    """H: as large as the text can fill."""
    for limit, size in ((20_000, 64), (100_000, 128)):
        if characters < limit:
            return size
    return 256


def _seq_length(characters: int, training: Mapping[str, Any]) -> int:
    """T: with the state carried, short windows cost little context and give more steps."""
    return max(1, min(24, (characters - 1) // int(training.get("batch_size", 1))))


def _batch_size(characters: int, seq_length: int) -> int:
    """B: 48, or so many fewer that a small text still gives fifty steps an epoch."""
    windows = (characters - 1) // seq_length
    return max(1, min(48, max(windows // 50, min(8, windows))))


def describe(chosen: Plan, corpus: Corpus) -> list[str]:
    """A plan in three lines: what is read, what learns, and how."""
    model, training = chosen.model, chosen.training
    names = ", ".join(text.path.name for text in corpus.texts)
    train, held_out = len(corpus.ids["train"]), len(corpus.ids["val"])
    size = f"{model.layers} x {model.hidden_size} {model.model}"
    epoch = windows_per_epoch(train, training.seq_length, training.batch_size)
    return [
        f"corpus    {names}: {train + held_out:,} characters, {len(corpus.vocabulary):,} distinct; "
        f"{held_out:,} held out to measure on",
        f"model     {size}, {model.parameters(len(corpus.vocabulary)):,} parameters",
        f"training  {chosen.budget}; {training.batch_size} streams of {training.seq_length} "
        f"characters a step, {epoch:,} steps an epoch; {training.precision} on "
        f"{training.threads} {training.device} threads",
    ]


def explicit_command(paths: Sequence[Path], chosen: Plan, flags: Sequence[str]) -> str:
    """The one command that says all of a plan and leaves no default to choose.

    `flags` are the words of what is no part of a plan.
    """
    words = ["charrnn", "train", *(str(path) for path in paths), *flags]
    values = to_json(chosen.model) | to_json(chosen.training) | chosen.budget.to_json()
    for name, value in values.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)
