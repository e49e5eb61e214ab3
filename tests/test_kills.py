"""Runs killed at random moments, over and over, that end where an undisturbed one ends.

Each sitting is the command itself, in a child of one process that has imported torch once.
"""

import json
import mmap
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import SHIPPED

CASES = {
    "lstm": ("--model", "lstm", "--dropout", "0.3"),
    "gru": ("--model", "gru", "--checkpoint-steps", "1"),
    "product": ("--model", "product", "--weight-drop", "0.2", "--keep", "0"),
    "explodes": (
        *("--model", "rnn", "--nonlinearity", "relu", "--optimizer", "sgd", "--clip", "0"),
        *("--learning-rate", "40", "--keep", "0"),
    ),
}
"""By name, what is unlike the others; the last one goes back to what is on disk."""

STEPS = 160


def kill_runs(directory: Path, kills: int, names: list[str], seed: int) -> None:
    """Print what so many kills met with, as JSON; raises AssertionError."""
    from charrnn import cli, saver

    within = mmap.mmap(-1, 1)  # whether a save is under way, told by the children
    rng, counts = random.Random(seed), {"kills": 0, "in_saves": 0, "runs": 0, "back": 0}
    save = saver.save

    def telling(*arguments):
        within[0] = 1
        found = save(*arguments)
        within[0] = 0
        return found

    saver.save = telling

    def sit(case: str, name: str) -> int:
        sys.argv[1:] = ["train", str(directory / "text"), "--name", name, "--resume", "-q"]
        sys.argv += ["--checkpoint-dir", str(directory), "--threads", "1", "--seed", "5"]
        sys.argv += ["--hidden-size", "12", "--embedding-size", "6", "--layers", "2"]
        sys.argv += ["--steps", str(STEPS), "--evaluation-steps", "40"]
        sys.argv += ["--checkpoint-steps", "2", *CASES[case]]
        try:
            cli.main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 70

    def start(case: str, name: str) -> int:
        within[0] = 0
        child = os.fork()
        if child:
            return child
        code = 71
        try:
            code = sit(case, name)
            sys.stderr.flush()
        finally:
            os._exit(code)

    times = {}
    for case in names:
        assert sit(case, f"{case}-first") == 0  # imports and compiles for the children
        assert threading.active_count() == 1, "no thread may be there at a fork"
        began = time.monotonic()
        code = os.waitstatus_to_exitcode(os.waitpid(start(case, f"{case}-whole"), 0)[1])
        assert code == 0, (case, code)
        same_end(directory / f"{case}-first", directory / f"{case}-whole")
        times[case] = time.monotonic() - began
        counts["back"] += "divergence" in (directory / f"{case}-whole/metrics.jsonl").read_text()
    while counts["kills"] < kills:
        case = names[counts["runs"] % len(names)]
        run = directory / f"{case}-{counts['runs']}"
        while True:
            child = start(case, run.name)
            time.sleep(rng.uniform(0.0, times[case] / 3))
            os.kill(child, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert code in (0, -signal.SIGKILL), (case, code)
            if code == 0:
                break
            counts["kills"] += 1
            counts["in_saves"] += within[0]
            whole_after_a_kill(run)
        same_end(run, directory / f"{case}-whole")
        counts["runs"] += 1
    print(json.dumps(counts))


def whole_after_a_kill(run: Path) -> None:
    """Every model file is whole, and from the newest one training can go on."""
    from charrnn import checkpoints, runs

    files = runs.model_files(run)
    for path in files:
        record = checkpoints.read_checkpoint(path).record
        if path == files[-1]:
            checkpoints.read_resume(path, record)


def same_end(run: Path, other: Path) -> None:
    from charrnn import checkpoints

    assert not list(run.glob(".*"))
    ends = []
    for each in run, other:
        path = checkpoints.model_path(each, STEPS)
        record, weights = checkpoints.read_checkpoint(path)
        tensors, numbers = checkpoints.read_resume(path, record)
        arrays = {name: array.tobytes() for name, array in (weights | tensors).items()}
        lines = [json.loads(s) for s in (each / "metrics.jsonl").read_text().splitlines()]
        for line in lines:
            for clock in "seconds", "characters_per_second":
                line.pop(clock, None)
        # The clock's digits make the log longer or shorter.
        for clock in "seconds", "metrics_bytes":
            numbers.pop(clock)
        ends.append((arrays, record.scores, lines, numbers))
    for ours, theirs in zip(*ends, strict=True):
        assert ours == theirs, run
    # A kill between the last save and the removal of what it replaces leaves that there.
    kept, expected = ({p.name for p in each.glob("step-*")} for each in (run, other))
    assert expected <= kept and len(kept - expected) <= 2, run


def killed(directory: Path, kills: int, names: list[str], timeout: float) -> dict[str, int]:
    directory.joinpath("text").write_text(SHIPPED.read_text(encoding="utf-8")[:2_500])
    words = [sys.executable, __file__, directory, kills, ",".join(names)]
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_run_killed_again_and_again_ends_where_it_would_have(tmp_path):
    counts = killed(tmp_path, 6, ["lstm"], 120)
    assert counts["kills"] >= 6


@pytest.mark.torture
def test_two_hundred_kills_lose_nothing(tmp_path):
    began = time.monotonic()
    counts = killed(tmp_path, 200, list(CASES), 3_000)
    print(counts, f"{time.monotonic() - began:.0f} s")
    assert counts["kills"] >= 200
    assert counts["in_saves"] >= 20
    assert counts["back"] >= 1


if __name__ == "__main__":
    kill_runs(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","), seed=1)
