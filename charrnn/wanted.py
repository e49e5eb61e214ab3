"""Texts that are wanted, and where they wait, are fetched from and handed in.

They are read ahead of those that draw them, but only so many, and given out in their order.
"""

import queue
import threading
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from charrnn.arrays import State
from charrnn.distribution import Mask, uniforms


class Watch(Protocol):
    """What looks at a text as it is drawn, and may forbid how it goes on."""

    def read(self, character: int) -> None:
        """Take note of one more character, by its id."""

    def forbidden(self) -> Mask | None:
        """Which ids must not come next, (V,); None where all may."""


class Wanted(NamedTuple):
    """A text to be drawn."""

    prompt: list[int]
    """what is read first, one id or more"""
    seed: int
    """of its numbers"""
    length: int
    """characters"""
    temperature: float
    start: list[State] | None = None
    """the state before the prompt, by layer; None is that before any character"""
    watch: Watch | None = None
    written: tuple[int, ...] = ()
    """the first ids of what is given out, which the prompt ended with"""


class Drawing:
    """A text that is being drawn."""

    def __init__(self, number: int, wanted: Wanted) -> None:
        self.number = number
        self.wanted = wanted
        self.uniforms = uniforms(wanted.seed)
        self.drawn: array[int] | None = array("I", wanted.written)

    def goes_on(self, character: int, stops: "list[array[int]]") -> bool:
        """Add what was drawn; whether it is neither the end of a stop text nor no character."""
        if character < 0 or self.drawn is None:
            self.drawn = None
            return False
        self.drawn.append(character)
        if self.wanted.watch:
            self.wanted.watch.read(character)
        return not any(self.drawn[-len(stop) :] == stop for stop in stops) if stops else True


class Office:
    """Where workers fetch what is to be drawn and hand in what was."""

    def __init__(self, wanted: Iterable[Wanted], workers: int, ahead: int) -> None:
        """No more than `ahead` of `wanted` are read before the first of them is given out."""
        self._workers = workers
        self._room = threading.Semaphore(ahead)
        self._waiting: queue.SimpleQueue[Drawing | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._complete: dict[int, array[int] | None] = {}
        self._total: int | None = None
        self._failure: BaseException | None = None  # of `wanted`, after all of `_total`
        self._breakdown: BaseException | None = None  # of a worker
        self.closed = False
        """whether nobody wants any more"""
        threading.Thread(target=self._read, args=(wanted,), daemon=True).start()

    def _read(self, wanted: Iterable[Wanted]) -> None:
        number, failure = 0, None
        try:
            for each in wanted:
                self._room.acquire()
                if self.closed:
                    break
                if each.length:
                    self._waiting.put(Drawing(number, each))
                else:
                    self.complete(number, array("I"))
                number += 1
        except BaseException as error:
            failure = error
        with self._changed:
            self._total, self._failure = number, failure
            self._changed.notify()
        self._end()

    def _end(self) -> None:
        for _ in range(self._workers):
            self._waiting.put(None)

    def take(self, *, wait: bool) -> Drawing | None:
        """What is to be drawn next; None at the end. Raises queue.Empty, if not to wait."""
        return self._waiting.get(block=wait)

    def complete(self, number: int, drawn: "array[int] | None") -> None:
        """Hand in what was drawn; None where there was nothing to draw from."""
        with self._changed:
            self._complete[number] = drawn
            self._changed.notify()

    def break_down(self, error: BaseException) -> None:
        """Say that a worker cannot go on."""
        with self._changed:
            self._breakdown = error
            self._changed.notify()

    def results(self) -> Iterator["array[int] | None"]:
        """What was handed in, in order; then what reading `wanted` raised, if anything.

        Raises at once what a worker has broken down with.
        """
        number = 0
        while True:
            with self._changed:
                while number not in self._complete and number != self._total:
                    if self._breakdown:
                        raise self._breakdown
                    self._changed.wait()
                if number not in self._complete:
                    if self._failure:
                        raise self._failure
                    return
                drawn = self._complete.pop(number)
            yield drawn
            number += 1
            self._room.release()

    def close(self) -> None:
        """Have everybody stop."""
        self.closed = True
        self._room.release()
        self._end()
