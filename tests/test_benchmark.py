"""The benchmark's machinery: turns and medians; processes, and those that die."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn import benchmark
from charrnn.benchmark import Contender, Entrant, Measured, Turn, compare, interleave, peak_memory
from charrnn.errors import CharrnnError

SLEEPER = """
import sys, time
from charrnn.benchmark import contend

def build(task):
    if "ear" not in task:
        raise KeyError("ear")
    print("libraries talk")
    return lambda: time.sleep(task["seconds"])

def main():
    contend(build)
"""


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Entrant:
    """A contender that sleeps a millisecond a step."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Entrant("the sleeper", "sleeper", {"seconds": 0.001, "ear": 1}, hint="wake it")


class Fake:
    """A contender whose steps take as long as a list says, call after call."""

    def __init__(self, name: str, log: list[tuple[str, int]], *step_seconds: float) -> None:
        self.name, self.log, self.left = name, log, list(step_seconds)

    def __call__(self, steps: int) -> Turn:
        self.log.append((self.name, steps))
        return Turn(steps * self.left.pop(0), 1000 + len(self.log))


def test_contenders_take_turns_and_the_median_is_taken() -> None:
    log: list[tuple[str, int]] = []
    told: list[int] = []
    measured = interleave(
        {
            "a": Fake("a", log, 9.0, 0.5, 0.4, 9.0, 0.6),  # first steps count for nothing
            "b": Fake("b", log, 9.0, 0.25, 0.1, 0.2, 0.3),
        },
        repetitions=3,
        turn_seconds=1.0,
        most_seconds=10.0,
        progressed=told.append,
    )
    assert log == [("a", 1), ("a", 1), ("b", 1), ("b", 1), *[("a", 2), ("b", 4)] * 3]
    assert measured["a"] == Measured(pytest.approx(0.6), 1009, 3)
    assert measured["b"] == Measured(pytest.approx(0.2), 1010, 3)
    assert sum(told) == 2 * (3 + 1)


def test_one_that_is_slow_has_fewer_turns_and_one_that_crawls_has_none_but_the_first() -> None:
    log: list[tuple[str, int]] = []
    told: list[int] = []
    measured = interleave(
        {
            "quick": Fake("quick", log, *[1.0] * 7),
            "slow": Fake("slow", log, 4.0, 4.0, 3.0, 5.0),
            "crawling": Fake("crawling", log, 11.0),
        },
        repetitions=5,
        turn_seconds=1.0,
        most_seconds=10.0,
        progressed=told.append,
    )
    assert {name: of.repetitions for name, of in measured.items()} == {
        "quick": 5,
        "slow": 2,
        "crawling": 1,
    }
    assert measured["slow"].step_seconds == 4.0
    assert measured["crawling"].step_seconds == 11.0
    assert sum(told) == 3 * (5 + 1)


# Processes.


def test_steps_are_taken_in_a_process_and_timed_there(sleeper: Entrant) -> None:
    with Contender(sleeper) as contender:
        contender.wait()
        few, many = contender.take(2), contender.take(50)
    assert 0.002 <= few.seconds < many.seconds
    assert many.seconds >= 0.05
    assert many.peak_memory_bytes is not None
    assert many.peak_memory_bytes > 1e6


def test_a_process_has_the_variables_that_it_is_given(
    sleeper: Entrant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT", "1")
    code = """
import json, os
from charrnn.benchmark import contend

def build(task):
    assert (os.environ["KEPT"], os.environ["GIVEN"]) == ("1", "2")
    return lambda: None

def main():
    contend(build)
"""
    (tmp_path / "asks.py").write_text(code)
    with Contender(Entrant("asks", "asks", {}, {"GIVEN": "2"})) as contender:
        contender.wait()


def test_a_contender_that_dies_is_an_error_with_a_hint(sleeper: Entrant) -> None:
    with Contender(sleeper) as contender:
        contender.wait()
        assert contender.take(2).seconds > 0
        contender._process.send_signal(signal.SIGKILL)
        with pytest.raises(CharrnnError, match="the process of the sleeper has ended: K") as told:
            contender.take(1)
    assert told.value.hint == "wake it"


def test_what_a_contender_complains_of_is_told(sleeper: Entrant) -> None:
    with (
        Contender(sleeper._replace(task={})) as contender,
        pytest.raises(CharrnnError, match=r"the process of the sleeper has ended: KeyError: 'ear'"),
    ):
        contender.wait()


def test_a_contender_ends_with_its_parent_in_the_middle_of_a_step(
    sleeper: Entrant, tmp_path: Path
) -> None:
    code = f"""
import sys, time
sys.path = {sys.path!r}
from charrnn.benchmark import Contender, Entrant
contender = Contender(Entrant("s", "sleeper", {{"seconds": 600, "ear": 1}}))
contender.wait()
contender._send("1000000")
print(contender._process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.2)
    os.kill(child, 0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while (alive := _runs(child)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if alive:  # leave nothing behind
        os.kill(child, signal.SIGKILL)
    assert not alive


TELLER = """
from charrnn.benchmark import perform
from charrnn.errors import DiskFullError

def work(task):
    yield {"read": task["text"]}
    print("libraries talk")
    if task["room"] == 0:
        raise DiskFullError("no room", "make some")
    yield {"written": task["room"]}

def main():
    perform(work)
"""


def test_one_with_a_single_task_is_heard_until_its_end_or_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "teller.py").write_text(TELLER)
    monkeypatch.syspath_prepend(str(tmp_path))
    entrants = [Entrant("it", "teller", {"text": "ü\n", "room": room}) for room in (1, 0)]
    with Contender(entrants[0]) as whole, Contender(entrants[1]) as broken:
        assert [whole.answer(), whole.answer()] == [{"read": "ü\n"}, {"written": 1}]
        assert broken.answer() == {"read": "ü\n"}
        with pytest.raises(CharrnnError, match="benchmark: it: no room") as told:
            broken.answer()
    assert (told.value.hint, told.value.exit_code) == ("make some", 75)


def _runs(pid: int) -> bool:
    """Whether a process is at work; one that nobody has waited for yet is not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_all_start_before_one_is_waited_for_and_all_are_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, ended = [], []

    class Named:
        def __init__(self, entrant: Entrant) -> None:
            self.name = entrant.name
            started.append(self.name)

        def __enter__(self) -> "Named":
            return self

        def __exit__(self, *_: object) -> None:
            ended.append(self.name)

        def wait(self) -> None:
            assert len(started) == 3

        def take(self, steps: int) -> Turn:
            return Turn(0.1 * steps, None)

    monkeypatch.setattr(benchmark, "Contender", Named)
    effort: dict[str, Any] = {"repetitions": 2, "turn_seconds": 0.1, "most_seconds": 1.0}
    names = ["a", "b", "c"]
    measured = compare({name: Entrant(name, "", {}) for name in names}, **effort)
    assert [*measured] == started == names
    assert sorted(ended) == names


def test_peak_memory_is_a_peak_in_bytes() -> None:
    before = peak_memory()
    assert before is not None
    assert 50e6 < before < 50e9
    held = np.ones(int(before) + 100_000_000, dtype=np.uint8)
    after = peak_memory()
    assert after is not None
    assert after >= held.nbytes
