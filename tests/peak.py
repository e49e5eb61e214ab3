"""The most memory that a process held.

Linux counts in what a process held before it became another program: where it can be
reset, it is.
"""

import contextlib
import re
import resource
import sys
from pathlib import Path


def reset_peak() -> int:
    """Forget what was held before, as far as the system does; the peak from here on."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak() -> int:
    """Bytes of memory held at most."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        if found:
            return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
