"""Which characters a text has, and how often: the first of two readings of a corpus."""

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.cache import Facts, are_settled, facts_of, recall, remember
from charrnn.errors import UsageError
from charrnn.files import sha256
from charrnn.reading import BYTES, Reading
from charrnn.texts import Text, Told, joined
from charrnn.tokenizer import ALL_BYTES, Vocabulary, code_points

LARGE = 2**24
"""Bytes of files from which on what was found is kept in the user's cache."""

_VERSION = 1  # to be raised with whatever changes what is found


class Counts:
    """How often each character of Unicode has come."""

    def __init__(self) -> None:
        self._all = np.zeros(0x110000, dtype=np.int64)
        self._pairs = np.zeros(2**16, dtype=np.int64)  # of ASCII, which are counted faster

    def add(self, text: str) -> None:
        """Count a piece of text."""
        if not text.isascii():
            points = code_points(text)
            self._all[: int(points.max()) + 1] += np.bincount(points)
            return
        data = np.frombuffer(text.encode(), dtype=np.uint8)
        if len(data) % 2:
            self._all[data[-1]] += 1
        if len(data) < 2**16:
            self._all[:128] += np.bincount(data[: len(data) // 2 * 2], minlength=128)
        else:
            self._pairs += np.bincount(data[: len(data) // 2 * 2].view(np.uint16), minlength=2**16)

    def table(self) -> NDArray[np.int64]:
        """The count of every code point, (0x110000,)."""
        pairs = self._pairs.reshape(256, 256)
        found = self._all.copy()
        found[:256] += pairs.sum(0) + pairs.sum(1)
        return found


@dataclass(frozen=True)
class Census:
    """What the files of a text hold."""

    texts: tuple[Text, ...]
    """in the order in which they stand one after the other"""
    counts: dict[int, int]
    """of each code point there is, the separators between documents included"""
    facts: Facts
    """of the files, as they were before they were read"""

    @property
    def characters(self) -> int:
        """How many there are, in all."""
        return sum(self.counts.values())


def take(
    paths: Sequence[Path],
    reading: Reading,
    separator: str = "",
    *,
    again: bool = False,
    told: Told = lambda _: None,
) -> Census:
    """Read files and count their characters, a separator standing between two of them.

    What was found in large files is remembered, and told without reading them while the
    system says that nobody has touched them, but not `again`. Raises TextError.
    """
    facts = facts_of_files(paths)
    size = sum(each[2] for each in facts)
    name = sha256(json.dumps([_VERSION, "census", facts, vars(reading), separator]).encode())
    if size >= LARGE and not again:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return _from_json(recall(name, facts) or {}, paths, facts)
    settled = are_settled(facts)
    counts, texts = Counts(), list[Text]()
    for piece in joined(paths, reading, separator, told=told, finished=texts.append):
        counts.add(piece)
    table = counts.table()
    found = Census(tuple(texts), {int(p): int(table[p]) for p in np.flatnonzero(table)}, facts)
    if size >= LARGE and settled:
        remember(name, facts, _to_json(found))
    return found


def vocabulary_of(
    censuses: Sequence[Census],
    reading: Reading,
    *,
    least: int = 1,
    base: Vocabulary | None = None,
) -> Vocabulary:
    """The vocabulary of texts: the commonest character first, equals by code point.

    Those that come fewer than `least` times become one `unknown`. `base` is another model's,
    whose characters keep their ids; those that are new to it follow. Raises UsageError.
    """
    if reading.encoding == BYTES:
        return Vocabulary(ALL_BYTES, reading)
    counts: dict[int, int] = {}
    for census in censuses:
        for point, count in census.counts.items():
            counts[point] = counts.get(point, 0) + count
    first = base.characters if base else ""
    known = set(first)
    ordered = sorted(counts, key=lambda point: (-counts[point], point))
    kept = [chr(point) for point in ordered if counts[point] >= least]
    characters = first + "".join(character for character in kept if character not in known)
    known.update(kept)
    if not characters:
        raise UsageError(f"--min-count {least}: no character comes so often", "give a smaller one")
    rare = any(chr(point) not in known for point in counts)
    return Vocabulary(characters, reading, rare or bool(base and base.unknown))


def facts_of_files(paths: Sequence[Path]) -> Facts:
    """What the system says of files; zeros of one that is not there."""
    facts = []
    for path in paths:
        try:
            facts.append(facts_of(os.stat(path)))
        except (OSError, ValueError):
            facts.append([0] * 5)  # reading it will say what is wrong
    return facts


def _to_json(census: Census) -> dict[str, Any]:
    texts = [{**vars(text), "path": None} for text in census.texts]
    return {"texts": texts, "counts": list(map(list, census.counts.items()))}


def _from_json(data: dict[str, Any], paths: Sequence[Path], facts: Facts) -> Census:
    texts = [
        Text(**{**text, "path": path}) for text, path in zip(data["texts"], paths, strict=True)
    ]
    return Census(tuple(texts), {int(p): int(count) for p, count in data["counts"]}, facts)
