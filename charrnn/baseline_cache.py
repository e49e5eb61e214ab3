"""Baselines kept in a run's directory: measured once for a text, not at every look."""

import contextlib
import functools
import importlib.metadata
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charrnn import baselines as measuring
from charrnn import compressors, intervals, ngram, prices, tokenizer
from charrnn.baselines import NAMES, Baseline
from charrnn.errors import CharrnnError
from charrnn.files import open_regular, sha256, write_json
from charrnn.intervals import BLOCKS
from charrnn.run_record import RUN_FILE

BASELINES_FILE = "baselines.json"

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
    """the vocabulary in JSON"""


def kept(run: Path, key: Key) -> dict[str, Baseline]:
    """The baselines that a run's directory has for a text, by name; none where it has none.

    A file that is damaged, or not one of these, or measured by another method, is as none.
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
            run / BASELINES_FILE, {"method": method(), "digest": _digest(texts), "texts": texts}
        )


@functools.cache
def method() -> str:
    """How baselines are measured here: a digest of the code that does, and of what it uses."""
    used = [sys.version.encode()]  # xz and bz2 come with Python
    for package in "charrnn", "numpy", "pyppmd":
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            used.append(f"{package} {importlib.metadata.version(package)}".encode())
    for module in measuring, compressors, intervals, ngram, prices, tokenizer:
        with contextlib.suppress(OSError):  # an installation may have no sources
            used.append(Path(str(module.__file__)).read_bytes())
    return sha256(b"\0".join(used))


def _read(path: Path) -> list[tuple[Key, list[Baseline]]]:
    """What stands in a file, or nothing unless it is wholly as it was written."""
    try:
        with open_regular(path) as stream:
            data = json.loads(stream.read(_LARGEST))
        if data["method"] != method() or data["digest"] != _digest(data["texts"]):
            return []
        return [_entry(text) for text in data["texts"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, CharrnnError):
        return []


def _entry(text: dict[str, Any]) -> tuple[Key, list[Baseline]]:
    """One text's baselines; raises ValueError and others for what cannot be any."""
    key = Key(str(text["text"]), str(text["training"]), str(text["vocabulary"]))
    found = [Baseline(**each | {"blocks": _blocks(each["blocks"])}) for each in text["baselines"]]
    model = asdict(Baseline("", 0.0))
    for each in found:
        values = asdict(each)
        if any(type(values[name]) is not type(model[name]) for name in model):
            raise TypeError(each.name)
        if each.name not in NAMES or not 0 <= values["nats"] < math.inf:
            raise ValueError(each.name)
    return key, found


def _blocks(values: list[Any]) -> tuple[float, ...]:
    if len(values) > BLOCKS or not all(type(each) is float for each in values):
        raise TypeError("blocks")
    return tuple(values)


def _digest(texts: object) -> str:
    return sha256(json.dumps(texts, sort_keys=True).encode())
