"""run.json: read back as it was written, or an error; and what a resume may change of it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from charrnn.errors import RunError, UsageError
from charrnn.files import sha256
from charrnn.reading import Reading
from charrnn.run_record import (
    RUN_FILE,
    RUN_FORMAT,
    RunRecord,
    changed,
    check_same,
    read_run,
    write_record,
)
from charrnn.schedule import Schedule
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.tokenizer import Vocabulary

CORPUS = {"sha256": "5" * 64, "characters": 2}

RECORD = RunRecord(
    command="charrnn train hamlet.txt --name 'café'",
    created="2031-02-03T04:05:06+00:00",
    versions={"charrnn": "0.1.0", "python": "3.11.7"},
    model=ModelSettings("lstm"),
    training=TrainingSettings(seed=5, threads=2, keep=3, dropout=0.25),
    schedule=Schedule(
        steps=100, warmup_steps=10, evaluation_steps=20, checkpoint_steps=20, report_steps=5
    ),
    corpus=CORPUS,
    paths=["/texts/hamlet.txt"],
    held_out_paths={"val": "/texts/macbeth.txt"},
    val_fraction=0.1,
    test_fraction=0.05,
    budget={"minutes": 2.5},
)


def test_a_run_s_record_is_read_back(tmp_path):
    assert read_run(tmp_path) is None
    write_record(tmp_path, RECORD)
    assert read_run(tmp_path) == RECORD
    written = json.loads((tmp_path / RUN_FILE).read_text(encoding="utf-8"))
    assert written["format"] == RUN_FORMAT == 5


ANY_TEXT = replace(
    RECORD,
    reading=Reading("gb18030", "lf", "nfkc", lowercase=True),
    separator="\n\0茶\n",
    least=3,
    initial={
        "path": "/runs/parent/step-00000007.safetensors",
        "digest": "7" * 64,
        "vocabulary": Vocabulary("ab茶", Reading(newlines="lf"), unknown=True).to_json(),
    },
)
"""A record with all that a text's flags say."""


def test_how_a_text_is_read_is_read_back(tmp_path):
    write_record(tmp_path, ANY_TEXT)
    assert read_run(tmp_path) == ANY_TEXT


@pytest.mark.parametrize("missing", ["reading", "separator", "least", "initial"])
def test_what_an_earlier_record_does_not_name_is_plain(missing, tmp_path):
    write_record(tmp_path, ANY_TEXT)
    path = tmp_path / RUN_FILE
    path.write_text(change(**{missing: None})(json.loads(path.read_text(encoding="utf-8"))))
    plain = getattr(RECORD, missing)
    assert read_run(tmp_path) == replace(ANY_TEXT, **{missing: plain})


def test_a_path_that_is_no_utf8_is_read_back(tmp_path):
    record = replace(RECORD, paths=[os.fsdecode(b"/texts/caf\xe9.txt")])
    write_record(tmp_path, record)
    assert read_run(tmp_path) == record


def sealed(values):
    """The text of a run.json, with the digest that it should have."""
    text = json.dumps(values | {"digest": "0" * 64})
    return text.replace("0" * 64, sha256(text.encode()))


def change(**changes):
    """The text of a run.json that differs in these fields; None leaves one out."""

    def of(values):
        return sealed({k: v for k, v in (values | changes).items() if v is not None})

    return of


