"""A text as bytes where they lie: files are mapped, not read.

A text of 100 MB costs no memory of one's own.
"""

import contextlib
import mmap
import os
import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.cache import Facts, facts_of
from charrnn.errors import TextError

Bytes = NDArray[np.uint8]

_MARK = b"\xef\xbb\xbf"
MAPPED = 2**20
"""Bytes; a smaller file is read."""

_MOST_MAPPED = 64  # each holds a file open
_CHUNK = 2**22  # bytes
_FEW = 16  # windows


class Place(NamedTuple):
    """Where something stands in the files."""

    file: str
    line: int
    """from 1"""
    character: int
    """from 0, in the file; a byte-order mark is none, a byte one where the text is bytes"""


class Original:
    """Files one after the other, as N bytes of UTF-8; byte-order marks are left out.

    Or of anything, if they are `of_bytes`: then each byte is a character.
    """

    def __init__(self, paths: Sequence[Path], *, of_bytes: bool = False) -> None:
        """Raises TextError for a file that cannot be read."""
        self.paths = list(paths)
        self.of_bytes = of_bytes
        self.sha256 = ""
        """of the bytes, once they are proven"""
        least = _least(paths)
        self.facts: Facts = []
        """by file, what the system says of it"""
        self._files = [0]  # where each begins, and the end of the last
        self._raw: list[tuple[bytes | mmap.mmap, int]] = []  # and where the text in it begins
        read: list[bytes] = []  # files that are not mapped make one piece
        for path in paths:
            data, facts = _open(path, least)
            first = len(_MARK) * (data[: len(_MARK)] == _MARK and not of_bytes)
            self.facts.append(facts)
            self._files.append(self._files[-1] + len(data) - first)
            if isinstance(data, bytes):
                read.append(data[first:])
            else:
                self._raw += [(b"".join(read), 0), (data, first)]
                read = []
        self._raw = [piece for piece in (*self._raw, (b"".join(read), 0)) if piece[0]]
        self._arrays: list[Bytes] = [np.frombuffer(d, np.uint8)[first:] for d, first in self._raw]
        self._starts = [0, *accumulate(len(array) for array in self._arrays)]
        self.size = self._starts[-1]
        """N"""

    def comes_from(self, paths: Sequence[Path], starts: Sequence[int]) -> None:
        """Name the files that the text was read from, and the bytes of it at which each begins."""
        self.paths, self._files = list(paths), list(starts)

    def end_at(self, size: int) -> None:
        """Leave out what stands after the first `size` bytes."""
        self.size = min(self.size, size)

    def slice(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`, as far as there are any."""
        end = min(end, self.size)
        if len(self._raw) == 1:
            data, first = self._raw[0]
            return data[first + start : first + end] if start < end else b""
        found = b""
        while start < end:
            piece = bisect_right(self._starts, start) - 1
            data, first = self._raw[piece]
            until = min(end, self._starts[piece + 1])
            found += data[first + start - self._starts[piece] : first + until - self._starts[piece]]
            start = until
        return found

    def windows(self, starts: NDArray[np.int64], width: int) -> Bytes:
        """The `width` bytes from each of M `starts` (M,) on, (M, width).

        Before the text and after its last file there is anything.
        """
        if len(self._arrays) == 1:
            array = self._arrays[0]
            last = len(array) - width
            if len(starts) > _FEW and starts.min() >= 0 and starts.max() <= last:
                # One item of so many bytes from every byte on: copied whole, which is fastest.
                items: NDArray[Any] = np.ndarray(last + 1, f"V{width}", array, strides=(1,))
                return items[starts].view(np.uint8).reshape(-1, width)
            return array.take(starts[:, None] + np.arange(width), mode="clip")
        places = starts[:, None] + np.arange(width)
        places = places.clip(0, self._starts[-1] - 1)
        found = np.empty(places.shape, np.uint8)
        pieces = np.searchsorted(self._starts, places, side="right") - 1
        for piece in np.unique(pieces):
            here = pieces == piece
            found[here] = self._arrays[piece][places[here] - self._starts[piece]]
        return found

    def chunks(self) -> Iterator[bytes]:
        """All bytes in order, some megabytes at a time."""
        for start in range(0, self.size, _CHUNK):
            yield self.slice(start, start + _CHUNK)

    def place(self, offset: int) -> Place:
        """The file, the line and the character that the byte at `offset` belongs to.

        Lines and characters are those of the text as it was read.
        """
        number = bisect_right(self._files, offset) - 1
        begin, line, character = self._files[number], 1, 0
        for start in range(begin, offset, _CHUNK):
            data = self.slice(start, min(start + _CHUNK, offset))
            line += data.count(b"\n")
            character += len(data) if self.of_bytes else characters(data)
        return Place(str(self.paths[number]), line, character)

    def forget(self) -> None:
        """Give back the memory of pages that were only looked at."""
        for data, _ in self._raw:
            if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                data.madvise(mmap.MADV_DONTNEED)


def in_memory(paths: Sequence[Path]) -> int:
    """The bytes of files that an `Original` would hold in memory, not mapped."""
    least = _least(paths)
    return sum(size for size in map(_size, paths) if size < least)


def characters(data: bytes) -> int:
    """How many characters begin in a stretch of UTF-8."""
    return int(np.count_nonzero(beginnings(data)))


def beginnings(data: bytes) -> NDArray[np.bool_]:
    """At which bytes of a stretch of UTF-8, (N,), a character begins."""
    begins: NDArray[np.bool_] = np.frombuffer(data, np.uint8) & 0xC0 != 0x80
    return begins


def _least(paths: Sequence[Path]) -> int:
    """The bytes of the smallest file that is mapped."""
    return max(MAPPED, sum(map(_size, paths)) // _MOST_MAPPED)


def _size(path: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return path.stat().st_size
    return 0


def _open(path: Path, least: int) -> tuple[bytes | mmap.mmap, list[int]]:
    """A file's bytes, mapped from `least` on, and what tells that it is the same file."""
    try:
        with open(path, "rb") as stream:
            found = os.fstat(stream.fileno())
            if stat.S_ISREG(found.st_mode) and found.st_size >= least:
                data: bytes | mmap.mmap = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            else:
                data = stream.read()
    except OSError as error:
        raise TextError(
            f"{path}: {(error.strerror or str(error)).lower()}",
            "say where the text is that it was trained on: --corpus FILE",
        ) from None
    return data, facts_of(found)
