"""A run begun, and gone on with from whatever is whole on disk."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from charrnn import calibration, files, runs, session
from charrnn.batches import windows_per_epoch
from charrnn.checkpoints import read_record, resume_path
from charrnn.corpus import read_corpus
from charrnn.errors import (
    CheckpointError,
    DamagedError,
    DiskFullError,
    FormatError,
    RunError,
    TextError,
)
from charrnn.events import Saved, Stopped
from charrnn.metrics import read_metrics
from charrnn.planning import Plan
from charrnn.run_record import read_run
from charrnn.schedule import Budget
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.training import train

CHOSEN = TrainingSettings(seq_length=6, batch_size=3, learning_rate=1e-2, dropout=0.2, seed=7)
MODEL = ModelSettings("gru", "tanh", 4, 5, 2)


@pytest.fixture(autouse=True)
def same_threads():
    """`begin` and `go_on` set the threads of the whole process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def text(english, tmp_path):
    path = tmp_path / "short.txt"
    path.write_text(english[:120], encoding="utf-8")
    return path


def begin(text, run, budget=None, *, settings=CHOSEN, checkpoint_steps=5, **corpus):
    run.mkdir()
    held_out = {"val_fraction": 0.15, "test_fraction": 0.05} | corpus
    return session.begin(
        run,
        read_corpus([text], **held_out),
        Plan(MODEL, settings, budget or Budget(steps=12)),
        command="charrnn train short.txt",
        checkpoint_steps=checkpoint_steps,
        evaluation_steps=checkpoint_steps,
        fractions=(held_out["val_fraction"], held_out["test_fraction"]),
    )


def sit(sitting, times=None):
    """Train until `stop` has been asked so often, or to the end."""
    calls = [0]

    def stop():
        calls[0] += 1
        return times is not None and calls[0] > times

    return list(
        train(
            sitting.state,
            sitting.corpus,
            sitting.settings,
            sitting.schedule,
            sitting.run,
            stop=stop,
        )
    )


def go_on(run, settings=CHOSEN):
    """A session from disk, and the errors of the checkpoints that it skipped."""
    skipped = []
    taken_up = session.go_on(run, read_run(run), settings=settings, skipped=skipped.append)
    return taken_up, skipped


