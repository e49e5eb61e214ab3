"""Runs: names claimed, checkpoints found and thrown away, and what the other files say."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saves import checkpoint, steps_of

from charrnn import pruning, runs
from charrnn.checkpoints import (
    model_path,
    read_checkpoint,
    read_record,
)
from charrnn.errors import CheckpointError, DamagedError, LockedError, RunError, UsageError
from charrnn.locks import is_locked, locked
from charrnn.metrics import METRICS_FILE
from charrnn.run_record import RUN_FILE

# Names


@pytest.mark.parametrize("name", ["hamlet-gru", "A", "Ünïcode 2", "a.b"])
def test_a_plain_directory_name_is_a_name(name):
    runs.check_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/abs", "a\nb", "é" * 101])
def test_what_is_no_plain_directory_name_is_refused(name):
    with pytest.raises(UsageError, match="--name"):
        runs.check_name(name)


@pytest.mark.parametrize(
    ("corpus", "name"),
    [
        ("texts/hamlet.txt", "hamlet-gru"),
        ("Collected Works (1623).txt", "Collected-Works-1623-gru"),
        ("紅樓夢.txt", "紅樓夢-gru"),
        ("...", "corpus-gru"),
        ("x" * 300, "x" * 80 + "-gru"),
    ],
)
def test_a_run_is_named_after_its_corpus_and_model(corpus, name):
    assert runs.default_name(Path(corpus), "gru") == name
    runs.check_name(runs.default_name(Path(corpus), "gru"))


@given(st.text(min_size=1, max_size=120).filter(lambda s: "/" not in s and "\0" not in s))
@settings(deadline=None, max_examples=200)
def test_the_name_of_any_corpus_can_be_a_run_s(stem):
    runs.check_name(runs.default_name(Path(stem), "lstm"))


# Claiming


def test_names_are_numbered_as_they_are_taken(tmp_path):
    directory = tmp_path / "not" / "there yet"
    names = [runs.claim(directory, "hamlet-gru", numbered=True).name for _ in range(3)]
    assert names == ["hamlet-gru", "hamlet-gru-2", "hamlet-gru-3"]
    (directory / "hamlet-gru-2").rmdir()
    assert runs.claim(directory, "hamlet-gru", numbered=True).name == "hamlet-gru-2"


def test_a_name_that_was_given_is_not_changed(tmp_path):
    assert runs.claim(tmp_path, "night", numbered=False) == tmp_path / "night"
    with pytest.raises(RunError, match="a run of this name exists") as caught:
        runs.claim(tmp_path, "night", numbered=False)
    assert "--resume" in caught.value.hint
    assert "--overwrite" in caught.value.hint


def test_threads_never_claim_the_same_name(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        claims = pool.map(lambda _: runs.claim(tmp_path, "x", numbered=True).name, range(40))
    assert sorted(claims) == sorted(["x", *(f"x-{n}" for n in range(2, 41))])


def test_processes_never_claim_the_same_name(tmp_path):
    """Each waits for the same file, so that they begin together, and claims ten names."""
    code = (
        "import sys, time, pathlib; from charrnn import runs\n"
        "d = pathlib.Path(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()\n"
        "for _ in range(10): print(runs.claim(d, 'x', numbered=True).name)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "runs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    names = [name for process in processes for name in process.communicate(timeout=60)[0].split()]
    assert sorted(names) == sorted(["x", *(f"x-{n}" for n in range(2, 41))])


def test_a_run_that_is_there_is_taken_as_it_is_but_not_a_stranger_s_directory(tmp_path):
    run = runs.claim(tmp_path, "night", numbered=False)
    (run / runs.LOCK_FILE).touch()
    assert runs.claim(tmp_path, "night", numbered=False, reuse=True) == run
    (run / RUN_FILE).touch()
    assert runs.claim(tmp_path, "night", numbered=False, reuse=True) == run
    (run / RUN_FILE).rename(run / "a-stranger-s")
    with pytest.raises(RunError, match="exists"):
        runs.claim(tmp_path, "night", numbered=False, reuse=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RunError, match=str(tmp_path)):
            runs.claim(tmp_path, "x", numbered=True)
    finally:
        tmp_path.chmod(0o700)


def test_a_file_in_the_directory_s_place_is_named(tmp_path):
    (tmp_path / "checkpoints").touch()
    with pytest.raises(RunError, match="checkpoints"):
        runs.claim(tmp_path / "checkpoints", "x", numbered=True)


def test_an_old_run_is_set_aside_whole_under_the_first_free_name(tmp_path):
    names = []
    for step in 1, 2, 3:
        checkpoint(tmp_path / "night", step)
        names.append(runs.set_aside(tmp_path / "night"))
    assert [path.name for path in names] == ["night.old", "night.old-2", "night.old-3"]
    assert [steps_of(path) for path in names] == [[1], [2], [3]]
    assert not (tmp_path / "night").exists()


def test_a_run_that_is_being_trained_is_not_set_aside(tmp_path):
    checkpoint(tmp_path / "night", 1)
    with (
        locked(tmp_path / "night" / runs.LOCK_FILE, "night"),
        pytest.raises(LockedError, match="night"),
    ):
        runs.set_aside(tmp_path / "night")
    assert steps_of(tmp_path / "night") == [1]


def test_a_run_is_locked_while_it_is_set_aside(tmp_path, monkeypatch):
    """Else one could begin in it between the look and the move."""
    checkpoint(tmp_path / "night", 1)
    really, locked_then = os.rename, []

    def watched(source, target):
        locked_then.append(is_locked(source / runs.LOCK_FILE))
        really(source, target)

    monkeypatch.setattr(os, "rename", watched)
    aside = runs.set_aside(tmp_path / "night")
    assert locked_then == [True]
    assert not is_locked(aside / runs.LOCK_FILE)


def test_a_name_is_given_back_only_if_no_step_was_taken(tmp_path):
    empty = runs.claim(tmp_path, "empty", numbered=False)
    (empty / runs.LOCK_FILE).touch()
    described = runs.claim(tmp_path, "described", numbered=False)
    begun = runs.claim(tmp_path, "begun", numbered=False)
    for run in described, begun:
        (run / RUN_FILE).write_text("{}")
        (run / runs.LOCK_FILE).touch()
    (begun / METRICS_FILE).touch()
    for run in empty, described, begun, tmp_path / "never was":
        runs.abandon(run)
    assert [path.name for path in tmp_path.iterdir()] == ["begun"]
    assert {path.name for path in begun.iterdir()} == {RUN_FILE, METRICS_FILE, runs.LOCK_FILE}


# Finding


def test_model_files_are_in_the_order_of_their_steps(tmp_path):
    for step in 100_000_000, 99_999_999, 5:
        checkpoint(tmp_path, step)
    for other in "step-1.safetensors", "notes.txt", "step-00000007.safetensors.bak":
        (tmp_path / other).touch()
    assert steps_of(tmp_path) == [5, 99_999_999, 100_000_000]


def test_runs_are_the_directories_that_hold_checkpoints(tmp_path):
    assert runs.all_runs(tmp_path / "none") == []
    for name in "b", "a":
        checkpoint(tmp_path / name, 1)
    (tmp_path / "claimed").mkdir()
    (tmp_path / "file").touch()
    assert runs.all_runs(tmp_path) == [tmp_path / "a", tmp_path / "b"]


def test_the_best_checkpoint_has_the_lowest_loss_and_of_equals_is_the_newest(tmp_path):
    for step, nats in (1, 1.5), (2, 1.25), (3, 1.25), (4, 1.75), (5, None):
        checkpoint(tmp_path, step, nats)
    assert runs.best(tmp_path) == model_path(tmp_path, 3)


def test_without_scores_the_newest_is_the_best(tmp_path):
    (tmp_path / "empty").mkdir()
    assert runs.best(tmp_path / "empty") is None
    for step in 1, 2:
        checkpoint(tmp_path / "run", step)
    assert runs.best(tmp_path / "run") == model_path(tmp_path / "run", 2)


def test_a_header_that_cannot_be_read_is_not_the_best(tmp_path):
    checkpoint(tmp_path, 1, 1.5)
    checkpoint(tmp_path, 2, 1.0).write_bytes(b"rubbish")
    assert runs.best(tmp_path) == model_path(tmp_path, 1)


@pytest.fixture
def three_runs(tmp_path, monkeypatch):
    """Runs `a`, `b` and `c` in a directory of their own; `b` was written last."""
    directory = tmp_path / "checkpoints"
    for number, name in enumerate(("a", "c", "b")):
        for step, nats in (1, 1.5), (2, 1.0), (3, 2.0):
            path = checkpoint(directory / name, step, nats)
            os.utime(path, (1_000_000 + 10 * number + step,) * 2)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return directory


def test_a_checkpoint_is_found_in_all_its_forms(three_runs):
    best = model_path(three_runs / "a", 2)
    assert runs.find("a", three_runs) == best  # a run's name
    assert runs.find(str(three_runs / "a"), three_runs) == best  # its directory
    first = model_path(three_runs / "a", 1)
    assert runs.find(str(first), three_runs) == first  # a file
    assert runs.find("../checkpoints/a", Path("nowhere")) == Path("../checkpoints/a") / best.name


def test_a_file_under_any_name_is_taken_as_it_is(three_runs):
    Path("from-a-friend.bin").write_bytes(b"whatever it is")
    assert runs.find("from-a-friend.bin", three_runs) == Path("from-a-friend.bin")


def test_left_out_it_is_the_best_of_the_run_written_last(three_runs):
    assert runs.find(None, three_runs) == model_path(three_runs / "b", 2)
    os.utime(model_path(three_runs / "c", 3), (2_000_000, 2_000_000))
    assert runs.find(None, three_runs) == model_path(three_runs / "c", 2)


def test_a_run_that_is_being_written_goes_before_the_one_written_last(three_runs):
    with locked(three_runs / "a" / runs.LOCK_FILE, "a"):
        assert runs.find(None, three_runs) == model_path(three_runs / "a", 2)
    assert runs.find(None, three_runs) == model_path(three_runs / "b", 2)


def test_while_several_are_being_written_it_must_be_named(three_runs):
    lock = runs.LOCK_FILE
    with locked(three_runs / "a" / lock, "a"), locked(three_runs / "c" / lock, "c"):
        with pytest.raises(UsageError, match="a, c"):
            runs.find(None, three_runs)
        assert runs.find("c", three_runs) == model_path(three_runs / "c", 2)


def test_a_directory_of_the_same_name_without_checkpoints_is_passed_over(three_runs):
    Path("a").mkdir()
    assert runs.find("a", three_runs) == model_path(three_runs / "a", 2)


def test_what_is_not_there_is_named_with_the_runs_there_are(three_runs):
    with pytest.raises(CheckpointError, match="nope") as caught:
        runs.find("nope", three_runs)
    assert "a, b, c" in caught.value.hint
    with pytest.raises(CheckpointError, match="holds no readable checkpoint"):
        runs.find(".", three_runs)
    with pytest.raises(CheckpointError, match="no checkpoint there") as caught:
        runs.find(None, three_runs / "empty")
    assert "charrnn train" in caught.value.hint


def test_runs_are_selected(three_runs):
    a, b = three_runs / "a", three_runs / "b"
    assert runs.select_runs(None, three_runs) == [a, b, three_runs / "c"]
    assert runs.select_runs(["b", str(a)], three_runs) == [b, a]
    file = str(model_path(three_runs / "c", 3))
    with pytest.raises(CheckpointError, match="a file"):
        runs.select_runs(["a", file], three_runs)
    with pytest.raises(CheckpointError, match="nope"):
        runs.select_runs(["nope"], three_runs)


def test_a_name_means_the_same_run_to_every_command(three_runs):
    """Without checkpoints in it, a directory or a file that has a run's name is not meant."""
    Path("a").mkdir()
    Path("b").write_text("a corpus")
    a, b = three_runs / "a", three_runs / "b"
    assert runs.find("b", three_runs) == model_path(b, 2)
    assert runs.select_runs(["a", "b"], three_runs) == [a, b]
    mine = checkpoint(Path("a"), 7)
    assert runs.find("a", three_runs) == mine
    assert runs.select_runs(["a"], three_runs) == [Path("a")]
    for path in "./b", "./nothing":  # with a slash it is a path, and no run's name
        with pytest.raises(CheckpointError, match=path):
            runs.select_runs([path], three_runs)


