"""What a sample has in common with the text that its model was trained on.

A run is a stretch of the sample that stands somewhere in that text, character for character.
At each character the longest run that ends there is known. While a place where it stands
goes on as the sample does, that is one comparison; where none does, all places of the last
characters are looked up, and the longest run among them is what is left of it. Of a model of
bytes each byte is a character.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.concordance import Concordance
from charrnn.distribution import Mask
from charrnn.order import LONGEST
from charrnn.original import Place
from charrnn.tokenizer import Vocabulary

Places = NDArray[np.int64]

REPORTED = LONGEST
"""Characters of the shortest run that a report counts."""

_WITNESSES = 1024  # places of the longest run that are followed
_AT_ONCE = 2**14  # places compared at once
_FEW = 64  # places not worth another look-up
_BLOCK = 64  # bytes compared at once
_COSTLY = 2**12  # places of which the result is remembered
_REMEMBERED = 2**12


@dataclass(frozen=True)
class Report:
    """What a sample has copied."""

    share: float
    """of its characters, that stand in runs of 20 or more"""
    characters: int
    """of the longest such run; 0 where there is none"""
    text: str
    """of it"""
    place: Place | None
    """where it stands in the training text; it may stand elsewhere too"""
    unit: str = "characters"
    """or bytes, where those are what the model calls a character"""


class Copies:
    """One sample as it is written, and its runs; many of them share a concordance."""

    def __init__(self, concordance: Concordance, *, of_bytes: bool = False) -> None:
        self._concordance, self._text = concordance, concordance.text
        self._unit = _BYTES if of_bytes else _UTF_8
        self._least, self._gram = concordance.run, concordance.gram  # bytes
        self._sample = bytearray()  # its end, from before the longest run that is there
        self._read = 0  # characters
        # By gram that ends at one of the last bytes, the last first: what `find` gave.
        self._found: deque[tuple[int, int]] = deque(maxlen=concordance.stride)
        self._silent = 0  # bytes since the last that found anything
        self._live: Places = np.zeros(0, np.int64)  # where the run ends, in the text
        self._complete = True  # whether those are all such places
        self._run = 0  # bytes of the longest run that ends here, if at least `_least`
        self._characters = 0  # of the same
        self._copied = self._copied_until = 0
        self._longest = (0, 0, 0)  # characters, where it begins, bytes

    def read(self, character: str) -> None:
        """Read one more character of the sample."""
        data = character.encode(self._unit.encoding)
        self._sample += data
        self._read += 1
        for end in range(len(self._sample) - len(data) + 1, len(self._sample) + 1):
            found = (0, 0)
            if end >= self._gram:
                found = self._concordance.find(bytes(self._sample[end - self._gram : end]))
            self._found.appendleft(found)
            self._silent = 0 if found[1] else self._silent + 1
        before, size = self._run, len(data)
        if before:
            self._live = self._going_on(data)
            if len(self._live):
                self._run += size
                self._characters += 1
        if not len(self._live) and (before or self._silent < self._concordance.stride):
            self._search((before or self._least - 1) + size)
        if self._characters >= REPORTED:
            self._copied += self._read - max(self._copied_until, self._read - self._characters)
            self._copied_until = self._read
            if self._characters > self._longest[0]:
                start = int(self._live[0]) - self._run
                self._longest = self._characters, start, self._run
        kept = max(self._run, 4 * self._least)
        if len(self._sample) > 2 * kept + 256:
            del self._sample[:-kept]

    def follow(self, text: str) -> None:
        """Read on in the sample, as it is written; it may hold bytes that are no text."""
        if self._unit is _BYTES:
            text = text.encode(errors="surrogateescape").decode("latin-1")
        for character in text:
            self.read(character)

    def forbidden(self, longest: int) -> str:
        """The characters that would make a run of more than `longest` characters.

        `longest` is at least the `run` of the concordance.
        """
        if self._characters < longest:
            return ""
        if self._characters == longest and self._complete:
            return self._following(self._live)
        passage = self._last(longest)
        key = (longest, passage)
        remembered = self._concordance.following
        known = remembered.get(key)
        if known is not None:
            return known
        seen, found = 0, [self._live[:0]]
        for ends in self._candidates():
            seen += len(ends)
            found.append(ends[self._matching(ends, len(passage)) == len(passage)])
        following = self._following(np.concatenate(found))
        if seen > _COSTLY:
            if len(remembered) >= _REMEMBERED:
                remembered.clear()
            remembered[key] = following
        return following

    def report(self) -> Report:
        """What the sample has copied so far."""
        count, start, size = self._longest
        share = self._copied / self._read if self._read else 0.0
        if not count:
            return Report(share, 0, "", None, self._unit.name)
        text = self._text.slice(start, start + size).decode(errors="replace")
        return Report(share, count, text, self._text.place(start), self._unit.name)

    def _last(self, count: int) -> bytes:
        """The last `count` characters of the sample; there are that many in the run."""
        sample, start = self._sample, len(self._sample)
        while count:
            start -= 1
            count -= self._unit.begins[sample[start]]
        return bytes(sample[start:])

    def _going_on(self, data: bytes) -> Places:
        """Where the places of the run end once they have gone on with a character."""
        live, size = self._live, len(data)
        if len(live) == 1:
            end = int(live[0])
            there = self._text.slice(end, end + size) == data
            return live + size if there else live[:0]
        live = live[live <= self._text.size - size]
        same = self._text.windows(live, size) == np.frombuffer(data, np.uint8)
        going_on: Places = live[same.all(1)] + size
        return going_on

    def _candidates(self) -> Iterator[Places]:
        """Where the last bytes of the sample may stand: the ends of such places."""
        end = len(self._sample)
        if end < self._least:
            return
        few = [self._live[:0]]
        for since, (low, high) in enumerate(self._found):
            behind = self._gram + since
            if high - low <= _FEW:
                if low < high:
                    few.append(self._concordance.places(low, high) + behind)
                continue
            low, high = self._concordance.narrow(bytes(self._sample[-behind:]), low, high)
            for first in range(low, high, _AT_ONCE):
                ends = self._concordance.places(first, min(first + _AT_ONCE, high)) + behind
                ends = ends[ends <= self._text.size]
                # Those that differ do so in what stands before the kept place.
                for back in range(self._least, behind, -1):
                    byte = self._text.windows(ends - back, 1)[:, 0]
                    ends = ends[(byte == self._sample[-back]) & (ends >= back)]
                yield ends
        if len(few) > 1:
            ends = np.concatenate(few)
            yield ends[ends <= self._text.size]

    def _search(self, most: int) -> None:
        """Find the longest run that ends here, of `most` bytes at most, and its places."""
        self._run = self._characters = 0
        self._complete = True
        best, live = 0, self._live[:0]
        for ends in self._candidates():
            lengths = self._matching(ends, most)
            longest = self._in_characters(int(lengths.max(initial=0)))
            if longest < max(best, self._least):
                continue
            if longest > best:
                best, live = longest, live[:0]
                self._complete = True
            live = np.concatenate([live, ends[lengths >= longest]])
            if len(live) > _WITNESSES:
                live = live[:_WITNESSES]
                self._complete = False
                if best == most:
                    break
        if best:
            self._live, self._run = live, best
            self._characters = sum(self._sample[-best:].translate(self._unit.begins))

    def _in_characters(self, size: int) -> int:
        """The bytes of the whole characters in the last `size` bytes."""
        start = len(self._sample) - size
        while start < len(self._sample) and not self._unit.begins[self._sample[start]]:
            start += 1
        return len(self._sample) - start

    def _matching(self, ends: Places, most: int) -> Places:
        """By place that ends there, how many bytes before it are the sample's last, (N,)."""
        most = min(most, len(self._sample))
        lengths = np.zeros(len(ends), np.int64)
        going = np.arange(len(ends))
        sample = np.frombuffer(bytes(self._sample[len(self._sample) - most :]), np.uint8)
        done = 0
        while done < most and len(going):
            width = min(_BLOCK if done else self._least, most - done)
            starts = ends[going] - done - width
            same = self._text.windows(starts, width) == sample[most - done - width : most - done]
            if starts.min() < 0:
                same &= np.arange(width) >= -starts[:, None]
            all_same = same.all(1)
            lengths[going] += np.where(all_same, width, np.argmin(same[:, ::-1], 1))
            going = going[all_same]
            done += width
        return lengths

    def _following(self, ends: Places) -> str:
        """The characters that stand right after places of the text."""
        ends = ends[ends < self._text.size]
        four = self._text.windows(ends, 4)
        if len(ends) > 1:
            four = np.unique(four.view("<u4")).view(np.uint8).reshape(-1, 4)
        sizes, encoding = self._unit.sizes, self._unit.encoding
        found = {row[: sizes[row[0]]].decode(encoding) for row in map(bytes, four)}
        return "".join(sorted(found))


