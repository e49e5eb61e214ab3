"""Side-by-side measurements: contenders, each in a process of its own, that take turns.

A process for each, because threads that idle in one spin on and slow the next, because
charrnn may set up its process as it likes while others keep their defaults, and because
only a process has a peak of memory. What a contender computes, `*_contenders` say; what is
made of it, `*_benchmark`.
"""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, NamedTuple, TextIO, TypeVar

from charrnn.errors import CharrnnError

PAUSE = 0.05
"""Seconds between two turns, for idle threads of the one before spin on for a while."""

Step = Callable[[], object]

Name = TypeVar("Name", bound=Hashable)


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


class Entrant(NamedTuple):
    """Who a contender is to be."""

    name: str
    module: str
    """whose `main` is called in its process"""
    task: dict[str, Any]
    """what that is told, as JSON can hold it"""
    environment: Mapping[str, str] = MappingProxyType({})
    """variables that its process has besides ours"""
    hint: str = "if memory ran out, try a smaller --hidden-size"
    """what to try where it ends"""


def compare(
    entrants: Mapping[Name, Entrant],
    *,
    repetitions: int,
    turn_seconds: float,
    most_seconds: float,
    progressed: Callable[[int], object] = lambda _: None,
) -> dict[Name, Measured]:
    """Measure contenders side by side, in one go; times as `interleave`.

    Raises CharrnnError where a contender's process ends.
    """
    with contextlib.ExitStack() as stack:
        # All start at once, for nothing is timed yet; from then on one computes at a time.
        started = {name: stack.enter_context(Contender(who)) for name, who in entrants.items()}
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
    takers: Mapping[Name, Callable[[int], Turn]],
    *,
    repetitions: int,
    turn_seconds: float,
    most_seconds: float,
    progressed: Callable[[int], object] = lambda _: None,
) -> dict[Name, Measured]:
    """Let contenders take turns of about `turn_seconds`, round after round.

    The first step of each is not counted, and the second only tells how many make a turn.
    One that would need more than `most_seconds` for all its turns has fewer of them; one
    whose very first step took longer than that has no other.
    """
    turns: dict[Name, list[float]] = {name: [] for name in takers}
    planned: dict[Name, tuple[int, int]] = {}  # turns, and the steps of one
    peak: dict[Name, int | None] = {}
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


class Contender:
    """A contender's process, from its start to the end of the `with` block."""

    def __init__(self, entrant: Entrant) -> None:
        self._entrant = entrant
        # Where we import from is where it does, however we were started.
        code = f"import sys; sys.path = {sys.path!r}; import {entrant.module} as c; c.main()"
        self._complaints = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            encoding="utf-8",
            env={**os.environ, **entrant.environment},
            process_group=0,  # Ctrl-C is for us, and we end it
        )
        self._send(json.dumps(entrant.task))

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

    def answer(self) -> dict[str, Any]:
        """The next thing that one says which has a single task; see `perform`.

        Raises CharrnnError where that is one.
        """
        said: dict[str, Any] = json.loads(self._receive())
        if "error" in said:
            error = CharrnnError(f"benchmark: {self._entrant.name}: {said['error']}", said["hint"])
            error.exit_code = said["exit_code"]
            raise error
        return said

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
            f"benchmark: the process of {self._entrant.name} has ended: {why}",
            self._entrant.hint,
        )


# Inside the process.


def contend(build: Callable[[dict[str, Any]], Step]) -> None:
    """Be a contender: a line of JSON on stdin is the task, then each line how many steps to take.

    `build` makes of the task what takes a step. Says when it is ready, and after each turn,
    in a line of JSON, what it took. Ends when stdin does, in the middle of a step too.
    """
    lines, answers = _lines(), _answers()
    step = build(json.loads(next(lines)))
    print("ready", file=answers, flush=True)
    for line in lines:
        began = time.perf_counter()
        for _ in range(int(line)):
            step()
        seconds = time.perf_counter() - began
        answer = {"seconds": seconds, "peak_memory_bytes": peak_memory()}
        print(json.dumps(answer), file=answers, flush=True)


def perform(work: Callable[[dict[str, Any]], Iterator[dict[str, Any]]]) -> None:
    """Be a contender with a single task, a line of JSON on stdin.

    What `work` says of it is a line of JSON each, and so is a CharrnnError. Ends when stdin
    does, in the midst of the work too.
    """
    lines, answers = _lines(), _answers()
    try:
        for said in work(json.loads(next(lines))):
            print(json.dumps(said), file=answers, flush=True)
    except CharrnnError as error:
        said = {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}
        print(json.dumps(said), file=answers, flush=True)
    for _ in lines:  # what was said last may not have been read
        pass


def _answers() -> TextIO:
    """Where answers are written, and nothing else."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print must not be taken for an answer
    return answers


def _lines() -> Iterator[str]:
    """The lines of stdin as they come; their end, which is the parent's, ends the process."""
    read: queue.SimpleQueue[str] = queue.SimpleQueue()

    def watch() -> None:
        for line in sys.stdin:
            read.put(line)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    while True:
        yield read.get()


def peak_memory() -> int | None:
    """The most memory (bytes) this process has held at a time; None where nobody says.

    Linux's own mark is preferred: what getrusage tells begins with the parent's.
    """
    try:
        (mark,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
        return 1024 * int(mark)
    except (OSError, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else 1024 * held
