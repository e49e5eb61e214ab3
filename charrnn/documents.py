"""The files that a corpus is made of: found by name, folder and pattern, opened, decompressed."""

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import os
import secrets
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from charrnn import diagnosis
from charrnn.cache import cache_directory, room, use
from charrnn.errors import TextError
from charrnn.files import TEMPORARY_PREFIX, failures_named, whole_file
from charrnn.reading import BYTES, Decoder, Reading

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STDIN = Path("-")

BROKEN = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zstd.ZstdError, zlib.error)
"""What reading a compressed document raises where it is damaged."""

_GZIP, _XZ, _ZSTD = b"\x1f\x8b\x08", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_BZIP2, _BZIP2_BLOCK = b"BZh", b"1AY&SY"
_HEAD = 2**16  # bytes by which a folder's file is judged
_CHUNK = 2**20
_PIPED = "piped"
_OF_THE_SYSTEM = ("/proc/", "/sys/", "/dev/")  # files that may never end
_PATTERN = set("*?[")


class Found(NamedTuple):
    """What names stand for."""

    paths: list[Path]
    passed_over: list[Path]
    """files of folders and patterns that are empty, or no text in the encoding"""


def find(names: Sequence[Path], reading: Reading) -> Found:
    """The documents that names of files, folders and patterns stand for, in order.

    A folder stands for all files in it and below it that are text, by path; what begins
    with a dot is left out, also of what a pattern without one matches. Raises TextError
    where a name stands for none.
    """
    paths: list[Path] = []
    passed_over: list[Path] = []
    for name in names:
        if name.is_dir():
            several = list(_walk(name))
        elif _PATTERN & set(str(name)) and not name.exists():
            anchor = Path(name.anchor) if name.is_absolute() else Path()
            pattern = str(name.relative_to(anchor))
            several = [path for path in anchor.glob(pattern) if _is_meant(path, pattern)]
        else:
            paths.append(spooled(name))
            continue
        found: list[Path] = []
        for path in sorted(several, key=lambda path: path.parts):
            (found if _is_text(path, reading) else passed_over).append(path)
        if not found:
            others = f" ({len(several):,} others)" if several else ""
            raise TextError(
                f"{name}: no file of text there{others}", "name the files, or --encoding bytes"
            )
        paths += found
    return Found(paths, passed_over)


def _walk(folder: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(folder):
        if _is_of_the_system(at):
            folders[:] = []
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = (Path(at, name) for name in names if not name.startswith("."))
        yield from (path for path in files if path.is_file())


def _is_meant(path: Path, pattern: str) -> bool:
    """Whether what a pattern matches is a file, and not hidden or the system's own."""
    if _is_hidden(path) and not _is_hidden(Path(pattern)):
        return False
    return path.is_file() and not _is_of_the_system(path.parent)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") and part != ".." for part in path.parts)


def _is_of_the_system(folder: Path | str) -> bool:
    return f"{os.path.realpath(folder)}/".startswith(_OF_THE_SYSTEM)


def _is_text(path: Path, reading: Reading) -> bool:
    """Whether a file begins as a text does."""
    try:
        with open_document(path) as stream:
            if reading.encoding != BYTES and diagnosis.other_kind(path, stream):
                return False
            stream.seek(0)
            head = stream.read(_HEAD)
        if reading.encoding == BYTES:
            return bool(head)
        if reading.encoding == "utf-8" and b"\0" in head:
            return False
        return bool(Decoder(reading).feed(head))
    except (OSError, UnicodeDecodeError, *BROKEN):
        return False


def open_document(path: Path) -> BinaryIO:
    """A document's bytes, those of a compressed file decompressed; raises OSError."""
    stream = open(path, "rb")
    try:
        head = stream.peek(16)
    except BaseException:
        stream.close()
        raise
    if head.startswith(_GZIP):
        return cast(BinaryIO, _Owning(gzip.GzipFile(fileobj=stream), stream))
    if head.startswith(_XZ):
        return cast(BinaryIO, _Owning(lzma.LZMAFile(stream), stream))
    if head.startswith(_ZSTD):
        return cast(BinaryIO, _Owning(zstd.ZstdFile(stream), stream))
    if head.startswith(_BZIP2) and head[4:].startswith(_BZIP2_BLOCK):
        return cast(BinaryIO, _Owning(bz2.BZ2File(stream), stream))
    return stream


def is_compressed(path: Path) -> bool:
    """Whether a file's bytes are not those of its document."""
    with contextlib.suppress(OSError), open_document(path) as stream:
        return isinstance(stream, _Owning)
    return False


class _Owning(io.BufferedReader):
    """A decompressing stream that closes the file beneath it."""

    def __init__(self, raw: io.BufferedIOBase, below: BinaryIO) -> None:
        super().__init__(cast(io.RawIOBase, raw), _CHUNK)
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()


def spooled(path: Path) -> Path:
    """A file with the bytes of stdin ("-") or of a pipe, which can be read only once.

    Any other path is given back as it is. The file is kept in the user's cache, by its
    content. Raises TextError, DiskFullError or RunError.
    """
    try:
        if path != STDIN and not _is_pipe(path):
            cache = cache_directory()
            if cache and path.parent == cache / _PIPED:
                use(path)
            return path
        folder = room(_PIPED)
        if folder is None:
            raise TextError(
                f"{path}: needs a home directory to be kept in", "put it into a file first"
            )
        # Not sys.stdin, which Python cannot close while something waits there.
        with open(os.dup(0) if path == STDIN else path, "rb") as stream:
            return _kept(stream, folder, "stdin" if path == STDIN else str(path))
    except OSError as error:
        raise TextError(f"{path}: {error.strerror}", "give a file with text in it") from None


def title(path: Path) -> str:
    """A document's name for people: what was piped in has none of its own."""
    return "stdin" if is_piped(path) else path.name


def is_piped(path: Path) -> bool:
    """Whether a file is what `spooled` keeps of a pipe."""
    return path.parent.name == _PIPED and len(path.stem) == 64


def _kept(stream: BinaryIO, folder: Path, name: str) -> Path:
    digest, copied = hashlib.sha256(), folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}-copy"
    with whole_file(copied) as copy:
        while data := stream.read(_CHUNK):
            digest.update(data)
            copy.write(data)
        if not copy.tell():
            raise TextError(f"{name}: there is nothing in it", "pipe a text into it")
    kept = folder / f"{digest.hexdigest()}.txt"
    with failures_named(kept):
        os.replace(copied, kept)
    return kept


def _is_pipe(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise TextError(f"{path}: is a device, which may never end", "- is standard input")
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
