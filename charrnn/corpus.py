"""Texts as a model reads them: ids, and what is held out of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn.census import Census, take, vocabulary_of
from charrnn.documents import find, spooled, title
from charrnn.encoded import Part, encode
from charrnn.errors import UsageError
from charrnn.files import sha256
from charrnn.reading import Reading
from charrnn.stored import Ids, part_of
from charrnn.texts import PLAIN, Text, Told
from charrnn.tokenizer import Vocabulary

SPLITS = ("train", "val", "test")

MOST_NAMED = 1_000
"""Files of a corpus that its record names; of more, it says how many there are."""


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
    """files of the folders that are empty, or no text in the encoding"""
    separator: str = ""
    """what stands between two files, as people write it"""
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
        separator = self.vocabulary.reading.text_of(self.separator)
        separators = max(0, len(self.texts) - 1) * len(separator)
        record: dict[str, Any] = {
            "sha256": corpus_digest(self.texts),
            "characters": sum(text.characters for text in self.texts) + separators,
            "files": [_file_record(text) for text in self.texts[:MOST_NAMED]],
            "splits": {split: self._split_record(split) for split in SPLITS},
        }
        if separator:
            record["separator"] = separator
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
    own_files = (("val", val_file), ("test", test_file))
    files = {split: spooled(path) for split, path in own_files if path}

    def census(paths: Sequence[Path]) -> Census:
        return take(paths, reading, between, again=again, told=told)

    between = reading.text_of(separator)
    paths, passed_over = find(names, reading)
    main, own = census(paths), {split: census([path]) for split, path in files.items()}
    vocabulary = vocabulary_of([main, *own.values()], reading, least=least, base=base)
    count = main.characters
    test_start = count - _share(count, test_fraction)
    val_start = count - _share(count, val_fraction + test_fraction)
    whole = encode(main, vocabulary, between, [0, val_start, test_start, count], told=told)
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


def _share(count: int, fraction: float) -> int:
    """A fraction of a count, rounded up, as in nanoGPT's split: 0.1 of 1,115,394 is 111,540."""
    return math.ceil(round(count * fraction, 6))  # 0.1 + 0.2 is a little more than 0.3


def corpus_digest(texts: Sequence[Text]) -> str:
    """One SHA-256 for several files: that of their own, in order."""
    return sha256("".join(text.sha256 for text in texts).encode())


def _file_record(text: Text) -> dict[str, Any]:
    return {"name": title(text.path), "bytes": text.bytes, "sha256": text.sha256}
