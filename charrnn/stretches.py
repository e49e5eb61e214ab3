"""A long text read in stretches side by side, to the state that reading it through ends in.

A recurrent network forgets where it began. Every stretch is entered cold at first, and then
again from the state in which the one before it ended, until it is back where it was the
first time: from there on nothing changes. When all of them are, they are one passage through
the text. Where a stretch ends elsewhere the next one is read once more, and what is still
apart after `PASSES` is read through, one character after the other.

(This is multiple shooting. Danieli et al. 2023 and Lim et al. 2024 solve the same equations
for a whole sequence at once by Newton's method.)
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from charrnn.arrays import State
from charrnn.stream import UNIT, Columns, Prepared, Stream

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

MOST = 64  # stretches
STRETCH = 512  # characters that are worth a stretch of their own
SECTION = 2_048  # characters of a stretch at most: what is remembered of them stays small
EVERY = 64  # characters between two looks at where a stretch is
PASSES = 6

APART = 4e-6
"""Two states that differ by less, against the largest number in them or 1, are the same:
rounding alone keeps them a few 10⁻⁶ apart."""

Snapshot = NDArray[np.floating[Any]]
"""What all cells hold, one below the other, by column: (all their H, B)."""


def read_long(
    prepared: Prepared,
    characters: NDArray[np.integer[Any]],
    start: list[State],
    *,
    threads: int = 1,
) -> list[State]:
    """The state, by layer, after reading ids (N,) from a start.

    It agrees with reading them one after the other to about 10⁻⁵, where the network forgets
    at all, and is the same for any number of threads.
    """
    stretches = min(MOST, len(characters) // STRETCH // UNIT * UNIT)
    if not stretches:
        return _read_through(prepared, characters, start)
    from concurrent.futures import ThreadPoolExecutor  # not for those who read a line

    blocks = min(threads, stretches // UNIT)
    with ThreadPoolExecutor(blocks) as workers:
        for first in range(0, len(characters), stretches * SECTION):
            section = characters[first : first + stretches * SECTION]
            side_by_side = _SideBySide(prepared, stretches, blocks, workers)
            start = _read_section(prepared, section, start, side_by_side)
    return start


def _read_through(
    prepared: Prepared, characters: NDArray[np.integer[Any]], start: list[State]
) -> list[State]:
    stream = Stream(prepared)
    stream.load(start)
    for character in characters.tolist():
        stream.read(character)
    return stream.state()


def _read_section(
    prepared: Prepared,
    characters: NDArray[np.integer[Any]],
    start: list[State],
    side_by_side: "_SideBySide",
) -> list[State]:
    stretches = side_by_side.stretches
    length = -(-len(characters) // stretches)
    absent = stretches * length - len(characters)  # at the beginning of the first stretch
    padded = np.concatenate([np.zeros(absent, characters.dtype), characters])
    by_time = np.ascontiguousarray(padded.reshape(stretches, length).T)
    # The looks, and where the first stretch really begins.
    times = sorted({*range(EVERY, length, EVERY), length, absent} - {0})
    entered = np.concatenate([part for parts in start for part in parts])
    before: dict[int, Snapshot] = {}  # where each stretch was in the last pass, by time
    ends = np.zeros((len(entered), stretches), entered.dtype)
    apart = np.ones(stretches, dtype=bool)
    for _ in range(PASSES):
        starts = np.roll(ends, 1, axis=1)
        starts[:, 0] = entered
        side_by_side.put(starts)
        for begin, end in pairwise([0, *times]):
            side_by_side.read(by_time[begin:end])
            now = side_by_side.taken()
            if end == absent:
                now[:, 0] = entered
                side_by_side.put(now)
            apart = _apart(now, before[end]) if end in before else apart
            if not apart.any():
                return side_by_side.by_layer(before[length][:, -1])
            before[end] = now
        ends = before[length]
    first = int(np.argmax(apart))  # the ones before it are right
    rest = characters[max(0, (first + 1) * length - absent) :]
    return _read_through(prepared, rest, side_by_side.by_layer(ends[:, first]))


def _apart(now: Snapshot, before: Snapshot) -> NDArray[np.bool_]:
    """Of each stretch, whether it is somewhere else than it was, (B,)."""
    largest = np.maximum(np.abs(before).max(axis=0), 1.0)
    # What is no number is nowhere: it stays apart.
    same: NDArray[np.bool_] = np.abs(now - before).max(axis=0) <= APART * largest
    return ~same


class _SideBySide:
    """B stretches as columns, some of them in each thread."""

    def __init__(
        self, prepared: Prepared, stretches: int, blocks: int, workers: "ThreadPoolExecutor"
    ) -> None:
        self.stretches, self._workers = stretches, workers
        units = [len(each) for each in np.array_split(np.arange(stretches // UNIT), blocks)]
        self._columns = [Columns(prepared, UNIT * count) for count in units]
        self._places = np.cumsum([UNIT * count for count in units])[:-1]

    def read(self, characters: NDArray[np.integer[Any]]) -> None:
        """Read ids (T, B)."""
        each = np.split(characters, self._places, axis=1)
        list(self._workers.map(_read_all, self._columns, each))

    def taken(self) -> Snapshot:
        return np.concatenate([np.concatenate(_parts(each)) for each in self._columns], axis=1)

    def put(self, states: Snapshot) -> None:
        for columns, own in zip(self._columns, np.split(states, self._places, axis=1), strict=True):
            parts = _parts(columns)
            for part, held in zip(parts, np.split(own, len(parts)), strict=True):
                part[...] = held

    def by_layer(self, state: Snapshot) -> list[State]:
        """One stretch's state, (all H,)."""
        layers = self._columns[0].states
        parts = iter(np.split(state, sum(map(len, layers))))
        return [tuple(next(parts).copy() for _ in own) for own in layers]


def _read_all(columns: Columns, characters: NDArray[np.integer[Any]]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):  # which every thread has for itself
        for ids in characters:
            columns.read(ids)


def _parts(columns: Columns) -> list[Snapshot]:
    return [part for parts in columns.states for part in parts]
