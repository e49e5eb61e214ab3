"""How a text is laid out: its lines, their lengths, paragraphs, and what stands in it twice."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.tokenizer import code_points

LONGEST = 1_000
"""lengths of lines are told apart up to here"""
REMARKABLE = 40
"""characters that a line must have for a second one like it to be no chance"""

_HELD = 1 << 20  # characters of a line whose end is yet to come
_DIFFERENT, _LOOKED_AT = 1 << 14, 1 << 16  # lines in the sample
_MIXER = 0x9E3779B97F4A7C15  # an odd number without pattern: 2**64 over the golden ratio


@dataclass(frozen=True)
class Layout:
    """Of the lines of a text, which end in LF, CR LF or CR."""

    lines: int
    longest: int
    """characters"""
    lengths: NDArray[np.int64]
    """how many lines have each length, (LONGEST + 1,); the last is for all that are longer"""
    paragraphs: int
    """runs of lines that are not empty"""
    trailing: int
    """lines that end in spaces or tabs"""
    crlf: int
    """line ends that are CR LF"""
    repeated: float | None
    """the share of the text in lines of REMARKABLE characters or more that stands in it
    before; None where there are few of them"""

    def quantile(self, share: float) -> int:
        """The length that this share of the lines that are not empty do not exceed."""
        counts = np.cumsum(self.lengths[1:])
        return 1 + int(np.searchsorted(counts, share * counts[-1])) if counts[-1] else 0

    @property
    def blank(self) -> int:
        """The empty lines."""
        return int(self.lengths[0])


class LayoutSurvey:
    """Looks at a text that comes in pieces."""

    def __init__(self) -> None:
        self._longest = self._trailing = self._paragraphs = self._crlf = 0
        self._lengths = np.zeros(LONGEST + 1, np.int64)
        self._blank_before = True
        self._open = ""  # the line whose end is yet to come, or its end
        self._gone = 0  # how much of it is no longer held
        self._return = False  # whether a CR was the last that was read
        self._repeats = _Repeats()

    def feed(self, text: str) -> None:
        """Go on with what follows."""
        if not text:
            return
        if self._return or "\r" in text:
            ends_so = text[-1] == "\r"
            if self._return and text[0] == "\n":
                self._crlf += 1
                text = text[1:]
            self._crlf += text.count("\r\n")
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            self._return = ends_so
        self._lines(self._open + text)

    def _lines(self, text: str) -> None:
        end = text.rfind("\n") + 1
        if end:
            self._whole_lines(text[:end])
            self._gone = 0
        self._open = text[end:]
        if len(self._open) > _HELD:
            self._gone += len(self._open) - 1
            self._open = self._open[-1:]

    def end(self) -> Layout:
        """What was found; a last line need not have an end."""
        if self._open:
            self._whole_lines(self._open + "\n")
        return Layout(
            lines=int(self._lengths.sum()),
            longest=self._longest,
            lengths=self._lengths,
            paragraphs=self._paragraphs,
            trailing=self._trailing,
            crlf=self._crlf,
            repeated=self._repeats.share(),
        )

    def _whole_lines(self, text: str) -> None:
        """Count lines, the last of which ends with the text."""
        points = characters(text)
        ends = np.flatnonzero(points == ord("\n"))
        starts = np.concatenate([[0], ends[:-1] + 1])
        lengths = ends - starts
        self._repeats.feed(text, points, starts, lengths)
        written = lengths > 0
        last = points[ends[written] - 1]
        self._trailing += int(((last == ord(" ")) | (last == ord("\t"))).sum())
        if self._gone:
            lengths = np.concatenate([[lengths[0] + self._gone], lengths[1:]])
            written = lengths > 0
        blank_before = np.concatenate([[self._blank_before], ~written[:-1]])
        self._paragraphs += int((written & blank_before).sum())
        self._blank_before = not written[-1]
        self._longest = max(self._longest, int(lengths.max()))
        self._lengths += np.bincount(np.minimum(lengths, LONGEST), minlength=LONGEST + 1)


class _Repeats:
    """Which lines stand in a text more than once, of a sample that memory can hold.

    A line is in the sample or not by what stands in it, so all that are like it are, too;
    the more there are, the fewer of them are in it (Gibbons 2001).
    """

    def __init__(self) -> None:
        self._level = 0  # a line is in the sample where so many bits of its key are 0
        self._seen: dict[bytes, list[int]] = {}  # digest to key, length and number
        self._number = 0  # of all in the sample

    def feed(
        self,
        text: str,
        points: NDArray[Any],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
    ) -> None:
        chosen = lengths >= REMARKABLE
        starts, lengths = starts[chosen], lengths[chosen]
        key = lengths.astype(np.uint64)  # of the length and four of the characters
        for quarter in range(4):
            column = points[starts + (lengths * quarter >> 2)]
            key = (key ^ column) * np.uint64(_MIXER)
            key ^= key >> np.uint64(29)
        kept = np.flatnonzero(key & np.uint64((1 << self._level) - 1) == 0)
        for which in kept:
            self._remember(text[starts[which] : starts[which] + lengths[which]], int(key[which]))

    def _remember(self, line: str, key: int) -> None:
        if key & ((1 << self._level) - 1):
            return
        self._number += 1
        digest = blake2b(line.encode(), digest_size=8).digest()
        if digest in self._seen:
            self._seen[digest][2] += 1
        else:
            self._seen[digest] = [key, len(line), 1]
        while len(self._seen) > _DIFFERENT or self._number > _LOOKED_AT:
            self._level += 1
            mask = (1 << self._level) - 1
            self._seen = {d: line for d, line in self._seen.items() if not line[0] & mask}
            self._number = sum(number for _, _, number in self._seen.values())

    def share(self) -> float | None:
        """Of the characters in all such lines, those of lines that came before."""
        if len(self._seen) < 20:
            return None
        every = sum(length * number for _, length, number in self._seen.values())
        again = sum(length * (number - 1) for _, length, number in self._seen.values())
        return again / every


def characters(text: str) -> NDArray[Any]:
    """A text of N characters as numbers, (N,), in bytes where they fit."""
    return np.frombuffer(text.encode(), np.uint8) if text.isascii() else code_points(text)