def damage(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def assert_same_weights(ours, theirs):
    for a, b in zip(ours.state.model.parameters(), theirs.state.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture
def whole(text, tmp_path):
    """The run that nothing disturbs."""
    sitting = begin(text, tmp_path / "whole")
    sit(sitting)
    return sitting


# Begun


def test_what_is_begun_is_described_in_run_json(text, tmp_path):
    other = tmp_path / "held-out.txt"
    other.write_text("a café of its own", encoding="utf-8")
    begun = begin(text, tmp_path / "run", test_file=other, test_fraction=0.0)
    record = read_run(tmp_path / "run")
    assert record.command == "charrnn train short.txt"
    assert (record.model, record.training, record.schedule) == (MODEL, CHOSEN, begun.schedule)
    assert record.corpus == begun.corpus.record()
    assert record.paths == [str(text)]
    assert record.held_out_paths == {"test": str(other)}
    assert (record.val_fraction, record.test_fraction) == (0.15, 0.0)
    assert record.budget == {"steps": 12}
    assert set(record.versions) == {"charrnn", "python", "torch", "numpy", "processor"}
    assert begun.state.step == 0


def test_relative_paths_are_recorded_absolute(text, tmp_path, monkeypatch):
    monkeypatch.chdir(text.parent)
    begin(Path(text.name), tmp_path / "run")
    assert read_run(tmp_path / "run").paths == [str(text)]


def test_budgets_become_steps(text, tmp_path):
    assert begin(text, tmp_path / "steps", Budget(steps=9)).schedule.steps == 9
    by_epochs = begin(text, tmp_path / "epochs", Budget(epochs=2.5))
    per_epoch = windows_per_epoch(len(by_epochs.corpus.ids["train"]), 6, 3)
    assert by_epochs.schedule.steps == math.ceil(2.5 * per_epoch)


def test_minutes_become_steps_by_what_was_measured(text, tmp_path, monkeypatch):
    """0.5 s a step and 2 s an evaluation: 60 s hold 120 steps, less the evaluations."""
    monkeypatch.setattr(
        calibration,
        "measure",
        lambda *_: calibration.Timing(step_seconds=0.5, evaluation_seconds=2),
    )
    begun = begin(text, tmp_path / "run", Budget(minutes=1), checkpoint_steps=50)
    assert begun.schedule.checkpoint_steps == 50
    evaluations = math.ceil(begun.schedule.steps / 50)
    assert begun.schedule.steps * 0.5 + evaluations * 2 == pytest.approx(60, abs=2.5)
    assert read_run(begun.run).schedule == begun.schedule  # fixed and recorded once
    assert go_on(begun.run)[0].schedule == begun.schedule


def test_the_threads_are_those_of_the_settings(text, tmp_path):
    begin(text, tmp_path / "run", settings=replace(CHOSEN, threads=2))
    assert torch.get_num_threads() == 2
    go_on(tmp_path / "run", CHOSEN)
    assert torch.get_num_threads() == 1


def test_where_there_is_no_room_nothing_is_begun(text, tmp_path, monkeypatch):
    """And nothing gone on with: the hours would be lost."""
    begin(text, tmp_path / "run")
    monkeypatch.setattr(files, "free_space", lambda _: 3_000)
    with pytest.raises(DiskFullError, match="kB needed, 3"):
        begin(text, tmp_path / "full")
    assert not list((tmp_path / "full").iterdir())
    with pytest.raises(DiskFullError, match="needed"):
        go_on(tmp_path / "run")


# Gone on with


def test_a_stopped_run_is_gone_on_with_from_its_last_step(text, tmp_path, whole):
    stopped = begin(text, tmp_path / "run")
    assert isinstance(sit(stopped, times=8)[-1], Stopped)
    taken_up, skipped = go_on(tmp_path / "run")
    assert skipped == []
    assert taken_up.state.step == stopped.state.step == 7
    sit(taken_up)
    assert_same_weights(taken_up, whole)


def test_a_run_without_a_checkpoint_begins_at_its_beginning(text, tmp_path, whole):
    begin(text, tmp_path / "run")
    taken_up, skipped = go_on(tmp_path / "run")
    assert (taken_up.state.step, skipped) == (0, [])
    sit(taken_up)
    assert_same_weights(taken_up, whole)


def test_what_was_left_half_written_is_removed(text, tmp_path):
    begin(text, tmp_path / "run")
    half = tmp_path / "run" / f"{files.TEMPORARY_PREFIX}12"
    half.write_bytes(b"half")
    go_on(tmp_path / "run")
    assert not half.exists()


@pytest.mark.parametrize("which", ["model", "resume", "resume gone", "model cut off"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    which, text, tmp_path, whole
):
    sit(begin(text, tmp_path / "run"), times=13)  # steps 5 and 10 are saved, and the 11th
    *_, before, newest = runs.model_files(tmp_path / "run")
    if which == "resume gone":
        resume_path(newest).unlink()
    elif which == "model cut off":
        newest.write_bytes(newest.read_bytes()[:50])
    else:
        damage(newest if which == "model" else resume_path(newest))
    taken_up, (error,) = go_on(tmp_path / "run")
    name = resume_path(newest) if "resume" in which else newest
    assert str(name) in error.message
    assert which == "resume gone" or isinstance(error, DamagedError | FormatError)
    assert taken_up.state.step == runs.step_of(before) == 10
    sit(taken_up)
    assert_same_weights(taken_up, whole)
    lines = [(line["kind"], line["step"]) for line in read_metrics(taken_up.run)]
    assert lines == [(line["kind"], line["step"]) for line in read_metrics(whole.run)]


def test_where_every_checkpoint_is_damaged_nothing_is_begun_afresh_over_them(text, tmp_path):
    run = tmp_path / "run"
    sit(begin(text, run), times=9)
    for path in runs.model_files(run):
        damage(path)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    for _ in range(2):  # and the second try finds what the first found
        with pytest.raises(CheckpointError, match="can be gone on from"):
            go_on(run)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_damaged_checkpoint_does_not_push_out_the_good_ones(text, tmp_path):
    """A damaged file has a higher step than what is saved next, and is not the newest."""
    settings = replace(CHOSEN, keep=0)
    run = tmp_path / "run"
    sit(begin(text, run, settings=settings), times=10)  # saved at 9
    damage(runs.model_files(run)[-1])
    taken_up, _ = go_on(run, settings)
    assert taken_up.state.step == 5
    events = sit(taken_up, times=3)  # saved at 8
    saved = [event.path for event in events if isinstance(event, Saved)]
    assert saved[-1].exists()
    assert go_on(run, settings)[0].state.step == taken_up.state.step == 8


@pytest.mark.parametrize("crashes", [1, 2, 3])
def test_a_crash_while_a_step_is_saved_anew_loses_no_step(
    crashes, text, tmp_path, monkeypatch, whole
):
    """Stopped in an evaluation, the step is saved; after it, it is saved again with scores.

    Between the renames of the two files the old model's resume file is gone. A bad disk
    fails there as often as one tries.
    """
    run = tmp_path / "run"
    assert sit(begin(text, run), times=5)[-1] == Stopped(5)
    replace_file = files.os.replace

    def failing(source, target):
        if str(target).endswith("5.safetensors"):
            raise OSError(5, "Input/output error")
        replace_file(source, target)

    for _ in range(crashes):
        taken_up, skipped = go_on(run)
        assert (taken_up.state.step, skipped) == (5, [])
        with monkeypatch.context() as patch:
            patch.setattr(files.os, "replace", failing)
            with pytest.raises(RunError):
                sit(taken_up)
    again, skipped = go_on(run)
    assert (again.state.step, skipped) == (5, [])
    sit(again)
    assert_same_weights(again, whole)


def test_a_whole_model_that_cannot_be_gone_on_from_stays_a_checkpoint(text, tmp_path):
    """Older checkpoints keep no resume file; they are sampled from and scored all the same."""
    run = tmp_path / "run"
    settings = replace(CHOSEN, keep=3)
    sit(begin(text, run, settings=settings, checkpoint_steps=3))
    older, *newest_two = runs.model_files(run)[-3:]
    assert not resume_path(older).exists()
    for path in newest_two:
        damage(path)
    with pytest.raises(CheckpointError, match="can be gone on from"):
        go_on(run, settings)
    assert older in runs.model_files(run)


def test_a_final_evaluation_that_was_stopped_is_made_up_for(text, tmp_path, whole):
    """All steps are done, but the run has no last score yet."""
    run = tmp_path / "run"
    stops = next(n for n in range(12, 20) if _scoreless_end(text, tmp_path / f"{n}", n))
    sit(begin(text, run), times=stops)
    taken_up, _ = go_on(run)
    assert taken_up.state.step == 12
    sit(taken_up)
    assert "val" in read_record(runs.model_files(run)[-1]).scores
    assert len(read_metrics(run)) == len(read_metrics(whole.run))


def _scoreless_end(text, run, times):
    end = sit(begin(text, run), times=times)[-1]
    return end == Stopped(12) and not read_record(runs.model_files(run)[-1]).scores


# The same text


def test_a_corpus_that_changed_is_refused(text, tmp_path):
    sit(begin(text, tmp_path / "run"), times=3)
    text.write_text(text.read_text(encoding="utf-8").replace("c", "k"), encoding="utf-8")
    with pytest.raises(RunError, match=r"short\.txt: the corpus has changed") as caught:
        go_on(tmp_path / "run")
    assert "--name" in caught.value.hint


def test_a_held_out_file_that_changed_is_refused(text, tmp_path):
    other = tmp_path / "held-out.txt"
    other.write_text("a café of its own", encoding="utf-8")
    begin(text, tmp_path / "run", val_file=other)
    other.write_text("a café of one's own", encoding="utf-8")
    with pytest.raises(RunError, match="the held-out text has changed"):
        go_on(tmp_path / "run")


def test_a_corpus_that_is_gone_is_named(text, tmp_path):
    begin(text, tmp_path / "run")
    text.unlink()
    with pytest.raises(TextError, match=r"short\.txt: no such file"):
        go_on(tmp_path / "run")


def test_the_recorded_corpus_is_the_one_that_was_read(text, tmp_path):
    other = tmp_path / "held-out.txt"
    other.write_text("a café of its own", encoding="utf-8")
    begun = begin(text, tmp_path / "run", val_file=other)
    again = session.recorded_corpus(read_run(tmp_path / "run"))
    assert again.record() == begun.corpus.record()
    for split, ids in begun.corpus.ids.items():
        assert (ids == again.ids[split]).all()