def test_headers_are_read_where_there_are_any(three_runs):
    paths = runs.model_files(three_runs / "a")
    paths[1].write_bytes(b"rubbish")
    found = runs.records(paths)
    assert [path for path, _ in found] == [paths[0], paths[2]]
    assert [record.step for _, record in found] == [1, 3]


# While others prune, save and set aside


@pytest.fixture
def on_reading(monkeypatch):
    """What is done just before the next header or file is read, once."""
    waiting = []

    def reads(path):
        while waiting:
            waiting.pop()()
        return read_record(path)

    monkeypatch.setattr(runs, "read_record", reads)
    return waiting.append


def test_a_run_pruned_while_its_best_is_looked_for_is_looked_at_again(tmp_path, on_reading):
    checkpoint(tmp_path, 1, 1.0)
    checkpoint(tmp_path, 2, 2.0)

    def save_and_prune():
        checkpoint(tmp_path, 3, 0.5)
        pruning.prune(tmp_path, 0)

    on_reading(save_and_prune)
    assert runs.best(tmp_path) == model_path(tmp_path, 3)
    assert steps_of(tmp_path) == [3]


def test_what_was_found_and_then_pruned_is_found_again(tmp_path):
    for step, nats in (1, 1.0), (2, 2.0):
        checkpoint(tmp_path / "night", step, nats)

    def read(path):
        checkpoint(tmp_path / "night", 3, 0.5)
        pruning.prune(tmp_path / "night", 0)
        return read_checkpoint(path)

    path, found = runs.open_found("night", tmp_path, read)
    assert path == model_path(tmp_path / "night", 3)
    assert found.record.step == 3


