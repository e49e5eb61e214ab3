"""Baselines kept in a run's directory: measured once for a text, not at every look."""

import contextlib
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charrnn.baselines import NAMES, Baseline
from charrnn.errors import CharrnnError
from charrnn.files import open_regular, sha256, write_json
from charrnn.run_record import RUN_FILE

BASELINES_FILE = "baselines.json"

_FORMAT = 1  # to be raised with whatever changes what a baseline comes to
_LARGEST = 2**20  # bytes
_MOST_TEXTS = 20


@dataclass(frozen=True)
class Key:
    """What baselines belong to: SHA-256s of three texts in UTF-8."""

    text: str
    """what is scored"""
    training: str
    """what they learned from"""
    vocabulary: str
    """the vocabulary's characters"""


def kept(run: Path, key: Key) -> dict[str, Baseline]:
    """The baselines that a run's directory has for a text, by name; none where it has none.

    A file that is damaged, or not one of these, is as none.
    """
    for entry, baselines in _read(run / BASELINES_FILE):
        if entry == key:
            return {baseline.name: baseline for baseline in baselines}
    return {}


def keep(run: Path, key: Key, baselines: Iterable[Baseline]) -> None:
    """Put what was measured into a run's directory; where that cannot be, it is not kept."""
    if not (run / RUN_FILE).is_file():
        return
    measured = [baseline for baseline in baselines if baseline.nats is not None]
    others = [pair for pair in _read(run / BASELINES_FILE) if pair[0] != key]
    texts = [
        {**asdict(entry), "baselines": [asdict(baseline) for baseline in found]}
        for entry, found in [*others[1 - _MOST_TEXTS :], (key, measured)]
    ]
    with contextlib.suppress(CharrnnError):
        write_json(
            run / BASELINES_FILE, {"format": _FORMAT, "digest": _digest(texts), "texts": texts}
        )


def _read(path: Path) -> list[tuple[Key, list[Baseline]]]:
    """What stands in a file, or nothing unless it is wholly as it was written."""
    try:
        with open_regular(path) as stream:
            data = json.loads(stream.read(_LARGEST))
        if data["format"] != _FORMAT or data["digest"] != _digest(data["texts"]):
            return []
        return [_entry(text) for text in data["texts"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, CharrnnError):
        return []


def _entry(text: dict[str, Any]) -> tuple[Key, list[Baseline]]:
    """One text's baselines; raises ValueError and others for what cannot be any."""
    key = Key(str(text["text"]), str(text["training"]), str(text["vocabulary"]))
    found = [Baseline(**each) for each in text["baselines"]]
    model = asdict(Baseline("", 0.0))
    for each in found:
        values = asdict(each)
        if any(type(values[name]) is not type(model[name]) for name in model):
            raise TypeError(each.name)
        if each.name not in NAMES or not 0 <= values["nats"] < math.inf:
            raise ValueError(each.name)
    return key, found


def _digest(texts: object) -> str:
    return sha256(json.dumps(texts, sort_keys=True).encode())
