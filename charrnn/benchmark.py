"""Side-by-side measurements: the contenders take turns, and the medians are compared."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, NamedTuple

from charrnn import contenders, planning
from charrnn.contenders import BF16, CEILING, CHARRNN, FP32, TWINS
from charrnn.errors import CharrnnError, UsageError
from charrnn.settings import MODELS, ModelSettings, TrainingSettings, to_json

SIZES = {128: (50, 50), 256: (64, 64), 512: (128, 64)}
"""The sizes that are measured: by H, the T and B of it."""

OWN_SIZE = (64, 64)
"""T and B of any other H."""

PAUSE = 0.05
"""Seconds between two turns, for idle threads of the one before spin on for a while."""


@dataclass(frozen=True)
class Case:
    """One model at one size: what all contenders compute alike."""

    model: ModelSettings
    training: TrainingSettings
    vocabulary_size: int
    """V"""


class Turn(NamedTuple):
    """What a contender says of the steps it took."""

    seconds: float
    peak_memory_bytes: int | None


class Measured(NamedTuple):
    """What a contender needs."""

    step_seconds: float
    """the median over the repetitions"""
    peak_memory_bytes: int | None
    repetitions: int
    """fewer than asked for where a step is very slow"""


def cases(
    *,
    models: Sequence[str] = (),
    hidden_sizes: Sequence[int] = (),
    layers: int = 2,
    embedding_size: int = 64,
    seq_length: int | None = None,
    batch_size: int | None = None,
    vocabulary_size: int = 65,
    precision: str = "fp32",
    threads: int = 1,
) -> list[Case]:
    """Each model at each size; all of them where none is named, and T and B by H.

    `precision` is auto where the processor multiplies bf16 and it may be what pays.

    Raises UsageError for values no model or training can have.
    """
    if not 1 <= vocabulary_size <= 1_000_000:
        raise UsageError(f"--vocabulary-size {vocabulary_size}: must be from 1 to 1,000,000")
    found = []
    for size in dict.fromkeys(hidden_sizes or SIZES):
        length, streams = SIZES.get(size, OWN_SIZE)
        training = TrainingSettings(
            seq_length=length if seq_length is None else seq_length,
            batch_size=streams if batch_size is None else batch_size,
            precision="fp32" if precision == "auto" else precision,
            threads=threads,
        )
        for name in dict.fromkeys(models or MODELS):
            model = ModelSettings(
                model=name, embedding_size=embedding_size, hidden_size=size, layers=layers
            )
            if precision == "auto":
                training = replace(training, precision=planning.precision(model, training))
            found.append(Case(model, training, vocabulary_size))
    return found


def measure(
    case: Case,
    *,
    repetitions: int,
    turn_seconds: float,
    most_seconds: float,
    progressed: Callable[[int], object] = lambda _: None,
) -> dict[str, Measured]:
    """Measure every contender that there is for a case, in one go; times as `interleave`.

    Raises CharrnnError where a contender's process ends.
    """
    names = [CHARRNN, *([FP32, BF16] if case.model.model in TWINS else []), CEILING]
    with contextlib.ExitStack() as stack:
        # All start at once, for nothing is timed yet; from then on one computes at a time.
        started = {name: stack.enter_context(Contender(name, case)) for name in names}
        for contender in started.values():
            contender.wait()
        return interleave(
            {name: contender.take for name, contender in started.items()},
            repetitions=repetitions,
            turn_seconds=turn_seconds,
            most_seconds=most_seconds,
            progressed=progressed,
        )


def interleave(
    takers: Mapping[str, Callable[[int], Turn]],
    *,
    repetitions: int,
    turn_seconds: float,
    most_seconds: float,
    progressed: Callable[[int], object] = lambda _: None,
) -> dict[str, Measured]:
    """Let contenders take turns of about `turn_seconds`, round after round.

    The first step of each is not counted, and the second only tells how many make a turn.
    One that would need more than `most_seconds` for all its turns has fewer of them; one
    whose very first step took longer than that has no other.
    """
    turns: dict[str, list[float]] = {name: [] for name in takers}
    planned: dict[str, tuple[int, int]] = {}  # turns, and the steps of one
    peak: dict[str, int | None] = {}
    for name, take in takers.items():
        first, peak[name] = take(1)  # allocates, and finds out ways
        if first > most_seconds:
            turns[name], planned[name] = [first], (0, 0)
        else:
            once = max(take(1).seconds, 1e-9)
            steps = max(1, round(turn_seconds / once))
            fitting = int(most_seconds / (steps * once))
            planned[name] = max(1, min(repetitions, fitting)), steps
        progressed(1)
    for number in range(repetitions):
        for name, take in takers.items():
            count, steps = planned[name]
            if number < count:
                seconds, peak[name] = take(steps)
                turns[name].append(seconds / steps)
            progressed(1)
    return {name: Measured(median(turns[name]), peak[name], len(turns[name])) for name in takers}


def rows(case: Case, measured: Mapping[str, Measured]) -> list[dict[str, Any]]:
    """What was measured by the names of `--json`, a row for each baseline.

    Where there is no baseline, one row in which it is null.
    """
    characters = case.training.seq_length * case.training.batch_size
    own = measured[CHARRNN]
    baselines: list[str | None] = [name for name in (FP32, BF16) if name in measured]
    found = []
    for name in baselines or [None]:
        baseline = measured[name] if name else None
        found.append(
            {
                "what": "training",
                "model": case.model.model,
                "hidden_size": case.model.hidden_size,
                "layers": case.model.layers,
                "embedding_size": case.model.embedding_size,
                "seq_length": case.training.seq_length,
                "batch_size": case.training.batch_size,
                "precision": case.training.precision,
                "characters_per_second": characters / own.step_seconds,
                "baseline": name,
                "baseline_characters_per_second": baseline and characters / baseline.step_seconds,
                "ratio": baseline and baseline.step_seconds / own.step_seconds,
                "ceiling_fraction": measured[CEILING].step_seconds / own.step_seconds,
                "peak_memory_bytes": own.peak_memory_bytes,
                "baseline_peak_memory_bytes": baseline and baseline.peak_memory_bytes,
                "threads": case.training.threads,
            }
        )
    return found


class Contender:
    """A contender's process, from its start to the end of the `with` block."""

    def __init__(self, name: str, case: Case) -> None:
        self.name = name
        # Where we import from is where it does, however we were started.
        code = f"import sys; sys.path = {sys.path!r}; import {contenders.__name__} as c; c.main()"
        self._complaints = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            encoding="utf-8",
            process_group=0,  # Ctrl-C is for us, and we end it
        )
        self._send(
            json.dumps(
                {
                    "contender": name,
                    "model": to_json(case.model),
                    "training": to_json(case.training),
                    "vocabulary_size": case.vocabulary_size,
                }
            )
        )

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in self._process.stdin, self._process.stdout, self._complaints:
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def wait(self) -> None:
        """Return when it could begin."""
        self._receive()

    def take(self, steps: int) -> Turn:
        """Have it take steps, while nothing else computes."""
        time.sleep(PAUSE)
        self._send(str(steps))
        return Turn(**json.loads(self._receive()))

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._death() from None

    def _receive(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):
            raise self._death()
        return line

    def _death(self) -> CharrnnError:
        code = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said else f"exit code {code}"
        if code < 0:
            why = signal.strsignal(-code) or f"signal {-code}"
        return CharrnnError(
            f"benchmark: the process of {self.name} has ended: {why}",
            "if memory ran out, try a smaller --batch-size or --hidden-size",
        )
