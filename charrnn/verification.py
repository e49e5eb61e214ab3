"""Whether the files of a run hold the bytes that were written, one by one."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from charrnn.checkpoints import (
    read_checkpoint,
    read_record,
    read_resume_file,
    resume_files,
)
from charrnn.errors import CharrnnError, CheckpointError
from charrnn.run_record import RUN_FILE, read_run
from charrnn.runs import model_files
from charrnn.sealed import read_header

_RESUME_ENDS = (".resume.safetensors", ".resume.earlier")


class Finding(NamedTuple):
    """What was found of one file."""

    path: Path
    fault: str
    """what is wrong with it, naming it; empty where it is whole"""
    kind: str = ""
    """what a whole file is"""


def places(references: Iterable[str] | None, directory: Path) -> list[Path]:
    """What there is to verify: model files, resume files and run.json, each once.

    A reference is a file, a run's directory or name, or a directory of runs; left out,
    it is `directory`. Raises CheckpointError where one is nothing of the kind or holds
    nothing.
    """
    found: dict[Path, None] = {}
    for place in [_place(name, directory) for name in references or ()] or [directory]:
        inside = _with_its_resume_files(place) if place.is_file() else _under(place)
        if not inside:
            raise CheckpointError(
                f"{place}: no checkpoint there",
                "train one: charrnn train FILE.txt",
            )
        found |= dict.fromkeys(inside)
    return list(found)


def check(path: Path) -> Finding | None:
    """Verify one file of `places`; None where it was removed meanwhile, as pruning does."""
    try:
        return Finding(path, "", _kind(path))
    except CharrnnError as error:
        return Finding(path, error.message) if os.path.lexists(path) else None


def _kind(path: Path) -> str:
    """What a file is, if it is whole; raises CharrnnError."""
    if path.name == RUN_FILE:
        read_run(path.parent)
        return "the run's record"
    if not path.name.endswith(_RESUME_ENDS):
        read_checkpoint(path)
        return "model"
    sealed, _ = read_resume_file(path)
    sealed.tensors()
    model_file = _model_file(path)
    if not model_file.exists():
        return "resume file, without its model file"
    try:
        wanted = read_record(model_file).resume_digest
    except CheckpointError:  # which has a line of its own
        return "resume file"
    if sealed.header.digest == wanted:
        return "resume file"
    if wanted in map(_digest, resume_files(model_file)):
        return "resume file of a save that did not finish"
    raise CheckpointError(f"{path}: does not belong to {model_file.name}")


def _digest(resume_file: Path) -> str | None:
    try:
        return read_header(resume_file).digest
    except CheckpointError:
        return None


def _model_file(resume_file: Path) -> Path:
    return resume_file.with_name(resume_file.name.split(".resume.")[0] + ".safetensors")


def _with_its_resume_files(path: Path) -> list[Path]:
    if path.name == RUN_FILE or path.name.endswith(_RESUME_ENDS):
        return [path]
    return [path, *resume_files(path)]


def _place(reference: str, directory: Path) -> Path:
    if Path(reference).is_file():
        return Path(reference)
    for place in Path(reference), directory / reference:
        if place.is_dir():
            return place
    raise CheckpointError(
        f"{reference}: no checkpoint, run directory or run of that name",
        f"runs are in {directory}",
    )


def _under(place: Path) -> list[Path]:
    """The files of a run, or of each run in a directory."""
    if not place.is_dir():
        return []
    runs = [place, *sorted(path for path in place.iterdir() if path.is_dir())]
    return [path for run in runs for path in _files(run)]


def _files(run: Path) -> list[Path]:
    """The files of a run, each model file before its resume files, run.json last."""
    models = model_files(run)
    found = dict.fromkeys(path for model in models for path in [model, *resume_files(model)])
    ends = [path for end in _RESUME_ENDS for path in run.glob(f"step-*{end}")]
    found |= dict.fromkeys(sorted(ends))  # those without a model file
    if found and (run / RUN_FILE).exists():
        found[run / RUN_FILE] = None
    return list(found)
