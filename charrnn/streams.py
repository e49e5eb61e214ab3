"""Many texts drawn side by side, each the same however many there are.

Requests come in, and what was drawn for them goes out in the same order, as soon as it is
complete. Workers advance some tens of streams each, as columns of one product; a stream that
has ended makes room for one that waits. Only so many requests are read ahead of what has
been given out, so that memory stays bounded.
"""

import queue
import threading
from array import array
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from charrnn.arrays import State
from charrnn.distribution import allowed, draw_each
from charrnn.settings import SamplingSettings
from charrnn.stream import UNIT, Columns, Prepared
from charrnn.wanted import Drawing, Office, Wanted

MOST = 64
"""Columns of one worker, beyond which a product hardly gets faster."""

AHEAD = 4 * MOST
"""Requests of one worker that are read before the first of them is given out."""


def draw_all(
    prepared: Prepared,
    wanted: Iterable[Wanted],
    settings: SamplingSettings,
    *,
    stops: tuple[tuple[int, ...], ...] = (),
    threads: int = 1,
) -> Iterator["array[int] | None"]:
    """The ids drawn for each of `wanted`, in its order; None where the logits are no numbers.

    A text ends with the first of `stops` in it, which is left on. The length and the
    temperature of `settings` are not looked at. What `wanted` raises is raised in its turn,
    after all that was wanted before it has been given out.
    """
    office = Office(wanted, threads, AHEAD * threads)
    columns = (UNIT, MOST) if alike(prepared) else (1, 1)
    workers = [
        threading.Thread(
            target=_Worker(prepared, settings, stops, office, *columns).run, daemon=True
        )
        for _ in range(threads)
    ]
    for thread in workers:
        thread.start()
    try:
        yield from office.results()
    finally:
        office.close()
        for thread in workers:
            thread.join()


def alike(prepared: Prepared) -> bool:
    """Whether a stream's numbers depend neither on its column nor on the others, found by doing.

    They do not in NumPy's own build, as long as columns come in multiples of 16.
    """
    source = np.random.default_rng(0)
    size = prepared.table.shape[0]
    own = source.integers(size, size=4)
    found = []
    for streams, places in (UNIT, (0, 7)), (MOST, (5, 42, MOST - 1)):
        columns = Columns(prepared, streams)
        with np.errstate(over="ignore", invalid="ignore"):
            for character in own:
                ids = source.integers(size, size=streams)
                ids[list(places)] = character
                columns.read(ids)
            found += [columns.logits()[:, place].tobytes() for place in places]
    return len(set(found)) == 1


def read_alike(prepared: Prepared, characters: list[int]) -> list[State]:
    """The state, by layer, after reading ids, to the last bit as a stream of `draw_all` has it."""
    streams = UNIT if alike(prepared) else 1
    columns = Columns(prepared, streams)
    with np.errstate(over="ignore", invalid="ignore"):
        for character in characters:
            columns.read(np.full(streams, character))
    return [tuple(part[:, 0].copy() for part in parts) for parts in columns.states]


class _Worker:
    """Some columns, and the streams that stand in the first of them."""

    def __init__(
        self,
        prepared: Prepared,
        settings: SamplingSettings,
        stops: tuple[tuple[int, ...], ...],
        office: Office,
        unit: int,
        most: int,
    ) -> None:
        self._prepared, self._settings, self._office = prepared, settings, office
        self._stops = [array("I", stop) for stop in stops]
        self._unit, self._most = unit, most
        self._streams: list[Drawing] = []
        self._columns = Columns(prepared, unit)
        # By column: what is read next, what is left of the prompt, and what is left to draw.
        self._next, self._unread, self._undrawn = np.zeros((3, most), dtype=np.int64)
        self._temperatures = np.ones(most)
        self._more = True

    def run(self) -> None:
        try:
            # Let numbers overflow in silence: the logits, where all of it ends, are looked at.
            with np.errstate(over="ignore", invalid="ignore"):
                while not self._office.closed:
                    self._admit()
                    if not self._streams:
                        break
                    self._step()
        except BaseException as error:
            self._office.break_down(error)

    def _admit(self) -> None:
        """Take in streams that wait: so few at a time that other workers get some too."""
        present, come = len(self._streams), list[Drawing]()
        while self._more and len(come) < self._unit and present + len(come) < self._most:
            try:
                stream = self._office.take(wait=not present and not come)
            except queue.Empty:
                break
            if stream is None:
                self._more = False
            else:
                come.append(stream)
        self._streams += come
        self._make_room()
        for column, stream in enumerate(come, present):
            wanted = stream.wanted
            self._next[column] = wanted.prompt[0]
            self._unread[column] = len(wanted.prompt)
            self._undrawn[column] = wanted.length
            self._temperatures[column] = wanted.temperature
            for layer, parts in enumerate(self._columns.states):
                for number, part in enumerate(parts):
                    part[:, column] = wanted.start[layer][number] if wanted.start else 0.0

    def _make_room(self) -> None:
        """As many columns as the streams need; those that were there keep their states."""
        needed = max(1, -(-len(self._streams) // self._unit)) * self._unit
        if needed == self._columns.streams:
            return
        before, self._columns = self._columns, Columns(self._prepared, needed)
        kept = min(before.streams, needed)
        for old, new in zip(before.states, self._columns.states, strict=True):
            for old_part, new_part in zip(old, new, strict=True):
                new_part[:, :kept] = old_part[:, :kept]

    def _step(self) -> None:
        """One more character for every stream: of its prompt, or drawn."""
        count = len(self._streams)
        self._columns.read(self._next[: self._columns.streams])
        self._unread[:count] -= 1
        reading = self._unread[:count] > 0
        if not reading.all():
            self._draw(np.flatnonzero(~reading))
        for column in np.flatnonzero(reading).tolist():
            self._next[column] = self._streams[column].wanted.prompt[-self._unread[column]]
        for column in np.flatnonzero(self._undrawn[:count] == 0).tolist()[::-1]:
            self._office.complete(self._streams[column].number, self._streams[column].drawn)
            self._remove(column)

    def _draw(self, columns: NDArray[np.intp]) -> None:
        """Draw a character in each of these columns."""
        streams = [self._streams[column] for column in columns.tolist()]
        logits = self._columns.logits()[:, columns]
        watches = [(n, s.wanted.watch) for n, s in enumerate(streams) if s.wanted.watch]
        if watches:
            forbidden = np.zeros(logits.shape, dtype=bool)
            for number, watch in watches:
                mask = watch.forbidden()
                if mask is not None:
                    forbidden[:, number] = mask
            logits = allowed(logits, forbidden)
        numbers = np.array([next(stream.uniforms) for stream in streams])
        drawn = draw_each(logits, numbers, self._settings, self._temperatures[columns])
        self._next[columns] = drawn
        self._undrawn[columns] -= 1
        for column, stream, character in zip(
            columns.tolist(), streams, drawn.tolist(), strict=True
        ):
            if not stream.goes_on(character, self._stops):
                self._undrawn[column] = 0

    def _remove(self, column: int) -> None:
        """Let the last stream take the place of one that has ended."""
        last = len(self._streams) - 1
        if column != last:
            self._streams[column] = self._streams[last]
            for of in self._next, self._unread, self._undrawn, self._temperatures:
                of[column] = of[last]
            for parts in self._columns.states:
                for part in parts:
                    part[:, column] = part[:, last]
        self._streams.pop()
