"""Texts as a model reads them: ids, what is held out, and the batches of training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.errors import TextError, UsageError
from charrnn.files import sha256
from charrnn.seeds import derive
from charrnn.texts import Text, read_text
from charrnn.tokenizer import Vocabulary, count_characters

Ids = NDArray[np.integer[Any]]

SPLITS = ("train", "val", "test")


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
    bounds: dict[str, tuple[int, int]]
    """by split, the first character and the one after the last, in its text"""

    def trained_on(self) -> list[Path]:
        """The held-out files that are the same as a file of the corpus."""
        known = {text.sha256 for text in self.texts}
        return [text.path for text in self.held_out.values() if text.sha256 in known]

    def record(self) -> dict[str, Any]:
        """What proves years later that a text is the same one, for JSON."""
        return {
            "sha256": corpus_digest(self.texts),
            "characters": sum(len(text.characters) for text in self.texts),
            "files": [_file_record(text) for text in self.texts],
            "splits": {split: self._split_record(split) for split in SPLITS},
        }

    def _split_record(self, split: str) -> dict[str, Any]:
        start, end = self.bounds[split]
        own = self.held_out.get(split)
        return {
            "file": own and _file_record(own),
            "start": start,
            "end": end,
            "sha256": sha256(self.vocabulary.decode(self.ids[split]).encode()),
        }


def read_corpus(
    paths: Sequence[Path],
    *,
    val_fraction: float = 0.1,
    test_fraction: float = 0.0,
    val_file: Path | None = None,
    test_file: Path | None = None,
) -> Corpus:
    """Read texts, one after the other, and hold out what scores will be taken on.

    A split has its own file, or else a fraction off the end: train, val, test.
    Raises TextError for a file that is not text, UsageError for impossible fractions.
    """
    if not paths:
        raise UsageError("no corpus given", "charrnn train FILE...")
    for flag, fraction in ("--val-frac", val_fraction), ("--test-frac", test_fraction):
        if not 0.0 <= fraction < 1.0:
            raise UsageError(f"{flag} {fraction:g}: must be at least 0 and below 1")
    val_fraction = 0.0 if val_file else val_fraction
    test_fraction = 0.0 if test_file else test_fraction
    if val_fraction + test_fraction >= 1.0:
        raise UsageError("--val-frac and --test-frac leave nothing to train on")
    texts = tuple(read_text(path) for path in paths)
    files = {"val": val_file, "test": test_file}
    held_out = {split: read_text(path) for split, path in files.items() if path}
    whole = "".join(text.characters for text in texts)
    everything = whole + "".join(text.characters for text in held_out.values())
    vocabulary = Vocabulary("".join(c for c, _ in count_characters(everything)))
    ids = vocabulary.encode(whole)
    test_start = len(ids) - _share(len(ids), test_fraction)
    val_start = len(ids) - _share(len(ids), val_fraction + test_fraction)
    bounds = {
        "train": (0, val_start),
        "val": (val_start, test_start),
        "test": (test_start, len(ids)),
    }
    parts: dict[str, Ids] = {split: ids[start:end] for split, (start, end) in bounds.items()}
    for split, text in held_out.items():
        parts[split] = vocabulary.encode(text.characters)
        bounds[split] = (0, len(parts[split]))
    return Corpus(texts, held_out, vocabulary, parts, bounds)


def _share(count: int, fraction: float) -> int:
    """A fraction of a count, rounded up, as in nanoGPT's split: 0.1 of 1,115,394 is 111,540."""
    return math.ceil(round(count * fraction, 6))  # 0.1 + 0.2 is a little more than 0.3


def corpus_digest(texts: Sequence[Text]) -> str:
    """One SHA-256 for several files: that of their own, in order."""
    return sha256("".join(text.sha256 for text in texts).encode())


def _file_record(text: Text) -> dict[str, Any]:
    return {"name": text.path.name, "bytes": text.bytes, "sha256": text.sha256}


class Batch(NamedTuple):
    """One step's reading."""

    inputs: NDArray[np.int64]
    """(T, B)"""
    targets: NDArray[np.int64]
    """(T, B), each the character after its input"""
    first: bool
    """whether the streams jump to new places, so that no state carries over"""


def windows_per_epoch(characters: int, seq_length: int, batch_size: int) -> int:
    """How many batches of T = `seq_length` by B = `batch_size` read a text once.

    Raises TextError where the text is shorter than one stream of them, UsageError where
    it is too short for B streams.
    """
    window = seq_length * batch_size
    if characters - 1 < window:
        if characters - 1 < seq_length:
            raise TextError(
                f"the training text has {characters:,} characters, fewer than one window of "
                f"{seq_length:,} and the character after it",
                f"give more text, or --seq-length {(characters - 1) // 2 or 1} --batch-size 1"
                if characters > 1
                else "give more text, or hold out less",
            )
        raise UsageError(
            f"--batch-size {batch_size} x --seq-length {seq_length}: one batch is more than the "
            f"training text's {characters:,} characters",
            f"--batch-size {(characters - 1) // seq_length} fits",
        )
    # Leave the epoch's offset a whole window to move in where the text is long enough.
    return max(1, (characters - seq_length) // window)


def batch(ids: Ids, *, seq_length: int, batch_size: int, seed: int, step: int) -> Batch:
    """The batch of a step (from 0), a pure function of its arguments.

    The text is cut into B contiguous streams that are read T characters at a time; each
    epoch begins at another offset, drawn from (seed, epoch).
    """
    per_epoch = windows_per_epoch(len(ids), seq_length, batch_size)
    epoch, window = divmod(step, per_epoch)
    stream = per_epoch * seq_length
    slack = len(ids) - 1 - batch_size * stream
    offset = derive(seed, "epoch", epoch) % (slack + 1)
    starts = offset + stream * np.arange(batch_size) + window * seq_length
    read = ids[starts + np.arange(seq_length + 1)[:, None]].astype(np.int64)
    return Batch(read[:-1], read[1:], window == 0)
