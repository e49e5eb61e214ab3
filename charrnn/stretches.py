"""A long text read in stretches side by side, to the state that reading it through ends in.

A recurrent network forgets where it began. Every stretch is entered cold at first, and then
again from the state in which the one before it ended, until it is back where it was the
first time: from there on nothing changes. When all of them are, they are one passage through
the text. Where a stretch ends elsewhere the next one is read once more, and what is still
apart after `PASSES` is read through, one character after the other.

(This is multiple shooting. Danieli et al. 2023 and Lim et al. 2024 solve the same equations
for a whole sequence at once by Newton's method.)
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.cells import State
from charrnn.stream import UNIT, Columns, Prepared, Stream

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
    prepared: Prepared, characters: NDArray[np.integer[Any]], start: list[State]
) -> list[State]:
    """The state, by layer, after reading ids (N,) from a start.

    It agrees with reading them one after the other to about 10⁻⁵.
    """
    stretches = min(MOST, len(characters) // STRETCH // UNIT * UNIT)
    if not stretches:
        return _read_through(prepared, characters, start)
    for first in range(0, len(characters), stretches * SECTION):
        section = characters[first : first + stretches * SECTION]
        start = _read_section(prepared, section, start, stretches)
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
    prepared: Prepared, characters: NDArray[np.integer[Any]], start: list[State], stretches: int
) -> list[State]:
    length = -(-len(characters) // stretches)
    absent = stretches * length - len(characters)  # at the beginning of the first stretch
    padded = np.concatenate([np.zeros(absent, characters.dtype), characters])
    by_time = np.ascontiguousarray(padded.reshape(stretches, length).T)
    columns = Columns(prepared, stretches)
    entered = np.concatenate([part for parts in start for part in parts])
    before: dict[int, Snapshot] = {}  # where each stretch was in the last pass, by time
    ends = np.zeros((len(entered), stretches), entered.dtype)
    apart = np.ones(stretches, dtype=bool)
    for _ in range(PASSES):
        starts = np.roll(ends, 1, axis=1)
        starts[:, 0] = entered
        _put(columns, starts)
        for time, ids in enumerate(by_time):
            if time == absent:
                _put(columns, starts[:, :1])
            columns.read(ids)
            if time % EVERY == EVERY - 1 or time == length - 1:
                now = _taken(columns)
                apart = _apart(now, before[time]) if time in before else apart
                if not apart.any():
                    return _by_layer(columns, before[length - 1][:, -1])
                before[time] = now
        ends = before[length - 1]
    first = int(np.argmax(apart))  # the ones before it are right
    rest = characters[max(0, (first + 1) * length - absent) :]
    return _read_through(prepared, rest, _by_layer(columns, ends[:, first]))


def _apart(now: Snapshot, before: Snapshot) -> NDArray[np.bool_]:
    """Of each stretch, whether it is somewhere else than it was, (B,)."""
    largest = np.maximum(np.abs(before).max(axis=0), 1.0)
    # What is no number is nowhere: it stays apart.
    same: NDArray[np.bool_] = np.abs(now - before).max(axis=0) <= APART * largest
    return ~same


def _parts(columns: Columns) -> list[Snapshot]:
    return [part for parts in columns.states for part in parts]


def _taken(columns: Columns) -> Snapshot:
    return np.concatenate(_parts(columns))


def _put(columns: Columns, states: Snapshot) -> None:
    """Put the first columns where `states` says."""
    parts = _parts(columns)
    for part, own in zip(parts, np.split(states, len(parts)), strict=True):
        part[:, : states.shape[1]] = own


def _by_layer(columns: Columns, state: Snapshot) -> list[State]:
    parts = iter(np.split(state, len(_parts(columns))))
    return [tuple(next(parts).copy() for _ in own) for own in columns.states]
