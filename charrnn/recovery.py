"""Back to the last state that is whole on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from charrnn.checkpoints import read_checkpoint, read_resume
from charrnn.errors import CheckpointError, DamagedError
from charrnn.runs import model_files, step_of
from charrnn.settings import TrainingSettings
from charrnn.training_state import TrainingState, restored_state, was_asked_for


class Recovered(NamedTuple):
    """What was found on disk."""

    state: TrainingState | None
    """None where no checkpoint can be gone on from"""
    scores: dict[str, dict[str, float]]
    """of that checkpoint, by split"""
    damaged: list[Path]
    """the model files of later steps whose own bytes are damaged"""
    passed_over: list[Path]
    """the model files of later steps that are whole but not to be gone back to"""


def recover(
    run: Path,
    settings: TrainingSettings,
    *,
    skipped: Callable[[CheckpointError], None],
    before: int | None = None,
) -> Recovered:
    """The state of the newest checkpoint that is whole.

    With `before`, the newest of an earlier step than that whose weights are numbers and
    that the schedule asked for: where training goes back to must not depend on where it
    was stopped. `skipped` is told of each checkpoint that cannot be gone on from.
    """
    damaged: list[Path] = []
    passed_over: list[Path] = []
    for path in reversed(model_files(run)):
        try:
            checkpoint = read_checkpoint(path)
            if checkpoint.record.step != step_of(path):
                raise DamagedError(f"{path}: holds step {checkpoint.record.step:,}")
        except CheckpointError as error:
            skipped(error)
            if isinstance(error, DamagedError):
                damaged.append(path)
            continue
        try:
            resume = read_resume(path, checkpoint.record)
            state = restored_state(checkpoint, resume, settings)
        except CheckpointError as error:
            skipped(error)
            continue
        finite = all(np.isfinite(array).all() for array in checkpoint.weights.values())
        if before is None or (finite and state.step < before and not was_asked_for(resume[1])):
            return Recovered(state, checkpoint.record.scores, damaged, passed_over)
        passed_over.append(path)
    return Recovered(None, {}, damaged, passed_over)
