"""Processes at work on one run at once: one trains, others read."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import COMMAND, charrnn
from saves import CORPUS, TINY

from charrnn import checkpoints, locks, pruning, runs
from charrnn.checkpoints import ModelRecord, expected_shapes, model_path, write_checkpoint
from charrnn.errors import LockedError
from charrnn.tokenizer import Vocabulary


def wait_for(what, process):
    """Look until something is so, for as long as a process lives and a minute at most."""
    end = time.monotonic() + 60
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_second_trainer_is_refused_and_a_killed_one_is_no_obstacle(tmp_path, english_file):
    run = tmp_path / "night"
    train = [
        *("train", english_file, "--checkpoint-dir", tmp_path, "--name", "night", "--quiet"),
        *("--steps", 1_000_000, "--checkpoint-steps", 1_000_000, "--threads", 1),
        *("--hidden-size", 8, "--embedding-size", 4, "--layers", 1),
    ]
    first = subprocess.Popen(
        [COMMAND, *map(str, train)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with first:
        wait_for((run / runs.RUN_FILE).exists, first)
        second = charrnn(*train, "--resume")
        assert second.returncode == 75
        assert f"in use by process {first.pid} on " in second.stderr
        assert "hint: wait" in second.stderr
        with pytest.raises(LockedError, match=f"process {first.pid} "):
            runs.set_aside(run)  # as --overwrite does
        assert first.poll() is None
        first.kill()
    assert f"process {first.pid} " in (run / runs.LOCK_FILE).read_text()
    with locks.locked(run / runs.LOCK_FILE, "night") as held:
        assert held
    assert runs.set_aside(run).name == "night.old"


READER = """
import sys
from pathlib import Path
from charrnn import runs
from charrnn.checkpoints import read_checkpoint

directory, least = Path(sys.argv[1]), int(sys.argv[2])
run = directory / "run"
print("ready", flush=True)
seen, reads = set(), 0
while reads < least or not (directory / "done").exists():
    path, (record, weights) = runs.open_found(
        ("run", None, str(run))[reads % 3], directory, read_checkpoint
    )
    numbers = {float(number) for array in weights.values() for number in array.flat}
    assert numbers == {record.step}, (record.step, numbers)
    assert runs.step_of(path) == record.step
    assert runs.best(run) is not None
    assert runs.all_runs(directory) == [run]
    assert runs.records(runs.model_files(run)) or not (directory / "done").exists()
    seen.add(record.step)
    reads += 1
print(reads, len(seen))
"""


def save(run, step):
    """A checkpoint that is better than all before it, and filled with its step."""
    weights = {n: np.full(s, step, np.float32) for n, s in expected_shapes(TINY, 2).items()}
    scores = {"val": {"nats_per_char": 2 - step / 10_000}}
    record = ModelRecord(TINY, Vocabulary("ab"), step, scores, CORPUS, "")
    resume = {"a": np.full(1, step, np.float32)}
    write_checkpoint(model_path(run, step), record, weights, resume, {})


def reads_during_saves(directory, number):
    """Save and prune while another process reads: its exit code, reads, saves seen, and errors."""
    run = directory / "run"
    run.mkdir()
    save(run, 0)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(directory), str(number)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with reader:
        assert reader.stdout.readline() == "ready\n"
        for step in range(1, number + 1):
            save(run, step)
            pruning.prune(run, 0, newest=model_path(run, step))
        (directory / "done").touch()
        out, errors = reader.communicate(timeout=120)
    reads, seen = map(int, out.split() or (0, 0))
    return reader.returncode, reads, seen, errors


@pytest.mark.parametrize("number", [100, pytest.param(1_000, marks=pytest.mark.torture)])
def test_reads_during_saves_see_whole_checkpoints(number, tmp_path):
    code, reads, seen, errors = reads_during_saves(tmp_path, number)
    assert code == 0, errors
    assert reads >= number
    assert seen > 3


def test_a_reader_would_notice_half_a_file(tmp_path, monkeypatch):
    """The test above would."""

    def in_place(path: Path, data: bytes) -> None:
        with open(path, "wb") as stream:
            stream.write(data[:-10] + bytes(10))
            stream.flush()
            time.sleep(0.005)
            stream.seek(-10, os.SEEK_END)
            stream.write(data[-10:])

    monkeypatch.setattr(checkpoints, "write_file", in_place)
    code, _, _, errors = reads_during_saves(tmp_path, 100)
    assert code == 1
    assert "Error" in errors
