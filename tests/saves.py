"""What a run saves in these tests, and what it has promised once it has."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from charrnn import pruning, runs
from charrnn.checkpoints import (
    ModelRecord,
    expected_shapes,
    model_path,
    read_checkpoint,
    read_resume,
    resume_path,
    write_checkpoint,
)
from charrnn.errors import CheckpointError
from charrnn.metrics import METRICS_FILE, Metrics
from charrnn.settings import ModelSettings
from charrnn.tokenizer import Vocabulary

TINY = ModelSettings("rnn", "tanh", 1, 1, 1)
SPLIT = {"file": None, "start": 0, "end": 2, "sha256": "6" * 64}
CORPUS = {
    "sha256": "5" * 64,
    "characters": 2,
    "files": [{"name": "a.txt", "bytes": 2, "sha256": "7" * 64}],
    "splits": {"train": SPLIT, "val": SPLIT, "test": SPLIT},
}


def checkpoint(run: Path, step: int, nats: float | None = None) -> Path:
    """A small checkpoint of a run, with a validation score or without one."""
    run.mkdir(parents=True, exist_ok=True)
    scores = {} if nats is None else {"val": {"nats_per_char": nats}}
    record = ModelRecord(TINY, Vocabulary("ab"), step, scores, CORPUS, "")
    weights = {n: np.zeros(s, np.float32) for n, s in expected_shapes(TINY, 2).items()}
    write_checkpoint(model_path(run, step), record, weights, {"a": np.zeros(1, np.float32)}, {})
    return model_path(run, step)


def steps_of(run: Path) -> list[int]:
    return [runs.step_of(path) for path in runs.model_files(run)]


def resumable(run: Path) -> list[int]:
    """The steps whose resume files are there."""
    return [step for step in range(100) if resume_path(model_path(run, step)).exists()]


class Save(NamedTuple):
    """A save of a run; its number is in every array that it writes."""

    number: int
    step: int
    nats: float | None
    """the validation loss, where it was scored"""


SAVES = [
    Save(number, step, nats)
    for number, (step, nats) in enumerate(
        [(1, 2.0), (2, 1.0), (3, 1.5), (4, None), (4, 1.75), (4, 0.75), (5, 1.5), (6, 1.5)]
    )
]
"""Steps get better and worse; step 4 is saved at a stop, scored, and scored again."""


def save(run: Path, log: Metrics, what: Save) -> None:
    """Save as training does: the log first, then the resume file, then the model."""
    log.write({"save": what.number})
    log.sync()
    scores = {} if what.nats is None else {"val": {"nats_per_char": what.nats}}
    write_checkpoint(
        model_path(run, what.step),
        ModelRecord(TINY, Vocabulary("ab"), what.step, scores, CORPUS, ""),
        {n: np.full(s, what.number, np.float32) for n, s in expected_shapes(TINY, 2).items()},
        {"a": np.full(3, what.number, np.float32)},
        {"number": what.number, "metrics_bytes": (run / METRICS_FILE).stat().st_size},
    )


def promises_broken(run: Path, said: list[Any]) -> str:
    """What is wrong with a run that was promised so much, or nothing."""
    promised = [what for what in said if isinstance(what, Save)]
    if "run.json" in said:
        try:
            json.loads((run / runs.RUN_FILE).read_text())
        except (OSError, ValueError):
            return "run.json is not what was written"
    pruning.remove_unfinished(run)  # as a resume begins
    found = {}
    for path in runs.model_files(run):
        try:
            record, weights = read_checkpoint(path)
        except CheckpointError as error:
            return f"a bad file under a good name: {error.message}"
        numbers = {float(number) for array in weights.values() for number in array.flat}
        (number,) = numbers
        found[int(number)] = SAVES[int(number)]
        if record.step != SAVES[int(number)].step:
            return f"step {record.step} holds the weights of step {found[int(number)].step}"
    if not promised:
        return ""
    if not found or max(found) < promised[-1].number:
        return f"save {promised[-1].number} was promised, and there are {sorted(found)}"
    if _least(found.values()) > _least(promised):
        return f"the best of {promised} is gone; left are {sorted(found)}"
    newest = runs.model_files(run)[-1]
    record = read_checkpoint(newest).record
    try:
        tensors, state = read_resume(newest, record)
    except CheckpointError as error:
        return f"the newest cannot be gone on from: {error.message}"
    if state["number"] != max(found) or set(tensors["a"]) != {max(found)}:
        return f"save {max(found)} would be gone on with from the state of {state['number']}"
    log = (run / METRICS_FILE).read_bytes() if (run / METRICS_FILE).exists() else b""
    lines = log[: state["metrics_bytes"]].splitlines()
    if lines != [b'{"save": %d}' % number for number in range(max(found) + 1)]:
        return f"the log of save {max(found)} is {lines}"
    return ""


def _least(saves: Any) -> float:
    return min((each.nats for each in saves if each.nats is not None), default=float("inf"))
