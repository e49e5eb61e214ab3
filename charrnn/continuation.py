"""One text as it is drawn, character by character, and the places where it can be gone on with."""

from collections import deque
from collections.abc import Generator, Iterator
from contextvars import copy_context
from typing import NamedTuple

import numpy as np

from charrnn.arrays import State
from charrnn.distribution import Drawer, drawer, uniforms
from charrnn.errors import CheckpointError
from charrnn.seeds import derive
from charrnn.settings import SamplingSettings
from charrnn.stream import Stream
from charrnn.tokenizer import Vocabulary
from charrnn.utf8 import as_text, unfinished
from charrnn.wanted import Watch

TAIL = 1_000
"""Characters of a text that are remembered where it is left, and more for longer stop texts."""


class Place(NamedTuple):
    """Where a text stands: what decides how it goes on, but for the settings."""

    state: list[State]
    """by layer, after its last character"""
    seed: int
    number: int = 0
    """of the sample, among those of its seed"""
    drawn: int = 0
    """how many of the sample's uniforms are used up"""
    tail: str = ""
    """its last characters, since the prompt or a stop text: a stop text may begin in them

    Of a model of bytes these are the bytes, those of a character that the prompt ended in
    included.
    """


class Text(Iterator[str]):
    """New characters, in pieces as soon as they are certain.

    A piece raises CheckpointError where the model's weights give no probabilities.
    """

    def __init__(
        self,
        stream: Stream,
        vocabulary: Vocabulary,
        begin: Place,
        settings: SamplingSettings,
        watch: Watch | None = None,
        *,
        raw: bool = False,
    ) -> None:
        """`stream` stands at `begin`; `watch` is told of what is drawn.

        Stop texts are those that the model may write, by its own characters. `raw` gives all
        bytes of a model of bytes, as they are drawn.
        """
        self._stream, self._vocabulary = stream, vocabulary
        self._begin, self._settings, self._watch = begin, settings, watch
        self._left, self._drawn = settings.length, begin.drawn
        self._unread: int | None = None  # the last character drawn, while the stream lacks it
        self._tail = deque(begin.tail, max(TAIL, *map(len, settings.stop), 0))
        self._pieces = self._before_stop()
        if vocabulary.of_bytes:
            self._pieces = as_text(self._pieces, "" if raw else unfinished(begin.tail), raw=raw)

    def __next__(self) -> str:
        return next(self._pieces)

    def end(self) -> None:
        """Draw no more; what is held back, because a stop text may begin so, is still given.

        The first bytes of a character are not: they wait in `place` for the rest.
        """
        self._left = 0

    def place(self) -> Place:
        """Where the text stands: after all that was drawn, a stop text included."""
        self._read()
        tail = "".join(self._tail)
        return self._begin._replace(state=self._stream.state(), drawn=self._drawn, tail=tail)

    def _read(self) -> None:
        if self._unread is not None:
            with no_warnings():
                self._stream.read(self._unread)
            self._unread = None

    def _before_stop(self) -> Iterator[str]:
        if (yield from before_stop(self._characters(), self._settings.stop, self._begin.tail)):
            self._tail.clear()

    def _characters(self) -> Iterator[str]:
        characters = self._vocabulary.characters
        draws = uniforms(derive(self._begin.seed, "sample", self._begin.number), self._drawn)
        drawn = drawer(len(characters), self._settings)  # never one of the unknown
        # Numbers overflow in silence, as under `no_warnings`, which each time takes 1 µs.
        context = copy_context()
        context.run(np.seterr, over="ignore", invalid="ignore")
        while self._left > 0:
            self._left -= 1
            character = context.run(self._following, drawn, next(draws))
            if character < 0:
                raise no_probabilities()
            self._unread = character
            self._drawn += 1
            self._tail.append(characters[character])
            if self._watch:
                self._watch.read(character)
            yield characters[character]

    def _following(self, drawn: Drawer, uniform: float) -> int:
        if self._unread is not None:
            self._stream.read(self._unread)
            self._unread = None
        forbidden = self._watch.forbidden() if self._watch else None
        return drawn(self._stream.logits(), uniform, forbidden)


def before_stop(
    characters: Iterator[str], stops: tuple[str, ...], written: str = ""
) -> Generator[str, None, bool]:
    """The characters before the first of the stop texts; returns whether there was one.

    It may begin in what was `written` before: the rest of it is left out then.
    """
    if not stops:
        yield from characters
        return False
    most = max(map(len, stops)) - 1
    held = written[-most:] if most else ""
    shown = len(held)  # of what is held
    for character in characters:
        held += character
        found = [len(stop) for stop in stops if held.endswith(stop)]
        if found:
            yield held[shown : len(held) - max(found)]
            return True
        # Hold back the longest end that may turn out to begin a stop text.
        sizes = range(min(len(held), most), 0, -1)
        kept = next((n for n in sizes if any(s.startswith(held[-n:]) for s in stops)), 0)
        certain = len(held) - kept
        if certain > shown:
            yield held[shown:certain]
        held, shown = held[certain:], max(0, shown - certain)
    yield held[shown:]
    return False


def no_probabilities() -> CheckpointError:
    """The error that says that a model's weights are no use: training went astray."""
    return CheckpointError(
        "the model's weights give no probabilities (not a number)",
        "use an earlier checkpoint, or train again with a lower --learning-rate",
    )


def no_warnings() -> np.errstate:
    """Let numbers overflow in silence: the logits, where all of it ends, are looked at."""
    return np.errstate(over="ignore", invalid="ignore")
