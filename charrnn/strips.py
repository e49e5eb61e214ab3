"""Strips of a long text side by side, each a few characters at a time.

The text is asked for its length and for slices, no more, so that it may lie on a disk:
what is in memory of it are the strips.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_BLOCK = 2**20  # characters


class Text(Protocol):
    """Ids of N characters: an array (N,), or what reads one from elsewhere."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> NDArray[np.integer[Any]]:
        """The ids from one place to another, in steps of 1."""
        ...


class Strips:
    """Reads a text of N characters in strips, into memory that is used again."""

    def __init__(self, text: Text, start: int) -> None:
        """`start` is the id before the first character."""
        self._text = text
        self._start = start
        self._store = np.empty(0, dtype=np.int64)

    def read(self, begins: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        """Ids (T, B), those of the T places from each of B ascending ones on.

        Before the text's first place stands `start`, after its last one 0. What is given
        is good until the next call.
        """
        size = steps * len(begins)
        if self._store.size < size:
            self._store = np.empty(size, dtype=np.int64)
        found = self._store[:size].reshape(steps, len(begins))
        first, span = int(begins[0]), int(begins[-1] - begins[0]) + steps
        if span <= 2 * size:  # they all but touch
            found[:] = self._row(first, span)[begins - first + np.arange(steps)[:, None]]
        else:
            for column, begin in enumerate(begins.tolist()):
                found[:, column] = self._row(begin, steps)
        return found

    def _row(self, first: int, steps: int) -> NDArray[np.integer[Any]]:
        first_there, end = (min(max(place, 0), len(self._text)) for place in (first, first + steps))
        read = self._text[first_there:end]
        if len(read) == steps:
            return read
        row = np.zeros(steps, dtype=np.int64)
        row[: max(-first, 0)] = self._start
        row[max(-first, 0) :][: len(read)] = read
        return row


def blocks(text: Text) -> Iterator[NDArray[np.integer[Any]]]:
    """A text from beginning to end, a block at a time."""
    for first in range(0, len(text), _BLOCK):
        yield text[first : min(first + _BLOCK, len(text))]
