"""The user's cache directory: what can be made again, at any time, by anyone."""

import contextlib
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

from charrnn.errors import CharrnnError
from charrnn.files import TEMPORARY_PREFIX, make_directory, open_regular, write_file

Facts = list[list[int]]
"""By file, what tells that it is the same and unchanged: device, inode, size, two times in ns."""

_LARGEST = 2**26  # bytes
_SETTLED = 2 * 10**9  # ns after which another change cannot bear the same time
_ABANDONED = 3600.0  # seconds since a file under a temporary name was last written to
_DAY = 86_400.0  # seconds
_UNUSED = 60 * _DAY
_NOTED = 7 * _DAY  # how old the note of a use may be; each is a change to the file's facts
_FOLDERS = ("", "ids", "piped", "texts")


def cache_directory() -> Path | None:
    """$XDG_CACHE_HOME/charrnn, or ~/.cache/charrnn; None where there is no home.

    It may not be there yet.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():  # the others are to be ignored, says the standard
        return named / "charrnn"
    if os.environ.get("HOME") == "":
        return None
    try:
        return Path.home() / ".cache" / "charrnn"
    except RuntimeError:
        return None


def room(folder: str = "") -> Path | None:
    """A folder of the cache to write in, and the cache without what nobody has long used.

    None where there is no home. Raises DiskFullError or RunError where it cannot be made.
    """
    cache = cache_directory()
    if cache is None:
        return None
    make_directory(cache / folder)
    for each in _FOLDERS:
        sweep(cache / each)
        _forget(cache / each)
    return cache / folder


def use(path: Path) -> None:
    """Note that a file of the cache is in use, where the system does not; failures are let pass."""
    with contextlib.suppress(OSError):
        found = path.stat()
        if time.time() - max(found.st_atime, found.st_mtime) > _NOTED:
            os.utime(path, ns=(time.time_ns(), found.st_mtime_ns))


def _forget(directory: Path) -> None:
    """Remove the files of a directory that have not been used for 60 days."""
    with contextlib.suppress(OSError):
        for path in directory.iterdir():
            with contextlib.suppress(OSError):  # another process may have been faster
                found = path.lstat()
                unused = time.time() - max(found.st_atime, found.st_mtime)
                if stat.S_ISREG(found.st_mode) and unused > _UNUSED:
                    path.unlink()


def sweep(directory: Path) -> None:
    """Remove what writers that were killed left in a directory; failures are let pass."""
    with contextlib.suppress(OSError):
        for path in directory.glob(f"{TEMPORARY_PREFIX}*"):
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()


def facts_of(found: os.stat_result) -> list[int]:
    """What the system says of a file, as far as it tells that nobody has touched it."""
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def are_settled(facts: Facts) -> bool:
    """Whether a change to the files from now on would show in their facts."""
    return all(time.time_ns() - max(each[3:]) >= _SETTLED for each in facts)


def recall(name: str, facts: Facts) -> dict[str, Any] | None:
    """What was remembered of files under a name, if they are still the same; else None."""
    cache = cache_directory()
    if cache is None:
        return None
    # What stands in the cache may be anything.
    with (
        contextlib.suppress(OSError, ValueError, KeyError, RecursionError),
        open_regular(cache / f"{name}.json") as stream,
    ):
        seen = json.loads(stream.read(_LARGEST))
        if isinstance(seen, dict) and seen.pop("files") == facts:
            use(cache / f"{name}.json")
            return dict(seen)
    return None


def remember(name: str, facts: Facts, found: dict[str, Any]) -> None:
    """Keep what was found in files, by facts that were settled before it was looked for."""
    with contextlib.suppress(CharrnnError):
        cache = room()
        if cache:
            write_file(cache / f"{name}.json", json.dumps({"files": facts, **found}).encode())
