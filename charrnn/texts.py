"""Text files to text, piece by piece, or in words what a file is instead."""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from charrnn import diagnosis
from charrnn.beside import Digest
from charrnn.documents import BROKEN, is_piped, open_document
from charrnn.errors import TextError
from charrnn.reading import BYTES, Decoder, Reading

CHUNK = 2**20
"""Bytes that are read at once."""

PLAIN = Reading()

Told = Callable[[int], object]
"""Is told, after each piece, how many bytes it was."""


@dataclass(frozen=True)
class Text:
    """What proves later that a file's text is still the same."""

    path: Path
    characters: int
    bytes: int
    """of the file; of a compressed one, decompressed"""
    sha256: str
    """of these bytes"""
    byte_order_mark: bool = False
    """whether the file began with one; it is no part of the text"""


class Pieces(Iterator[str]):
    """A file's text in pieces of at most about a million characters, read as they are asked for.

    Raises TextError where the file is missing, empty, or not text.
    """

    def __init__(self, path: Path, reading: Reading = PLAIN, *, proven: bool = True) -> None:
        """`proven`: whether `text` will be asked for, which takes time."""
        self.read = 0
        """bytes, so far"""
        self._path = path
        self._reading = reading
        self._digest = Digest() if proven else None
        self._decoder = Decoder(reading)
        self._characters = 0
        self._pieces = self._all()

    def __next__(self) -> str:
        return next(self._pieces)

    @property
    def text(self) -> Text:
        """What the file is; to be asked once it has been read to its end."""
        assert self._digest
        return Text(
            self._path,
            self._characters,
            self.read,
            self._digest.hexdigest(),
            self._decoder.byte_order_mark,
        )

    def _all(self) -> Iterator[str]:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(contextlib.closing(_opened(self._path)))
            if self._digest:
                stack.enter_context(contextlib.closing(self._digest))
            yield from self._of(stream)

    def _of(self, stream: BinaryIO) -> Iterator[str]:
        path = Path("stdin") if is_piped(self._path) else self._path
        reading = self._reading
        try:
            _check_kind(path, stream, reading)
            while data := stream.read(CHUNK):
                if self._digest:
                    self._digest.update(data)
                text = self._decoder.feed(data)
                self.read += len(data)
                self._characters += len(text)
                if text:
                    yield text
            text = self._decoder.end()
        except UnicodeDecodeError as error:
            raise _not_decoded(path, stream, reading.encoding, error) from None
        except (OSError, *BROKEN) as error:
            raise _unreadable(path, error, "is the disk in order?") from None
        self._characters += len(text)
        if text:
            yield text
        if not self.read:
            raise TextError(f"{path}: the file is empty", "give a file with text in it")
        if not self._characters:
            raise TextError(
                f"{path}: the file holds a byte-order mark and no text",
                "give a file with text in it",
            )


def read_text(path: Path, reading: Reading = PLAIN) -> str:
    """The whole text of a file; raises as `Pieces`."""
    return "".join(Pieces(path, reading, proven=False))


def decode(path: Path, data: bytes) -> str:
    """The text that bytes of UTF-8 from elsewhere are; `path` names them. Raises as `Pieces`."""
    stream = io.BytesIO(data)
    return "".join(Pieces(path, proven=False)._of(stream))


def joined(
    paths: Sequence[Path],
    reading: Reading = PLAIN,
    separator: str = "",
    *,
    told: Told = lambda _: None,
    finished: Callable[[Text], object] | None = None,
) -> Iterator[str]:
    """The text of several files piece by piece, a separator between two of them.

    `finished`, where there is one, is given what each file was. Raises as `Pieces`.
    """
    for number, path in enumerate(paths):
        if number and separator:
            yield separator
        pieces, before = Pieces(path, reading, proven=finished is not None), 0
        for piece in pieces:
            yield piece
            told(pieces.read - before)
            before = pieces.read
        if finished:
            finished(pieces.text)


def _opened(path: Path) -> BinaryIO:
    try:
        return open_document(path)
    except FileNotFoundError:
        raise diagnosis.missing(path) from None
    except IsADirectoryError:
        raise TextError(
            f"{path}: is a directory", f"name the files in it, for example {path}/*.txt"
        ) from None
    except (OSError, ValueError, *BROKEN) as error:
        raise _unreadable(path, error, "check the file's permissions") from None


def _unreadable(path: Path, error: Exception, hint: str) -> TextError:
    if isinstance(error, OSError) and error.errno:
        return TextError(f"{path}: {error.strerror}", hint)
    if isinstance(error, (OSError, *BROKEN)):  # bz2's has no number
        return TextError(
            f"{path}: its compressed data is damaged or cut short", "get the file anew"
        )
    return TextError(f"{path}: {error}", hint)


def _check_kind(path: Path, stream: BinaryIO, reading: Reading) -> None:
    """Raise TextError where a file's first bytes show that it is no text of its encoding."""
    if reading.encoding == BYTES:
        return
    other = diagnosis.other_kind(path, stream)
    stream.seek(0)
    if other is None and not reading.encoding.startswith(("utf-16", "utf-32")):
        other = diagnosis.wide(path, stream.read(4000))
        stream.seek(0)
    if other:
        raise other


def _not_decoded(
    path: Path, stream: BinaryIO, encoding: str, error: UnicodeDecodeError
) -> TextError:
    stream.seek(0)
    line, left = 1, error.start
    while left > 0 and (data := stream.read(min(left, CHUNK))):
        line += data.count(b"\n")
        left -= len(data)
    return diagnosis.not_decoded(path, encoding, (error.start, line), stream)
