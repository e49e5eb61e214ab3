"""Passages of a text that stand word for word in another one: all of them, at any place.

Every passage of `least` characters is a gram. Each gram of the text has a hash of 64 bits
(a polynomial, Karp and Rabin 1987); they are sorted, and every gram of the other text, the
source, is looked up among them as it goes by. Of a long text only those grams are sorted
that hold a shorter one, of every few places one, that is found in the same way; so what is
in memory does not grow with either text. What was found is compared, character by character.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.strips import Text

LEAST = 50
"""Characters of the shortest passage that counts: what is shorter may be common usage."""

_SECTION = 2**22  # grams sorted at once
_AT_ONCE = 2**15  # places of the source
_FACTOR = 0x9E3779B97F4A7C15  # odd; its bits look like any others

Places = NDArray[np.int64]


class Passage(NamedTuple):
    """Some characters that stand in both texts."""

    start: int
    """where they begin in the text"""
    place: int
    """where they stand in the source, first"""
    characters: int


@dataclass(frozen=True)
class Verbatim:
    """What a text of N characters has word for word from a source."""

    least: int
    """characters of the shortest passage that counts"""
    starts: Places
    """(R,) where runs of such passages begin, in order; no two of them touch"""
    ends: Places
    """(R,) one past where they end"""
    longest: Passage | None
    """the longest passage, the first of those as long"""

    @property
    def characters(self) -> int:
        """How many characters of the text stand in such passages."""
        return int((self.ends - self.starts).sum())

    def holds(self, places: Places) -> NDArray[np.bool_]:
        """Whether each of M places (M,) is in such a passage."""
        run = np.searchsorted(self.ends, places, side="right")
        return np.append(self.starts, np.iinfo(np.int64).max)[run] <= places


def find(
    text: Text,
    source: Text,
    *,
    first_unknown: int,
    least: int = LEAST,
    read: Callable[[int], object] = lambda _: None,
) -> Verbatim:
    """Every passage of a text (N,) of at least `least` characters that stands in a source.

    Ids from `first_unknown` on are characters not known, which are never the same. `read`
    is told how many places of the source were looked at, each some times over.
    """
    starts, ends = np.array([0]), np.array([len(text)])
    if len(text) > _SECTION:
        starts, ends = _around(text, source, least, first_unknown, read)
    found = list(_passages(text, source, least, (starts, ends), first_unknown, read))
    starts = np.array([each.start for each in found], dtype=np.int64)
    ends = starts + np.array([each.characters for each in found], dtype=np.int64)
    starts, ends = _joined(starts, ends)
    longest = max(found, key=_rank, default=None)
    while longest is not None:
        # Runs of passages from several places may hide one that is longer.
        wider = (longest := _extended(text, source, longest, first_unknown)).characters + 1
        long = ends - starts >= wider
        runs = starts[long], ends[long]
        more = list(_passages(text, source, wider, runs, first_unknown, read)) if long.any() else []
        if not more:
            break
        longest = max(more, key=_rank)
    return Verbatim(least, starts, ends, longest)


def _rank(passage: Passage) -> tuple[int, int]:
    return passage.characters, -passage.start


def _around(
    text: Text, source: Text, least: int, first_unknown: int, read: Callable[[int], object]
) -> tuple[Places, Places]:
    """Where passages may be: about those of half the length, at every so many places.

    However a passage lies, one of those is in it, whole.
    """
    step = max(1, least // 2)
    width = least - step + 1
    piece = step * max(1, _AT_ONCE // step)
    starts: list[Places] = [np.zeros(0, np.int64)]
    for first in range(0, len(text), _SECTION * step):
        stop = min(first + _SECTION * step, len(text))
        grams = [
            _grams(text, begin, min(begin + piece, stop), width, first_unknown, step)
            for begin in range(first, stop, piece)
        ]
        at, hashes = (np.concatenate(each) for each in zip(*grams, strict=True))
        where = _look_up(hashes, source, width, first_unknown, read)
        starts.append(at[where >= 0])
    centres = np.concatenate(starts)
    return _joined(np.maximum(centres - (least - width), 0), np.minimum(centres + least, len(text)))


def _passages(
    text: Text,
    source: Text,
    width: int,
    runs: tuple[Places, Places],
    first_unknown: int,
    read: Callable[[int], object],
) -> Iterator[Passage]:
    """The passages of at least `width` characters that lie in runs of a text.

    Those that overlap may be one that stands elsewhere as a whole.
    """
    grams: list[tuple[Places, NDArray[np.uint64]]] = []
    waiting = 0
    for begin, end, last in _pieces(*runs, width):
        grams.append(_grams(text, begin, end, width, first_unknown))
        waiting += len(grams[-1][0])
        if waiting >= _SECTION or last:
            at, hashes = (np.concatenate(each) for each in zip(*grams, strict=True))
            where = _look_up(hashes, source, width, first_unknown, read)
            yield from _chains(text, source, at[where >= 0], where[where >= 0], width)
            grams, waiting = [], 0


def _pieces(starts: Places, ends: Places, width: int) -> Iterator[tuple[int, int, bool]]:
    """By pieces, where the grams of runs begin, and whether it is the last piece."""
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        last = max(end - width + 1, start)  # where no gram begins any more
        for begin in range(start, max(last, start + 1), _AT_ONCE):
            stop = min(begin + _AT_ONCE, last)
            yield begin, stop, number == len(starts) - 1 and stop == last


def _chains(text: Text, source: Text, at: Places, where: Places, width: int) -> Iterator[Passage]:
    """Grams that begin side by side in both texts as one passage each; compared there."""
    cuts = np.flatnonzero((np.diff(at) != 1) | (np.diff(where) != 1)) + 1
    for first, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(at)], strict=True):
        if first == end:
            continue
        start, place = int(at[first]), int(where[first])
        count, done = end - first + width - 1, 0
        while done < count:  # two grams of one hash would end it
            size = min(_AT_ONCE, count - done)
            here, there = (
                each[begin + done : begin + done + size]
                for each, begin in ((text, start), (source, place))
            )
            more = _same(here, there)
            done += more
            if more < size:
                break
        if done >= width:
            yield Passage(start, place, done)


def _extended(text: Text, source: Text, passage: Passage, first_unknown: int) -> Passage:
    """A passage with all that stands before and after it in both texts."""
    start, place, count = passage
    while room := min(_AT_ONCE, start, place):
        here, there = text[start - room : start][::-1], source[place - room : place][::-1]
        more = _same(here, there, first_unknown)
        start, place, count = start - more, place - more, count + more
        if more < room:
            break
    while room := min(_AT_ONCE, len(text) - start - count, len(source) - place - count):
        here, there = (
            each[begin + count : begin + count + room]
            for each, begin in ((text, start), (source, place))
        )
        more = _same(here, there, first_unknown)
        count += more
        if more < room:
            break
    return Passage(start, place, count)


def _same(
    here: NDArray[np.integer[Any]],
    there: NDArray[np.integer[Any]],
    first_unknown: int | None = None,
) -> int:
    """How many characters are the same from the beginning on."""
    differ = here != there
    if first_unknown is not None:
        differ |= here >= first_unknown
    return int(np.argmax(differ)) if differ.any() else len(here)


def _joined(starts: Places, ends: Places) -> tuple[Places, Places]:
    """Runs, those that overlap or touch as one; the starts are in no order."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    first = np.ones(len(starts), dtype=bool)
    first[1:] = starts[1:] > ends[:-1]
    last = np.append(first[1:], True)[: len(ends)]
    return starts[first], ends[last]


