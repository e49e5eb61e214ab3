"""Each character's loss: in memory, or of a long text in a file that goes with the process."""

import tempfile
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from charrnn.errors import DiskFullError

Losses = NDArray[np.float32]

MOST_IN_MEMORY = 2**24
"""Characters of a text whose losses are held in memory."""

_AT_ONCE = 2**20  # characters


def room_for(characters: int, *, whole: bool) -> Losses:
    """Zeros for the losses of a text of N characters, (N,).

    Of a long text that is not wanted `whole` those of the first characters. Raises
    DiskFullError where the temporary directory has no room for so many.
    """
    if not whole or characters <= MOST_IN_MEMORY:
        return np.zeros(min(characters, MOST_IN_MEMORY), dtype=np.float32)
    try:
        with tempfile.TemporaryFile() as stream:  # which stays until nothing is mapped there
            _fill(stream, characters)
            return np.memmap(stream, dtype=np.float32, mode="r+", shape=(characters,))
    except OSError as error:
        raise DiskFullError(
            f"{tempfile.gettempdir()}: {error.strerror}: the losses of {characters:,} characters "
            f"take {4 * characters:,} bytes",
            "free some space, or have them elsewhere: TMPDIR=DIR",
        ) from None


def write_losses(stream: BinaryIO, losses: Losses) -> None:
    """Write losses (N,) as NumPy's .npy, some at a time."""
    header = {"descr": "<f4", "fortran_order": False, "shape": losses.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    for start in range(0, len(losses), _AT_ONCE):
        stream.write(losses[start : start + _AT_ONCE].astype("<f4", copy=False).tobytes())


def _fill(stream: BinaryIO, characters: int) -> None:
    """Take the room for so many zeros: a file with holes would end the process once it is full."""
    zeros = bytes(4 * _AT_ONCE)
    for start in range(0, characters, _AT_ONCE):
        stream.write(zeros[: 4 * (characters - start)])
    stream.flush()
