"""Training: one state, one step, and the loop, which tells what happens and draws nothing.

Everything that decides the next step is in `TrainingState`; batches and what is dropped
follow from (seed, step). So a run that is stopped and resumed ends where it would have ended.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from charrnn import checkpoints
from charrnn.checkpoints import ModelRecord
from charrnn.corpus import Corpus, Ids, batch, windows_per_epoch
from charrnn.errors import DivergenceError
from charrnn.evaluation import Score, score
from charrnn.gradients import take_gradient
from charrnn.metrics import Metrics
from charrnn.runs import prune
from charrnn.schedule import Schedule
from charrnn.seeds import derive
from charrnn.settings import TrainingSettings
from charrnn.training_state import TrainingState, save
from charrnn.workers import Workers


@dataclass(frozen=True)
class Progressed:
    """A step was taken."""

    step: int
    loss: float


@dataclass(frozen=True)
class Reported:
    """A line for metrics.jsonl; means are since the last report."""

    step: int
    epoch: float
    train_nats_per_char: float
    gradient_norm: float
    learning_rate: float
    seconds: float
    characters_per_second: float


@dataclass(frozen=True)
class Evaluated:
    """The held-out text was scored; the training loss is the mean since the last time."""

    step: int
    epoch: float
    train_nats_per_char: float
    score: Score | None
    """None where nothing is held out"""
    seconds: float

    def scores(self) -> dict[str, dict[str, float]]:
        """By split, as a checkpoint's header keeps them."""
        found = {"train": {"nats_per_char": self.train_nats_per_char}}
        return found | ({"val": self.score.to_json()} if self.score else {})

    def to_json(self) -> dict[str, float]:
        """As a line of metrics.jsonl keeps it."""
        score = self.score.to_json() if self.score else {}
        rest = {k: v for k, v in vars(self).items() if k != "score"}
        return rest | score


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on disk."""

    path: Path
    record: ModelRecord


@dataclass(frozen=True)
class Stopped:
    """The loop ends early, its work saved, because `stop` said so."""

    step: int


Event = Progressed | Reported | Evaluated | Saved | Stopped


def take_step(
    state: TrainingState,
    ids: Ids,
    settings: TrainingSettings,
    learning_rate: float,
    workers: Workers | None = None,
) -> tuple[float, float]:
    """Take one step of truncated backpropagation through time.

    Returns the loss (nats per character) and the gradient's norm before clipping.
    Raises DivergenceError, the weights unchanged, where either is no number.
    """
    read = batch(
        ids,
        seq_length=settings.seq_length,
        batch_size=settings.batch_size,
        seed=settings.seed,
        step=state.step,
    )
    if read.first or not settings.carry:
        state.carried = state.model.start(settings.batch_size)

    def generator(purpose: str) -> torch.Generator:
        seed = derive(settings.seed, purpose, state.step)
        return torch.Generator(settings.device).manual_seed(seed)

    masks = None
    if settings.weight_drop:
        masks = state.model.draw_weight_masks(settings.weight_drop, generator("weight-drop"))
    loss, after = take_gradient(
        state.model,
        torch.from_numpy(read.inputs).to(settings.device),
        torch.from_numpy(read.targets).to(settings.device),
        state.carried,
        dropout=settings.dropout,
        generator=lambda stream: generator(f"dropout from stream {stream}"),
        weight_masks=masks,
        precision=settings.precision,
        workers=workers,
    )
    parameters = list(state.model.parameters())
    norm = float(nn.utils.clip_grad_norm_(parameters, settings.clip or math.inf))
    value = float(loss)
    if not math.isfinite(value) or not math.isfinite(norm):
        state.optimizer.zero_grad()
        raise diverged(state.step + 1, settings)
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.carried = after
    state.step += 1
    return value, norm


def diverged(step: int, settings: TrainingSettings) -> DivergenceError:
    """The error that says that the loss of a step is no number."""
    return DivergenceError(
        f"step {step}: the loss is no longer a number",
        f"try --learning-rate {settings.learning_rate / 4:g}; "
        "the checkpoints before this step are kept",
    )


def train(
    state: TrainingState,
    corpus: Corpus,
    settings: TrainingSettings,
    schedule: Schedule,
    run: Path,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """Train to the end of the schedule, or until `stop` says so, telling what happens.

    Evaluates and saves as scheduled, and saves when stopped; prunes after each save.
    Raises DivergenceError, DiskFullError or RunError; the last checkpoint stays good.
    """
    ids = corpus.ids["train"]
    batch_characters = settings.seq_length * settings.batch_size
    per_epoch = windows_per_epoch(len(ids), settings.seq_length, settings.batch_size)
    proof = corpus.record()
    workers = Workers(settings.threads)
    metrics = Metrics(run, state.metrics_bytes)
    earlier, started = state.seconds, time.monotonic()
    saved_step, norm = state.step, math.nan
    busy, busy_steps = 0.0, 0  # since the last report, in this sitting

    def saved(scores: dict[str, dict[str, float]]) -> Saved:
        state.metrics_bytes = metrics.sync()
        record = ModelRecord(
            state.model.settings, corpus.vocabulary, state.step, scores, proof, resume_digest=""
        )
        record = save(state, run, record)
        path = checkpoints.model_path(run, state.step)
        prune(run, settings.keep, newest=path)
        return Saved(path, record)

    try:
        while True:
            # A mean that holds losses has not been told yet: so a resume tells what a
            # stop left untold, once.
            if schedule.reports(state.step) and state.reported.count:
                report = Reported(
                    step=state.step,
                    epoch=state.step / per_epoch,
                    characters_per_second=busy_steps * batch_characters / max(busy, 1e-9),
                    train_nats_per_char=state.reported.take(),
                    gradient_norm=norm,
                    learning_rate=settings.learning_rate * schedule.learning_rate(state.step - 1),
                    seconds=state.seconds,
                )
                busy, busy_steps = 0.0, 0
                metrics.write({"kind": "report", **vars(report)})
                yield report
            if schedule.evaluates(state.step) and state.evaluated.count:
                with contextlib.suppress(_AbandonedError):
                    held_out = _score_held_out(state, corpus, workers, stop)
                    if held_out and not math.isfinite(held_out.nats):
                        raise diverged(state.step, settings)
                    state.seconds = earlier + time.monotonic() - started
                    evaluated = Evaluated(
                        step=state.step,
                        epoch=state.step / per_epoch,
                        train_nats_per_char=state.evaluated.take(),
                        score=held_out,
                        seconds=state.seconds,
                    )
                    metrics.write({"kind": "evaluation", **evaluated.to_json()})
                    yield evaluated
                    yield saved(evaluated.scores())
                    saved_step = state.step
            if stop():
                if state.step > saved_step:
                    yield saved({})
                yield Stopped(state.step)
                return
            if state.step >= schedule.steps:
                return
            rate = settings.learning_rate * schedule.learning_rate(state.step)
            began = time.monotonic()
            loss, norm = take_step(state, ids, settings, rate, workers)
            ended = time.monotonic()
            busy += ended - began
            busy_steps += 1
            state.seconds = earlier + ended - started
            state.reported.add(loss)
            state.evaluated.add(loss)
            yield Progressed(state.step, loss)
    finally:
        workers.close()
        metrics.close()


class _AbandonedError(Exception):
    """An evaluation was asked to stop."""


def _score_held_out(
    state: TrainingState, corpus: Corpus, workers: Workers, stop: Callable[[], bool]
) -> Score | None:
    """The score on the validation text, or None where nothing is held out.

    Raises _AbandonedError as soon as `stop` says so.
    """
    ids = corpus.ids["val"]
    if not len(ids):
        return None

    def check(_: int) -> None:
        if stop():
            raise _AbandonedError

    return score(
        state.model,
        ids,
        start=corpus.vocabulary.start,
        byte_count=int(corpus.vocabulary.byte_lengths[ids].sum()),
        scored=check,
        workers=workers,
    )
