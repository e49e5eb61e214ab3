"""Signals, deadlines and closed streams, to the command itself: at any moment, off any terminal."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import COMMAND, charrnn
from test_cli import assert_error
from test_train_command import SIGNALLED, Run, signalled

from charrnn.checkpoints import model_path, read_checkpoint

FLAGS = (
    *("--model", "gru", "--hidden-size", 8, "--embedding-size", 4, "--layers", 1),
    *("--threads", 1, "--precision", "fp32", "--seed", 3, "--name", "run"),
)
NINETY = (*FLAGS, "--steps", 90, "--checkpoint-steps", 90)

STEP = "charrnn.training.take_step"


@pytest.fixture
def command(english_file, tmp_path):
    return ("train", english_file, "--checkpoint-dir", tmp_path)


@pytest.fixture(scope="module")
def whole(english_file, tmp_path_factory):
    """The weights that ninety undisturbed steps end with."""
    directory = tmp_path_factory.mktemp("whole")
    done = charrnn("train", english_file, "--checkpoint-dir", directory, *NINETY, "-q")
    assert done.returncode == 0, done.stderr
    return end_of(directory)


def end_of(directory):
    record, weights = read_checkpoint(model_path(directory / "run", 90))
    return record.scores, {name: array.tobytes() for name, array in weights.items()}


WHILE_LOADED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting:
    def find_spec(self, name, *_):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from charrnn.__main__ import main
main()
"""


def test_ctrl_c_while_the_command_is_loaded_says_nothing():
    done = subprocess.run([sys.executable, "-c", WHILE_LOADED], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


AT_THE_END = """
import os, signal, sys, threading, time
from charrnn import cli
from charrnn.__main__ import main

signal.signal(signal.SIGINT, signal.default_int_handler)

def compute():
    while threading.main_thread().is_alive():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
    print("waited for")

def run():
    threading.Thread(target=compute).start()
    if "twice" in sys.argv:
        os.kill(os.getpid(), signal.SIGINT)

cli.main = run
main()
"""


@pytest.mark.parametrize(("how_often", "code"), [("once", 0), ("twice", 130)])
def test_ctrl_c_at_the_very_end_breaks_nothing_off(how_often, code):
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_END, how_often], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "waited for\n", "")


@pytest.mark.parametrize("what", ["speed", "measure"])
def test_a_signal_in_the_calibration_leaves_nothing(what, command, tmp_path):
    moments = [(f"charrnn.calibration.{what}", 1, signal.SIGHUP)]
    done = signalled(moments, *command, *FLAGS, "--minutes", 0.01)
    assert_error(done, 129, "before the first step")
    assert not list(tmp_path.iterdir())


def test_a_signal_in_the_first_step_of_the_warm_up_saves_it(command, tmp_path, whole):
    done = signalled([(STEP, 1, signal.SIGTERM)], *command, *NINETY)
    assert_error(done, 143, "step 1 of 90", "--resume")
    assert Run(tmp_path / "run", done).steps() == [1]
    done = charrnn("train", "--resume", "--name", "run", "--checkpoint-dir", tmp_path, "-q")
    assert done.returncode == 0, done.stderr
    assert end_of(tmp_path) == whole


@pytest.mark.parametrize(
    ("moment", "step"),
    [
        ((STEP, 41, signal.SIGUSR1), 41),
        (("charrnn.training.score", 1, signal.SIGUSR1), 90),  # before its first chunk is scored
    ],
)
def test_a_save_that_is_asked_for_is_made_at_once(moment, step, command, tmp_path):
    """Seen by killing it when the first checkpoint is on disk."""
    moments = [moment, ("charrnn.saver.remove_asked_for", 1, signal.SIGKILL)]
    done = signalled(moments, *command, *NINETY)
    assert done.returncode == -signal.SIGKILL
    run = Run(tmp_path / "run", done)
    assert run.steps() == [step]
    assert read_checkpoint(model_path(run.path, step)).record.scores == {}


def test_saves_that_are_asked_for_change_nothing(command, tmp_path, whole):
    """Two at once, one of them in the midst of a save, and one in the evaluation."""
    moments = [
        *[(STEP, step, signal.SIGUSR1) for step in (10, 11, 50)],
        ("os.replace", 2, signal.SIGUSR1),
        ("charrnn.training.score", 1, signal.SIGUSR1),
    ]
    done = signalled(moments, *command, *NINETY, "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert Run(tmp_path / "run", done).steps() == [90]
    assert end_of(tmp_path) == whole


def test_a_deadline_ends_it_to_be_tried_again(command, tmp_path, whole):
    done = charrnn(*command, *NINETY, "--deadline", 0.0001)
    assert_error(done, 75, "the deadline is there at step 0 of 90", "--resume")
    done = charrnn("train", "--resume", "--name", "run", "--checkpoint-dir", tmp_path, "-q")
    assert done.returncode == 0, done.stderr
    assert end_of(tmp_path) == whole


def test_closed_streams_are_no_reason_to_stop(command, tmp_path, whole):
    words = " ".join(f"'{word}'" for word in (COMMAND, *command, *NINETY))
    done = subprocess.run(f"{words} <&- >&- 2>&-", shell=True, timeout=120)
    assert done.returncode == 0
    assert end_of(tmp_path) == whole


def test_what_nohup_ignores_stays_ignored(command, tmp_path):
    def ignoring():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    words = [COMMAND, *command, *FLAGS, "--steps", 3_000, "--checkpoint-steps", 10, "-q"]
    running = subprocess.Popen(
        list(map(str, words)), preexec_fn=ignoring, stderr=subprocess.PIPE, text=True
    )
    until_saved(tmp_path / "run", running)
    running.send_signal(signal.SIGHUP)
    time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    told = running.communicate(timeout=120)[1]
    assert running.returncode in (0, 143), told
    assert "129" not in told


def until_saved(run: Path, running) -> None:
    while not list(run.glob("step-*")):
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)


UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc")


def test_as_the_first_process_of_a_container(command, tmp_path):
    """Where no signal has a default action."""
    if shutil.which("unshare") is None or subprocess.run([*UNSHARE, "true"]).returncode:
        pytest.skip("needs the right to make a PID namespace")
    words = [sys.executable, "-c", SIGNALLED, 0, f'[["{STEP}", 41, {int(signal.SIGTERM)}]]']
    done = subprocess.run(
        [*UNSHARE, *map(str, (*words, *command, *NINETY))],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert_error(done, 143, "step 41 of 90")
    assert Run(tmp_path / "run", done).steps() == [41]


@pytest.mark.torture
def test_signals_at_random_moments_of_the_start(command, tmp_path):
    """Until our handler is there it is the shell's own code; never a word of Python's."""
    rng = random.Random(1)
    for count in range(60):
        number = rng.choice([signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        running = subprocess.Popen(
            [sys.executable, "-m", "charrnn", *map(str, (*command, *FLAGS, "--steps", 10**6))],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONNOUSERSITE": "1"},
        )
        # Python itself shows a Ctrl-C in its first moments.
        time.sleep(rng.uniform(0.1, 3.0))
        running.send_signal(number)
        told = running.communicate(timeout=60)[1]
        assert running.returncode in (128 + number, -number), (count, told)
        assert "Traceback" not in told
        assert "ignored" not in told
        run = tmp_path / "run"
        if run.exists():
            assert "everything saved" in told, (count, told)
            shutil.rmtree(run)
