"""Which bytes may come next in UTF-8, so that what is drawn byte by byte is whole characters.

An automaton of Unicode's table of well-formed sequences (Unicode 15.0, table 3-7): no longer
form where a shorter one does, no surrogates, nothing beyond U+10FFFF. Bytes are the characters
of a model of bytes: U+0000 to U+00FF.
"""

import codecs
import sys
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from charrnn.distribution import Mask
from charrnn.wanted import Watch

BETWEEN = 0
"""The state between characters."""

_RANGES = (
    (  # BETWEEN
        *((0x00, 0x7F, BETWEEN), (0xC2, 0xDF, 1), (0xE0, 0xE0, 4), (0xE1, 0xEC, 2)),
        *((0xED, 0xED, 5), (0xEE, 0xEF, 2), (0xF0, 0xF0, 6), (0xF1, 0xF3, 3), (0xF4, 0xF4, 7)),
    ),
    ((0x80, 0xBF, BETWEEN),),  # 1 to 3: so many more bytes
    ((0x80, 0xBF, 1),),
    ((0x80, 0xBF, 2),),
    ((0xA0, 0xBF, 1),),  # after E0, where less would be too long a form
    ((0x80, 0x9F, 1),),  # after ED, where more would be a surrogate
    ((0x90, 0xBF, 2),),  # after F0, where less would be too long a form
    ((0x80, 0x8F, 2),),  # after F4, where more would be beyond U+10FFFF
)
"""By state, the bytes that may come, first and last, and the state after them."""

_MISSING = (0, 1, 2, 3, 2, 2, 3, 3)
"""By state, the bytes that a character lacks."""

_BROKEN = -1


def _after() -> NDArray[np.int8]:
    table = np.full((len(_RANGES), 256), _BROKEN, dtype=np.int8)
    for state, ranges in enumerate(_RANGES):
        for first, last, following in ranges:
            table[state, first : last + 1] = following
    return table


_AFTER = _after()
_FORBIDDEN = list(_AFTER == _BROKEN)
"""By state."""

_LONGEST = 4
_FORBIDDEN_BEFORE_END = [
    _FORBIDDEN[BETWEEN] | (np.array(_MISSING)[_AFTER[BETWEEN]] >= left)
    for left in range(1, _LONGEST + 1)
]
"""Between characters, by the bytes that are left, less one."""


def following(state: int, byte: int) -> int:
    """The state after one more byte; one that may not come begins anew."""
    after = int(_AFTER[state, byte])
    if after == _BROKEN and state != BETWEEN:
        after = int(_AFTER[BETWEEN, byte])
    return BETWEEN if after == _BROKEN else after


def unfinished(text: str) -> str:
    """The bytes at the end of bytes that begin a character and do not end it."""
    # Not by a decoder of Python's, which waits for more after half a surrogate pair, too.
    for start in range(max(0, len(text) - _LONGEST + 1), len(text)):
        state = BETWEEN
        for byte in text[start:].encode("latin-1"):
            state = int(_AFTER[state, byte])
            if state in (BETWEEN, _BROKEN):
                break
        else:
            return text[start:]
    return ""


def as_text(pieces: Iterable[str], begun: str = "", *, raw: bool = False) -> Iterator[str]:
    """The text that bytes stand for, in pieces of whole characters, the first of them `begun`.

    What the last piece leaves of a character is left out. `raw` gives all there is: bytes that
    are no text are then halves of characters, as Python has it for the names of files.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape" if raw else "strict")
    decoder.decode(begun.encode("latin-1"))
    for piece in pieces:
        text = decoder.decode(piece.encode("latin-1"))
        if text:
            yield text
    if raw:
        yield decoder.decode(b"", final=True)


def readable(text: str) -> str:
    """A text without half a character that it ends in, and U+FFFD for all else that is broken."""
    data = text.encode("utf-8", "surrogateescape")
    end = len(unfinished(data.decode("latin-1")))
    return data[: len(data) - end].decode(errors="replace")


class Whole:
    """What keeps bytes, as they are drawn, whole characters: a `wanted.Watch`."""

    def __init__(self, begun: str, length: int | None, other: Watch | None = None) -> None:
        """They go on from those of a character that has `begun`.

        A character is to end with the last of `length` bytes, where that is given. `other` may
        forbid more, as long as it leaves any.
        """
        self._state = BETWEEN
        for byte in begun.encode("latin-1"):
            self._state = following(self._state, byte)
        self._left = sys.maxsize if length is None else length
        self._other = other

    def read(self, character: int) -> None:
        """Take note of one more byte."""
        self._state = following(self._state, character)
        self._left -= 1
        if self._other:
            self._other.read(character)

    def forbidden(self) -> Mask | None:
        """The bytes that must not come next, (256,)."""
        own: Mask = _FORBIDDEN[self._state]
        if self._state == BETWEEN:
            own = _FORBIDDEN_BEFORE_END[min(self._left, _LONGEST) - 1]
        others = self._other.forbidden() if self._other else None
        if others is None:
            return own
        both: Mask = np.logical_or(own, others)
        return own if both.all() else both
