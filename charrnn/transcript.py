"""The training part of a corpus whose files' bytes are not its text, written down once.

It lies in the user's cache by its SHA-256, as UTF-8, or as bytes where a model reads those,
and with it is remembered which of its bytes are from which file.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from charrnn.cache import Facts, are_settled, recall, remember, room, use
from charrnn.census import facts_of_files
from charrnn.errors import CharrnnError, TextError
from charrnn.files import whole_file
from charrnn.original import MAPPED, Original
from charrnn.reading import BYTES, Reading
from charrnn.texts import Text, joined

_FOLDER = "texts"


class _AnotherText(Exception):  # noqa: N818
    """What stands in the files is not what was to be written."""


def transcript(
    paths: Sequence[Path],
    reading: Reading,
    separator: str,
    count: int,
    known: str,
    told: Callable[[str], object] = lambda _: None,
) -> Original | None:
    """The first `count` characters of documents, by their SHA-256; None if that is another.

    What was written is found again as long as nobody has touched the documents. A small text
    is written and read at once, and so is one where there is no cache to write to. `told` gets
    a line before what takes time. Raises TextError, DiskFullError or RunError.
    """
    facts = facts_of_files(paths)
    folder = None
    if sum(each[2] for each in facts) >= MAPPED:
        with contextlib.suppress(CharrnnError):
            folder = room(_FOLDER)
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="charrnn-") as passing:
            return _written(Path(passing), paths, reading, separator, count, known)
    found = _found(folder, facts, paths, reading, known)
    if found is None:
        told("reading the training text, once")
        found = _written(folder, paths, reading, separator, count, known, facts)
    return found


def _found(
    folder: Path, facts: Facts, paths: Sequence[Path], reading: Reading, known: str
) -> Original | None:
    """What was written before, if it is whole."""
    starts = (recall(f"{known}-files", facts) or {}).get("starts")
    if not isinstance(starts, list) or not 0 < len(starts) <= len(paths):
        return None
    if not all(type(start) is int for start in starts) or starts != sorted({0, *starts}):
        return None
    path = folder / f"{known}.txt"
    if not path.is_file():  # a pipe would be waited for
        return None
    with contextlib.suppress(TextError):
        text = Original([path], of_bytes=reading.encoding == BYTES)
        use(path)
        if _is_whole(text, known):
            text.comes_from(paths, starts)
            return text
    return None


def _is_whole(text: Original, known: str) -> bool:
    if recall(known, text.facts) is not None:
        return True
    settled, digest = are_settled(text.facts), hashlib.sha256()
    for data in text.chunks():
        digest.update(data)
    text.forget()
    if digest.hexdigest() != known:
        return False
    if settled:
        remember(known, text.facts, {})
    return True


def _written(
    folder: Path,
    paths: Sequence[Path],
    reading: Reading,
    separator: str,
    count: int,
    known: str,
    facts: Facts | None = None,
) -> Original | None:
    """The text, written to a folder; where it came from is remembered by `facts`."""
    settled = facts is not None and are_settled(facts)
    digest, size, starts = hashlib.sha256(), 0, [0]
    between = len(reading.utf8_of(separator))

    def finished(_: Text) -> None:
        starts.append(size + between)

    path = folder / f"{known}.txt"
    try:
        with whole_file(path) as stream:
            for piece in joined(paths, reading, separator, finished=finished):
                data = reading.utf8_of(piece[:count])
                digest.update(data)
                stream.write(data)
                size += len(data)
                count -= len(piece)
                if count <= 0:
                    break
            if digest.hexdigest() != known:
                raise _AnotherText
    except _AnotherText:
        return None
    starts = starts[: len(paths)]
    if facts is not None and settled:
        remember(f"{known}-files", facts, {"starts": starts})
    text = Original([path], of_bytes=reading.encoding == BYTES)
    text.comes_from(paths, starts)
    return text
