"""A cold start, measured: from nothing to the first characters, beside `import torch`."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from charrnn.benchmark import Measured, Turn, interleave
from charrnn.checkpoints import ModelRecord, model_path, write_checkpoint
from charrnn.errors import CharrnnError
from charrnn.sampling_contenders import random_weights, vocabulary
from charrnn.settings import ModelSettings

IMPORT_TORCH = "import torch"
FIRST, THOUSAND = 1, 1_000
"""Characters that are written."""

MODEL = ModelSettings(hidden_size=256)
VOCABULARY_SIZE = 65


def measure(
    *,
    repetitions: int,
    most_seconds: float,
    progressed: Callable[[int], object] = lambda _: None,
) -> dict[str | int, Measured]:
    """How long each takes, the model's file being there: processes one at a time, in turns.

    By how many characters `charrnn sample` writes, or IMPORT_TORCH. Raises CharrnnError
    where a process fails.
    """
    with tempfile.TemporaryDirectory(prefix="charrnn-benchmark-") as directory:
        file = write_model(Path(directory))
        return interleave(
            {
                IMPORT_TORCH: _times(lambda: ended("import torch")),
                FIRST: _times(lambda: first_byte(_sample(file, FIRST))),
                THOUSAND: _times(lambda: ended(_sample(file, THOUSAND))),
            },
            repetitions=repetitions,
            turn_seconds=0.0,  # a process a turn
            most_seconds=most_seconds,
            progressed=progressed,
        )


def rows(measured: Mapping[str | int, Measured]) -> list[dict[str, Any]]:
    """What was measured by the names of `--json`, a row for each count of characters."""
    baseline = measured[IMPORT_TORCH].step_seconds
    return [
        {
            "what": "cold start",
            "model": MODEL.model,
            "hidden_size": MODEL.hidden_size,
            "layers": MODEL.layers,
            "embedding_size": MODEL.embedding_size,
            "vocabulary_size": VOCABULARY_SIZE,
            "characters": characters,
            "seconds": measured[characters].step_seconds,
            "baseline": IMPORT_TORCH,
            "baseline_seconds": baseline,
            "ratio": baseline / measured[characters].step_seconds,
        }
        for characters in (FIRST, THOUSAND)
    ]


def write_model(directory: Path) -> Path:
    """A model's file with random weights, as training would write it."""
    characters, none = vocabulary(VOCABULARY_SIZE), {"sha256": "", "file": None}
    part = none | {"start": 0, "end": 0}
    record = ModelRecord(
        MODEL,
        characters,
        step=1,
        scores={},
        corpus={
            "sha256": "",
            "characters": 0,
            "files": [],
            "splits": {"train": part, "val": part, "test": part},
        },
        resume_digest="",
    )
    path = model_path(directory, 1)
    write_checkpoint(path, record, dict(random_weights(MODEL, VOCABULARY_SIZE)), {}, {})
    return path


def ended(code: str) -> float:
    """Seconds until a Python that runs this has ended; raises CharrnnError where it fails."""
    return _run(code)[1]


def first_byte(code: str) -> float:
    """Seconds until its first byte is there to read; raises CharrnnError where it fails."""
    return _run(code)[0]


def _sample(file: Path, characters: int) -> str:
    # What the installed command runs. A line end comes after the last character, so that the
    # first one of one can be read as soon as it is written.
    words = ["charrnn", "sample", str(file), "--length", str(characters), "--seed", "1", "-q"]
    return (
        f"import sys; sys.path = {sys.path!r}; sys.argv = {words!r}; "
        "from charrnn.__main__ import main; main()"
    )


def _run(code: str) -> tuple[float, float]:
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.read(1)
            first = time.perf_counter() - began
            _, said = process.communicate()
            whole = time.perf_counter() - began
        finally:
            process.kill()
    if process.returncode:
        lines = said.decode("utf-8", "replace").strip().splitlines()
        why = lines[-1] if lines else f"exit code {process.returncode}"
        raise CharrnnError(f"benchmark: a cold start failed: {why}")
    return first, whole


def _times(seconds: Callable[[], float]) -> Callable[[int], Turn]:
    return lambda runs: Turn(sum(seconds() for _ in range(runs)), None)
