"""A run's log, metrics.jsonl: a line a report, an evaluation and a divergence."""

import contextlib
import json
import math
import os
import threading
from pathlib import Path
from typing import Any

from charrnn.errors import DiskFullError
from charrnn.files import failures_named

METRICS_FILE = "metrics.jsonl"


class Metrics:
    """The log, open for writing; lines may be added while another thread syncs.

    Lines that the disk has no space for wait, so that training can go on.
    """

    def __init__(self, run: Path, length: int = 0) -> None:
        """Open a run's metrics, cut back to `length` bytes; raises RunError."""
        self.path = run / METRICS_FILE
        self._lock = threading.Lock()
        self._waiting = b""
        with failures_named(self.path):
            self._stream = open(self.path, "ab", buffering=0)
            # Never made longer: that would add NULs.
            self._written = min(length, self._stream.tell())
            self._stream.truncate(self._written)

    @property
    def length(self) -> int:
        """How many bytes the log has, those that wait included."""
        return self._written + len(self._waiting)

    def write(self, line: dict[str, Any]) -> None:
        """Add a line; a figure that is no number becomes null. Raises RunError."""
        numbers = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in line.items()
        }
        with self._lock:
            self._waiting += (json.dumps(numbers, allow_nan=False) + "\n").encode()
            with contextlib.suppress(DiskFullError):
                self._write_waiting()

    def sync(self) -> None:
        """Make all that was added durable; raises DiskFullError or RunError."""
        with self._lock, failures_named(self.path):
            self._write_waiting()
            os.fsync(self._stream.fileno())

    def cut(self, length: int) -> None:
        """Take back what was added after the first `length` bytes; raises RunError."""
        with self._lock, failures_named(self.path):
            self._waiting = self._waiting[: max(0, length - self._written)]
            self._written = min(length, self._written)
            self._stream.truncate(self._written)

    def close(self) -> None:
        """Close the file; lines that still wait are lost, as they are in no checkpoint."""
        with contextlib.suppress(OSError):
            self._stream.close()

    def _write_waiting(self) -> None:
        """Write all of what waits or, where there is no space, nothing."""
        done = 0
        with failures_named(self.path):
            try:
                while done < len(self._waiting):
                    done += self._stream.write(self._waiting[done:]) or 0
            except OSError:
                with contextlib.suppress(OSError):
                    self._stream.truncate(self._written)
                raise
        self._written += done
        self._waiting = b""


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a last line cut short by a crash is left out."""
    lines = []
    with contextlib.suppress(OSError, ValueError):
        for line in (run / METRICS_FILE).read_text(encoding="utf-8").splitlines():
            lines.append(json.loads(line))
    return lines
