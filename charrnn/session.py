"""A run begun, or gone on with: all that the training loop needs, in one place."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from charrnn import __version__, calibration, machine, pruning, run_record, runs
from charrnn.batches import windows_per_epoch
from charrnn.corpus import Corpus, corpus_digest, read_corpus
from charrnn.errors import CheckpointError, RunError
from charrnn.inheritance import inherit, parent
from charrnn.metrics import METRICS_FILE
from charrnn.planning import Plan
from charrnn.recovery import recover
from charrnn.run_record import RunRecord
from charrnn.saver import check_room
from charrnn.schedule import Schedule, schedule, schedule_in, steps_of
from charrnn.settings import TrainingSettings
from charrnn.tokenizer import Vocabulary
from charrnn.training_state import TrainingState, checkpoint_sizes, fresh_state
from charrnn.workers import prepare


@dataclass
class Session:
    """What one sitting of a run works with."""

    run: Path
    corpus: Corpus
    settings: TrainingSettings
    schedule: Schedule
    state: TrainingState
    afresh: Callable[[], TrainingState] | None = None
    """makes the state before the first step once more"""


def versions() -> dict[str, str]:
    """What computes, down to the last digits."""
    return {
        "charrnn": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": machine.processor_name(),
    }


def begin(
    run: Path,
    corpus: Corpus,
    plan: Plan,
    *,
    command: str,
    checkpoint_steps: int | None,
    evaluation_steps: int | None,
    fractions: tuple[float, float],
    initial: dict[str, Any] | None = None,
) -> Session:
    """Settle a new run's schedule, make its first state and write its run.json.

    The steps are those between two checkpoints and between two evaluations, where they
    are given; `fractions` are those of --val-frac and --test-frac, `initial` is the
    checkpoint that it begins with: see RunRecord. Raises DiskFullError where there is no
    room for the run.
    """
    settings = plan.training
    prepare(settings.threads)
    per_epoch = windows_per_epoch(
        len(corpus.ids["train"]), settings.seq_length, settings.batch_size
    )
    spacing: dict[str, Any] = {
        "batch_characters": settings.seq_length * settings.batch_size,
        "held_out_characters": len(corpus.ids["val"]),
        "checkpoint_steps": checkpoint_steps,
        "evaluation_steps": evaluation_steps,
    }
    steps = steps_of(plan.budget, per_epoch)
    if steps is not None:
        settled = schedule(steps, **spacing)
    else:
        assert plan.budget.minutes is not None
        timing = calibration.measure(corpus, plan.model, settings, plan.budget.minutes)
        settled = schedule_in(
            plan.budget.minutes * 60,
            step_seconds=timing.step_seconds,
            evaluation_seconds=timing.evaluation_seconds,
            **spacing,
        )
    record = RunRecord(
        command=command,
        created=run_record.now(),
        versions=versions(),
        model=plan.model,
        training=settings,
        schedule=settled,
        corpus=corpus.record(),
        paths=[str(name.absolute()) for name in corpus.names],
        held_out_paths={split: str(t.path.absolute()) for split, t in corpus.held_out.items()},
        val_fraction=fractions[0],
        test_fraction=fractions[1],
        budget=plan.budget.to_json(),
        reading=corpus.vocabulary.reading,
        separator=corpus.separator,
        least=corpus.least,
        initial=initial,
        plan=plan.to_json(),
    )
    afresh = partial(first_state, record, settings, corpus.vocabulary)
    state = afresh()
    check_room(run, checkpoint_sizes(state), settings.keep)
    run_record.write_record(run, record)
    return Session(run, corpus, settings, settled, state, afresh)


def first_state(
    record: RunRecord, settings: TrainingSettings, vocabulary: Vocabulary
) -> TrainingState:
    """The state before a run's first step; raises RunError where what it begins with is gone."""
    state = fresh_state(record.model, settings, len(vocabulary))
    if record.initial is not None:
        other = parent(Path(record.initial["path"]), record.initial["digest"])
        inherit(state.model, vocabulary, other)
    return state


def go_on(
    run: Path,
    record: RunRecord,
    *,
    settings: TrainingSettings,
    skipped: Callable[[CheckpointError], None],
) -> Session:
    """Take up a run where its newest whole checkpoint left it, or at its beginning.

    `settings` are the record's but for what may change. `skipped` is told of each
    checkpoint that is damaged. Raises RunError where the corpus has changed,
    CheckpointError where there are checkpoints but none to go on from, DiskFullError
    where there is no room for another.
    """
    prepare(settings.threads)
    pruning.remove_unfinished(run)
    corpus = recorded_corpus(record)
    files = runs.model_files(run)
    found = recover(run, settings, skipped=skipped)
    if found.state is None and files:
        raise CheckpointError(
            f"{run}: none of its {len(files)} checkpoints can be gone on from",
            "--overwrite moves the run aside and starts afresh",
        )
    log = run / METRICS_FILE
    known = found.state.metrics_bytes if found.state else 0
    if known and (not log.is_file() or log.stat().st_size < known):
        skipped(CheckpointError(f"{log}: is shorter than it was; what it said is lost"))
    for path in found.damaged:
        pruning.set_damaged_aside(path)
    afresh = partial(first_state, record, settings, corpus.vocabulary)
    state = found.state or afresh()
    check_room(run, checkpoint_sizes(state), settings.keep)
    return Session(run, corpus, settings, record.schedule, state, afresh)


def relocated(record: RunRecord, paths: Sequence[Path]) -> RunRecord:
    """The record of a run whose corpus is in other files, of the same bytes.

    Raises TextError or RunError where it is not.
    """
    moved = replace(record, paths=[str(path.absolute()) for path in paths])
    recorded_corpus(moved)
    return moved


def recorded_corpus(record: RunRecord) -> Corpus:
    """The corpus of a run, read again; raises RunError if it is not the same."""
    base = Vocabulary.from_json(record.initial["vocabulary"]) if record.initial else None
    held_out = {split: Path(path) for split, path in record.held_out_paths.items()}
    corpus = read_corpus(
        [Path(path) for path in record.paths],
        reading=record.reading,
        separator=record.separator,
        least=record.least,
        base=base,
        val_fraction=record.val_fraction,
        test_fraction=record.test_fraction,
        val_file=held_out.get("val"),
        test_file=held_out.get("test"),
    )
    if _unnamed(corpus.record()) != _unnamed(record.corpus):
        names = ", ".join(record.paths + list(record.held_out_paths.values()))
        same = corpus_digest(corpus.texts) == record.corpus["sha256"]
        raise RunError(
            f"{names}: the {'held-out text' if same else 'corpus'} has changed since the run began",
            "put the old text back, or train on the new one under another --name",
        )
    return corpus


def _unnamed(corpus: Any) -> Any:
    """A corpus's record without the names of its files, which may have been moved."""
    if isinstance(corpus, dict):
        return {key: _unnamed(value) for key, value in corpus.items() if key != "name"}
    return [_unnamed(value) for value in corpus] if isinstance(corpus, list) else corpus