def _look_up(
    hashes: NDArray[np.uint64],
    source: Text,
    width: int,
    first_unknown: int,
    read: Callable[[int], object],
) -> Places:
    """For M hashes of grams (M,), where in a source the first of that hash stands, or -1."""
    known, number = np.unique(hashes, return_inverse=True)
    where = np.full(len(known), -1, dtype=np.int64)
    # Most grams are like none of these, which some bits of their hash tell, and then others.
    bits = min(26, 4 + max(1, len(known)).bit_length())
    tables = [(np.zeros(2**bits, dtype=bool), np.uint64(lift)) for lift in (0, bits)]
    for table, lift in tables:
        table[_bits(known, lift, bits)] = True
    last = len(source) - width + 1 if len(known) else 0
    for begin in range(0, last, _AT_ONCE):
        end = min(begin + _AT_ONCE, last)
        at, found = _grams(source, begin, end, width, first_unknown)
        for table, lift in tables:
            near = np.flatnonzero(table.take(_bits(found, lift, bits)))
            at, found = at[near], found[near]
        index = np.minimum(np.searchsorted(known, found), len(known) - 1)
        hit = (known[index] == found) & (where[index] < 0)
        where[index[hit][::-1]] = at[hit][::-1]  # of several the first one stays
        read(end - begin)
    return where[number]


def _bits(hashes: NDArray[np.uint64], lift: np.uint64, bits: int) -> Places:
    """So many bits of hashes, from the one after the first `lift` on."""
    return ((hashes << lift) >> np.uint64(64 - bits)).view(np.int64)


def _grams(
    text: Text, begin: int, end: int, width: int, first_unknown: int, step: int = 1
) -> tuple[Places, NDArray[np.uint64]]:
    """The places and hashes of the grams that begin from `begin` to before `end`.

    They are those of every `step` places; those with an unknown character are left out.
    """
    ids = text[begin : min(end + width - 1, len(text))]
    count = len(ids) - width + 1
    if count < 1:
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    hashes = _hashes(ids, width)[::step]
    at = np.arange(begin, begin + count, step)
    unknown = ids >= first_unknown
    if unknown.any():
        before = np.concatenate([[0], np.cumsum(unknown)])
        whole = (before[width:] == before[:-width])[::step]
        at, hashes = at[whole], hashes[whole]
    return at, hashes


def _hashes(ids: NDArray[np.integer[Any]], width: int) -> NDArray[np.uint64]:
    """Σ id · F^(width-1-i) modulo 2^64 of each gram of a text, (N - width + 1,).

    That of two grams side by side follows from theirs, so that of twice the length does.
    """
    block, size, done = ids.astype(np.uint64) + np.uint64(1), 1, 0
    found = block[:0]
    while True:
        factor = np.uint64(pow(_FACTOR, size, 2**64))
        if width & size:
            if done:
                count = len(ids) - done - size + 1
                found = found[:count] * factor + block[done : done + count]
            else:
                found = block
            done += size
        if done == width:
            return found
        block = block[:-size] * factor + block[size:]
        size *= 2
