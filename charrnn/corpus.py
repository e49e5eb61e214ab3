"""Texts as a model reads them: ids, and what is held out of them."""

import contextlib
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from charrnn import stored
from charrnn.beside import Digest
from charrnn.census import LARGE, Census, Counts, facts_of_files, take, vocabulary_of
from charrnn.documents import find, title
from charrnn.errors import TextError, UsageError
from charrnn.files import sha256
from charrnn.reading import Reading
from charrnn.stored import Array, Ids, part_of
from charrnn.texts import PLAIN, Text, Told, joined
from charrnn.tokenizer import Vocabulary, narrowest

SPLITS = ("train", "val", "test")

MOST_NAMED = 1_000
"""Files of a corpus that its record names; of more, it says how many there are."""

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


@dataclass(frozen=True)
class Corpus:
    """One or more texts, encoded and split."""

    texts: tuple[Text, ...]
    """the files in the order in which they stand one after the other"""
    held_out: dict[str, Text]
    """the files of --val-file and --test-file, by split"""
    vocabulary: Vocabulary
    ids: dict[str, Ids]
    """by split, (N,) each; a split that is not held out is empty"""
    parts: dict[str, Part]
    """by split, where it stands in its text"""
    names: tuple[Path, ...] = ()
    """the files, folders and patterns that it was asked for by"""
    passed_over: tuple[Path, ...] = ()
    """files of the folders that are empty or no text"""
    separator: str = ""
    """what stands between two files"""
    least: int = 1
    """how often a character must come to have an id of its own"""

    @property
    def bounds(self) -> dict[str, tuple[int, int]]:
        """By split, the first character and the one after the last, in its text."""
        return {split: (part.start, part.end) for split, part in self.parts.items()}

    def trained_on(self) -> list[Path]:
        """The held-out files that are the same as a file of the corpus."""
        known = {text.sha256 for text in self.texts}
        return [text.path for text in self.held_out.values() if text.sha256 in known]

    def record(self) -> dict[str, Any]:
        """What proves years later that a text is the same one, for JSON."""
        separators = max(0, len(self.texts) - 1) * len(self.separator)
        record: dict[str, Any] = {
            "sha256": corpus_digest(self.texts),
            "characters": sum(text.characters for text in self.texts) + separators,
            "files": [_file_record(text) for text in self.texts[:MOST_NAMED]],
            "splits": {split: self._split_record(split) for split in SPLITS},
        }
        if self.separator:
            record["separator"] = self.separator
        if len(self.texts) > MOST_NAMED:
            record["file_count"] = len(self.texts)
        return record

    def _split_record(self, split: str) -> dict[str, Any]:
        own, part = self.held_out.get(split), self.parts[split]
        return {
            "file": own and _file_record(own),
            "start": part.start,
            "end": part.end,
            "sha256": part.sha256,
        }


def read_corpus(
    names: Sequence[Path],
    *,
    reading: Reading = PLAIN,
    separator: str = "",
    least: int = 1,
    base: Vocabulary | None = None,
    val_fraction: float = 0.1,
    test_fraction: float = 0.0,
    val_file: Path | None = None,
    test_file: Path | None = None,
    again: bool = False,
    told: Told = lambda _: None,
) -> Corpus:
    """Read texts, one after the other, and hold out what scores will be taken on.

    `names` are those of files, folders and patterns, see `documents.find`. A split has its
    own file, or else a fraction off the end: train, val, test. For `least` and `base` see
    `census.vocabulary_of`, for `again` and `told` `census.take`.
    Raises TextError for a file that is not text or changes while it is read, UsageError for
    impossible fractions.
    """
    if not names:
        raise UsageError("no corpus given", "charrnn train FILE...")
    for flag, fraction in ("--val-frac", val_fraction), ("--test-frac", test_fraction):
        if not 0.0 <= fraction < 1.0:
            raise UsageError(f"{flag} {fraction:g}: must be at least 0 and below 1")
    val_fraction = 0.0 if val_file else val_fraction
    test_fraction = 0.0 if test_file else test_fraction
    if val_fraction + test_fraction >= 1.0:
        raise UsageError("--val-frac and --test-frac leave nothing to train on")
    if least < 1:
        raise UsageError(f"--min-count {least}: must be at least 1")
    files = {split: path for split, path in (("val", val_file), ("test", test_file)) if path}

    def census(paths: Sequence[Path]) -> Census:
        return take(paths, reading, separator, again=again, told=told)

    paths, passed_over = find(names, reading)
    main, own = census(paths), {split: census([path]) for split, path in files.items()}
    vocabulary = vocabulary_of([main, *own.values()], reading, least=least, base=base)
    count = main.characters
    test_start = count - _share(count, test_fraction)
    val_start = count - _share(count, val_fraction + test_fraction)
    whole = encode(main, vocabulary, separator, [0, val_start, test_start, count], told=told)
    parts = dict(zip(SPLITS, whole.parts, strict=True))
    ids = {split: part_of(whole.ids, part.start, part.end) for split, part in parts.items()}
    for split, found in own.items():
        one = encode(found, vocabulary, "", [0, found.characters], told=told)
        unseen = {point: n for point, n in found.counts.items() if point not in main.counts}
        ids[split] = one.ids
        parts[split] = one.parts[0]._replace(unseen=sum(unseen.values()), unseen_kinds=len(unseen))
    held_out = {split: found.texts[0] for split, found in own.items()}
    return Corpus(
        *(whole.texts, held_out, vocabulary, ids, parts),
        *(tuple(names), tuple(passed_over), separator, least),
    )


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
    finds them; others in memory. Raises TextError where the text is another by now,
    DiskFullError where there is no room.
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


def _share(count: int, fraction: float) -> int:
    """A fraction of a count, rounded up, as in nanoGPT's split: 0.1 of 1,115,394 is 111,540."""
    return math.ceil(round(count * fraction, 6))  # 0.1 + 0.2 is a little more than 0.3


def corpus_digest(texts: Sequence[Text]) -> str:
    """One SHA-256 for several files: that of their own, in order."""
    return sha256("".join(text.sha256 for text in texts).encode())


def _file_record(text: Text) -> dict[str, Any]:
    return {"name": title(text.path), "bytes": text.bytes, "sha256": text.sha256}
