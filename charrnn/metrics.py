"""A run's log, metrics.jsonl: a line a report and a line an evaluation."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from charrnn.files import failures_named

METRICS_FILE = "metrics.jsonl"


class Metrics:
    """The log, open for writing."""

    def __init__(self, run: Path, length: int = 0) -> None:
        """Open a run's metrics, cut back to `length` bytes; raises RunError."""
        self.path = run / METRICS_FILE
        with failures_named(self.path):
            self._stream = open(self.path, "ab")
            self._stream.truncate(min(length, self._stream.tell()))  # never longer: that adds NULs

    def write(self, line: dict[str, Any]) -> None:
        """Add a line; raises DiskFullError or RunError."""
        with failures_named(self.path):
            self._stream.write((json.dumps(line) + "\n").encode())
            self._stream.flush()

    def sync(self) -> int:
        """Make what was written durable; returns the file's length in bytes."""
        with failures_named(self.path):
            os.fsync(self._stream.fileno())
            return os.fstat(self._stream.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl; a last line cut short by a crash is left out."""
    lines = []
    with contextlib.suppress(OSError, ValueError):
        for line in (run / METRICS_FILE).read_text(encoding="utf-8").splitlines():
            lines.append(json.loads(line))
    return lines
