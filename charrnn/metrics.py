"""A run's log, metrics.jsonl: a line a report, an evaluation and a divergence."""

import contextlib
import json
import math
import os
import threading
from pathlib import Path
from typing import Any

from charrnn.errors import DiskFullError
from charrnn.files import PLAIN, failures_named, open_regular, sync

METRICS_FILE = "metrics.jsonl"


class Metrics:
    """The log, open for writing; lines may be added while another thread syncs.

    Lines that the disk has no space for wait, so that training can go on.
    """

    def __init__(self, run: Path, length: int = 0) -> None:
        """Open a run's metrics, cut back to `length` bytes; raises RunError."""
        self.path = run / METRICS_FILE
        self._lock = threading.Lock()
        # Lines that are not durable yet stay here, the first so many bytes written already.
        self._tail, self._written = b"", 0
        with failures_named(self.path):
            # Never through a link: what it leads to would be cut.
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | PLAIN
            self._stream = os.fdopen(os.open(self.path, flags, 0o666), "ab", buffering=0)
            # Never made longer: that would add NULs.
            self._durable = min(length, os.fstat(self._stream.fileno()).st_size)
            self._stream.truncate(self._durable)

    @property
    def length(self) -> int:
        """How many bytes the log has, those that wait included."""
        with self._lock:
            return self._durable + len(self._tail)

    def write(self, line: dict[str, Any]) -> None:
        """Add a line; a figure that is no number becomes null. Raises RunError."""
        numbers = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in line.items()
        }
        with self._lock:
            self._tail += (json.dumps(numbers, allow_nan=False) + "\n").encode()
            with contextlib.suppress(DiskFullError):
                self._write_tail()

    def sync(self) -> None:
        """Make all that was added until then durable; raises DiskFullError or RunError."""
        with self._lock:
            self._write_tail()
            count = self._written
        try:
            with failures_named(self.path):
                sync(self._stream.fileno())  # takes its time, and lines may be added meanwhile
        except DiskFullError:
            # The kernel may have dropped what it could not write and not say so again.
            with self._lock, failures_named(self.path):
                self._stream.truncate(self._durable)
                self._written = 0
            raise
        with self._lock:
            self._durable += count
            self._tail, self._written = self._tail[count:], self._written - count

    def cut(self, length: int) -> None:
        """Take back what was added after the first `length` bytes; raises RunError."""
        with self._lock, failures_named(self.path):
            self._tail = self._tail[: max(0, length - self._durable)]
            self._written = min(self._written, len(self._tail))
            self._durable = min(length, self._durable)
            self._stream.truncate(self._durable + self._written)

    def close(self) -> None:
        """Close the file; lines that still wait are lost, as they are in no checkpoint."""
        with contextlib.suppress(OSError):
            self._stream.close()

    def _write_tail(self) -> None:
        """Write all of what waits or, where there is no space, nothing of it."""
        done = self._written
        with failures_named(self.path):
            try:
                while done < len(self._tail):
                    done += self._stream.write(self._tail[done:]) or 0
            except OSError:
                with contextlib.suppress(OSError):
                    self._stream.truncate(self._durable + self._written)
                raise
        self._written = done


_LARGEST = 2**26


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; what is none, as a last one cut short, is left out."""
    try:
        with open_regular(run / METRICS_FILE) as stream:
            text = stream.read(_LARGEST)
    except OSError:
        return []
    lines = []
    for part in text.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            line = json.loads(part)
            if isinstance(line, dict):
                lines.append(line)
    return lines
