"""Everything that decides the next step of training, and its way to disk and back."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from charrnn import checkpoints
from charrnn.checkpoints import Checkpoint, ModelRecord
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
    optimizer: torch.optim.AdamW
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
    """The state that `save` wrote."""
    record, weights = checkpoint
    tensors, numbers = resume
    state = fresh_state(record.settings, settings, len(record.vocabulary))
    state.model.load(weights)
    for name, parameter in state.model.named_parameters():
        state.optimizer.state[parameter] = {
            "step": torch.tensor(float(record.step), device=settings.device),
            "exp_avg": torch.tensor(tensors[f"exp_avg.{name}"], device=settings.device),
            "exp_avg_sq": torch.tensor(tensors[f"exp_avg_sq.{name}"], device=settings.device),
        }
    state.carried = [
        tuple(
            torch.tensor(tensors[f"carried.{layer}.{part}"], device=settings.device)
            for part in range(len(parts))
        )
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
        for kind in "exp_avg", "exp_avg_sq":
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


def _optimizer(model: CharacterModel, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), which decays the matrices and leaves the biases."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=BETAS, fused=True)
