"""A run's directory: claimed by creating it, described by run.json.

Which checkpoint is newest and which is best is read off the files themselves.
"""

import contextlib
import itertools
import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from charrnn.checkpoints import ModelRecord, read_record
from charrnn.errors import CheckpointError, RunError, UsageError
from charrnn.files import TEMPORARY_PREFIX, failures_named, make_directory, sync_directory
from charrnn.locks import is_locked, locked
from charrnn.run_record import RUN_FILE

LOCK_FILE = "lock"

_T = TypeVar("_T")
_LOOKS = 10
"""How often what was removed while it was looked at is looked for again."""

_MODEL_FILE = re.compile(r"step-(\d{8,})\.safetensors")


def check_name(name: str) -> None:
    """Raise UsageError unless `name` can be a run's directory."""
    if not name or name[0] in ".-" or "/" in name or not name.isprintable():
        raise UsageError(
            f"--name {name!r}: must be a plain directory name", "for example --name hamlet-gru"
        )
    if len(name.encode()) > 200:
        raise UsageError("--name: longer than 200 bytes")


def default_name(corpus: Path, model: str) -> str:
    """The name a run gets by itself: the corpus's stem and the model."""
    name = "stdin" if str(corpus) == "-" else corpus.stem
    if corpus.suffix in (".gz", ".xz", ".zst", ".bz2"):
        name = Path(name).stem
    stem = re.sub(r"[^\w.-]+", "-", name).strip(".-") or "corpus"
    return f"{stem[:80]}-{model}"


def claim(directory: Path, name: str, *, numbered: bool, reuse: bool = False) -> Path:
    """Claim a run's name by creating its directory.

    With `numbered`, a taken name gets the next number (`hamlet-gru-2`); without, it
    raises RunError. Two processes never claim the same one. With `reuse`, a run that is
    there is taken as it is, begun or not; who works on it is for its lock to say.
    """
    make_directory(directory)
    number = 1
    while True:
        run = directory / _numbered(name, number)
        try:
            with failures_named(run):
                run.mkdir()
                sync_directory(directory)
            return run
        except RunError as error:
            if not isinstance(error.__cause__, FileExistsError):
                raise
            if reuse and (is_unused(run) or (run / RUN_FILE).exists()):
                return run
            if not numbered:
                raise taken(run, resumed=reuse) from None
        number += 1


def free_name(directory: Path, name: str) -> str:
    """The name that `claim` would give with `numbered`, if nobody else claims it first."""
    numbers = (_numbered(name, number) for number in itertools.count(1))
    return next(each for each in numbers if not (directory / each).exists())


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def taken(run: Path, *, resumed: bool = False) -> RunError:
    """The error that says that a name is in use; `resumed`, though it is no run's."""
    hint = "--overwrite moves it aside and starts afresh"
    if not resumed:
        hint += ", --resume goes on with it"
    return RunError(f"{run}: a run of this name exists", hint)


def set_aside(run: Path) -> Path:
    """Rename a run's directory to the first free `<name>.old`, `<name>.old-2`, ...

    Raises LockedError where it is being trained at this moment, or RunError.
    """
    with locked(run / LOCK_FILE, str(run)):  # moved with it: nobody else begins there meanwhile
        number = 1
        while True:
            target = run.with_name(run.name + (".old" if number == 1 else f".old-{number}"))
            if not target.exists():
                with failures_named(run):
                    os.rename(run, target)
                    sync_directory(run.parent)
                return target
            number += 1


def abandon(run: Path) -> None:
    """Give a claimed and locked name back if no step was taken under it."""
    with contextlib.suppress(OSError):
        if {path.name for path in run.iterdir()} <= {LOCK_FILE, RUN_FILE}:
            for name in RUN_FILE, LOCK_FILE:  # the lock last: whoever gets it finds nothing begun
                (run / name).unlink(missing_ok=True)
            run.rmdir()