def test_what_is_found_and_damaged_is_an_error_at_once(tmp_path):
    path = checkpoint(tmp_path / "night", 1)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    calls = []

    def read(path):
        calls.append(path)
        return read_checkpoint(path)

    for reference in "night", str(path), None:
        with pytest.raises(DamagedError):
            runs.open_found(reference, tmp_path, read)
    assert calls == [path] * 3


def test_a_file_that_goes_for_good_is_an_error_in_the_end(tmp_path):
    path = checkpoint(tmp_path / "night", 1)

    def read(path):
        path.unlink(missing_ok=True)
        return read_checkpoint(path)

    with pytest.raises(CheckpointError, match="no checkpoint"):
        runs.open_found(str(path), tmp_path, read)


def test_runs_set_aside_while_they_are_looked_at_are_passed_over(three_runs, monkeypatch):
    """Between the listing of the directory and that of a run, and again before its files."""
    really = runs.model_files
    looked = []

    def model_files(run):
        looked.append(run.name)
        if run.name == "b" and run.exists() and looked.count("b") == 2:
            runs.set_aside(run)
        return really(run)

    assert runs.model_files(three_runs / "never was") == []
    monkeypatch.setattr(runs, "model_files", model_files)
    assert runs.find(None, three_runs).parent.name in ("b.old", "c")
    monkeypatch.undo()
    assert runs.find("c", three_runs) == model_path(three_runs / "c", 2)


