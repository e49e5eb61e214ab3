"""The training part of a checkpoint's corpus as bytes, and the proof that it is the same.

What was proven once is remembered in the cache by what the system says of the files (device,
inode, size, times), so that a text that nobody has touched is not read again.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from charrnn.cache import Facts, are_settled, recall, remember
from charrnn.checkpoints import ModelRecord
from charrnn.documents import BROKEN, find, is_compressed, open_document
from charrnn.errors import UsageError
from charrnn.heldout import changed, moved_named, recorded_paths
from charrnn.original import MAPPED, Original, beginnings, in_memory
from charrnn.reading import BYTES, Reading
from charrnn.transcript import transcript

_DIGITS = re.compile("[0-9a-f]{64}")
_CHUNK = 2**20  # bytes
_MOST_NAMED = 5  # files
_MOST_IN_MEMORY = 2**26  # bytes


def training_text(
    checkpoint: Path,
    record: ModelRecord,
    corpus: Sequence[Path] | None = None,
    told: Callable[[str], object] = lambda _: None,
) -> Original:
    """The text that a checkpoint was trained on, without what was held out of it.

    `corpus` says where its files are; left out, the run.json beside the checkpoint does.
    `told` gets a line about what takes time. Raises TextError where the text is gone or has
    changed, UsageError where there is none, and as `transcript` does.
    """
    part, reading = record.corpus["splits"]["train"], record.vocabulary.reading
    count, known = int(part["end"]), str(part["sha256"])
    if not count:
        raise UsageError(f"{checkpoint}: was trained on no text")
    if not _DIGITS.fullmatch(known):  # a checkpoint may be a stranger's
        raise changed([])
    names = list(corpus) if corpus else recorded_paths(checkpoint, record, "train")
    separator = str(record.corpus.get("separator", ""))
    with moved_named(names):
        paths = find(names, reading).paths
        if _lies_there(paths, reading, separator):
            text = _where_it_lies(paths, reading, count, known)
        else:
            text = transcript(paths, reading, separator, count, known, told)
    if text is None:
        hashes = {file["sha256"] for file in record.corpus["files"]}
        others = (str(path) for path in paths if _sha256(path) not in hashes)
        raise changed([name for name, _ in zip(others, range(_MOST_NAMED), strict=False)])
    text.sha256 = known
    return text


def _lies_there(paths: Sequence[Path], reading: Reading, separator: str) -> bool:
    """Whether the bytes of some files are the text, but for byte-order marks, and can be mapped."""
    return (
        (reading.is_plain or reading == Reading(BYTES))
        and (not separator or len(paths) == 1)
        and in_memory(paths) <= _MOST_IN_MEMORY
        and not any(map(is_compressed, paths))
    )


def _where_it_lies(
    paths: Sequence[Path], reading: Reading, count: int, known: str
) -> Original | None:
    text = Original(paths, of_bytes=reading.encoding == BYTES)
    settled, size = are_settled(text.facts), _recall(known, text.facts)
    if size is None:
        size = _proven(text, count, known)
        if size is None:
            return None
        # Spare the next process the proof, where it would take time.
        if size >= MAPPED and all(each[2] for each in text.facts) and settled:
            remember(known, text.facts, {"bytes": size})
    text.end_at(size)
    return text


def _proven(text: Original, count: int, known: str) -> int | None:
    """The bytes of the first `count` characters, or None if their SHA-256 is another."""
    digest, size = hashlib.sha256(), 0
    for data in text.chunks():
        if text.of_bytes:
            there = len(data)
            data = data[:count]
        else:
            begins = beginnings(data)
            there = int(np.count_nonzero(begins))
            if there > count:
                data = data[: int(np.flatnonzero(begins)[count])]
        digest.update(data)
        size += len(data)
        count -= there
        if count < 0:
            break
    text.forget()
    return size if digest.hexdigest() == known else None


def _recall(known: str, facts: Facts) -> int | None:
    """The bytes of a training part that was proven in these very files."""
    size = (recall(known, facts) or {}).get("bytes")
    return size if isinstance(size, int) and 0 < size <= sum(each[2] for each in facts) else None


def _sha256(path: Path) -> str:
    """Of a document; nothing where it cannot be read."""
    digest = hashlib.sha256()
    with contextlib.suppress(OSError, *BROKEN), open_document(path) as stream:
        while data := stream.read(_CHUNK):
            digest.update(data)
        return digest.hexdigest()
    return ""
