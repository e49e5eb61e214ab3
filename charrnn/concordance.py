"""Where each passage of a text stands: a sorted index of some of its places.

Of every `stride` places one is kept (see `order`), so that the index is smaller than the
text: 4 bytes for 8 of it. A passage of at least `run` bytes has, wherever it stands, a kept
place within its first `stride` bytes, and from there on at least `gram` = run - stride + 1
bytes that the order finds by bisection.
"""

import json
import mmap
import os
import sys
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.cache import cache_directory, room, use
from charrnn.errors import CharrnnError, UsageError
from charrnn.files import open_regular, whole_file
from charrnn.order import LONGEST, kept, sort, stride_of
from charrnn.original import Original

SHORTEST = 8
"""The least `run`: what is shorter is ordinary language, and its index larger than the text."""

_FORMAT = 1
_CACHED = 2**18  # bytes of text; that of less is sorted again in the time a file takes
_HEADS = 2**13
_HEADER = 256  # bytes
_CHUNK = 2**22  # bytes


class Concordance:
    """The kept places of a text of N bytes in the order of what follows them."""

    def __init__(self, text: Original, run: int, places: NDArray[Any]) -> None:
        """`places` (N / stride,) as `sort` gives them."""
        self.text = text
        self.run = run
        """bytes of the shortest passage that is found"""
        self.stride = stride_of(run)
        self.gram = run - self.stride + 1
        """bytes by which a passage is looked up"""
        self.following: dict[tuple[int, bytes], str] = {}
        """what `Copies` found costly: the characters that follow a passage"""
        self._places = places
        self._items = memoryview(places)  # type: ignore[arg-type]
        # Some of the passages themselves, since most of a bisection's steps are at its top.
        self._apart = max(1, len(places) // _HEADS)
        self._heads: list[bytes] = []
        for number in range(0, len(places), self._apart):
            start = self._items[number] * self.stride
            self._heads.append(text.slice(start, start + self.gram))
            if len(self._heads) % 256 == 0:
                text.forget()

    def find(self, passage: bytes) -> tuple[int, int]:
        """The first of the kept places where `passage` stands, in their order, and the end.

        It has `gram` bytes.
        """
        size, stride, slice_ = self.gram, self.stride, self.text.slice

        def key(item: int) -> bytes:
            start = item * stride
            return slice_(start, start + size)

        items, heads, apart, end = self._items, self._heads, self._apart, len(self._items)
        head = bisect_left(heads, passage)
        high = min(head * apart, end)
        low = bisect_left(items, passage, max(0, high - apart), high, key=key)
        if low == end or key(items[low]) != passage:
            return 0, 0
        high = bisect_right(heads, passage, head) * apart
        return low, bisect_right(items, passage, max(low, high - apart), min(high, end), key=key)

    def narrow(self, passage: bytes, low: int, high: int) -> tuple[int, int]:
        """What `find` gave for the beginning of `passage`, narrowed to all of it.

        It has `run` bytes at most.
        """
        size, stride, slice_ = len(passage), self.stride, self.text.slice

        def key(item: int) -> bytes:
            start = item * stride
            return slice_(start, start + size).ljust(size, b"\0")  # as they are sorted

        low = bisect_left(self._items, passage, low, high, key=key)
        return low, bisect_right(self._items, passage, low, high, key=key)

    def places(self, low: int, high: int) -> NDArray[np.int64]:
        """The bytes of the text at which kept places stand, by their order, (high - low,)."""
        return self._places[low:high].astype(np.int64) * self.stride


def concordance(
    text: Original, longest: int | None = None, told: Callable[[str], object] = lambda _: None
) -> Concordance:
    """The concordance of a text, out of the cache where it is there and whole.

    It finds passages of 20 characters or, where that is less, of `longest`. `told` gets a
    line about what takes time or fails: a cache that cannot be written is done without.
    Raises UsageError as `check_longest`.
    """
    run = LONGEST if longest is None else min(LONGEST, longest)
    check_longest(run)
    cache = cache_directory() if text.size >= _CACHED and text.sha256 else None
    if cache is None:
        return Concordance(text, run, _joined(text, run))
    path = cache / f"{text.sha256}-{run}.places"
    places = _read(path, text, run)
    if places is None:
        told("indexing the training text, once")
        try:
            room()
            _write(path, text, run)
            places = _read(path, text, run)
        except CharrnnError as error:
            told(f"the index is kept in memory alone: {error.message}")
        text.forget()
    return Concordance(text, run, _joined(text, run) if places is None else places)


def check_longest(characters: int) -> None:
    """Raise UsageError where copies of more characters than that cannot be kept out."""
    if characters < SHORTEST:
        raise UsageError(
            f"--max-copy {characters}: must be at least {SHORTEST}",
            "shorter runs are ordinary language: any two texts share them",
        )


def _type(text: Original) -> type[np.unsignedinteger[Any]]:
    return np.uint32 if text.size < 2**32 else np.uint64


def _joined(text: Original, run: int) -> NDArray[Any]:
    parts = [part.astype(_type(text)) for part in sort(text, run)]
    return np.concatenate([np.zeros(0, _type(text)), *parts])


# In the cache: a header, the places, a checksum of them.


def _header(text: Original, run: int) -> bytes:
    facts = {
        "format": _FORMAT,
        "text": text.sha256,
        "bytes": text.size,
        "run": run,
        "stride": stride_of(run),
        "order": sys.byteorder,
    }
    return f"charrnn places {json.dumps(facts)}".ljust(_HEADER - 1).encode() + b"\n"


def _write(path: Path, text: Original, run: int) -> None:
    """Put the places of a text into a file; raises DiskFullError or RunError."""
    checksum = 0
    with whole_file(path) as stream:
        stream.write(_header(text, run))
        for part in sort(text, run):
            data = part.astype(_type(text)).tobytes()
            checksum = zlib.crc32(data, checksum)
            stream.write(data)
        stream.write(checksum.to_bytes(4, "little"))


def _read(path: Path, text: Original, run: int) -> NDArray[Any] | None:
    """The places in a file, mapped; None where there is none or it is not what was written."""
    kind, count = np.dtype(_type(text)), kept(text, run)
    left, checksum = count * kind.itemsize, 0
    try:
        with open_regular(path) as stream:
            if os.fstat(stream.fileno()).st_size != _HEADER + left + 4:
                return None
            if stream.read(_HEADER) != _header(text, run):
                return None
            while left:
                data = stream.read(min(left, _CHUNK))
                if not data or np.frombuffer(data, kind).max() >= count:
                    return None
                checksum = zlib.crc32(data, checksum)
                left -= len(data)
            if stream.read(4) != checksum.to_bytes(4, "little"):
                return None
            use(path)
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
    return np.frombuffer(mapped, kind, count, _HEADER)
