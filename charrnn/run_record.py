"""What run.json says of a run: enough to start it again, or to go on with it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from charrnn.errors import RunError, UsageError
from charrnn.files import write_json
from charrnn.schedule import Schedule
from charrnn.settings import ModelSettings, TrainingSettings, from_json, to_json

RUN_FORMAT = 2
"""The version of run.json this program writes; it reads this one and all before it."""

_NEW_IN_2 = {"carry": True, "optimizer": "adamw", "weight_drop": 0.0}
"""Training's settings that format 1 does not name, as they were while it was written."""

RUN_FILE = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """What run.json says."""

    command: str
    """the fully explicit command that would start this run"""
    created: str
    """ISO 8601, UTC"""
    versions: dict[str, str]
    model: ModelSettings
    training: TrainingSettings
    schedule: Schedule
    corpus: dict[str, Any]
    """see Corpus.record"""
    paths: list[str]
    """the corpus's files, absolute"""
    held_out_paths: dict[str, str]
    """the files of --val-file and --test-file, absolute, by split"""
    val_fraction: float
    test_fraction: float
    budget: dict[str, float]
    """the one of epochs, steps and minutes that was given or chosen"""


def write_record(run: Path, record: RunRecord) -> None:
    """Write run.json; raises DiskFullError or RunError."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    for name in "model", "training", "schedule":
        values[name] = to_json(values[name])
    write_json(run / RUN_FILE, {"format": RUN_FORMAT} | values)


def read_run(run: Path) -> RunRecord | None:
    """What run.json says, or None where there is none; raises RunError if it is damaged."""
    path = run / RUN_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        version = data.pop("format")
        if version > RUN_FORMAT:
            raise RunError(f"{path}: written by a newer charrnn", "install a newer charrnn")
        if not isinstance(data["command"], str):
            raise TypeError("a command that is none")
        if version == 1:
            data["training"] = _NEW_IN_2 | data["training"]
            data["command"] = _command_of_1(data["command"], data["model"]["model"])
        data["model"] = from_json(ModelSettings, data["model"])
        data["training"] = from_json(TrainingSettings, data["training"])
        data["schedule"] = from_json(Schedule, data["schedule"])
        if not isinstance(data["paths"], list) or not isinstance(data["held_out_paths"], dict):
            raise TypeError("paths that are none")
        return RunRecord(**data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, UsageError) as error:
        raise RunError(
            f"{path}: not readable as a run's record ({error})", "start it afresh with --overwrite"
        ) from None


def _command_of_1(command: str, model: str) -> str:
    """A command of format 1, which gave a --nonlinearity to models that have none to choose."""
    words = shlex.split(command)
    if model != "rnn" and "--nonlinearity" in words:
        place = words.index("--nonlinearity")
        del words[place : place + 2]
    return shlex.join(words)


def check_same(
    name: str, record: RunRecord, given: Mapping[str, Any], budget: Mapping[str, Any]
) -> None:
    """Raise UsageError where a flag contradicts what the run was begun with.

    `given` are flags by name, `budget` the one of epochs, steps and minutes.
    """
    recorded = {
        **to_json(record.model),
        **to_json(record.training),
        "checkpoint_steps": record.schedule.checkpoint_steps,
        "val_file": None,
        "test_file": None,
        **{f"{split}_file": Path(path) for split, path in record.held_out_paths.items()},
        "val_frac": record.val_fraction,
        "test_frac": record.test_fraction,
        "corpus": [Path(path) for path in record.paths],
    }
    for free in "threads", "keep":
        del recorded[free]
    asked = {k: _absolute(v) for k, v in given.items() if k in recorded and v != "auto"}
    different = [flag for flag, value in asked.items() if value != recorded[flag]]
    if budget and budget != record.budget:
        different += list(budget)
    if different:
        flag = different[0]
        was = recorded.get(flag, record.budget.get(flag, "another budget"))
        if isinstance(was, list):
            was = " ".join(map(str, was))
        shown = "the corpus" if flag == "corpus" else f"--{flag.replace('_', '-')}"
        begun = f"{'none' if was is None else was} for {shown}"
        if isinstance(was, bool):
            on, off = shown, shown.replace("--", "--no-", 1)
            begun, shown = (on, off) if was else (off, on)
        raise UsageError(
            f"{name} was begun with {begun}",
            f"leave {shown} out to go on with it, or give another --name",
        )


def _absolute(value: Any) -> Any:
    if isinstance(value, list):
        return [_absolute(item) for item in value]
    return value.absolute() if isinstance(value, Path) else value


def now() -> str:
    """This moment in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