def test_a_claim_on_what_is_just_given_back_or_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="exists"):
        runs.claim(tmp_path, "file", numbered=False, reuse=True)
    assert not runs.is_unused(tmp_path / "never was")


def test_a_run_is_finished_when_its_last_step_is_scored(tmp_path):
    (tmp_path / "run").mkdir()
    assert not runs.is_finished(tmp_path / "run", 2)
    checkpoint(tmp_path / "run", 1, 1.5)
    assert not runs.is_finished(tmp_path / "run", 2)
    last = checkpoint(tmp_path / "run", 2)
    assert not runs.is_finished(tmp_path / "run", 2)  # stopped in its last evaluation
    checkpoint(tmp_path / "run", 2, 1.25)
    assert runs.is_finished(tmp_path / "run", 2)
    last.write_bytes(b"rubbish")
    assert not runs.is_finished(tmp_path / "run", 2)


def test_a_record_s_checkpoint_survives_a_newer_one_being_written(tmp_path):
    """What is read off the files themselves needs no list that could be out of date."""
    checkpoint(tmp_path, 1, 1.5)
    assert runs.best(tmp_path) == model_path(tmp_path, 1)
    checkpoint(tmp_path, 1, 1.25)
    assert read_record(runs.best(tmp_path)).nats_per_char == 1.25
