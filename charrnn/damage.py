"""The places of a file where its UTF-8 is broken."""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

SHOWN = 5
"""how many places are looked at more closely"""
_AROUND = 24  # characters on either side of a place


@dataclass(frozen=True)
class Place:
    """One or more bytes on end that are no UTF-8."""

    line: int
    """from 1"""
    column: int
    """from 1, in characters, each broken byte being one"""
    broken: bytes
    around: str
    """what stands beside it on its line, the bytes as <E9>"""


@dataclass(frozen=True)
class Damage:
    """How many places are broken, and the first of them."""

    places: int
    first: list[Place]


def damage(chunks: Iterable[bytes], *, most: int = 1_000_000) -> Damage:
    """Where the bytes of a file, given in order, are no UTF-8; the count stops above `most`."""
    search = _Search()
    for chunk in chunks:
        search.feed(chunk, final=False)
        if search.places > most:
            break
    else:
        search.feed(b"", final=True)
    return Damage(search.places, search.first)


class _Search:
    def __init__(self) -> None:
        self.places = 0
        self.first: list[Place] = []
        self._rest = b""  # of a character that the next bytes complete
        self._end = _End()

    def feed(self, data: bytes, *, final: bool) -> None:
        """Go on with the bytes that follow."""
        data = self._rest + data
        try:
            text, read = codecs.utf_8_decode(data, "strict", final)
        except UnicodeDecodeError:
            # Which keeps a broken byte as half a surrogate pair; no UTF-8 holds such.
            text, read = codecs.utf_8_decode(data, "surrogateescape", final)
            self._find(text)
        self._rest = data[read:]
        self._end = self._end.after(text)

    def _find(self, text: str) -> None:
        for found in _BROKEN.finditer(text):
            if not found.start() and _BROKEN.fullmatch(self._end.beside[-1:]):
                continue  # the rest of one that began before
            self.places += 1
            if len(self.first) < SHOWN:
                here = self._end.after(text[: found.start()])
                after = _LINE_END.split(text[found.end() :][:_AROUND], maxsplit=1)[0]
                around = _BROKEN.sub(_in_digits, here.beside + found[0] + after)
                broken = found[0].encode("utf-8", "surrogateescape")
                self.first.append(Place(here.line, here.column + 1, broken, around))


class _End(NamedTuple):
    """Where a text ends that came in pieces."""

    line: int = 1
    column: int = 0
    beside: str = ""
    """the end of its last line"""
    in_return: bool = False
    """whether it ends in a CR, whose LF may yet come"""

    def after(self, text: str) -> "_End":
        """Where it ends with this text, too."""
        if not text:
            return self
        ends = text.count("\n") + text.count("\r") - text.count("\r\n")
        ends -= self.in_return and text[0] == "\n"
        start = max(text.rfind("\n"), text.rfind("\r")) + 1
        own = text[start:]
        column, beside = (0, "") if start else (self.column, self.beside)
        beside = (beside + own[-_AROUND:])[-_AROUND:]
        return _End(self.line + ends, column + len(own), beside, text[-1] == "\r")


_BROKEN = re.compile("[\udc80-\udcff]+")
_LINE_END = re.compile("[\r\n]")


def _in_digits(broken: re.Match[str]) -> str:
    return "".join(f"<{ord(each) - 0xDC00:02X}>" for each in broken[0])
