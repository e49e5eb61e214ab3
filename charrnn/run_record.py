"""What run.json says of a run: enough to start it again, or to go on with it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from charrnn.errors import RunError, UsageError
from charrnn.files import open_regular, sha256, write_file
from charrnn.reading import Reading
from charrnn.schedule import Schedule
from charrnn.settings import ModelSettings, TrainingSettings, from_json, to_json
from charrnn.tokenizer import PLAIN, Vocabulary

RUN_FORMAT = 5
"""The version of run.json this program writes; it reads this one and all before it."""

_NEW_IN_2 = {"carry": True, "optimizer": "adamw", "weight_drop": 0.0}
"""Training's settings that format 1 does not name, as they were while it was written."""

_NEW_IN_3 = {"on_divergence": "stop"}
"""And those that format 2 does not name."""

_NEW_IN_4 = {"evaluation_characters": 10**12}
"""And what format 3 does not name of the schedule: all held-out characters were scored."""

RUN_FILE = "run.json"

_LARGEST = 16 * 2**20
_ZEROS = "0" * 64


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
    """the corpus's files, folders and patterns, absolute"""
    held_out_paths: dict[str, str]
    """the files of --val-file and --test-file, absolute, by split"""
    val_fraction: float
    test_fraction: float
    budget: dict[str, float]
    """the one of epochs, steps and minutes that was given or chosen"""
    reading: Reading = PLAIN
    """how the files' bytes become characters"""
    separator: str = ""
    """what stands between two files, as people write it"""
    least: int = 1
    """how often a character must come to have an id of its own"""
    initial: dict[str, Any] | None = None
    """the checkpoint that it began with: its `path`, absolute, `digest` and `vocabulary`"""
    changes: list[dict[str, Any]] = field(default_factory=list)
    """what it was gone on with otherwise than before, each with the step: see `changed`"""
    plan: dict[str, Any] = field(default_factory=dict)
    """what its settings were chosen by, see `Plan.to_json`; empty before format 5"""


def write_record(run: Path, record: RunRecord) -> None:
    """Write run.json, with a digest: the SHA-256 of the file with its own digits zeroed.

    Raises DiskFullError or RunError.
    """
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    for name in "model", "training", "schedule", "reading":
        values[name] = to_json(values[name])
    # ASCII, because a path may hold bytes that are no UTF-8.
    text = json.dumps({"format": RUN_FORMAT, "digest": _ZEROS} | values, indent=2) + "\n"
    write_file(run / RUN_FILE, text.replace(_ZEROS, sha256(text.encode()), 1).encode())


def read_run(run: Path) -> RunRecord | None:
    """What run.json says, or None where there is none; raises RunError if it is damaged."""
    path = run / RUN_FILE
    try:
        with open_regular(path) as stream:
            text = stream.read(_LARGEST + 1).decode()
        if len(text) > _LARGEST:
            raise ValueError("it is too large")
        data = json.loads(text)
        version = data.pop("format")
        if version > RUN_FORMAT:
            raise RunError(f"{path}: written by a newer charrnn", "install a newer charrnn")
        if version >= 3:
            digest = data.pop("digest")
            if sha256(text.replace(digest, _ZEROS, 1).encode()) != digest:
                raise ValueError("its bytes are not the bytes that were written")
        if not isinstance(data["command"], str):
            raise TypeError("a command that is none")
        if version == 1:
            data["training"] = _NEW_IN_2 | data["training"]
            data["command"] = _command_of_1(data["command"], data["model"]["model"])
        if version < 3:
            data["training"] = _NEW_IN_3 | data["training"]
            data["command"] += " --on-divergence stop"
            between = data["schedule"]["checkpoint_steps"]
            data["schedule"] = {"evaluation_steps": between} | data["schedule"]
        if version < 4:
            data["schedule"] = _NEW_IN_4 | data["schedule"]
        data["reading"] = from_json(Reading, data.get("reading", to_json(PLAIN)))
        data["model"] = from_json(ModelSettings, data["model"])
        data["training"] = from_json(TrainingSettings, data["training"])
        data["schedule"] = from_json(Schedule, data["schedule"])
        if not isinstance(data["paths"], list) or not isinstance(data["held_out_paths"], dict):
            raise TypeError("paths that are none")
        if not all(isinstance(p, str) for p in (*data["paths"], *data["held_out_paths"].values())):
            raise TypeError("paths that are none")
        if not isinstance(data.get("changes", []), list):
            raise TypeError("changes that are none")
        plan = data.get("plan", {})
        if not isinstance(plan, dict) or (plan and not isinstance(plan["mode"], str)):
            raise TypeError("a plan that is none")
        if not isinstance(data.get("separator", ""), str):
            raise TypeError("a separator that is none")
        whole = data.get("least", 1)
        if isinstance(whole, bool) or not isinstance(whole, int):
            raise TypeError("a count that is none")
        _check_initial(data.get("initial"))
        return RunRecord(**data)
    except FileNotFoundError:
        return None
    except (
        *(OSError, ValueError, TypeError, KeyError, AttributeError),
        *(RecursionError, UsageError),
    ) as error:
        raise RunError(
            f"{path}: not readable as a run's record ({error})", "start it afresh with --overwrite"
        ) from None


