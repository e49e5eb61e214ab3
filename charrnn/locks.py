"""One process at a time: lock files, which a process that dies gives back by dying."""

import contextlib
import os
import platform
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from charrnn.errors import LockedError
from charrnn.files import PLAIN, failures_named, open_regular

_TRIES = 10
_HOLDER = re.compile(r"process (\d{1,10}) on (.+)")


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[bool]:
    """Hold the lock file `path`; yields whether it is really held.

    It is not where the file system has no locks: there only a living process of this
    machine, whose number the file holds, is in the way. Raises RunError, or LockedError,
    which names `what` and the process that holds it.
    """
    stream, held = _taken(path, what)
    with stream:
        _sign(stream, f"process {os.getpid()} on {platform.node()}\n")
        try:
            yield held
        finally:
            _sign(stream, "")  # the number will be another process's one day


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file `path`; no, where there are no locks."""
    try:
        with open_regular(path) as stream:
            _lock(stream, shared=True)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _taken(path: Path, what: str) -> tuple[BinaryIO, bool]:
    """The lock file, open, and whether it is locked; raises LockedError or RunError."""
    for attempt in range(_TRIES):
        with failures_named(path):
            # Never through a link: what it leads to would be written over.
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | PLAIN
            stream: BinaryIO = os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)
        try:
            held = _patiently(stream)
            if not held and _lives(_holder(stream)):
                raise LockedError(
                    f"{what}: in use by {_holder(stream)}",
                    f"wait until it has ended; if it is another program, remove {path}",
                )
            if not held or _is_at(path, stream):
                return stream, held
            if attempt == _TRIES - 1:  # a file system whose files are never the same
                return stream, False
        except BlockingIOError:
            holder = _holder(stream) or "another process"
            stream.close()
            raise LockedError(f"{what}: in use by {holder}", "wait until it has ended") from None
        except BaseException:
            stream.close()
            raise
        stream.close()  # removed or moved away between opening and locking
    raise AssertionError


def _patiently(stream: BinaryIO) -> bool:
    """`_lock`, tried a few times, because `is_locked` holds a lock for a moment."""
    for _ in range(2):
        with contextlib.suppress(BlockingIOError):
            return _lock(stream)
        time.sleep(0.05)
    return _lock(stream)


def _lock(stream: BinaryIO, *, shared: bool = False) -> bool:
    """Lock an open file, or say that it cannot be; BlockingIOError where another has."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(stream, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _is_at(path: Path, stream: BinaryIO) -> bool:
    """Whether an open file is the one of that name: else another process may lock that."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(stream.fileno()))
    except OSError:
        return False


def _sign(stream: BinaryIO, text: str) -> None:
    """Put `text` into the lock file, if that can be: on a full disk it locks all the same."""
    with contextlib.suppress(OSError):
        stream.seek(0)
        stream.write(text.encode())
        stream.truncate()  # last, so that a reader never finds it empty


def _holder(stream: BinaryIO) -> str:
    """What a lock file says of who holds it."""
    try:
        stream.seek(0)
        said = _HOLDER.match(stream.read(400).decode(errors="replace"))
    except OSError:
        return ""
    return said[0] if said and said[0].isprintable() else ""


def _lives(holder: str) -> bool:
    """Whether that is a living process of this machine, and not this one."""
    said = _HOLDER.fullmatch(holder)
    if not said or said[2] != platform.node() or int(said[1]) in (0, os.getpid()):
        return False
    try:
        os.kill(int(said[1]), 0)
    except PermissionError:  # another user's
        return True
    except (OSError, OverflowError):
        return False
    return True
