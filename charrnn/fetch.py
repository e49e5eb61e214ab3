"""Standard texts, downloaded: whole and right, or not there."""

import contextlib
import hashlib
import re
import shlex
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from charrnn.cache import sweep
from charrnn.catalogue import StandardText
from charrnn.download import PAUSES, download
from charrnn.errors import DiskFullError, TextError
from charrnn.files import check_space, failures_named, make_directory, whole_file, write_file

_PIECE = 2**20  # bytes
_AGAIN = "it may have been changed on its way, or replaced: try again, or from another network"


class Fetched(NamedTuple):
    """A standard text that lies in a directory."""

    path: Path
    bytes: int
    sha256: str
    proof: str
    """what the SHA-256 was held to: "catalogue", "record" (that of the first download), or
    "none" where this is the first"""
    downloaded: bool


def text_path(text: StandardText, directory: Path) -> Path:
    """Where a text lies in a directory."""
    return directory / f"{text.name}.txt"


def record_path(text: StandardText, directory: Path) -> Path:
    """Where the SHA-256 of its first download is kept, as `sha256sum -c` reads it."""
    return directory / f".{text.name}.sha256"


def fetch(
    text: StandardText,
    directory: Path,
    *,
    received: Callable[[int], object],
    told: Callable[[str], object],
    pauses: Sequence[float] = PAUSES,
) -> Fetched:
    """A standard text at `<directory>/<name>.txt`, downloaded unless it is there already.

    It is held to the SHA-256 of the catalogue; where that has none, to that of the first
    download, which is recorded beside it. The text is there once it is verified, and nothing
    else is left. Raises TextError where another text is in its place, was recorded or was
    received, DiskFullError or RunError, and as `download`, whose callbacks these are.
    """
    path, record = text_path(text, directory), record_path(text, directory)
    proof, expected = _expected(text, record)
    with failures_named(path):
        if path.is_symlink() or path.exists():
            return _present(path, record, proof, expected)
    with _directory(directory), failures_named(directory):
        sweep(directory)
        check_space(directory, text.size + text.download_size)
        # A file without a name: whatever becomes of this process, it is gone afterwards.
        with tempfile.TemporaryFile(dir=directory) as stream:
            download(
                *(text.address, stream),
                limit=_limit(text.download_size),
                pauses=pauses,
                received=received,
                told=told,
            )
            with whole_file(path) as whole:
                size, digest = _copied(text, stream, whole)
                if expected not in (None, digest):
                    raise _another(text, record, proof, size, digest)
                if expected is None:  # before the text: it is there, or the text is not
                    write_file(record, f"{digest}  {path.name}\n".encode())
    return Fetched(path, size, digest, proof, True)


def _expected(text: StandardText, record: Path) -> tuple[str, str | None]:
    """What a text is held to, and its SHA-256."""
    if text.sha256 is not None:
        return "catalogue", text.sha256
    with failures_named(record):
        try:
            kept = record.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return "none", None
    found = re.match(rb"[0-9a-f]{64}(?= )", kept)
    if found is None:
        raise TextError(f"{record}: holds no SHA-256", f"remove it, and {text.name} is taken anew")
    return "record", found[0].decode()


def _present(path: Path, record: Path, proof: str, expected: str | None) -> Fetched:
    """What is at a text's place; raises TextError unless it is that text."""
    if not path.is_file():
        raise TextError(f"{path}: is there, but no file", "move it away, and fetch again")
    if expected is None:
        raise TextError(
            f"{path}: is there already, and nothing says whether it is what fetch would bring",
            "move it away to fetch the text, or train on it as it is",
        )
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = stream.tell()
    if digest != expected:
        against = "the catalogue's" if proof == "catalogue" else f"what {record} holds"
        raise TextError(
            f"{path}: is there already, and is another text: {size:,} bytes whose SHA-256, "
            f"{digest[:12]}..., is not {against}",
            "move it away to fetch the text, or train on it as it is",
        )
    return Fetched(path, size, digest, proof, False)


def _copied(text: StandardText, stream: BinaryIO, whole: BinaryIO) -> tuple[int, str]:
    """Copy the text out of what was downloaded: its bytes and their SHA-256."""
    stream.seek(0)
    if text.member is None:
        return _hashed(text, stream, whole)
    try:
        with zipfile.ZipFile(stream) as archive, archive.open(text.member) as member:
            return _hashed(text, member, whole)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError, ValueError) as error:
        raise TextError(
            f"{text.address}: is no zip archive with a sound {text.member} in it: {error}", _AGAIN
        ) from None


def _hashed(text: StandardText, source: IO[bytes], whole: BinaryIO) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    while piece := source.read(_PIECE):
        size += len(piece)
        if size > _limit(text.size):  # an archive of a few bytes can hold any number
            raise TextError(f"{text.address}: holds more than {text.name} can be", _AGAIN)
        digest.update(piece)
        whole.write(piece)
    return size, digest.hexdigest()


def _another(text: StandardText, record: Path, proof: str, size: int, digest: str) -> TextError:
    """The error that says that what came is another text."""
    if proof == "record":
        return TextError(
            f"{text.address}: {size:,} bytes, and not the text that was downloaded first "
            f"(its SHA-256 is in {record})",
            f"if it has a new edition that you want: rm {shlex.quote(str(record))}",
        )
    what = f"its SHA-256 is {digest[:12]}..., not {str(text.sha256)[:12]}..."
    if size != text.size:
        what = f"{size:,} bytes, not {text.size:,}"
    return TextError(f"{text.address}: holds another text than {text.name}: {what}", _AGAIN)


def _limit(size: int) -> int:
    """What a text or an archive can surely not exceed, in bytes: its size may be a rough one."""
    return 2 * size + 2**20


@contextlib.contextmanager
def _directory(path: Path) -> Iterator[None]:
    """A directory, and those above it; after a failure those made for it are gone again.

    Raises DiskFullError or RunError, the former with a hint of its own.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    make_directory(path)
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(OSError):
            for each in missing:
                each.rmdir()
        if isinstance(error, DiskFullError):
            raise DiskFullError(error.message, "free some space, or give --directory") from error
        raise
