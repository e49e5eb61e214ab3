"""Some of the places of a text, in the order of what follows them.

Of every `stride` places one is kept: a sparse suffix array (Kärkkäinen and Ukkonen 1996),
sorted to a depth of 24 bytes, in parts, so that memory stays small.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.original import Original

Words = NDArray[np.uint64]

LONGEST = 20
"""The greatest `run` that there is an index for; it serves longer passages too."""

_DEPTH = 3  # words of 8 bytes
_AT_ONCE = 2**20  # places sorted at once
_CHUNK = 2**18  # places read at once
_SAMPLED = 256  # per part


def stride_of(run: int) -> int:
    """Of how many places one is kept, so that passages of `run` bytes are found."""
    return 8 if run >= LONGEST else 5


def kept(text: Original, run: int) -> int:
    """How many places are kept: those that a whole gram follows."""
    stride = stride_of(run)
    return max(0, (text.size - (run - stride + 1)) // stride + 1)


def sort(text: Original, run: int, at_once: int = _AT_ONCE) -> Iterator[NDArray[np.int64]]:
    """The kept places of a text, each divided by the stride, sorted, in parts.

    By the 24 bytes that follow, zeros beyond the end of the text; equals as they stand.
    Parts have about `at_once` places, or else equals alone.
    """
    yield from _Order(text, run, at_once).within((), kept(text, run))


class _Order:
    def __init__(self, text: Original, run: int, at_once: int) -> None:
        self._text, self._stride, self._kept = text, stride_of(run), kept(text, run)
        self._at_once = at_once

    def within(self, prefix: tuple[int, ...], count: int) -> Iterator[NDArray[np.int64]]:
        """The places, about `count`, whose words begin with a prefix, in order."""
        level = len(prefix)
        if level == _DEPTH:
            yield from self._scan(prefix, 0, None)
            return
        if count <= self._at_once:
            yield self._sorted(prefix, 0, None)
            return
        parts = math.ceil(count / self._at_once)
        sample = self._sample(prefix, max(1, count // (parts * _SAMPLED)))
        bounds, often = np.unique(sample[::_SAMPLED], return_counts=True)
        low = 0
        for bound, times in zip(bounds.tolist(), often.tolist(), strict=True):
            if bound > low:
                yield self._sorted(prefix, low, bound)
            low = bound
            if times > 1:  # so many that they may be too many
                share = np.count_nonzero(sample == np.uint64(bound)) / len(sample)
                yield from self.within((*prefix, bound), math.ceil(share * count))
                low = bound + 1
        yield self._sorted(prefix, low, None)

    def _words(
        self, first: int, last: int, level: int, chosen: NDArray[np.intp] | slice = slice(None)
    ) -> Words:
        """The word of 8 bytes that follows 8 · level bytes after each of a range of places."""
        start = first * self._stride + 8 * level
        size = (last - 1 - first) * self._stride + 8
        data = np.frombuffer(self._text.slice(start, start + size).ljust(size, b"\0"), np.uint8)
        words: NDArray[Any] = np.ndarray(last - first, ">u8", data, strides=(self._stride,))
        return words[chosen].astype(np.uint64)

    def _chosen(
        self, prefix: tuple[int, ...], low: int, high: int | None
    ) -> Iterator[tuple[int, int, NDArray[np.intp]]]:
        """By range of places, those with a prefix whose next word is from `low` to `high`."""
        for first in range(0, self._kept, _CHUNK):
            last = min(first + _CHUNK, self._kept)
            inside = np.ones(last - first, bool)
            for level, word in enumerate(prefix):
                inside &= self._words(first, last, level) == np.uint64(word)
            if low or high is not None:
                words = self._words(first, last, len(prefix))
                inside &= words >= np.uint64(low)
                if high is not None:
                    inside &= words < np.uint64(high)
            yield first, last, np.flatnonzero(inside)
            self._text.forget()

    def _scan(
        self, prefix: tuple[int, ...], low: int, high: int | None
    ) -> Iterator[NDArray[np.int64]]:
        for first, _, chosen in self._chosen(prefix, low, high):
            yield chosen + first

    def _sample(self, prefix: tuple[int, ...], every: int) -> Words:
        """Every so manieth of the next words, sorted."""
        found, skip = [], 0
        for first, last, chosen in self._chosen(prefix, 0, None):
            found.append(self._words(first, last, len(prefix), chosen[skip::every]))
            skip = (skip - len(chosen)) % every
        return np.sort(np.concatenate(found))

    def _sorted(self, prefix: tuple[int, ...], low: int, high: int | None) -> NDArray[np.int64]:
        levels = range(len(prefix), _DEPTH)
        places = [np.zeros(0, np.int64)]
        words: list[list[Words]] = [[np.zeros(0, np.uint64)] for _ in levels]
        for first, last, chosen in self._chosen(prefix, low, high):
            places.append(chosen + first)
            for found, level in zip(words, levels, strict=True):
                found.append(self._words(first, last, level, chosen))
        return np.concatenate(places)[np.lexsort([np.concatenate(w) for w in reversed(words)])]
