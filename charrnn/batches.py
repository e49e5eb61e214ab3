"""What each step of training reads: windows of a text, a pure function of seed and step."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.errors import TextError, UsageError
from charrnn.seeds import derive
from charrnn.stored import Array, Ids, StoredIds

_AHEAD = 2**16
"""Characters of each stream that are read from a file at once."""


class Batch(NamedTuple):
    """One step's reading."""

    inputs: NDArray[np.int64]
    """(T, B)"""
    targets: NDArray[np.int64]
    """(T, B), each the character after its input"""
    first: bool
    """whether the streams jump to new places, so that no state carries over"""


def windows_per_epoch(characters: int, seq_length: int, batch_size: int) -> int:
    """How many batches of T = `seq_length` by B = `batch_size` read a text once.

    Raises TextError where the text is shorter than one stream of them, UsageError where
    it is too short for B streams.
    """
    window = seq_length * batch_size
    if characters - 1 < window:
        if characters - 1 < seq_length:
            raise TextError(
                f"the training text has {characters:,} characters, fewer than one window of "
                f"{seq_length:,} and the character after it",
                f"give more text, or --seq-length {(characters - 1) // 2 or 1} --batch-size 1"
                if characters > 1
                else "give more text, or hold out less",
            )
        raise UsageError(
            f"--batch-size {batch_size} x --seq-length {seq_length}: one batch is more than the "
            f"training text's {characters:,} characters",
            f"--batch-size {(characters - 1) // seq_length} fits",
        )
    # Leave the epoch's offset a whole window to move in where the text is long enough.
    return max(1, (characters - seq_length) // window)


class Batches:
    """A text of N characters as training reads it, in batches of B streams of T characters.

    The text is cut into B contiguous streams that are read T characters at a time; each
    epoch begins at another offset, drawn from (seed, epoch). Ids in a file are read some
    windows ahead into memory that is used again, and the system is asked to have the next
    ones ready.
    """

    def __init__(self, ids: Ids, seq_length: int, batch_size: int, seed: int) -> None:
        """T and B; raises TextError or UsageError where the text is too short for them."""
        self.ids = ids
        self.per_epoch = windows_per_epoch(len(ids), seq_length, batch_size)
        """how many batches read the text once"""
        self._seq_length = seq_length
        self._batch_size = batch_size
        self._seed = seed
        ahead = max(1, _AHEAD // seq_length) if isinstance(ids, StoredIds) else 1
        self._windows = min(ahead, self.per_epoch)  # of each stream, held at once
        self._held: Array = np.empty((0, 0), np.uint8)  # (windows · T + 1, B), as read
        self._first = -1  # the step of the first window held

    def at(self, step: int) -> Batch:
        """The batch of a step (from 0); raises TextError where the file of ids is gone."""
        window = step % self.per_epoch
        if not isinstance(self.ids, StoredIds):
            read = self._read(self.ids, step, 1)
        else:
            first = step - window % self._windows
            if first != self._first:
                count = min(self._windows, self.per_epoch - (first % self.per_epoch))
                self._held, self._first = self._read(self.ids, first, count), first
                self._have_ready(first + count)
            begin = (step - first) * self._seq_length
            read = self._held[begin : begin + self._seq_length + 1]
        whole = np.ascontiguousarray(read, dtype=np.int64)
        return Batch(whole[:-1], whole[1:], window == 0)

    def _starts(self, step: int) -> NDArray[np.int64]:
        """Where each stream's window of a step begins, (B,)."""
        epoch, window = divmod(step, self.per_epoch)
        stream = self.per_epoch * self._seq_length
        slack = len(self.ids) - 1 - self._batch_size * stream
        offset = derive(self._seed, "epoch", epoch) % (slack + 1)
        starts: NDArray[np.int64] = offset + stream * np.arange(self._batch_size)
        return starts + window * self._seq_length

    def _read(self, ids: Ids, step: int, windows: int) -> Array:
        """So many windows of each stream, and the character after them, from a step on."""
        length = windows * self._seq_length + 1
        starts = self._starts(step)
        if not isinstance(ids, StoredIds):
            found: Array = ids[starts + np.arange(length)[:, None]]
            return found
        rows = self._held.T
        if rows.shape != (self._batch_size, length):
            rows = np.empty((self._batch_size, length), ids.type)
        for row, start in zip(rows, starts.tolist(), strict=True):
            ids.read_into(row, start)
        return rows.T

    def _have_ready(self, step: int) -> None:
        assert isinstance(self.ids, StoredIds)
        for start in self._starts(step).tolist():
            self.ids.will_need(start, start + self._windows * self._seq_length + 1)
