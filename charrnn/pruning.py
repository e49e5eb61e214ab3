"""What of a run's directory can go: old checkpoints, damaged ones, what a crash left."""

import contextlib
import os
import re
from pathlib import Path

from charrnn.checkpoints import resume_files, resume_path
from charrnn.files import TEMPORARY_PREFIX, failures_named
from charrnn.runs import best_of, model_files, records

_RESUME_FILE = re.compile(r"step-\d{8,}\.resume\.(safetensors|earlier)")


def prune(run: Path, keep: int, *, newest: Path | None = None, dry_run: bool = False) -> list[Path]:
    """Remove all but the best, the newest and the `keep` next newest checkpoints.

    Resume files stay for the newest two. What cannot be read at this moment stays too: it
    may be the best. `newest` is the one just saved, where files of
    later steps are left from before a damage; those stay. Returns what was (or would be)
    removed. Raises RunError.
    """
    readable = records(model_files(run))
    every = [path for path, _ in readable]
    if not every:
        return []
    files = every[: every.index(newest) + 1] if newest in every else every
    kept = {best_of(readable), *files[-1 - keep :]}
    doomed = [path for path in files if path not in kept]
    # What no resume will begin from.
    idle = dict.fromkeys([*doomed, *[path for path in files if resume_files(path)][:-2]])
    doomed += [path for model_file in idle for path in resume_files(model_file)]
    if not dry_run:
        # What is kept is on the disk since it was saved, so these may vanish in any order,
        # all or some of them, and come back after a power cut: no sync is needed.
        for path in doomed:
            with failures_named(path):
                path.unlink(missing_ok=True)
    return doomed


def set_damaged_aside(model_file: Path) -> None:
    """Rename both files of a checkpoint that cannot be gone on from, to `*.damaged`.

    So the steps that are taken again are the newest once more.
    """
    for path in model_file, resume_path(model_file):
        with failures_named(path), contextlib.suppress(FileNotFoundError):
            os.replace(path, path.with_name(path.name + ".damaged"))


def remove(model_file: Path) -> None:
    """Remove both files of a checkpoint."""
    for path in model_file, *resume_files(model_file):
        with failures_named(path):
            path.unlink(missing_ok=True)


def remove_unfinished(run: Path) -> None:
    """Remove what a crash left half-written in a run that this process has locked.

    Raises RunError.
    """
    whole = {resume_path(path).stem for path in model_files(run)}
    remove_temporaries(run)
    for path in run.glob("step-*.resume.*"):
        if _RESUME_FILE.fullmatch(path.name) and path.stem not in whole:
            with failures_named(path):
                path.unlink(missing_ok=True)


def remove_temporaries(run: Path) -> None:
    """Remove the files that were not finished; raises RunError."""
    for path in run.glob(TEMPORARY_PREFIX + "*"):
        with failures_named(path):
            path.unlink(missing_ok=True)
