"""The user's cache directory: what can be made again, at any time, by anyone."""

import contextlib
import os
import time
from pathlib import Path

from charrnn.files import TEMPORARY_PREFIX

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
