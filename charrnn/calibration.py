"""This machine's speed and the plan for it; what a step and an evaluation take on it."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from charrnn import machine, planning
from charrnn.batches import Batches, windows_per_epoch
from charrnn.corpus import Corpus
from charrnn.evaluation import STRETCHES, WARM, score
from charrnn.planning import Plan
from charrnn.schedule import EVALUATION_CHARACTERS, Budget
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.soap import TURNED
from charrnn.step import batches_of, take_step
from charrnn.stored import part_of
from charrnn.training_state import TrainingState, fresh_state
from charrnn.workers import Workers, prepare

SECONDS = 2.0
"""About how long a model's steps are timed, at least."""

LONGEST = 30.0
"""And at most."""

SHARE = 0.01
"""Between the two, of the time that they are to fill: a machine that others use is up to half
as fast again, or as slow, for some seconds, and less so for a minute."""

SPEED_SECONDS = 0.7
"""And that of the machine's speed."""

LARGEST = 2 * 48 * 48
"""Characters of a step that the machine's speed is measured with, unless B are more."""


@dataclass(frozen=True)
class Timing:
    """Measured on this machine, just now."""

    step_seconds: float
    evaluation_seconds: float
    """of the held-out text, as far as it is scored, the checkpoint after it included"""


def plan(
    characters: int,
    *,
    budget: Budget | None,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    mode: str = "auto",
) -> Plan:
    """The plan for a training text of N = `characters` on this machine; see `planning.plan`.

    `mode` is that of `--plan`. The machine is measured where time decides. Raises
    UsageError for a value that cannot be, or a device that is not there.
    """
    device = machine.choose_device(training.get("device", "auto"))
    settled = {"threads": machine.processors()} | dict(training) | {"device": device}
    if mode == "off":
        return planning.fixed_plan(budget=budget, model=model, training=settled)
    able = machine.multiplies_bf16(device)
    batched = planning.batched(characters, settled)
    windows_per_epoch(characters, batched.seq_length, batched.batch_size)  # there must be one
    return planning.plan(
        characters=characters,
        budget=budget,
        model=model,
        training=settled,
        operations_per_second=(
            speed(characters, settled, multiplies_bf16=able)
            if planning.depends_on_speed(budget, model, training)
            else None
        ),
        multiplies_bf16=able,
    )


def speed(characters: int, training: Mapping[str, Any], *, multiplies_bf16: bool = False) -> float:
    """Operations a second in training a model of 2 x 256: what a plan rests on.

    It trains with the batches and the optimizer that a text of N = `characters` is going to
    be read with. A character's step is counted as six operations a weight: forward, and
    twice back.
    """
    model, vocabulary_size = ModelSettings(), 64
    settings = planning.batched(characters, training)
    batch_size = settings.batch_size
    # Longer windows are as fast, but even three of them may take longer than all the rest.
    seq_length = max(1, min(settings.seq_length, LARGEST // batch_size))
    settings = replace(settings, seq_length=seq_length)
    if "precision" not in training and multiplies_bf16:
        settings = replace(settings, precision=planning.precision(model, settings))
    length = 2 * seq_length * batch_size + seq_length + 1
    ids = np.random.default_rng(0).integers(vocabulary_size, size=length, dtype=np.uint8)
    prepare(settings.threads)
    with contextlib.closing(Workers(settings.threads)) as workers:
        state = fresh_state(model, settings, vocabulary_size)
        seconds = _step_seconds(state, batches_of(ids, settings), settings, workers, SPEED_SECONDS)
    return 6 * planning.weights(model) * seq_length * batch_size / seconds


def timing_seconds(minutes: float) -> float:
    """About how long steps are timed that are to fill so many minutes."""
    return min(LONGEST, max(SECONDS, SHARE * 60 * minutes))


def measure(
    corpus: Corpus, model: ModelSettings, training: TrainingSettings, minutes: float = 0.0
) -> Timing:
    """Time steps of a model that is then forgotten, and an evaluation in proportion.

    `minutes` are those that they are to fill.
    """
    prepare(training.threads)
    with contextlib.closing(Workers(training.threads)) as workers:
        return _measure(corpus, model, training, timing_seconds(minutes), workers)


def _measure(
    corpus: Corpus,
    model: ModelSettings,
    training: TrainingSettings,
    seconds: float,
    workers: Workers,
) -> Timing:
    state = fresh_state(model, training, len(corpus.vocabulary))
    batches = batches_of(corpus.ids["train"], training)
    step_seconds = _step_seconds(state, batches, training, workers, seconds)
    held_out = corpus.ids["val"]
    if not len(held_out):
        return Timing(step_seconds, 0.0)
    part = part_of(held_out, 0, STRETCHES * WARM)  # each stretch warmed as in the real one
    began = time.monotonic()
    score(state.model, part, start=corpus.vocabulary.start, byte_count=1, workers=workers)
    warm, rest = STRETCHES * WARM, min(len(held_out), EVALUATION_CHARACTERS)
    evaluation_seconds = (time.monotonic() - began) * (rest + warm) / (len(part) + warm)
    return Timing(step_seconds, evaluation_seconds + 0.1)


def _step_seconds(
    state: TrainingState,
    batches: Batches,
    training: TrainingSettings,
    workers: Workers,
    seconds: float,
) -> float:
    """What a step takes, from as many as fill about so many seconds."""
    began, steps = time.monotonic(), 0
    # First steps allocate and compile.
    while not steps or (steps < 3 and time.monotonic() - began < seconds):
        take_step(state, batches, training, 0.0, workers)
        steps += 1
    # Halfway between two of SOAP's dearer steps, so that it meets its share of them.
    state.optimizer.go_on(TURNED // 2)
    began, steps = time.monotonic(), 0
    while not steps or time.monotonic() - began < seconds:
        take_step(state, batches, training, 0.0, workers)
        steps += 1
    return (time.monotonic() - began) / steps
