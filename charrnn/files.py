"""Files that are whole or absent: durable writes, digests, room on the disk."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from charrnn.errors import CharrnnError, DiskFullError, RunError

TEMPORARY_PREFIX = ".writing-"
"""What the name of a file that is not finished yet begins with."""

PLAIN = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NONBLOCK", "O_BINARY"))
"""How a file is opened whatever it is: a pipe without waiting, its bytes as they are."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NEVER_SYNCED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A stream to a file that is at `path` once the block ends, and not before.

    A crash at any moment leaves the old file or the new: temporary name, flush, fsync,
    rename, fsync of the directory; a failure removes the temporary file. Raises
    DiskFullError or RunError, also for an OSError of the block's own.
    """
    with failures_named(path):
        temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            with open(temporary, "xb") as stream:
                yield stream
                stream.flush()
                sync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):  # what failed first is what is told
                temporary.unlink()
            raise
        sync_directory(path.parent)


@contextlib.contextmanager
def output_file(path: Path) -> Iterator[BinaryIO]:
    """A stream to where a user said: as `whole_file`; a link is followed, a pipe written to.

    Raises as `whole_file`.
    """
    with failures_named(path):
        try:
            special = not stat.S_ISREG(path.stat().st_mode)
        except FileNotFoundError:
            special = False
        if special:
            with open(path, "wb") as stream:
                yield stream
            return
    with whole_file(Path(os.path.realpath(path))) as stream:
        yield stream


def write_file(path: Path, data: bytes) -> None:
    """Put `data` at `path`; raises as `whole_file`."""
    with whole_file(path) as stream:
        stream.write(data)


def write_output(path: Path, data: bytes) -> None:
    """Put `data` where a user said; raises as `output_file`."""
    with output_file(path) as stream:
        stream.write(data)


def write_json(path: Path, value: object) -> None:
    """Put `value` at `path` as indented JSON, durably; raises as `write_file`."""
    # ASCII, because a path may hold bytes that are no UTF-8.
    write_file(path, (json.dumps(value, indent=2, ensure_ascii=True) + "\n").encode())


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, at once whatever it is; a pipe or a device raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | PLAIN)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(descriptor, "rb")


def sync(descriptor: int) -> None:
    """Return when what an open file holds would survive a power cut; raises OSError."""
    if sys.platform == "darwin":  # whose fsync leaves it in the drive's own memory
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Make what was renamed, created or removed in a directory survive a power cut.

    Raises OSError, but not where a file system knows no such thing.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(descriptor)
    except OSError as error:
        if error.errno not in _NEVER_SYNCED:
            raise
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory and those above it, durably; one that is there is left as it is.

    Raises DiskFullError or RunError.
    """
    with failures_named(path):
        missing = [each for each in (path, *path.parents) if not each.exists()]
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            sync_directory(each.parent)
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def free_space(directory: Path) -> int:
    """How many bytes this user may still write there; a great many where that is not known."""
    from shutil import disk_usage  # not for those who only look for help

    try:
        room = disk_usage(directory)
    except OSError:
        return sys.maxsize
    return room.free if room.total else sys.maxsize


def check_space(directory: Path, needed: int) -> None:
    """Raise DiskFullError unless `needed` bytes can still be written in a directory."""
    free = free_space(directory)
    if free < needed:
        raise DiskFullError(
            f"{directory}: {_size(needed)} needed, {_size(free)} free",
            "free some space, or give a --checkpoint-dir on another disk",
        )


def _size(size: int) -> str:
    """A number of bytes for people."""
    for unit, name in (10**9, "GB"), (10**6, "MB"), (10**3, "kB"):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def sha256(data: bytes) -> str:
    """The SHA-256 of `data`, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def failures_named(path: Path) -> Iterator[None]:
    """Turn an OSError inside into a CharrnnError that names `path`."""
    try:
        yield
    except OSError as error:
        raise failure(path, error) from error


def failure(what: Path | str, error: OSError) -> CharrnnError:
    """The error that says that writing `what` failed: DiskFullError or RunError."""
    reason = error.strerror or str(error)
    if error.errno in _NO_SPACE:
        return DiskFullError(
            f"{what}: {reason}", "free some space, and try again; charrnn train --resume goes on"
        )
    return RunError(f"{what}: {reason}", "check that the directory exists and can be written")
