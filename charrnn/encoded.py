"""A text as ids, in parts that can be proven: the second of two readings of a corpus."""

import contextlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from charrnn import stored
from charrnn.beside import Digest
from charrnn.census import LARGE, Census, Counts, facts_of_files
from charrnn.errors import TextError
from charrnn.files import sha256
from charrnn.stored import Array, Ids
from charrnn.texts import Text, Told, joined
from charrnn.tokenizer import Vocabulary, narrowest

_VERSION = 1  # to be raised with whatever changes the ids of a text


class Part(NamedTuple):
    """A stretch of a text, and what proves that it is the same."""

    start: int
    end: int
    sha256: str
    """of the text's UTF-8; where it is read as bytes, of these"""
    bytes: int
    """of the same"""
    lacking: int
    """characters that the vocabulary lacks"""
    unseen: int
    """characters that stand nowhere in the text's first part"""
    unseen_kinds: int
    """how many different ones"""


@dataclass(frozen=True)
class Encoded:
    """A text of one or more files as ids, N of them, and the parts it was asked for by."""

    texts: tuple[Text, ...]
    ids: Ids
    parts: tuple[Part, ...]


def encode(
    census: Census,
    vocabulary: Vocabulary,
    separator: str,
    cuts: Sequence[int],
    *,
    told: Told = lambda _: None,
) -> Encoded:
    """The text of which a census was taken as ids, in parts from each of `cuts` to the next.

    A text of LARGE files has its ids in a file in the user's cache, where the next process
    finds them, unless nothing can be written there; others in memory. Raises TextError
    where the text is another by now, DiskFullError where there is no room.
    """
    key = sha256(
        json.dumps(
            [_VERSION, [text.sha256 for text in census.texts], vocabulary.to_json(), separator]
        ).encode()
    )
    kind, count = narrowest(vocabulary.lacking), census.characters
    wanted = ",".join(map(str, cuts))
    large = sum(text.bytes for text in census.texts) >= LARGE and stored.can_keep()
    kept = stored.find(key) if large else None
    if kept:
        with contextlib.suppress(KeyError, TypeError):
            parts = tuple(Part(*part) for part in kept[1]["parts"][wanted])
            return Encoded(census.texts, kept[0], parts)
    reader = _Reader(census, vocabulary, separator, cuts, told)
    if not large:
        ids, place = np.empty(count, kind), 0
        for piece in reader:
            ids[place : place + len(piece)] = piece
            place += len(piece)
        return Encoded(census.texts, ids, reader.parts)
    facts: dict[str, Any] = kept[1] if kept else {}
    if not isinstance(facts.get("parts"), dict):
        facts["parts"] = {}
    if kept:  # by other cuts
        for _ in reader:
            pass
        facts["parts"][wanted] = reader.parts
        stored.describe(key, facts)
    else:
        with stored.keeping(key, kind, count, facts) as keep:
            for piece in reader:
                keep(piece)
            facts["parts"][wanted] = reader.parts
    found = stored.find(key)
    assert found
    return Encoded(census.texts, found[0], reader.parts)


class _Reader:
    """The second reading of a text: its ids piece by piece, and by its end the parts."""

    def __init__(
        self,
        census: Census,
        vocabulary: Vocabulary,
        separator: str,
        cuts: Sequence[int],
        told: Told,
    ) -> None:
        self._census = census
        self._vocabulary = vocabulary
        self._separator = separator
        self._cuts = cuts
        self._told = told
        self._parts: list[Part] = []
        self._counts: list[Counts] = []  # of each part but the first

    def __iter__(self) -> Iterator[Array]:
        """Raises TextError where the text is another than that of the census."""
        paths = [text.path for text in self._census.texts]
        pieces = joined(paths, self._vocabulary.reading, self._separator, told=self._told)
        left = ""
        for start, end in itertools.pairwise(self._cuts):
            digest, size, lacking, place = Digest(), 0, 0, start
            counts = Counts() if self._parts else None
            with contextlib.closing(digest):
                while place < end:
                    piece = left or next(pieces, "")
                    if not piece:
                        raise self._changed()
                    piece, left = piece[: end - place], piece[end - place :]
                    data = self._vocabulary.reading.utf8_of(piece)
                    digest.update(data)
                    ids = self._vocabulary.encode(piece)
                    yield ids
                    if counts:
                        counts.add(piece)
                    size += len(data)
                    lacking += int(np.count_nonzero(ids == self._vocabulary.lacking))
                    place += len(piece)
                self._parts.append(Part(start, end, digest.hexdigest(), size, lacking, 0, 0))
            if counts:
                self._counts.append(counts)
        if left or next(pieces, "") or facts_of_files(paths) != self._census.facts:
            raise self._changed()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, once everything has been read."""
        held_out = [counts.table() for counts in self._counts]
        seen = {
            point
            for point, count in self._census.counts.items()
            if count > sum(int(table[point]) for table in held_out)
        }
        parts = self._parts[:1]
        for part, table in zip(self._parts[1:], held_out, strict=True):
            unseen = [point for point in np.flatnonzero(table).tolist() if point not in seen]
            parts.append(part._replace(unseen=int(table[unseen].sum()), unseen_kinds=len(unseen)))
        return tuple(parts)

    def _changed(self) -> TextError:
        names = ", ".join(str(text.path) for text in self._census.texts[:3])
        return TextError(
            f"{names}: changed while it was being read", "begin again once it is complete"
        )
