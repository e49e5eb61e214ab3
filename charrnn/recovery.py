"""Back to the last state that is whole on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from charrnn.checkpoints import read_checkpoint, read_resume
from charrnn.errors import CheckpointError, DamagedError
from charrnn.runs import model_files
from charrnn.settings import TrainingSettings
from charrnn.training_state import TrainingState, restored_state


class Recovered(NamedTuple):
    """What was found on disk."""

    state: TrainingState | None
    """None where no checkpoint can be gone on from"""
    damaged: list[Path]
    """the model files of later steps whose own bytes are damaged"""
    diverging: list[Path]
    """the model files of later steps that were passed over though they are whole"""


def recover(
    run: Path,
    settings: TrainingSettings,
    *,
    skipped: Callable[[CheckpointError], None],
    good: bool = False,
) -> Recovered:
    """The state of the newest checkpoint that is whole.

    With `good`, the newest at which the loss was not on its way up. `skipped` is told of
    each checkpoint that cannot be gone on from.
    """
    damaged: list[Path] = []
    diverging: list[Path] = []
    for path in reversed(model_files(run)):
        try:
            checkpoint = read_checkpoint(path)
        except CheckpointError as error:
            skipped(error)
            if isinstance(error, DamagedError):
                damaged.append(path)
            continue
        try:
            state = restored_state(checkpoint, read_resume(path, checkpoint.record), settings)
        except CheckpointError as error:
            skipped(error)
            continue
        if not good or state.watch.far_off == 0:
            return Recovered(state, damaged, diverging)
        diverging.append(path)
    return Recovered(None, damaged, diverging)
