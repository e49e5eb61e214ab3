"""A model that begins with what another one learned: its weights, by the names of characters."""

from pathlib import Path

import numpy as np
import torch

from charrnn.checkpoints import Checkpoint, read_checkpoint
from charrnn.errors import RunError, UsageError
from charrnn.model import CharacterModel
from charrnn.settings import ModelSettings
from charrnn.tokenizer import Vocabulary

_BY_CHARACTER = ("embedding.weight", "output.weight", "output.bias")
"""The weights with a row for each character."""


def inherit(model: CharacterModel, vocabulary: Vocabulary, other: Checkpoint) -> None:
    """Put another model's weights into one of the same settings.

    What belongs to a character goes to the character of that name, the unknown one
    included; characters that the other model lacks keep the rows that they have.
    """
    known = other.record.vocabulary
    ids = known.encode(vocabulary.characters).astype(np.int64)  # (V,) the other model's
    has = ids < known.lacking
    if vocabulary.unknown:
        ids, has = np.append(ids, known.lacking), np.append(has, known.unknown)
    shared = torch.from_numpy(np.flatnonzero(has))
    theirs = ids[shared.numpy()]
    with torch.no_grad():
        for name, values in other.weights.items():
            parameter = model.get_parameter(name)
            if name in _BY_CHARACTER:
                parameter[shared] = torch.from_numpy(values[theirs]).to(parameter.device)
            else:
                parameter.copy_(torch.from_numpy(values))


def parent(path: Path, digest: str) -> Checkpoint:
    """The checkpoint that a run began with; raises RunError where it is there no more."""
    if path.is_file():
        found = read_checkpoint(path)
        if found.record.digest == digest:
            return found
    raise RunError(
        f"{path}: is not the checkpoint that the run began with any more",
        "put it back, or start afresh with --overwrite",
    )


def check_settings(settings: ModelSettings, given: dict[str, object]) -> None:
    """Raise UsageError where flags ask for another model than the one that is begun with."""
    for name, value in given.items():
        if value != getattr(settings, name):
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{flag} {value}: the model of --init-from has {getattr(settings, name)}",
                f"leave {flag} out",
            )