def _check_initial(initial: object) -> None:
    """Raise TypeError or UsageError for what names no checkpoint."""
    if initial is None:
        return
    if not isinstance(initial, dict) or set(initial) != {"path", "digest", "vocabulary"}:
        raise TypeError("initial weights that are none")
    if not isinstance(initial["path"], str) or not isinstance(initial["digest"], str):
        raise TypeError("initial weights that are none")
    Vocabulary.from_json(initial["vocabulary"])


def _command_of_1(command: str, model: str) -> str:
    """A command of format 1, as it has to be given to mean the same.

    It gave a --nonlinearity to models that have none to choose, and left out what there
    was no choice of.
    """
    words = shlex.split(command)
    if model != "rnn" and "--nonlinearity" in words:
        place = words.index("--nonlinearity")
        del words[place : place + 2]
    return shlex.join([*words, "--carry", "--optimizer", "adamw", "--weight-drop", "0.0"])


FREE = ("threads", "device", "precision", "keep", "on_divergence")
"""Training's settings that a run may be gone on with otherwise."""


def changed(
    record: RunRecord, settings: TrainingSettings, versions: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """What may make the end another than that of a run that was never stopped.

    By name, as it was last and as it is.
    """
    names = ("threads", "device", "precision")
    before = {name: getattr(record.training, name) for name in names} | record.versions
    for change in record.changes:
        before |= {name: last for name, (_, last) in change["changed"].items()}
    after = {name: getattr(settings, name) for name in names} | dict(versions)
    return {
        name: (str(before[name]), str(value))
        for name, value in after.items()
        if name in before and str(before[name]) != str(value)
    }


def check_same(
    name: str, record: RunRecord, given: Mapping[str, Any], budget: Mapping[str, Any]
) -> None:
    """Raise UsageError where a flag contradicts what the run was begun with.

    `given` are flags by name, `budget` the one of epochs, steps and minutes; steps may be
    more than they were.
    """
    recorded = {
        **to_json(record.model),
        **to_json(record.training),
        "evaluation_steps": record.schedule.evaluation_steps,
        "encoding": record.reading.encoding,
        "newlines": record.reading.newlines,
        "normalize": record.reading.normalization,
        "lowercase": record.reading.lowercase or None,
        "document_separator": record.separator,
        "min_count": record.least,
        "init_from": Path(record.initial["path"]) if record.initial else None,
        "val_file": None,
        "test_file": None,
        **{f"{split}_file": Path(path) for split, path in record.held_out_paths.items()},
        "val_frac": record.val_fraction,
        "test_frac": record.test_fraction,
    }
    if record.plan:
        recorded["plan"] = record.plan["mode"]
    for free in FREE:
        del recorded[free]
    # Of what has a recorded value "auto" leaves it as it is, but of --plan it is a value.
    meant = {k: v for k, v in given.items() if k in recorded and (v != "auto" or k == "plan")}
    asked = {k: _absolute(v) for k, v in meant.items()}
    different = [flag for flag, value in asked.items() if value != recorded[flag]]
    if budget and budget != record.budget and budget.get("steps", 0) < record.schedule.steps:
        different += list(budget)
    if different:
        flag = different[0]
        shown = f"--{flag.replace('_', '-')}"
        if flag in budget:
            was = record.budget.get(flag, f"{record.schedule.steps:,} steps")
            hint = f"leave {shown} out to go on with it; a larger --steps takes it further"
        else:
            was = recorded[flag]
            hint = f"leave {shown} out to go on with it, or give another --name"
        begun = f"without {shown}" if was is None else f"with {was} for {shown}"
        if isinstance(was, bool):
            on, off = shown, shown.replace("--", "--no-", 1)
            begun, shown = (f"with {on}", off) if was else (f"with {off}", on)
            hint = f"leave {shown} out to go on with it, or give another --name"
        raise UsageError(f"{name} was begun {begun}", hint)


def _absolute(value: Any) -> Any:
    if isinstance(value, list):
        return [_absolute(item) for item in value]
    return value.absolute() if isinstance(value, Path) else value


def now() -> str:
    """This moment in ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
