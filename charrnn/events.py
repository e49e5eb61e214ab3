"""What training tells of itself."""

import math
from dataclasses import dataclass
from pathlib import Path

from charrnn.checkpoints import ModelRecord
from charrnn.errors import DiskFullError
from charrnn.scores import Score


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
        """By split, as a checkpoint's header keeps them: those that are numbers."""
        found = {"train": {"nats_per_char": self.train_nats_per_char}}
        found |= {"val": self.score.to_json()} if self.score else {}
        return {k: v for k, v in found.items() if math.isfinite(v["nats_per_char"])}

    def to_json(self) -> dict[str, float]:
        """As a line of metrics.jsonl keeps it."""
        score = self.score.to_json() if self.score else {}
        rest = {k: v for k, v in vars(self).items() if k != "score"}
        return rest | score


@dataclass(frozen=True)
class Saved:
    """A checkpoint is on disk, to stay there through a power cut."""

    path: Path
    record: ModelRecord


@dataclass(frozen=True)
class NotSaved:
    """There was no space for a checkpoint; it is tried again."""

    step: int
    error: DiskFullError


@dataclass(frozen=True)
class WentBack:
    """Training diverged and goes on from an earlier state at a lower learning rate."""

    diverged: str
    """in words, where and how"""
    step: int
    """it goes on from"""
    learning_rate: float
    """at its highest from here on"""


@dataclass(frozen=True)
class Stopped:
    """The loop ends early, its work saved, because `stop` said so."""

    step: int


Event = Progressed | Reported | Evaluated | Saved | NotSaved | WentBack | Stopped