def is_unused(run: Path) -> bool:
    """Whether a run's directory was claimed and nothing more was finished in it."""
    try:
        names = {path.name for path in run.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return False
    return {name for name in names if not name.startswith(TEMPORARY_PREFIX)} <= {LOCK_FILE}


def all_runs(directory: Path) -> list[Path]:
    """The runs under a checkpoint directory, by name."""
    if not directory.is_dir():
        return []
    with failures_named(directory):
        return sorted(run for run in directory.iterdir() if run.is_dir() and model_files(run))


def model_files(run: Path) -> list[Path]:
    """A run's model files, by step; none where it has just been moved away."""
    with failures_named(run), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(filter(_is_model_file, run.iterdir()), key=step_of)
    return []


def _is_model_file(path: Path) -> bool:
    return _MODEL_FILE.fullmatch(path.name) is not None


def step_of(model_file: Path) -> int:
    """The step that a model file's name says."""
    match = _MODEL_FILE.fullmatch(model_file.name)
    assert match is not None
    return int(match[1])


def is_finished(run: Path, steps: int) -> bool:
    """Whether a run's newest checkpoint is its last step, and scored."""
    files = model_files(run)
    if not files or step_of(files[-1]) < steps:
        return False
    return any(record.scores and record.step >= steps for _, record in records(files[-1:]))


def records(paths: Iterable[Path]) -> list[tuple[Path, ModelRecord]]:
    """The headers of those model files that are still there and have one."""
    found = []
    for path in paths:
        with contextlib.suppress(CheckpointError, OSError):
            found.append((path, read_record(path)))
    return found


def best(run: Path) -> Path | None:
    """The model file with the lowest validation loss; of equals, the newest."""
    scored: list[tuple[Path, ModelRecord]] = []
    for _ in range(_LOOKS):
        files = model_files(run)
        scored = records(files)
        if all(path.exists() for path in files):  # else a better one may have come for it
            break
    return best_of(scored)


def best_of(found: Iterable[tuple[Path, ModelRecord]]) -> Path | None:
    """Of model files and their headers the best, as `best` has it."""
    lowest = min(found, key=lambda pair: (pair[1].nats_per_char, -pair[1].step), default=None)
    return lowest and lowest[0]


def find(reference: str | None, directory: Path) -> Path:
    """The model file that CHECKPOINT means.

    A file; a run's directory (then its best checkpoint); a run's name under `directory`;
    or, left out, the best of the run written last. Raises CheckpointError.
    """
    place = _written_last(directory) if reference is None else _place(reference, directory)
    return place if place.is_file() else _of_run(place)


def open_found(
    reference: str | None, directory: Path, read: Callable[[Path], _T]
) -> tuple[Path, _T]:
    """The model file that CHECKPOINT means, and what `read` makes of it.

    Where the file was pruned or its run moved away before it was read, it is looked for
    again. Raises CheckpointError.
    """
    for _ in range(_LOOKS):
        path = find(reference, directory)
        try:
            return path, read(path)
        except CheckpointError:
            if path.exists():
                raise
    return path, read(path)


def _place(reference: str, directory: Path) -> Path:
    """The file or the run's directory that a reference means; raises CheckpointError.

    A directory counts where it holds checkpoints, and goes before a file of that name. A
    name without a slash can be a run's.
    """
    places = [Path(reference)]
    if "/" not in reference:
        places.append(directory / reference)
    for place in places:
        if model_files(place):
            return place
    for place in places:
        if place.is_file():
            return place
    for place in places:
        if place.is_dir():
            raise _empty(place)
    known = ", ".join(run.name for run in all_runs(directory)) or "none"
    raise CheckpointError(
        f"{reference}: no checkpoint, run directory or run of that name",
        f"runs in {directory}: {known}",
    )


def select_runs(names: Sequence[str] | None, directory: Path) -> list[Path]:
    """The runs of these names or directories, or every one; raises CheckpointError."""
    if not names:
        return all_runs(directory)
    found = [_place(name, directory) for name in names]
    for name, place in zip(names, found, strict=True):
        if place.is_file():
            raise CheckpointError(f"{name}: a file, not a run", f"runs are in {directory}")
    return found


def _of_run(run: Path) -> Path:
    path = best(run)
    if path is None:
        raise _empty(run)
    return path


def _empty(run: Path) -> CheckpointError:
    return CheckpointError(
        f"{run}: holds no readable checkpoint", "charrnn checkpoints list shows what there is"
    )


def _written_last(directory: Path) -> Path:
    runs = all_runs(directory)
    if not runs:
        raise CheckpointError(
            f"{directory}: no checkpoint there", "train one: charrnn train FILE.txt"
        )
    busy = [run for run in runs if is_locked(run / LOCK_FILE)]
    if len(busy) > 1:
        names = ", ".join(run.name for run in busy)
        raise UsageError(f"several runs are being written: {names}", "name the one you mean")
    return busy[0] if busy else max(runs, key=_written)


def _written(run: Path) -> float:
    """When a run's newest checkpoint was written, in seconds; long ago where it is gone."""
    for _ in range(_LOOKS):
        with contextlib.suppress(OSError, IndexError):
            return model_files(run)[-1].stat().st_mtime
    return -math.inf
