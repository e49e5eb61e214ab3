"""Everything that decides the next step of training, and its way to disk and back."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charrnn import checkpoints
from charrnn.checkpoints import Checkpoint, ModelRecord
from charrnn.errors import CheckpointError
from charrnn.model import CharacterModel, ModelState
from charrnn.sealed import Tensors
from charrnn.seeds import derive
from charrnn.settings import ModelSettings, TrainingSettings

BETAS = (0.9, 0.99)
"""AdamW's averaging; the second is shorter than usual, for runs of a few thousand steps."""


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
    optimizer: torch.optim.Optimizer
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
        _optimizer(network, settings),
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
    """The state that `save` wrote.

    Raises CheckpointError where the resume file holds no state of these settings.
    """
    record, weights = checkpoint
    tensors, numbers = resume

    def taken(name: str, like: torch.Tensor) -> torch.Tensor:
        found = tensors.get(name)
        if found is None or found.shape != like.shape or found.dtype != np.float32:
            raise CheckpointError(
                f"step {record.step}: its resume file has no {name} as run.json's settings need",
                "--overwrite moves the run aside and starts afresh",
            )
        return torch.tensor(found, device=settings.device)

    state = fresh_state(record.settings, settings, len(record.vocabulary))
    state.model.load(weights)
    moments = _moments(state.optimizer)
    for name, parameter in state.model.named_parameters() if moments else ():
        state.optimizer.state[parameter] = {
            "step": torch.tensor(float(record.step), device=settings.device),
            **{kind: taken(f"{kind}.{name}", parameter) for kind in moments},
        }
    state.carried = [
        tuple(taken(f"carried.{layer}.{part}", like) for part, like in enumerate(parts))
        for layer, parts in enumerate(state.carried)
    ]
    state.step = record.step
    state.reported = Mean(*numbers["reported"])
    state.evaluated = Mean(*numbers["evaluated"])
    state.seconds = float(numbers["seconds"])
    state.metrics_bytes = int(numbers["metrics_bytes"])
    return state


def save(state: TrainingState, run: Path, record: ModelRecord) -> ModelRecord:
    """Write the state as a checkpoint; raises DiskFullError or RunError."""
    tensors: dict[str, NDArray[Any]] = {}
    for name, parameter in state.model.named_parameters():
        for kind in _moments(state.optimizer):
            moment = state.optimizer.state[parameter][kind]
            tensors[f"{kind}.{name}"] = moment.cpu().numpy()
    for layer, parts in enumerate(state.carried):
        for part, carried in enumerate(parts):
            tensors[f"carried.{layer}.{part}"] = carried.cpu().numpy()
    numbers = {
        "reported": [state.reported.total, state.reported.count],
        "evaluated": [state.evaluated.total, state.evaluated.count],
        "seconds": state.seconds,
        "metrics_bytes": state.metrics_bytes,
    }
    return checkpoints.write_checkpoint(
        checkpoints.model_path(run, state.step), record, state.model.arrays(), tensors, numbers
    )


def _moments(optimizer: torch.optim.Optimizer) -> tuple[str, ...]:
    """What an optimizer remembers of each weight, by torch's names; plain SGD nothing."""
    return ("exp_avg", "exp_avg_sq") if isinstance(optimizer, torch.optim.AdamW) else ()


def _optimizer(model: CharacterModel, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) or plain gradient descent, without momentum.

    The matrices decay, by the same rule for both, and the biases do not.
    """
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=BETAS, fused=True)
