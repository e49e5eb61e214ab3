"""What a step and an evaluation take on this machine, measured and thrown away."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from charrnn import machine, planning
from charrnn.batches import Batches
from charrnn.corpus import Corpus
from charrnn.evaluation import STRETCHES, WARM, score
from charrnn.planning import Plan
from charrnn.schedule import EVALUATION_CHARACTERS, Budget
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.step import batches_of, take_step
from charrnn.stored import part_of
from charrnn.training_state import TrainingState, fresh_state
from charrnn.workers import Workers, prepare

SECONDS = 2.0
"""About how long the measurement takes."""


SPEED_SECONDS = 0.7
"""And that of the machine's speed."""


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
    in_time = budget is None or budget.minutes is not None
    return planning.plan(
        characters=characters,
        budget=budget,
        model=model,
        training=settled,
        operations_per_second=speed(device, settled["threads"]) if in_time else None,
        multiplies_bf16=machine.multiplies_bf16(device),
    )


def speed(device: str, threads: int) -> float:
    """Operations a second in training a model of 2 x 256: what a plan rests on.

    A character's step is counted as six operations a weight: forward, and twice back.
    """
    model, vocabulary_size = ModelSettings(), 64
    training = TrainingSettings(seq_length=24, batch_size=48, device=device, threads=threads)
    ids = np.random.default_rng(0).integers(vocabulary_size, size=48 * 24 * 9, dtype=np.uint8)
    prepare(threads)
    with contextlib.closing(Workers(threads)) as workers:
        state = fresh_state(model, training, vocabulary_size)
        seconds = _step_seconds(state, batches_of(ids, training), training, workers, SPEED_SECONDS)
    return 6 * model.parameters(0) * 48 * 24 / seconds


def measure(corpus: Corpus, model: ModelSettings, training: TrainingSettings) -> Timing:
    """Time steps of a model that is then forgotten, and an evaluation in proportion."""
    prepare(training.threads)
    with contextlib.closing(Workers(training.threads)) as workers:
        return _measure(corpus, model, training, workers)


def _measure(
    corpus: Corpus, model: ModelSettings, training: TrainingSettings, workers: Workers
) -> Timing:
    state = fresh_state(model, training, len(corpus.vocabulary))
    batches = batches_of(corpus.ids["train"], training)
    step_seconds = _step_seconds(state, batches, training, workers, SECONDS)
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
    for _ in range(3):  # first steps allocate and compile
        take_step(state, batches, training, 0.0, workers)
    began, steps = time.monotonic(), 0
    while steps < 3 or time.monotonic() - began < seconds:
        take_step(state, batches, training, 0.0, workers)
        steps += 1
    return (time.monotonic() - began) / steps
