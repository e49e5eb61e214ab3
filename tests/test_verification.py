"""Which files of a directory are whole, and what is said of those that are not."""

import os
import shutil
from pathlib import Path

import pytest
from test_checkpoints import RESUME, STATE, a_record, some_weights

from charrnn.checkpoints import model_path, resume_path, write_checkpoint
from charrnn.errors import CheckpointError
from charrnn.verification import check, places


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with checkpoints at steps 1 and 2, in the directory `runs`."""
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    for step in 1, 2:
        write_checkpoint(model_path(run, step), a_record(), some_weights(), RESUME, {"n": step})
    return run


def told(*references: object, directory: Path) -> dict[str, str]:
    """What is said of each file, by name."""
    found = [check(path) for path in places(list(map(str, references)), directory)]
    return {f.path.name: f.fault.removeprefix(f"{f.path}: ") or f.kind for f in found if f}


def test_every_file_is_told_whatever_the_reference(run: Path, tmp_path: Path) -> None:
    wanted = {
        f"step-0000000{step}.{end}": kind
        for step in (1, 2)
        for end, kind in (("safetensors", "model"), ("resume.safetensors", "resume file"))
    }
    assert told(directory=run.parent) == wanted
    assert told(run, directory=tmp_path) == wanted
    assert told("one", directory=run.parent) == wanted
    assert told(run.parent, directory=tmp_path) == wanted
    assert told(run, "one", run.parent, directory=run.parent) == wanted
    assert len(told(model_path(run, 1), directory=tmp_path)) == 2
    assert told(resume_path(model_path(run, 1)), directory=tmp_path) == {
        "step-00000001.resume.safetensors": "resume file"
    }


def test_a_resume_file_without_its_model_file_is_named(run: Path) -> None:
    """As a crash between the two leaves it, and as a loss does."""
    model_path(run, 2).unlink()
    found = told(run, directory=run)
    assert found["step-00000002.resume.safetensors"] == "resume file, without its model file"
    resume_path(model_path(run, 2)).write_bytes(b"damaged")
    assert "safetensors" in told(run, directory=run)["step-00000002.resume.safetensors"]
    for path in run.iterdir():
        path.unlink()
    write_checkpoint(model_path(run, 3), a_record(), some_weights(), RESUME, STATE)
    model_path(run, 3).unlink()
    assert list(told(run, directory=run)) == ["step-00000003.resume.safetensors"]


def test_a_save_that_did_not_finish_is_no_damage(run: Path) -> None:
    """The old resume file waits under another name until the new model file is there."""
    own = resume_path(model_path(run, 1))
    os.replace(own, own.with_suffix(".earlier"))
    shutil.copy(resume_path(model_path(run, 2)), own)
    found = told(run, directory=run)
    assert found["step-00000001.resume.earlier"] == "resume file"
    assert found[own.name] == "resume file of a save that did not finish"
    own.with_suffix(".earlier").write_bytes(b"damaged")
    found = told(run, directory=run)
    assert found["step-00000001.resume.earlier"].startswith("not a safetensors file")
    assert found[own.name] == "does not belong to step-00000001.safetensors"
    assert found["step-00000001.safetensors"] == "model"


def test_a_damaged_record_of_the_run_is_told(run: Path) -> None:
    (run / "run.json").write_text("{")
    assert "not readable" in told(run, directory=run)["run.json"]


def test_what_is_none_of_ours_is_left_alone(run: Path) -> None:
    (run / "step-00000003.safetensors.damaged").write_bytes(b"x")
    (run / ".writing-12").write_bytes(b"x")
    (run / "notes.txt").write_bytes(b"x")
    assert len(told(run, directory=run)) == 4


def test_a_file_that_was_pruned_meanwhile_is_passed_over(run: Path) -> None:
    found = places([str(run)], run)
    model_path(run, 1).unlink()
    assert check(found[0]) is None
    assert check(found[-1]) is not None


@pytest.mark.parametrize("reference", ["none", "empty"])
def test_nothing_at_all_is_an_error(reference: str, run: Path) -> None:
    (run.parent / "empty").mkdir()
    with pytest.raises(CheckpointError, match=reference):
        places([reference], run.parent)
    with pytest.raises(CheckpointError, match=reference):
        places(None, run.parent / reference)