class Limit:
    """What keeps a text from copying more than so many characters on end: a `wanted.Watch`."""

    def __init__(self, concordance: Concordance, longest: int, vocabulary: Vocabulary) -> None:
        """`longest` is at least the `run` of the concordance."""
        self._copies = Copies(concordance, of_bytes=vocabulary.of_bytes)
        self._longest, self._known = longest, vocabulary.characters

    def read(self, character: int) -> None:
        """Take note of one more character, by its id."""
        self._copies.read(self._known[character])

    def forbidden(self) -> Mask | None:
        """Which ids must not come next, (V,); None where all may."""
        following, known = self._copies.forbidden(self._longest), self._known
        ids = [known.index(character) for character in following if character in known]
        if not ids:
            return None
        mask = np.zeros(len(known), dtype=bool)
        mask[ids] = True
        return mask


class _Unit(NamedTuple):
    """What a character is, by bytes."""

    name: str
    """of several"""
    encoding: str
    begins: bytes
    """by byte, 1 where it begins a character"""
    sizes: bytes
    """by byte, the bytes of the character that it begins"""


_UTF_8 = _Unit(
    "characters",
    "utf-8",
    bytes(byte & 0xC0 != 0x80 for byte in range(256)),
    bytes([1] * 0x80 + [2] * 0x60 + [3] * 0x10 + [4] * 0x10),
)
_BYTES = _Unit("bytes", "latin-1", b"\1" * 256, b"\1" * 256)