DAMAGED = {
    "cut off": lambda values: json.dumps(values)[:-20],
    "empty": lambda values: "",
    "a list": lambda values: "[]",
    "a number": lambda values: "3",
    "no format": change(format=None),
    "format as text": change(format="1"),
    "no model": change(model=None),
    "model unknown": change(model={"model": "transformer"}),
    "training of another kind": change(training={"seed": 1}),
    "training of another kind, as of format 1": change(format=1, training={"seed": 1}),
    "training a list, as of format 1": change(format=1, training=[]),
    "schedule of another kind": change(schedule={"steps": 1}),
    "schedule of texts": change(
        schedule={"steps": "a", "warmup_steps": 1, "checkpoint_steps": 1, "report_steps": 1}
    ),
    "schedule of zeros": change(
        schedule={"steps": 9, "warmup_steps": 1, "checkpoint_steps": 0, "report_steps": 0}
    ),
    "one field more": change(more=1),
    "one field less": change(paths=None),
    "command none": lambda values: sealed(values | {"command": None}),
    "command none, as of format 1": lambda values: json.dumps(
        values | {"command": None, "format": 1}
    ),
    "no digest": lambda values: json.dumps({k: v for k, v in values.items() if k != "digest"}),
    "a digest that is none": lambda values: json.dumps(values | {"digest": 3}),
    "changes a number": change(changes=3),
    "nested too deep": lambda values: "[" * 100_000,
    "larger than any": lambda values: json.dumps(values) + " " * 2**24,
    "a path a number": change(paths=[5]),
    "a reading of another kind": change(reading={"encoding": "utf-8"}),
    "an encoding that is none": change(
        reading={"encoding": "klingon", "newlines": "lf", "normalization": "nfc", "lowercase": True}
    ),
    "a separator a number": change(separator=3),
    "a count that is none": change(least=True),
    "a count a text": change(least="2"),
    "initial weights a text": change(initial="parent"),
    "initial weights without a vocabulary": change(initial={"path": "a", "digest": "b"}),
    "initial weights of a path that is none": change(
        initial={"path": 3, "digest": "b", "vocabulary": Vocabulary("ab").to_json()}
    ),
    "initial weights of a vocabulary that is none": change(
        initial={"path": "a", "digest": "b", "vocabulary": {"characters": "aa"}}
    ),
    "paths a text": change(paths="hamlet.txt"),
}


@pytest.mark.parametrize("which", DAMAGED)
def test_a_damaged_record_is_an_error_that_names_it(which, tmp_path):
    write_record(tmp_path, RECORD)
    path = tmp_path / RUN_FILE
    path.write_text(DAMAGED[which](json.loads(path.read_text(encoding="utf-8"))))
    with pytest.raises(RunError, match=RUN_FILE) as caught:
        read_run(tmp_path)
    assert "--overwrite" in caught.value.hint


def test_the_record_that_damaged_ones_differ_from_is_read(tmp_path):
    write_record(tmp_path, RECORD)
    path = tmp_path / RUN_FILE
    path.write_text(sealed(json.loads(path.read_text(encoding="utf-8"))))
    assert read_run(tmp_path) == RECORD


def test_a_record_of_which_any_byte_changed_is_refused(tmp_path):
    """A learning rate with another digit is a valid one, and not the run's."""
    write_record(tmp_path, RECORD)
    path = tmp_path / RUN_FILE
    data = path.read_bytes()
    for place in range(len(data)):
        changed_byte = bytes([data[place] ^ 1])
        path.write_bytes(data[:place] + changed_byte + data[place + 1 :])
        with pytest.raises(RunError, match=RUN_FILE):
            read_run(tmp_path)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(RunError, match=RUN_FILE):
            read_run(tmp_path)


def test_what_is_no_file_is_no_record(tmp_path):
    """A pipe would wait for ever."""
    os.mkfifo(tmp_path / RUN_FILE)
    with pytest.raises(RunError, match="not a regular file"):
        read_run(tmp_path)


def test_a_record_of_a_newer_version_is_told(tmp_path):
    write_record(tmp_path, RECORD)
    path = tmp_path / RUN_FILE
    newer = change(format=RUN_FORMAT + 1, something=1)
    path.write_text(newer(json.loads(path.read_text(encoding="utf-8"))))
    with pytest.raises(RunError, match="newer charrnn"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"model": "lstm", "seed": 5, "dropout": 0.25, "val_frac": 0.1},
        {"corpus": [Path("/texts/hamlet.txt")], "val_file": Path("/texts/macbeth.txt")},
        {"threads": 7, "keep": 0, "on_divergence": "stop"},  # may change
        {"precision": "bf16", "device": "cuda", "checkpoint_steps": 3},
        {"corpus": [Path("/elsewhere/hamlet.txt")]},  # if it is the same text
        {"precision": "auto", "device": "auto", "quiet": True},
    ],
)
def test_flags_that_a_run_was_begun_with_may_be_given_again(given):
    check_same("night", RECORD, given, {})
    check_same("night", RECORD, given, {"minutes": 2.5})
    check_same("night", RECORD, given, {"steps": 101})


