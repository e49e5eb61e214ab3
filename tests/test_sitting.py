"""A run gone on with otherwise than before: further, or on other threads."""

import json
import shutil
import signal

import pytest
from conftest import charrnn
from test_train_command import Run, signalled

from charrnn.checkpoints import model_path, read_checkpoint, read_resume

SMALL = (
    *("--model", "gru", "--hidden-size", 8, "--embedding-size", 4, "--layers", 2, "-q"),
    *("--dropout", 0.2, "--threads", 1, "--precision", "fp32", "--checkpoint-steps", 5),
)


@pytest.fixture(scope="module")
def eight(english_file, tmp_path_factory):
    """A checkpoint directory with a finished run of eight steps."""
    directory = tmp_path_factory.mktemp("eight")
    command = ("train", english_file, "--name", "run", "--checkpoint-dir", directory)
    done = charrnn(*command, *SMALL, "--steps", 8)
    assert done.returncode == 0, done.stderr
    return directory


def copy_of(directory, place):
    shutil.copytree(directory, place)
    return ("train", "--resume", "--name", "run", "--checkpoint-dir", place)


def end_of(directory, step):
    path = model_path(directory / "run", step)
    record, weights = read_checkpoint(path)
    tensors, _ = read_resume(path, record)
    clock = ("seconds", "characters_per_second")
    lines = [
        {k: v for k, v in line.items() if k not in clock}
        for line in Run(directory / "run", None).metrics()
    ]
    return {name: a.tobytes() for name, a in (weights | tensors).items()}, record.scores, lines


def test_a_run_raised_and_stopped_ends_as_one_raised_alone(eight, tmp_path):
    one, other = copy_of(eight, tmp_path / "one"), copy_of(eight, tmp_path / "other")
    done = charrnn(*one, "--steps", 16)
    assert done.returncode == 0, done.stderr
    assert "steps 8 until step 8, 16 from there on" in done.stderr
    stopped = signalled([("charrnn.training.take_step", 4, signal.SIGINT)], *other, "--steps", 16)
    assert stopped.returncode == 130, stopped.stderr
    assert "step 12 of 16" in stopped.stderr
    done = charrnn(*other, "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert end_of(tmp_path / "one", 16) == end_of(tmp_path / "other", 16)
    for directory in "one", "other":
        record = Run(tmp_path / directory / "run", done).record()
        assert (record["schedule"]["steps"], record["budget"]) == (16, {"steps": 8})
        assert record["changes"] == [{"step": 8, "changed": {"steps": ["8", "16"]}}]


def test_what_may_change_is_told_and_recorded_once(eight, tmp_path):
    again = (*copy_of(eight, tmp_path / "run"), "--steps", 30, "--threads", 2)
    moments = [("charrnn.training.take_step", 2, signal.SIGTERM)]
    first = signalled(moments, *again, "--precision", "bf16")
    assert first.returncode == 143, first.stderr
    for change in "threads 1 until step 8, 2", "precision fp32 until step 8, bf16":
        assert change in first.stderr
    assert "to the last bit" in first.stderr
    second = signalled(moments, *again, "--precision", "bf16")
    assert second.returncode == 143, second.stderr
    assert "until step" not in second.stderr
    changes = Run(tmp_path / "run" / "run", second).record()["changes"]
    assert changes == [
        {
            "step": 8,
            "changed": {
                "threads": ["1", "2"],
                "precision": ["fp32", "bf16"],
                "steps": ["8", "30"],
            },
        }
    ]
    third = charrnn(*again[:-4], "--json")
    assert third.returncode == 0, third.stderr
    assert "threads 2 until step 12, 1 from there on" in third.stderr
    assert json.loads(third.stdout)["steps"] == 30
