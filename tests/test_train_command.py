"""charrnn train, end to end: runs, names, budgets, signals at any moment, and resumes.

A training process takes seconds to import torch, so runs are shared and only looked at.
"""

import fcntl
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND, charrnn
from test_cli import COLOUR, ESCAPE, assert_error, on_terminal, shell

from charrnn.checkpoints import model_path, read_checkpoint, read_resume, resume_path
from charrnn.run_record import read_run
from charrnn.settings import to_json

STEPS = 90
"""so that a report is due every second step"""

SMALL = (
    *("--model", "lstm", "--hidden-size", 16, "--embedding-size", 8, "--layers", 2),
    *("--dropout", 0.2, "--seed", 3, "--threads", 1, "--precision", "fp32"),
    *("--steps", STEPS, "--checkpoint-steps", 30, "--keep", 5),
)
TINY = ("--hidden-size", 8, "--embedding-size", 4, "--layers", 1, "--threads", 1)

SIGNALLED = """
import importlib, json, os, signal, sys, threading, time

wait = float(sys.argv.pop(1))
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore them
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def signal_at(place, count, number):
    module, name = place.rsplit(".", 1)
    owner, calls = importlib.import_module(module), 0
    original = getattr(owner, name)
    def call(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == count:
            os.kill(os.getpid(), number)
            if threading.current_thread() is not threading.main_thread():
                time.sleep(wait)
        return original(*arguments, **options)
    setattr(owner, name, call)

for moment in json.loads(sys.argv.pop(1)):
    signal_at(*moment)
from charrnn.cli import main
main()
"""
"""The command, sending itself signals as it calls a function for the n-th time."""

Moment = tuple[str, int, signal.Signals]

SLOW = 300.0
"""Seconds that a call takes after a signal: for ever, to a test."""