@pytest.mark.parametrize(
    ("given", "budget", "message"),
    [
        ({"model": "gru"}, {}, "night was begun with lstm for --model"),
        ({"hidden_size": 99}, {}, "256 for --hidden-size"),
        ({"carry": False}, {}, "night was begun with --carry"),
        ({"val_frac": 0.2}, {}, "0.1 for --val-frac"),
        ({"evaluation_steps": 21}, {}, "20 for --evaluation-steps"),
        ({"val_file": Path("/texts/lear.txt")}, {}, "macbeth.txt for --val-file"),
        ({"encoding": "gb18030"}, {}, "with utf-8 for --encoding"),
        ({"newlines": "lf"}, {}, "with keep for --newlines"),
        ({"normalize": "nfc"}, {}, "with none for --normalize"),
        ({"lowercase": True}, {}, "begun without --lowercase"),
        ({"min_count": 2}, {}, "with 1 for --min-count"),
        ({"init_from": Path("/a")}, {}, "begun without --init-from"),
        ({}, {"minutes": 3.0}, "2.5 for --minutes"),
        ({}, {"steps": 99}, "100 steps for --steps"),
        ({}, {"epochs": 200.0}, "--epochs"),
    ],
)
def test_a_flag_that_contradicts_a_run_is_named(given, budget, message):
    with pytest.raises(UsageError, match=message):
        check_same("night", RECORD, given, budget)


def test_a_switch_that_contradicts_a_run_is_named_as_it_was_given():
    without = replace(RECORD, training=replace(RECORD.training, carry=False))
    with pytest.raises(UsageError, match="begun with --no-carry") as caught:
        check_same("night", without, {"carry": True}, {})
    assert "leave --carry out" in caught.value.hint
    with pytest.raises(UsageError, match="begun with --carry") as caught:
        check_same("night", RECORD, {"carry": False}, {})
    assert "leave --no-carry out" in caught.value.hint


def test_whether_there_was_a_plan_cannot_change():
    """What "auto" says of --plan is not that whatever it was may stay."""
    without, planned = (replace(RECORD, plan={"mode": mode}) for mode in ("off", "auto"))
    check_same("night", without, {"plan": "off"}, {})
    check_same("night", planned, {"plan": "auto"}, {})
    for record, mode in (without, "auto"), (planned, "off"):
        with pytest.raises(UsageError, match="for --plan"):
            check_same("night", record, {"plan": mode}, {})


def test_a_held_out_file_that_a_run_was_begun_without_is_a_contradiction():
    """A flag that is passed over in silence would change what is measured on."""
    with pytest.raises(UsageError, match="--test-file"):
        check_same("night", RECORD, {"test_file": Path("/texts/lear.txt")}, {})


def test_relative_paths_are_those_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = replace(RECORD, held_out_paths={"val": str(tmp_path / "macbeth.txt")})
    check_same("night", record, {"val_file": Path("macbeth.txt")}, {})


def test_what_may_change_the_last_digits_is_told_once():
    """Against what was there last, not against what was there first."""
    assert changed(RECORD, RECORD.training, RECORD.versions) == {}
    other = replace(RECORD.training, threads=7, precision="bf16", keep=9)
    versions = RECORD.versions | {"python": "3.12.0", "torch": "9"}  # it was not noted before
    found = changed(RECORD, other, versions)
    assert found == {
        "threads": ("2", "7"),
        "precision": ("fp32", "bf16"),
        "python": ("3.11.7", "3.12.0"),
    }
    since = replace(RECORD, changes=[{"step": 7, "changed": found}])
    assert changed(since, other, versions) == {}
    assert changed(since, RECORD.training, versions) == {
        "threads": ("7", "2"),
        "precision": ("bf16", "fp32"),
    }
