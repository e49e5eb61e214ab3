"""Checkpoints written beside training, which goes on meanwhile."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from charrnn.checkpoints import ModelRecord, model_path, read_record, resume_path
from charrnn.errors import CheckpointError, DiskFullError, RunError
from charrnn.events import NotSaved, Saved
from charrnn.files import check_space
from charrnn.metrics import Metrics
from charrnn.pruning import prune, remove, remove_temporaries
from charrnn.runs import model_files, step_of
from charrnn.sealed import read_metadata
from charrnn.training_state import Snapshot, save, was_asked_for

HEADERS = 2**16
"""Bytes that the headers of a checkpoint's files take, more or less."""


def check_room(run: Path, sizes: tuple[int, int], keep: int) -> None:
    """Raise DiskFullError where there is too little space for all that a run will hold.

    `sizes` are the bytes of a model file and of a resume file; `keep` is as for a Saver.
    """
    model, resume = sizes
    # The best, the newest, those kept besides and the one being written; of resume files
    # the newest two and the one being written.
    at_most = (keep + 3) * (model + HEADERS) + 3 * resume
    there = sum(path.lstat().st_size for path in run.glob("step-*.safetensors"))
    check_space(run, max(at_most - there, model + resume + HEADERS))


class Saver:
    """Writes one snapshot at a time, in a thread of its own.

    What the log says up to then is durable before it, and older checkpoints are removed
    after it. A snapshot that there is no space for is kept until there is, or until
    there is a newer one.
    """

    def __init__(
        self, run: Path, metrics: Metrics, keep: int, step: int, *, goes_back: bool = True
    ) -> None:
        """`keep` checkpoints stay besides the best and the newest; `step` is on disk.

        `goes_back` says that training may go back to an earlier one.
        """
        self.step = step
        """of the newest state that was handed over"""
        self._run, self._metrics, self._keep = run, metrics, keep
        self._goes_back, self._abandoned = goes_back, False
        self._job: tuple[Snapshot, ModelRecord] | None = None
        # Of the save under way. Not the thread itself: a signal in its `join` takes it for
        # ended in some versions of Python.
        self._done: threading.Event | None = None
        self._saved: Saved | None = None
        self._error: BaseException | None = None
        self._outcomes: list[Saved | NotSaved] = []

    def begin(self, taken: Snapshot, record: ModelRecord) -> None:
        """Begin to write a snapshot, once the one before it is written; raises RunError."""
        self._wait()
        self._job = taken, record
        self.step = taken.step
        self._start()

    def try_again(self) -> None:
        """Begin anew with what there was no space for, if there is any."""
        if self._done is None and self._job is not None:
            self._start()

    def outcomes(self) -> Iterator[Saved | NotSaved]:
        """What came of the saves that ended since it was last asked for; raises RunError."""
        if self._done is not None and self._done.is_set():
            self._wait()
        while self._outcomes:
            yield self._outcomes.pop(0)

    def finish(self) -> Iterator[Saved | NotSaved]:
        """Have everything on disk, and tell it; raises DiskFullError or RunError."""
        self._wait()
        yield from self.outcomes()
        if self._job is not None:
            self._start()
            self._wait()
            (outcome,) = self._outcomes
            if isinstance(outcome, NotSaved):
                raise outcome.error
            yield from self.outcomes()

    def forget(self) -> None:
        """Wait for a save under way, and give up one that there was no space for."""
        self._wait()
        self._job = None

    def close(self) -> None:
        """Wait for a save under way, whatever comes of it."""
        if self._done is not None:
            self._done.wait()

    def abandon(self) -> None:
        """Wait for a save under way for a second at most, and leave nothing half-written."""
        self._abandoned = True
        if self._done is not None and not self._done.wait(timeout=1.0):
            remove_temporaries(self._run)
        self._done = None

    def _start(self) -> None:
        # A daemon: a disk that does not answer must not hold up the end of the program.
        self._done = threading.Event()
        try:
            threading.Thread(target=self._write, name="saver", daemon=True).start()
        except RuntimeError as error:
            self._done = self._job = None
            raise RunError(
                f"{self._run}: {error}, to save a checkpoint", "raise the limit on processes"
            ) from error

    def _wait(self) -> None:
        """Wait for the save under way, and note what came of it; raises what no space cures."""
        if self._done is None or self._job is None:
            return
        self._done.wait()
        self._done = None
        saved, error, step = self._saved, self._error, self._job[0].step
        self._saved = self._error = None
        if saved is not None:
            self._outcomes.append(saved)
            self._job = None
        elif isinstance(error, DiskFullError):
            self._outcomes.append(NotSaved(step, error))
        else:
            self._job = None
            assert error is not None
            raise error

    def _write(self) -> None:
        assert self._job is not None and self._done is not None
        done = self._done
        taken, record = self._job
        try:
            check_space(self._run, taken.size + HEADERS)
            self._metrics.sync()
            record = save(taken, self._run, record)
            path = model_path(self._run, taken.step)
            # Until then the state to go back to is an earlier one.
            if (taken.is_good or not self._goes_back) and not self._abandoned:
                remove_asked_for(self._run, before=taken.step)
                if not was_asked_for(taken.numbers):  # nor is such a one gone back to
                    prune(self._run, self._keep, newest=path)
            self._saved = Saved(path, record)
        except BaseException as error:
            self._error = error
        finally:
            done.set()


def remove_asked_for(run: Path, before: int) -> None:
    """Remove earlier checkpoints that only a stop or a signal asked for; raises RunError.

    Beside them, the resume file that training would go back to would be pruned.
    """
    for path in model_files(run):
        if step_of(path) >= before:
            return
        with contextlib.suppress(CheckpointError, KeyError):
            numbers = read_metadata(resume_path(path))["resume"]
            if was_asked_for(numbers) and not read_record(path).scores:
                remove(path)
