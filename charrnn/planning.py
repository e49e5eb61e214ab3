"""From a corpus, a machine and a budget to settings, with the reasons."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charrnn import machine
from charrnn.batches import windows_per_epoch
from charrnn.corpus import Corpus
from charrnn.documents import title
from charrnn.schedule import Budget
from charrnn.settings import GATES, ModelSettings, TrainingSettings, to_json

DEFAULT_MINUTES = 10.0
MOST_EPOCHS = 50.0
"""The budget where none is given: these minutes, or these epochs of a text read sooner."""

LEARNING_RATES = {"adamw": 7e-3, "sgd": 4.0}
WEIGHT_DECAYS = {"adamw": 0.1, "sgd": 2e-4}
"""By optimizer; the matrices shrink by about the same share a step with either."""

OPERATIONS_PER_SECOND = 7e10
"""About what a processor thread gets through while training; only choices rest on it."""

_NAMED = 5  # files

GPU_THREADS = 50
"""How many such threads a GPU is taken for."""


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
    multiplies_bf16: bool = False,
) -> Plan:
    """Choose what was not given for a training text of N = `characters`.

    `model` and `training` are the settings that were given, by name; they are obeyed and
    the rest fits around them. `multiplies_bf16` says whether the device has instructions
    for it. Raises UsageError for a value that cannot be.
    """
    TrainingSettings(**training)  # what is given must be possible before anything fits around it
    settings = ModelSettings(**({"hidden_size": _hidden_size(characters)} | dict(model)))
    chosen: dict[str, Any] = {"seq_length": _seq_length(characters, training)} | dict(training)
    chosen.setdefault("batch_size", _batch_size(characters, chosen["seq_length"]))
    batch_characters = chosen["seq_length"] * chosen["batch_size"]
    threads = chosen.get("threads", 1) if chosen.get("device", "cpu") == "cpu" else GPU_THREADS
    if budget is None:
        budget = Budget(minutes=DEFAULT_MINUTES)
        if _expected_epochs(characters, budget, settings, batch_characters, threads) > MOST_EPOCHS:
            budget = Budget(epochs=MOST_EPOCHS)
    epochs = _expected_epochs(characters, budget, settings, batch_characters, threads)
    chosen.setdefault("dropout", _dropout(epochs))
    optimizer = chosen.setdefault("optimizer", "adamw")
    chosen.setdefault("learning_rate", LEARNING_RATES[optimizer])
    chosen.setdefault("weight_decay", WEIGHT_DECAYS[optimizer])
    settled = TrainingSettings(**chosen)
    if "precision" not in chosen and multiplies_bf16:
        settled = replace(settled, precision=precision(settings, settled))
    return Plan(settings, settled, budget)


def precision(model: ModelSettings, training: TrainingSettings) -> str:
    """Of the products, where a device has instructions for bf16: bf16 where it pays.

    A product with W_hh takes oneDNN some 20 microseconds before it multiplies; one of
    fewer than a million multiplications is done sooner in fp32. (GPUs do all at once.)
    """
    if training.device != "cpu":
        return "bf16"
    streams = training.batch_size / machine.workers(training.batch_size, training.threads)
    multiplications = streams * GATES[model.model] * model.hidden_size**2
    return "bf16" if multiplications >= 2**20 else "fp32"


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
    windows = (characters - 1) // max(1, seq_length)
    return max(1, min(48, max(windows // 50, min(8, windows))))


def _expected_epochs(
    characters: int, budget: Budget, model: ModelSettings, batch_characters: int, threads: int
) -> float:
    """About how often the budget will read the text."""
    if budget.epochs is not None:
        return budget.epochs
    if budget.steps is not None:
        return budget.steps * batch_characters / max(1, characters)
    assert budget.minutes is not None
    operations = 6 * model.parameters(0)  # a character's forward and backward products
    return budget.minutes * 60 * threads * OPERATIONS_PER_SECOND / operations / max(1, characters)


def _dropout(epochs: float) -> float:
    """A text that is read many times is learnt by heart unless something is left out."""
    for limit, dropout in ((6.0, 0.0), (12.0, 0.2)):
        if epochs < limit:
            return dropout
    return 0.3


def describe(chosen: Plan, corpus: Corpus) -> list[str]:
    """A plan in three lines: what is read, what learns, and how."""
    model, training = chosen.model, chosen.training
    names = ", ".join(title(text.path) for text in corpus.texts[:_NAMED])
    if len(corpus.texts) > _NAMED:
        names += f" and {len(corpus.texts) - _NAMED:,} more files"
    train, held_out = len(corpus.ids["train"]), len(corpus.ids["val"])
    epoch = windows_per_epoch(train, training.seq_length, training.batch_size)
    where = f"dropout {training.dropout:g}, "
    if training.weight_drop:
        where += f"weight drop {training.weight_drop:g}, "
    if not training.carry:
        where += "no state carried, "
    if training.optimizer != "adamw":
        where += f"{training.optimizer}, "
    where += f"{training.precision} on {training.device}"
    if training.device == "cpu":
        where += f", {training.threads} thread{'s' if training.threads > 1 else ''}"
    return [
        f"corpus    {names}: {train:,} characters to train on, {held_out:,} held out",
        f"model     {model}, {model.parameters(len(corpus.vocabulary)):,} parameters, "
        f"{len(corpus.vocabulary):,} characters known",
        f"training  {chosen.budget}, {epoch:,} steps of {training.batch_size} x "
        f"{training.seq_length} characters an epoch, {where}",
    ]


def explicit_command(paths: Sequence[Path], chosen: Plan, flags: Sequence[str]) -> str:
    """The one command that says all of a plan and leaves no default to choose.

    `flags` are the words of what is no part of a plan.
    """
    # A file whose name begins with a dash must not be taken for a flag.
    files = [f"./{path}" if str(path).startswith("-") else str(path) for path in paths]
    words = ["charrnn", "train", *files, *flags]
    values = to_json(chosen.model) | to_json(chosen.training) | chosen.budget.to_json()
    if chosen.model.model != "rnn":
        del values["nonlinearity"]
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return shlex.join(words)
