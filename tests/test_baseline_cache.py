"""Baselines are measured once, and what is not wholly theirs is as good as nothing."""

import importlib.metadata
import json
from dataclasses import replace
from pathlib import Path

import pytest

from charrnn import baseline_cache
from charrnn.baseline_cache import BASELINES_FILE, Key, keep, kept
from charrnn.baselines import Baseline

KEY = Key("1" * 64, "2" * 64, "3" * 64)
ROWS = [
    Baseline("uniform", 9.0, blocks=(0.1, 2.5e-17, 3.0)),
    Baseline("ngram", 5.5, order=3, read=10, available=20, cut="time", seconds=0.25),
]


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    return tmp_path


def test_what_was_kept_is_there_again_for_that_text_alone(run):
    assert kept(run, KEY) == {}
    keep(run, KEY, ROWS)
    assert kept(run, KEY) == {row.name: row for row in ROWS}
    for other in "text", "training", "vocabulary":
        assert kept(run, replace(KEY, **{other: "4" * 64})) == {}
    assert sorted(path.name for path in run.iterdir()) == [BASELINES_FILE, "run.json"]


def test_several_texts_are_kept_and_the_oldest_go(run, monkeypatch):
    monkeypatch.setattr(baseline_cache, "_MOST_TEXTS", 2)
    keys = [replace(KEY, text=str(number)) for number in range(3)]
    for number, key in enumerate(keys):
        keep(run, key, [Baseline("xz", float(number))])
    assert [bool(kept(run, key)) for key in keys] == [False, True, True]
    keep(run, keys[2], [Baseline("xz", 8.0)])
    assert kept(run, keys[2])["xz"].nats == 8.0
    assert kept(run, keys[1])["xz"].nats == 1.0


@pytest.fixture
def fresh_method():
    baseline_cache.method.cache_clear()
    yield
    baseline_cache.method.cache_clear()


def test_what_another_method_measured_is_measured_anew(run, tmp_path, monkeypatch, fresh_method):
    """Any change to the code that measures, or to a package that it uses, is another method."""
    keep(run, KEY, ROWS)
    known = baseline_cache.method()
    source = tmp_path / "compressors.py"
    source.write_text(Path(baseline_cache.compressors.__file__).read_text() + "\n# changed\n")
    with monkeypatch.context() as patch:
        patch.setattr(baseline_cache.compressors, "__file__", str(source))
        assert kept(run, KEY) != {}, "it is the same process"
        baseline_cache.method.cache_clear()
        assert kept(run, KEY) == {}
    with monkeypatch.context() as patch:
        version = importlib.metadata.version
        patch.setattr(importlib.metadata, "version", lambda name: version(name) + ".1")
        baseline_cache.method.cache_clear()
        assert kept(run, KEY) == {}
    baseline_cache.method.cache_clear()
    assert baseline_cache.method() == known
    assert kept(run, KEY) == {row.name: row for row in ROWS}


def test_an_installation_without_sources_has_a_method_too(monkeypatch, fresh_method):
    monkeypatch.setattr(baseline_cache.ngram, "__file__", "/nowhere/ngram.pyc")
    assert len(baseline_cache.method()) == 64


def test_what_was_not_measured_is_not_kept(run):
    """pyppmd may be installed by the next time."""
    keep(run, KEY, [*ROWS, Baseline("ppmd", None, "is not installed")])
    assert set(kept(run, KEY)) == {"uniform", "ngram"}


def test_every_changed_byte_is_noticed(run):
    keep(run, KEY, ROWS)
    path = run / BASELINES_FILE
    whole = path.read_bytes()
    wanted = kept(run, KEY)
    changed = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = kept(run, KEY)
        assert found in ({}, wanted)  # white space may differ
        changed += found == {}
    assert changed > len(whole) / 2
    for size in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:size])
        assert kept(run, KEY) == {}
    keep(run, KEY, ROWS)
    assert kept(run, KEY) == wanted, "and it is written anew"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "\x1b[2J"},
        {"nats": None},
        {"nats": -1.0},
        {"nats": float("nan")},
        {"nats": "5"},
        {"nats": 5},
        {"order": "3"},
        {"order": True},
        {"cut": 1},
        {"more": 1},
        {"blocks": [1.0] * 31},
        {"blocks": [1]},
        {"blocks": ["1.0"]},
        {"blocks": 1.0},
    ],
    ids=str,
)
def test_a_stranger_s_file_is_ignored_however_well_it_is_sealed(change, run):
    keep(run, KEY, ROWS)
    path = run / BASELINES_FILE
    data = json.loads(path.read_text())
    data["texts"][0]["baselines"][1] |= change
    data["digest"] = baseline_cache._digest(data["texts"])
    path.write_text(json.dumps(data))
    assert kept(run, KEY) == {}


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000, "\xff", '{"format": 1}'])
def test_a_file_of_another_kind_is_ignored(text, run):
    (run / BASELINES_FILE).write_text(text, encoding="latin-1")
    assert kept(run, KEY) == {}


def test_outside_a_run_nothing_is_written(tmp_path):
    keep(tmp_path, KEY, ROWS)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_nothing_is_said(run):
    (run / BASELINES_FILE).mkdir()
    keep(run, KEY, ROWS)
    assert kept(run, KEY) == {}
    assert [path.name for path in (run / BASELINES_FILE).iterdir()] == []
