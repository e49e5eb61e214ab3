"""The user's cache directory: what can be made again, at any time, by anyone."""

import contextlib
import json
import os
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
            return dict(seen)
    return None


def remember(name: str, facts: Facts, found: dict[str, Any]) -> None:
    """Keep what was found in files, by facts that were settled before it was looked for."""
    cache = cache_directory()
    if cache is None:
        return
    with contextlib.suppress(CharrnnError):
        make_directory(cache)
        write_file(cache / f"{name}.json", json.dumps({"files": facts, **found}).encode())
