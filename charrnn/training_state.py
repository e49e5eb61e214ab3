"""Everything that decides the next step of training, and its way to disk and back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from charrnn import checkpoints
from charrnn.checkpoints import Checkpoint, ModelRecord
from charrnn.divergence import LOWERING, Watch
from charrnn.errors import CheckpointError
from charrnn.header import whole_number
from charrnn.model import CharacterModel, ModelState
from charrnn.optimizer import Optimizer
from charrnn.sealed import Tensors
from charrnn.seeds import derive
from charrnn.settings import ModelSettings, TrainingSettings


@dataclass
class Mean:
    """A running mean of losses in nats per character."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Take in one more step's loss."""
        self.total += value
        self.count += 1

    def take(self) -> float:
        """The mean so far, which begins anew; not a number where there is none."""
        mean = self.total / self.count if self.count else math.nan
        self.total, self.count = 0.0, 0
        return mean


@dataclass
class TrainingState:
    """Everything that decides the next step."""

    model: CharacterModel
    optimizer: Optimizer
    carried: ModelState
    """the streams' states, float32, each (B, H)"""
    step: int
    """steps done"""
    reported: Mean
    """of the losses since the last report"""
    evaluated: Mean
    """of the losses since the last evaluation"""
    seconds: float
    """trained, over all sittings"""
    metrics_bytes: int
    """how long metrics.jsonl was"""
    watch: Watch = field(default_factory=Watch)
    """over the losses"""
    divergences: list[int] = field(default_factory=list)
    """the steps at which training diverged and went back"""

    @property
    def lowered(self) -> float:
        """What the scheduled learning rate is multiplied by."""
        return LOWERING ** len(self.divergences)


def fresh_state(
    model: ModelSettings, settings: TrainingSettings, vocabulary_size: int
) -> TrainingState:
    """The state before the first step, a function of the settings."""
    network = CharacterModel(model, vocabulary_size)
    network.initialise(
        settings.weight_init, settings.forget_bias, derive(settings.seed, "initialise")
    )
    network.to(settings.device)
    return TrainingState(
        network,
        Optimizer(network, settings),
        network.start(settings.batch_size),
        step=0,
        reported=Mean(),
        evaluated=Mean(),
        seconds=0.0,
        metrics_bytes=0,
    )


def restored_state(
    checkpoint: Checkpoint,
    resume: tuple[Tensors, dict[str, Any]],
    settings: TrainingSettings,
) -> TrainingState:
    """The state that a snapshot was taken of.

    Raises CheckpointError where the resume file holds no state of these settings.
    """
    record, weights = checkpoint
    tensors, numbers = resume

    def lacking(what: str) -> CheckpointError:
        return CheckpointError(
            f"step {record.step}: its resume file has no {what} as run.json's settings need",
            "--overwrite moves the run aside and starts afresh",
        )

    def taken(name: str, like: torch.Tensor) -> torch.Tensor:
        found = tensors.get(name)
        if found is None or found.shape != like.shape or found.dtype != np.float32:
            raise lacking(name)
        return torch.tensor(found, device=settings.device)

    state = fresh_state(record.settings, settings, len(record.vocabulary))
    state.model.load(weights)
    for name, kept in state.optimizer.remembered().items():
        kept.copy_(taken(name, kept))
    state.optimizer.go_on(record.step)
    state.carried = [
        tuple(taken(f"carried.{layer}.{part}", like) for part, like in enumerate(parts))
        for layer, parts in enumerate(state.carried)
    ]
    state.step = record.step
    try:
        for name in "reported", "evaluated":
            total, count = numbers[name]
            setattr(state, name, Mean(float(total), whole_number(count)))
        state.seconds = float(numbers["seconds"])
        state.metrics_bytes = whole_number(numbers["metrics_bytes"])
        # Files of format 1 have neither.
        level, count, far_off = numbers.get("watch", (0.0, 0, 0))
        state.watch = Watch(float(level), whole_number(count), whole_number(far_off))
        state.divergences = [whole_number(step) for step in numbers.get("divergences", ())]
    except (KeyError, TypeError, ValueError) as error:
        raise lacking(f"state of the training ({error})") from None
    return state


class Snapshot(NamedTuple):
    """A state as it was, in arrays of its own, so that training may go on from it."""

    step: int
    weights: Tensors
    resume: Tensors
    numbers: dict[str, Any]

    @property
    def size(self) -> int:
        """The bytes of its two files, but for their headers."""
        return sum(array.nbytes for array in (*self.weights.values(), *self.resume.values()))

    @property
    def is_good(self) -> bool:
        """Whether the losses up to it were as they should be, and the weights are numbers."""
        finite = all(np.isfinite(array).all() for array in self.weights.values())
        return bool(finite and self.numbers["watch"][2] == 0)


def checkpoint_sizes(state: TrainingState) -> tuple[int, int]:
    """The bytes of a model file and of a resume file, but for their headers."""
    carried = [part for parts in state.carried for part in parts]
    resume = [*state.optimizer.remembered().values(), *carried]
    weights = sum(parameter.numel() for parameter in state.model.parameters())
    return 4 * weights, 4 * sum(part.numel() for part in resume)


def snapshot(state: TrainingState, *, asked_for: bool = False) -> Snapshot:
    """Copy what decides the next step; `asked_for` says that the schedule did not."""

    def copied(tensor: torch.Tensor) -> NDArray[np.float32]:
        return tensor.detach().to("cpu", copy=True).numpy()

    def mean(of: Mean) -> list[float | str]:  # JSON has no word for what is no number
        return [of.total if math.isfinite(of.total) else str(of.total), of.count]

    resume = {name: copied(kept) for name, kept in state.optimizer.remembered().items()}
    for layer, parts in enumerate(state.carried):
        for part, carried in enumerate(parts):
            resume[f"carried.{layer}.{part}"] = copied(carried)
    numbers = {
        "reported": mean(state.reported),
        "evaluated": mean(state.evaluated),
        "seconds": state.seconds,
        "metrics_bytes": state.metrics_bytes,
        "watch": [state.watch.level, state.watch.count, state.watch.far_off],
        "divergences": list(state.divergences),
        "asked_for": asked_for,
    }
    return Snapshot(state.step, state.model.arrays(), resume, numbers)


def was_asked_for(numbers: Mapping[str, Any]) -> bool:
    """Whether a resume file's numbers say that a person or a queue asked for it."""
    return bool(numbers.get("asked_for", False))


def save(taken: Snapshot, run: Path, record: ModelRecord) -> ModelRecord:
    """Write a snapshot as a checkpoint; raises DiskFullError or RunError."""
    path = checkpoints.model_path(run, taken.step)
    return checkpoints.write_checkpoint(path, record, taken.weights, taken.resume, taken.numbers)
