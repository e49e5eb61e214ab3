"""Files that are whole or absent: durable writes, digests, locks."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from charrnn.errors import CharrnnError, DiskFullError, LockedError, RunError

TEMPORARY_PREFIX = ".writing-"
"""What the name of a file that is not finished yet begins with."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_file(path: Path, data: bytes) -> None:
    """Put `data` at `path`, so that a crash at any moment leaves the old file or the new.

    Temporary name, flush, fsync, rename, fsync of the directory; a failure removes
    the temporary file. Raises DiskFullError or RunError.
    """
    with failures_named(path):
        temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            with open(temporary, "xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def write_output(path: Path, data: bytes) -> None:
    """Put `data` where a user said, durably for a file; a link is followed, a pipe written to.

    Raises DiskFullError or RunError.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        with failures_named(path):
            target.write_bytes(data)
    else:
        write_file(target, data)


def write_json(path: Path, value: object) -> None:
    """Put `value` at `path` as indented JSON, durably; raises as `write_file`."""
    # ASCII, because a path may hold bytes that are no UTF-8.
    write_file(path, (json.dumps(value, indent=2, ensure_ascii=True) + "\n").encode())


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, at once whatever it is; a pipe or a device raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(descriptor, "rb")


def sync_directory(path: Path) -> None:
    """Make what was renamed, created or removed in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(data: bytes) -> str:
    """The SHA-256 of `data`, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`, which a process that dies gives back by dying.

    Raises LockedError, naming `what` and the process that holds it.
    """
    import fcntl  # absent on Windows, where only training needs it

    with failures_named(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        for attempt in range(3):  # `is_locked` holds it for a moment
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt < 2:
                    time.sleep(0.05)
                    continue
                holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
                raise LockedError(
                    f"{what}: in use by {holder or 'another process'}", "wait until it has ended"
                ) from None
            except OSError:  # a file system without locks: go on unprotected
                break
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file `path`."""
    import fcntl

    try:
        with open(path, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


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
            f"{what}: {reason}", "free some space; charrnn train goes on with --resume"
        )
    return RunError(f"{what}: {reason}", "check that the directory exists and can be written")
