"""What of a run can go, and what never does."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from saves import checkpoint, resumable, steps_of

from charrnn import pruning, runs
from charrnn.checkpoints import model_path, resume_path
from charrnn.errors import CheckpointError, RunError
from charrnn.files import TEMPORARY_PREFIX
from charrnn.run_record import RUN_FILE


def test_pruning_keeps_the_best_the_newest_and_as_many_as_asked(tmp_path):
    for step, nats in enumerate([1.5, 1.0, 1.75, 1.5, 1.25, 1.5]):
        checkpoint(tmp_path, step, nats)
    planned = pruning.prune(tmp_path, 1, dry_run=True)
    assert steps_of(tmp_path) == [0, 1, 2, 3, 4, 5]
    assert pruning.prune(tmp_path, 1) == planned
    assert steps_of(tmp_path) == [1, 4, 5]
    assert resumable(tmp_path) == [4, 5]
    assert pruning.prune(tmp_path, 1) == []
    pruning.prune(tmp_path, 0)
    assert steps_of(tmp_path) == [1, 5]


def test_an_empty_run_has_nothing_to_prune(tmp_path):
    assert pruning.prune(tmp_path, 0) == []


def test_what_cannot_be_read_at_this_moment_is_not_pruned(tmp_path, monkeypatch):
    """It may be the best one, on a disk that has a bad moment."""
    for step, nats in enumerate([1.0, 1.5, 1.5, 1.5]):
        checkpoint(tmp_path, step, nats)
    bad = model_path(tmp_path, 0)
    really = runs.read_record

    def read(path):
        if path == bad:
            raise CheckpointError(f"{path}: Input/output error")
        return really(path)

    monkeypatch.setattr(runs, "read_record", read)
    pruning.prune(tmp_path, 0)
    monkeypatch.undo()
    assert steps_of(tmp_path) == [0, 3]
    assert runs.best(tmp_path) == bad


@pytest.mark.parametrize("junk", ["empty", "directory"])
def test_what_is_no_checkpoint_takes_no_checkpoint_s_place(junk, tmp_path):
    """Of later steps by their names; what can be gone on from would go in their stead."""
    for step, nats in enumerate([1.5, 1.0, 1.75]):
        checkpoint(tmp_path, step, nats)
    for step in 7, 8:
        path = model_path(tmp_path, step)
        path.mkdir() if junk == "directory" else path.touch()
    pruning.prune(tmp_path, 0)
    assert steps_of(tmp_path) == [1, 2, 7, 8]
    assert resumable(tmp_path) == [1, 2]


def test_a_file_of_the_user_s_is_left_alone(tmp_path):
    checkpoint(tmp_path, 1)
    mine = tmp_path / "my.resume.pdf"
    mine.touch()
    pruning.remove_unfinished(tmp_path)
    assert mine.exists()


@given(
    losses=st.lists(st.sampled_from([None, 1.0, 1.5, 2.0]), min_size=1, max_size=6),
    keep=st.integers(0, 4),
)
@settings(deadline=None, max_examples=25)
def test_pruning_never_removes_the_best_or_the_newest(losses, keep):
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        for step, nats in enumerate(losses):
            checkpoint(run, step, nats)
        (run / RUN_FILE).touch()
        best, newest = runs.best(run), runs.model_files(run)[-1]
        removed = pruning.prune(run, keep)
        left = runs.model_files(run)
        assert {best, newest} <= set(left)
        assert runs.best(run) == best
        assert set(steps_of(run)) >= set(range(len(losses))[-1 - keep :])
        assert len(left) <= keep + 2
        # The newest two can be gone on from; no other resume file stays.
        assert resumable(run) == [s for s in range(len(losses))[-2:] if s in steps_of(run)]
        assert not any(path.exists() for path in removed)
        assert (run / RUN_FILE).exists()


def test_what_a_crash_left_half_written_is_removed_and_nothing_else(tmp_path):
    path = checkpoint(tmp_path, 1)
    (tmp_path / f"{TEMPORARY_PREFIX}0123").write_bytes(b"half")
    pruning.remove_unfinished(tmp_path)
    assert set(tmp_path.iterdir()) == {path, resume_path(path)}


def test_what_cannot_be_cleaned_up_is_named(tmp_path):
    (tmp_path / f"{TEMPORARY_PREFIX}directory").mkdir()
    with pytest.raises(RunError, match=TEMPORARY_PREFIX):
        pruning.remove_unfinished(tmp_path)
