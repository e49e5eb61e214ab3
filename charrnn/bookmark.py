"""The file of `charrnn sample --save-state`: where a text was left, to go on from exactly.

It is sealed as a checkpoint is. Its tensors are the recurrent state, `state.<layer>.<part>`,
and its header names the checkpoint that they belong to, by its digest.
"""

from pathlib import Path
from typing import Any

import numpy as np

from charrnn.arrays import State
from charrnn.cells import states
from charrnn.checkpoints import ModelRecord
from charrnn.continuation import Place, no_probabilities
from charrnn.errors import CheckpointError, FormatError
from charrnn.files import write_output
from charrnn.header import brief, whole_number
from charrnn.sealed import read_sealed, seal
from charrnn.settings import ModelSettings
from charrnn.tokenizer import Vocabulary

_WRITE = "charrnn sample --save-state FILE writes one"
_LONGEST_NAME = 400
_LONGEST_TAIL = 2**17  # longer than any word of a command line


def write_bookmark(path: Path, place: Place, record: ModelRecord, name: str) -> None:
    """Write where a text of the model `record` stands; `name` is for people.

    Raises DiskFullError or RunError, and CheckpointError for a state that is no numbers.
    """
    tensors = {
        _tensor(layer, part): array
        for layer, parts in enumerate(place.state)
        for part, array in enumerate(parts)
    }
    if not all(np.isfinite(array).all() for array in tensors.values()):
        raise no_probabilities()
    sample = {
        "checkpoint": name[:_LONGEST_NAME],
        "checkpoint_digest": record.digest,
        "seed": place.seed,
        "number": place.number,
        "drawn": place.drawn,
        "tail": place.tail,
    }
    data, _ = seal(tensors, {"sample": sample})
    write_output(path, data)


def read_bookmark(path: Path, record: ModelRecord, name: str) -> Place:
    """Where a text of the model `record`, which people know by `name`, was left.

    Raises FormatError, DamagedError or CheckpointError; the last, naming both, where it is
    a text of another model.
    """
    try:
        sealed = read_sealed(path)
    except CheckpointError as error:
        raise type(error)(error.message, _WRITE) from None
    sample = sealed.header.metadata.get("sample")
    if not isinstance(sample, dict):
        raise FormatError(f"{path}: is no state of a sample's", _WRITE)
    try:
        of, digest = _text(sample["checkpoint"], _LONGEST_NAME), str(sample["checkpoint_digest"])
        if digest != record.digest:
            raise CheckpointError(
                f"{path}: goes on from {of} ({digest[:8]}), not from {name} ({record.digest[:8]})",
                "name the checkpoint that it was saved with",
            )
        seed, number, drawn = (whole_number(sample[key]) for key in ("seed", "number", "drawn"))
        tail = _known(_text(sample["tail"], _LONGEST_TAIL), record.vocabulary)
        if sealed.header.shapes != _shapes(record.settings):
            raise TypeError("tensors that are not the model's state")
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: is no state of a sample's ({brief(error)})", _WRITE) from None
    tensors = sealed.tensors()
    if not all(np.isfinite(array).all() for array in tensors.values()):
        raise FormatError(f"{path}: its state is no numbers", _WRITE)
    state: list[State] = [
        tuple(tensors[_tensor(layer, part)] for part in range(states(record.settings.cell(layer))))
        for layer in range(record.settings.layers)
    ]
    return Place(state, seed, number, drawn, tail)


def _tensor(layer: int, part: int) -> str:
    return f"state.{layer}.{part}"


def _shapes(settings: ModelSettings) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a model's state, each (H,)."""
    return {
        _tensor(layer, part): (settings.hidden_size,)
        for layer in range(settings.layers)
        for part in range(states(settings.cell(layer)))
    }


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise TypeError("a text that is none, or too long")
    return value


def _known(tail: str, vocabulary: Vocabulary) -> str:
    if not set(tail) <= set(vocabulary.characters):
        raise TypeError("characters that the model does not know")
    return tail