def signalled(
    moments: list[Moment], *arguments: object, wait: float = 0.0, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run the command with signals that arrive at exact moments: (function, call, signal).

    Those of them that are made beside training then wait for so many seconds.
    """
    words = [wait, json.dumps(moments), *arguments]
    command = [sys.executable, "-c", SIGNALLED, *map(str, words)]
    settings = {"capture_output": True, "text": True, "timeout": 120}
    return subprocess.run(command, **(settings | options))  # type: ignore[call-overload,no-any-return]


@dataclass(frozen=True)
class Run:
    """A run and the process that trained it."""

    path: Path
    done: subprocess.CompletedProcess[str]

    def metrics(self) -> list[dict[str, Any]]:
        lines = (self.path / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def steps(self) -> list[int]:
        return [int(path.name[5:13]) for path in sorted(self.path.glob("step-????????.s*"))]

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.path / "run.json").read_text())
        return found

    def unfinished_files(self) -> list[Path]:
        return list(self.path.glob(".*"))


@pytest.fixture(scope="module")
def whole(english_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that nothing interrupted."""
    directory = tmp_path_factory.mktemp("whole")
    command = ("train", english_file, "--name", "run", "--checkpoint-dir", directory, *SMALL)
    return Run(directory / "run", charrnn(*command, "--json"))


def stopped_at(
    moments: list[Moment], english_file: Path, directory: Path, wait: float = 0.0
) -> Run:
    """The same run, begun by --resume and stopped by signals."""
    command = ("train", english_file, "--name", "run", "--checkpoint-dir", directory, *SMALL)
    return Run(directory / "run", signalled(moments, *command, "--resume", wait=wait))


@pytest.fixture(scope="module")
def stopped(english_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same run, stopped by Ctrl-C in its 41st step."""
    moment = ("charrnn.training.take_step", 41, signal.SIGINT)
    return stopped_at([moment], english_file, tmp_path_factory.mktemp("stopped"))


@pytest.fixture
def copied(stopped: Run, tmp_path: Path) -> Run:
    """A copy of the stopped run, to go on with."""
    shutil.copytree(stopped.path, tmp_path / "runs" / "run")
    return Run(tmp_path / "runs" / "run", stopped.done)


def assert_equal_runs(run: Run, other: Run) -> None:
    """The two ended with the same weights, optimizer, scores and reports, to the last bit."""
    for step in (60, STEPS):
        ours, theirs = (read_checkpoint(model_path(r.path, step)) for r in (run, other))
        assert ours.record.scores == theirs.record.scores
        rest = [
            read_resume(model_path(r.path, step), c.record)[0]
            for r, c in ((run, ours), (other, theirs))
        ]
        for mine, yours in (ours.weights, theirs.weights), rest:
            assert mine.keys() == yours.keys()
            for name in mine:
                assert mine[name].tobytes() == yours[name].tobytes(), (step, name)
    lines = [
        [
            {k: v for k, v in line.items() if k not in ("seconds", "characters_per_second")}
            for line in r.metrics()
        ]
        for r in (run, other)
    ]
    assert lines[0] == lines[1]


# An uninterrupted run: its streams and its files.


def test_json_is_one_object_by_the_names_of_the_design(whole: Run) -> None:
    assert whole.done.returncode == 0, whole.done.stderr
    assert len(whole.done.stdout.splitlines()) == 1
    result = json.loads(whole.done.stdout)
    assert set(result) >= {
        *("run", "checkpoint", "step", "seconds", "characters_per_second", "seed", "split"),
        *("characters", "nats_per_char", "bits_per_char", "bits_per_byte", "perplexity"),
        "accuracy",
    }
    assert (result["run"], result["seed"], result["split"]) == ("run", 3, "val")
    best = read_checkpoint(Path(result["checkpoint"])).record
    assert (result["step"], result["nats_per_char"]) == (best.step, best.nats_per_char)


def test_progress_is_one_plain_line_a_report_on_stderr(whole: Run) -> None:
    lines = whole.done.stderr.splitlines()
    assert all(line.isprintable() for line in lines)
    kinds = [line["kind"] for line in whole.metrics()]
    assert kinds.count("report") == STEPS // 2
    assert kinds.count("evaluation") == 3
    assert sum(" train " in line and line.startswith("step ") for line in lines) == STEPS // 2
    assert sum(" held out " in line and line.startswith("step ") for line in lines) == 3
    assert [line.split()[0] for line in lines[:3]] == ["corpus", "model", "training"]


PRINTED = re.compile(
    r"model +(?P<layers>\d+) x (?P<hidden_size>\d+) (?P<model>[\w-]+)"
    r"(?: \((?P<nonlinearity>\w+)\))?, .*\n"
    r"training  --steps (?P<steps>\d+), [\d,]+ steps of (?P<batch_size>\d+) x (?P<seq_length>\d+) "
    r"characters an epoch, (?P<optimizer>\w+) (?P<learning_rate>[\d.e-]+), "
    r"decay (?P<weight_decay>[\d.]+), dropout (?P<dropout>[\d.]+)"
    r"(?:, weight drop (?P<weight_drop>[\d.]+))?(?: \((?P<why>[^)]+)\))?"
    r"(?P<stateless>, no state carried)?, "
    r"(?P<precision>\w+) on (?P<device>\w+), (?P<threads>\d+) threads?$",
    re.MULTILINE,
)
"""Every choice that the three lines name."""

PLANNED: list[dict[str, Any]] = [
    {},
    {"layers": 2, "hidden_size": 320},
    {"layers": 2, "hidden_size": 320, "steps": 3_000},
    {"model": "rnn", "nonlinearity": "relu", "dropout": 0.25, "batch_size": 3, "threads": 1},
    {"model": "lstm", "seq_length": 7, "optimizer": "sgd", "precision": "bf16"},
    {"plan": "off", "weight_drop": 0.5},
]


@pytest.mark.parametrize("given", PLANNED, ids=[" ".join(map(str, p.values())) for p in PLANNED])
def test_every_choice_that_is_printed_is_the_one_in_run_json(
    given: dict[str, Any], english_file: Path, tmp_path: Path
) -> None:
    """And every flag that is given is among them. Training itself is stopped at once."""
    asked = {"steps": 2} | given
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
    moment = ("charrnn.training.take_step", 1, signal.SIGINT)
    command = ("train", english_file, "--name", "run", "--checkpoint-dir", tmp_path, *flags)
    done = signalled([moment], *command)
    record = read_run(tmp_path / "run")
    assert record is not None, done.stderr
    printed = PRINTED.search(done.stderr)
    assert printed, done.stderr
    written = to_json(record.model) | to_json(record.training) | record.budget
    said = printed.groupdict()
    why, stateless = said.pop("why"), said.pop("stateless")
    said["weight_drop"] = said["weight_drop"] or "0"
    said["nonlinearity"] = said["nonlinearity"] or "tanh"  # which other cells have, unsaid
    for name, value in said.items():
        number = isinstance(written[name], float)
        assert value == (f"{written[name]:g}" if number else str(written[name]))
        assert str(asked.get(name, value)) == value
    assert (stateless is None) is record.training.carry
    assert why == record.plan["reasons"].get("weight_decay")
    assert record.plan["mode"] == given.get("plan", "auto")
    assert "operations_per_second" not in record.plan["facts"]  # steps are counted, not timed


@pytest.mark.parametrize("quiet", [False, True])
def test_a_budget_of_hardly_any_step_is_told(
    quiet: bool, english_file: Path, tmp_path: Path
) -> None:
    command = ("train", english_file, "--minutes", 1e-6, "--checkpoint-dir", tmp_path)
    done = charrnn(*command, "--layers", 1, "--hidden-size", 8, *(["-q"] if quiet else []))
    assert done.returncode == 0, done.stderr
    said = "warning: no more than one step fits into --minutes 1e-06: too few for a model"
    assert (said in done.stderr) is not quiet


def test_every_checkpoint_asked_for_is_there_and_whole(whole: Run) -> None:
    assert whole.steps() == [30, 60, 90]
    for step in whole.steps():
        assert read_checkpoint(model_path(whole.path, step)).record.step == step
    assert resume_path(model_path(whole.path, STEPS)).exists()
    assert not whole.unfinished_files()


def test_a_finished_run_is_reported_by_resume(whole: Run) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in whole.path.iterdir())
    arguments = ("train", "--resume", "--name", "run", "--checkpoint-dir", whole.path.parent)
    again = charrnn(*arguments, "--json")
    assert (again.returncode, again.stderr) == (0, f"{whole.path}: finished, at step {STEPS}\n")
    assert json.loads(again.stdout) == json.loads(whole.done.stdout)
    after = sorted((path, path.stat().st_mtime_ns) for path in whole.path.iterdir())
    assert [b for b in before if b[0].name != "lock"] == [a for a in after if a[0].name != "lock"]


def test_the_verdict_of_a_run_ends_with_a_command_that_works(whole: Run, tmp_path: Path) -> None:
    """The command is run elsewhere than the checkpoints are."""
    directory = whole.path.parent
    arguments = ("train", "--resume", "--name", "run", "--checkpoint-dir", directory)
    verdict = charrnn(*arguments, cwd=tmp_path).stdout
    for part in "% of the time", "hesitates between", "nats", "bits", "the last 10%", "overfit":
        assert part in " ".join(verdict.split())
    command = " ".join(verdict.split("Next: ")[1].split())
    assert shell(command + " --length 10 -q", cwd=tmp_path).returncode == 0, command


# Signals.


def test_ctrl_c_finishes_the_step_saves_and_exits_130(stopped: Run) -> None:
    assert_error(stopped.done, 130, "step 41 of 90", "--resume")
    assert stopped.steps() == [30, 41]
    assert read_checkpoint(model_path(stopped.path, 41)).record.step == 41
    assert not stopped.unfinished_files()


def test_the_hint_after_ctrl_c_goes_on_to_an_end_with_equal_weights(
    copied: Run, whole: Run, tmp_path: Path
) -> None:
    command = shlex.split(copied.done.stderr.split("hint: ")[1])
    command[command.index("--checkpoint-dir") + 1] = str(copied.path.parent)
    assert command[:2] == ["charrnn", "train"]
    done = charrnn(*command[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "from step 41" in done.stderr
    assert_equal_runs(Run(copied.path, done), whole)


def test_ctrl_c_in_the_last_step_loses_nothing(
    english_file: Path, whole: Run, tmp_path: Path
) -> None:
    """Its evaluation was left out, and is made up for by --resume."""
    moment = ("charrnn.training.take_step", STEPS, signal.SIGINT)
    run = stopped_at([moment], english_file, tmp_path)
    assert run.done.returncode in (0, 130)
    done = charrnn("train", "--resume", "--name", "run", "--checkpoint-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert_equal_runs(Run(run.path, done), whole)


@pytest.mark.parametrize(
    ("place", "call", "number", "step"),
    [
        ("os.replace", 2, signal.SIGTERM, 30),  # after run.json: in the midst of a save
        ("charrnn.training.score", 2, signal.SIGHUP, 60),  # in the midst of an evaluation
    ],
)
def test_other_signals_save_too_and_have_codes_of_their_own(
    place: str, call: int, number: signal.Signals, step: int, english_file: Path, tmp_path: Path
) -> None:
    run = stopped_at([(place, call, number)], english_file, tmp_path)
    assert_error(run.done, 128 + number, " of 90", "--resume")
    assert run.steps()[-1] >= step  # training goes on during a save
    step = run.steps()[-1]
    assert f"step {step} of 90, everything saved" in run.done.stderr
    assert read_checkpoint(model_path(run.path, step)).record.step == step
    assert not run.unfinished_files()


def test_a_signal_before_the_first_step_leaves_no_trace(english_file: Path, tmp_path: Path) -> None:
    moment = ("charrnn.corpus.read_corpus", 1, signal.SIGINT)
    run = stopped_at([moment], english_file, tmp_path)
    assert run.done.returncode == 130
    assert "Traceback" not in run.done.stderr
    assert not list(tmp_path.iterdir())


def test_a_second_ctrl_c_ends_it_at_once_with_the_last_checkpoint_whole(
    english_file: Path, tmp_path: Path
) -> None:
    """The second comes in the midst of the save that the first asked for, on a slow disk."""
    moments = [
        ("charrnn.training.take_step", 41, signal.SIGINT),
        ("os.replace", 4, signal.SIGINT),  # after run.json and the two files of step 30
    ]
    began = time.monotonic()
    run = stopped_at(moments, english_file, tmp_path, SLOW)
    assert time.monotonic() - began < 60
    assert_error(run.done, 130, "at once", "--resume")
    assert run.steps() == [30]
    assert read_checkpoint(model_path(run.path, 30)).record.step == 30
    assert not run.unfinished_files()


def test_ctrl_c_on_a_terminal_ends_the_live_display(english_file: Path, tmp_path: Path) -> None:
    """Without colour, as NO_COLOR asks; `best` is there after the first evaluation."""
    shown = on_terminal(
        *("train", english_file, *TINY, "--steps", 8_000, "--checkpoint-steps", 200),
        keys=[("at step ", "\x03")],
        cwd=tmp_path,
        NO_COLOR="1",
    )
    assert shown.code == 130
    for part in "cafe-gru: 1 x 8 gru", "run", "epoch", "perplexity", "characters/s", "━", "left":
        assert part in shown.screen
    assert "a fresh sample" in shown.screen
    assert not COLOUR.search(shown.screen)
    assert shown.screen.rindex("\x1b[?25h") > shown.screen.rindex("\x1b[?25l"), "the cursor is back"
    assert "everything saved" in shown.screen.rpartition("\x1b[?25h")[2]


# Resume.


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--hidden-size", "48"], "--hidden-size"),
        (["--seed", "1"], "--seed"),
        (["--no-carry"], "begun with --carry"),
        (["--optimizer", "sgd"], "soap for --optimizer"),
        (["--plan", "off"], "auto for --plan"),
        (["--weight-drop", "0.1"], "--weight-drop"),
        (["--nonlinearity", "relu"], "--nonlinearity"),
        (["--steps", "39"], "40 for --steps"),
        (["--minutes", "1"], "--minutes"),
        (["--val-frac", "0.2"], "--val-frac"),
        (["--val-file", "val.txt"], "--val-file"),
        (["--evaluation-steps", "11"], "--evaluation-steps"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_resume_refuses_what_contradicts_the_run(
    flags: list[str], part: str, trained: Path
) -> None:
    done = charrnn("train", "--resume", "--name", "cafe", "--checkpoint-dir", trained, *flags)
    assert_error(done, 2, part)


def test_resume_refuses_another_corpus_by_name(trained: Path, tmp_path: Path) -> None:
    arguments = ("train", "other.txt", "--resume", "--name", "cafe", "--checkpoint-dir", trained)
    (tmp_path / "other.txt").write_text("Another text, of much the same kind. " * 30)
    done = charrnn(*arguments, cwd=tmp_path)
    assert_error(done, 1, "other.txt", "corpus has changed")


def test_resume_takes_the_same_text_from_elsewhere(
    copied: Run, whole: Run, english_file: Path, tmp_path: Path
) -> None:
    """A corpus is known by its bytes, not by where it stands; run.json then says where."""
    moved = shutil.copy(english_file, tmp_path / "moved.txt")
    arguments = ("--resume", "--name", "run", "--checkpoint-dir", copied.path.parent)
    done = charrnn("train", moved, *arguments)
    assert done.returncode == 0, done.stderr
    assert copied.record()["paths"] == [str(moved)]
    assert_equal_runs(Run(copied.path, done), whole)


def test_resume_takes_what_the_run_was_begun_with(trained: Path, english_file: Path) -> None:
    same = ("--hidden-size", 24, "--steps", 40, "--evaluation-steps", 10, "--val-frac", 0.1)
    arguments = ("train", english_file, "--resume", "--name", "cafe", "--checkpoint-dir", trained)
    assert charrnn(*arguments, *same, "-q").returncode == 0


def test_resume_of_a_changed_corpus_is_refused(copied: Run, english: str, tmp_path: Path) -> None:
    changed = tmp_path / "cafe.txt"
    changed.write_text("X" + english[1:], encoding="utf-8")
    arguments = ("--resume", "--name", "run", "--checkpoint-dir", copied.path.parent)
    done = charrnn("train", changed, *arguments, "-q")
    assert_error(done, 1, str(changed), "changed")
    assert copied.steps() == [30, 41]


def test_a_dry_run_of_a_resume_trains_nothing(copied: Run) -> None:
    arguments = ("train", "--resume", "--name", "run", "--checkpoint-dir", copied.path.parent)
    done = charrnn(*arguments, "--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith("charrnn train ")
    assert copied.steps() == [30, 41]


def test_a_run_being_trained_elsewhere_says_to_try_again(copied: Run) -> None:
    with open(copied.path / "lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        arguments = ("train", "--resume", "--name", "run", "--checkpoint-dir", copied.path.parent)
        assert_error(charrnn(*arguments), 75, "run")


def test_a_full_disk_leaves_the_last_checkpoint_and_says_to_try_again(copied: Run) -> None:
    """No file may grow beyond 16 kB, so that metrics fit and checkpoints do not."""
    kept = {path: path.read_bytes() for path in copied.path.glob("step-*")}

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, resource.RLIM_INFINITY))

    arguments = ("train", "--resume", "--name", "run", "--checkpoint-dir", copied.path.parent)
    done = charrnn(*arguments, preexec_fn=no_large_files)
    assert_error(done, 75, "step-00000090", "space")
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning:")]
    assert len(warnings) > 2, "each time it is tried"
    assert all("is not saved yet, training goes on" in warning for warning in warnings)
    assert "everything saved" not in done.stderr
    assert {path: path.read_bytes() for path in copied.path.glob("step-*")} == kept
    assert not copied.unfinished_files()


# Names and directories.


def at_once(count: int, *arguments: object, cwd: Path) -> list[tuple[int, str, str]]:
    """Run the same command several times at once: exit codes, stdouts, stderrs."""
    command = [COMMAND, *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, cwd=cwd, **pipes) for _ in range(count)]
    told = [process.communicate(timeout=120) for process in running]
    return [(run.returncode, out, err) for run, (out, err) in zip(running, told, strict=True)]


def test_two_at_once_get_names_of_their_own(english_file: Path, tmp_path: Path) -> None:
    command = ("train", english_file, "--steps", 1, "-q", "--json", *TINY)
    both = at_once(2, *command, cwd=tmp_path)
    assert [(code, err) for code, _, err in both] == [(0, ""), (0, "")]
    names = {json.loads(out)["run"] for _, out, _ in both}
    assert names == {"cafe-gru", "cafe-gru-2"}
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == names


def test_two_resumes_of_one_name_at_once_train_one_run(english_file: Path, tmp_path: Path) -> None:
    """A job that was queued twice: the later one reports the run, or says to try again."""
    command = ("train", english_file, "--name", "night", "--resume", "--steps", 300, "-q", *TINY)
    both = at_once(2, *command, cwd=tmp_path)
    assert sorted(code for code, _, _ in both) in ([0, 0], [0, 75]), both
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["night"]


def test_a_name_that_exists_is_refused_with_both_ways_out(
    trained: Path, english_file: Path
) -> None:
    arguments = ("train", english_file, "--name", "cafe", "--checkpoint-dir", trained)
    done = charrnn(*arguments, "--steps", 1, *TINY)
    assert_error(done, 1, "cafe", "--resume", "--overwrite")


def test_overwrite_moves_the_old_run_aside(
    trained: Path, english_file: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "checkpoints")

    def held(run: Path) -> dict[str, bytes]:  # the lock says who held it last
        return {path.name: path.read_bytes() for path in run.iterdir() if path.name != "lock"}

    before = held(trained / "cafe")
    arguments = ("train", english_file, "--name", "cafe", "--overwrite", "--steps", 1, *TINY)
    done = charrnn(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cafe.old" in done.stderr
    old = tmp_path / "checkpoints" / "cafe.old"
    assert held(old) == before
    assert Run(tmp_path / "checkpoints" / "cafe", done).steps() == [1]


@pytest.mark.parametrize("name", ["a/b", "", "-dash", "a\x1b[31mb", "x" * 300])
def test_a_name_that_is_no_directory_name_is_refused(
    name: str, english_file: Path, tmp_path: Path
) -> None:
    done = charrnn("train", english_file, f"--name={name}", "--steps", 1, *TINY, cwd=tmp_path)
    assert_error(done, 2, "--name")
    assert all(line.isprintable() for line in done.stderr.splitlines())
    assert not list(tmp_path.iterdir())


def test_an_unwritable_checkpoint_directory_is_named(english_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    arguments = ("--checkpoint-dir", tmp_path / "file" / "x", "--steps", 1, *TINY)
    assert_error(charrnn("train", english_file, *arguments), 1, "file/x")


# Nothing given: a plain run on a plain terminal.


@pytest.fixture(scope="module")
def plain(english_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """A run of a moment by the clock with names left out, on a dumb terminal; its screen."""
    directory = tmp_path_factory.mktemp("plain")
    shutil.copy(english_file, directory / "it's café.txt")
    arguments = ("train", "it's café.txt", "--minutes", 0.01, *TINY)
    shown = on_terminal(*arguments, cwd=directory, TERM="dumb")
    (run,) = (directory / "checkpoints").iterdir()
    done = subprocess.CompletedProcess([], shown.code, shown.screen, "")
    return Run(run, done), shown.screen


def test_a_dumb_terminal_gets_lines_without_escape_codes(plain: tuple[Run, str]) -> None:
    run, screen = plain
    assert run.done.returncode == 0, screen
    assert not ESCAPE.search(screen)
    assert re.search(r"^step \d+/\d+ ", screen, re.MULTILINE)
    assert "Next: charrnn sample " in screen


def test_minutes_become_steps_that_are_recorded(plain: tuple[Run, str]) -> None:
    run, _ = plain
    record = run.record()
    assert record["budget"] == {"minutes": 0.01}
    assert record["schedule"]["steps"] == run.steps()[-1] == run.metrics()[-1]["step"]


def test_the_default_name_is_the_stem_and_the_model(plain: tuple[Run, str]) -> None:
    assert plain[0].path.name == "it-s-café-gru"


# Every model and option.

OTHERS: dict[str, tuple[object, ...]] = {
    "sigmoid": ("--model", "rnn", "--nonlinearity", "sigmoid", "--no-carry"),
    "before": ("--model", "gru-reset-before", "--optimizer", "sgd"),
    "product": (
        *("--model", "product", "--weight-drop", 0.3, "--clip", 0, "--no-carry"),
        *("--optimizer", "sgd", "--learning-rate", 0.5, "--layers", 2),
    ),
}
"""By the run's name, flags of what no other test of these commands trains with."""

ONE_AFTER_THE_OTHER = """
import json, sys
from charrnn.cli import main
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as ended:
        assert not ended.code
"""
"""The command, several times in a process that imports torch once."""

FEW = (*TINY, "--seed", 2, "--steps", 8, "--checkpoint-steps", 4, "--precision", "fp32", "-q")


@pytest.fixture(scope="module")
def others(english_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint directory with a run of each."""
    directory = tmp_path_factory.mktemp("others")
    lines = [
        [str(word) for word in ("train", english_file, *FEW, *flags, "--name", name)]
        for name, flags in OTHERS.items()
    ]
    command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps(lines)]
    environment = os.environ | {"CHARRNN_CHECKPOINTS": str(directory)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return directory


def test_run_json_keeps_every_option(others: Path) -> None:
    kept = {name: json.loads((others / name / "run.json").read_text()) for name in OTHERS}
    assert {name: record["model"]["model"] for name, record in kept.items()} == {
        "sigmoid": "rnn",
        "before": "gru-reset-before",
        "product": "product",
    }
    assert kept["sigmoid"]["model"]["nonlinearity"] == "sigmoid"
    options = ("optimizer", "learning_rate", "weight_drop", "carry", "clip")
    assert {name: [r["training"][o] for o in options] for name, r in kept.items()} == {
        "sigmoid": ["soap", 0.004, 0.0, False, 1.0],
        "before": ["sgd", 4.0, 0.0, True, 1.0],
        "product": ["sgd", 0.5, 0.3, False, 0.0],
    }


def test_every_model_is_evaluated(others: Path) -> None:
    done = charrnn("evaluate", *OTHERS, "--checkpoint-dir", others, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    scores = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(scores) == len(OTHERS)
    for score, name in zip(scores, OTHERS, strict=True):
        path = Path(score["checkpoint"])
        assert path.parent.name == name
        kept = read_checkpoint(path).record.nats_per_char
        assert score["nats_per_char"] == pytest.approx(kept, rel=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_every_model_is_sampled(name: str, others: Path) -> None:
    command = ("sample", name, "--checkpoint-dir", others, "--length", 30, "--seed", 1)
    done = charrnn(*command, "--prompt", "The ")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.removesuffix("\n")) in (29, 30)


def test_every_option_is_gone_on_with(others: Path, english_file: Path, tmp_path: Path) -> None:
    """A run with all of them, stopped in the midst of a window of steps, ends as if it was not."""
    command = ("train", english_file, *FEW, *OTHERS["product"], "--name", "product")
    moments: list[Moment] = [("charrnn.training.take_step", 6, signal.SIGINT)]
    stopped = signalled(moments, *command, "--checkpoint-dir", tmp_path)
    assert stopped.returncode == 130
    done = charrnn("train", "--resume", "--name", "product", "--checkpoint-dir", tmp_path, "-q")
    assert (done.returncode, done.stderr) == (0, "")
    whole, broken = (
        read_checkpoint(model_path(directory / "product", 8)) for directory in (others, tmp_path)
    )
    assert whole.record.scores == broken.record.scores
    for weight, array in whole.weights.items():
        assert array.tobytes() == broken.weights[weight].tobytes(), weight


# The model that is chosen.


def test_what_is_chosen_is_trained_resumed_sampled_and_begun_with(
    english_file: Path, tmp_path: Path
) -> None:
    """A model of two cells, which nobody named."""
    where = ("--checkpoint-dir", tmp_path)
    flags = ("--layers", 2, "--hidden-size", 320, "--batch-size", 2, "--val-frac", 0.02, *where)
    done = charrnn("train", english_file, *flags, "--steps", 2)
    assert done.returncode == 0, done.stderr
    assert "2 x 320 gru-qrnn" in done.stderr
    (run,) = tmp_path.iterdir()
    assert run.name == f"{english_file.stem}-gru"
    again = charrnn("train", english_file, *flags, "--resume", "--steps", 3, "--json")
    assert (again.returncode, json.loads(again.stdout)["step"]) == (0, 3)
    written = charrnn("sample", run.name, *where, "--length", 20, "--seed", 1)
    assert (written.returncode, len(written.stdout.rstrip("\n"))) == (0, 20)
    begun = charrnn("train", english_file, *where, "--init-from", run.name, "--dry-run")
    assert " --model gru-qrnn " in begun.stdout


def test_weights_that_a_model_lacks_are_not_dropped(english_file: Path, tmp_path: Path) -> None:
    """Whether it is named, or begun with."""
    where = ("--checkpoint-dir", tmp_path)
    flags = ("--hidden-size", 8, "--model", "qrnn", "--steps", 2, "--name", "quasi", *where)
    refused = charrnn("train", english_file, *flags, "--weight-drop", 0.2)
    assert_error(refused, 2, "--weight-drop 0.2: a qrnn has no recurrent weights")
    assert not list(tmp_path.iterdir())
    assert charrnn("train", english_file, *flags).returncode == 0
    begun = ("--init-from", "quasi", "--name", "after", *where)
    refused = charrnn("train", english_file, *begun, "--weight-drop", 0.2)
    assert_error(refused, 2, "--weight-drop 0.2: a qrnn has no recurrent weights")


# The dry run.


def test_a_dry_run_prints_one_command_that_prints_itself(
    english_file: Path, tmp_path: Path
) -> None:
    """Even for names that a shell and an option parser would take for something else."""
    shutil.copy(english_file, tmp_path / "-q $(x) 'é.txt")
    flags = ("--epochs", 3, "--model", "rnn", "--nonlinearity", "sigmoid", "--optimizer", "sgd")
    flags += ("--weight-drop", 0.25, "--no-carry", "--checkpoint-dir", "else where", "--dry-run")
    first = charrnn("train", *flags, "--", "-q $(x) 'é.txt", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert len(first.stdout.splitlines()) == 1
    words = shlex.split(first.stdout)
    assert words[:2] == ["charrnn", "train"]
    assert words[words.index("--epochs") + 1] == "3.0"
    assert words[words.index("--nonlinearity") + 1] == "sigmoid"
    assert words[words.index("--optimizer") + 1] == "sgd"
    assert words[words.index("--learning-rate") + 1] == "4.0"
    assert words[words.index("--weight-drop") + 1] == "0.25"
    assert "--no-carry" in words
    again = charrnn("train", "--dry-run", *words[2:], cwd=tmp_path)
    assert again.stdout == first.stdout
    assert words[words.index("--checkpoint-dir") + 1] == "else where"
    assert [path.name for path in tmp_path.iterdir()] == ["-q $(x) 'é.txt"]


def test_a_dry_run_names_a_run_that_is_not_there_yet(english_file: Path, tmp_path: Path) -> None:
    for name in "cafe-gru", "cafe-gru-2":
        done = charrnn("train", english_file, "--dry-run", "--epochs", 1, cwd=tmp_path)
        words = shlex.split(done.stdout)
        assert words[words.index("--name") + 1] == name
        (tmp_path / "checkpoints" / name).mkdir(parents=True)


def test_a_dry_run_s_choice_as_json_has_the_names_of_run_json(
    english_file: Path, tmp_path: Path
) -> None:
    arguments = ("train", english_file, "--steps", 1, "--hidden-size", 3, "--name", "run")
    done = charrnn(*arguments, "--dry-run", "--json", cwd=tmp_path)
    choice = json.loads(done.stdout)
    assert choice["command"] + "\n" == charrnn(*arguments, "--dry-run", cwd=tmp_path).stdout
    begun = charrnn(*arguments, "--quiet", cwd=tmp_path)
    assert begun.returncode == 0, begun.stderr
    record = Run(tmp_path / "checkpoints" / "run", begun).record()
    assert list(choice) == ["command", "model", "training", "budget", "plan"]
    assert choice == {name: record[name] for name in choice}
    resumed = charrnn("train", "--resume", "--name", "run", "--dry-run", "--json", cwd=tmp_path)
    assert json.loads(resumed.stdout) == choice


def test_run_json_keeps_the_explicit_command(whole: Run) -> None:
    words = shlex.split(whole.record()["command"])
    given = list(map(str, SMALL))
    for flag, value in zip(given[::2], given[1::2], strict=True):
        assert words[words.index(flag) + 1] == value
    assert "--learning-rate" in words


# Texts that cannot be trained on.


def refused(tmp_path: Path, name: str, data: bytes) -> subprocess.CompletedProcess[str]:
    (tmp_path / name).write_bytes(data)
    done = charrnn("train", name, cwd=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name], "no run was begun"
    assert len(done.stderr.splitlines()) == 2
    return done


def test_a_missing_file_is_named_with_the_likely_one(english_file: Path) -> None:
    done = charrnn("train", "caffe.txt", cwd=english_file.parent)
    assert_error(done, 1, "caffe.txt: no such file", "cafe.txt?")


def test_a_folder_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n")
    done = charrnn("train", tmp_path)
    assert_error(done, 1, f"{tmp_path}: no file of text there (1 others)", "--encoding")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    assert_error(refused(tmp_path, "empty.txt", b""), 1, "empty.txt: the file is empty")


def test_bytes_that_are_no_utf8_are_told_with_the_ways_out(tmp_path: Path) -> None:
    done = refused(tmp_path, "latin.txt", b"one\ntwo\ncaf\xe9 au lait\n")
    assert_error(done, 1, "latin.txt", "byte 11", "line 3", "0xE9", "iconv")


@pytest.mark.parametrize(
    ("name", "inside", "what"),
    [
        ("x.docx", "word/document.xml", "Word"),
        ("x.epub", "META-INF/container.xml", "EPUB"),
        ("x.pdf", None, "PDF"),
    ],
)
def test_a_document_is_told_with_the_way_to_its_text(
    name: str, inside: str | None, what: str, tmp_path: Path
) -> None:
    source = tmp_path.with_name(tmp_path.name + "-source")
    source.write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    if inside:
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr(inside, "<xml/>")
    done = refused(tmp_path, name, source.read_bytes())
    assert_error(done, 1, f"{name}: is a", what, "get its text with: ", "x.txt")


def test_a_text_shorter_than_one_window_is_refused(english_file: Path, tmp_path: Path) -> None:
    flags = ("--seq-length", 5000, "--batch-size", 1, "--threads", 1)
    done = charrnn("train", english_file, *flags, cwd=tmp_path)
    assert_error(done, 1, "5,000", "--seq-length")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line",
    [
        "--hidden-size 0",
        "--dropout 1",
        "--steps 0",
        "--steps 5 --epochs 1",
        "--model transformer",
        "--device tpu",
        "--val-frac 1",
        "--optimizer adam",
        "--weight-drop 1",
        "--nonlinearity relu",
        "--nonlinearity tanh --model product",
    ],
)
def test_an_impossible_setting_is_refused_by_its_flag(
    line: str, english_file: Path, tmp_path: Path
) -> None:
    done = charrnn("train", english_file, *line.split(), cwd=tmp_path)
    assert_error(done, 2, line.split()[0])
    assert not list(tmp_path.iterdir())
