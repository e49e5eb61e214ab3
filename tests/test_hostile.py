"""What a stranger's checkpoint may do: be refused. No code, no hanging, no memory, no escapes.

`mutations.py` changes whole checkpoints in their structure, `hostile_reads.py` reads them
under an audit hook, `fuzz_reads.py` under atheris.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, charrnn
from hostile_reads import bases, use
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutated
from test_checkpoints import CORPUS, RESUME, STATE, a_record, forged, hostile, some_weights, written
from test_cli import assert_error, on_terminal

from charrnn.checkpoints import (
    model_path,
    read_checkpoint,
    read_record,
    read_resume,
    read_resume_file,
    resume_path,
    write_checkpoint,
)
from charrnn.errors import CheckpointError
from charrnn.tokenizer import Vocabulary

TESTS = ROOT / "tests"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a tiny checkpoint, whole, to be read alone."""
    directory = tmp_path_factory.mktemp("whole")
    written(directory)
    return directory


# Damage: one small file of either kind, everywhere.


READERS = {
    "model": lambda path: read_checkpoint(path),
    "resume": lambda path: read_resume_file(path),
}


def refused(kind: str, path: Path, data: bytes) -> None:
    """These bytes are refused, and the file is named."""
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        READERS[kind](path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("kind", READERS)
def test_a_change_of_any_byte_is_refused_by_name(kind: str, whole: Path, tmp_path: Path) -> None:
    data = bases(whole)[kind == "resume"]
    for place in range(len(data)):
        for flip in 1 << (place % 8), 0xFF:
            changed = data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]
            refused(kind, tmp_path / "changed.safetensors", changed)


@pytest.mark.parametrize("kind", READERS)
def test_any_length_but_its_own_is_refused_by_name(kind: str, whole: Path, tmp_path: Path) -> None:
    data, path = bases(whole)[kind == "resume"], tmp_path / "cut.safetensors"
    for length in range(len(data)):
        refused(kind, path, data[:length])
        with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
            read_record(path)
    for more in b"\0", b"x" * 8, data[-8:], data:
        refused(kind, path, data + more)
        with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
            read_record(path)
    path.write_bytes(data)
    READERS[kind](path)


@pytest.mark.parametrize("change", ["flip in the header", "flip in the weights", "cut", "twice"])
def test_the_command_refuses_damage_by_name(change: str, whole: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "mailed.safetensors", bytearray(bases(whole)[0])
    if change == "cut":
        del data[-5:]
    elif change == "twice":
        data += bytes(data)
    else:
        data[600 if "header" in change else -5] ^= 4
    path.write_bytes(data)
    assert_error(charrnn("sample", path), 1, "mailed.safetensors")


def test_a_damaged_earlier_resume_file_hides_no_good_one(tmp_path: Path) -> None:
    path, record = written(tmp_path)
    earlier = resume_path(path).with_suffix(".earlier")
    for data in b"", b"damaged" * 99, resume_path(path).read_bytes()[:-1]:
        earlier.write_bytes(data)
        assert read_resume(path, record)[1] == STATE
    os.replace(resume_path(path), earlier)
    assert read_resume(path, record)[1] == STATE
    resume_path(path).write_bytes(b"damaged" * 99)
    assert read_resume(path, record)[1] == STATE
    earlier.write_bytes(b"")
    with pytest.raises(CheckpointError):
        read_resume(path, record)


@pytest.mark.parametrize("state", [None, [], "x", 5])
def test_a_resume_file_whose_state_is_none_is_refused(state: object, tmp_path: Path) -> None:
    path, record = written(tmp_path)
    header = {"format": 1, "resume": state, "digest": "0" * 64}
    forged(resume_path(path), header, {"carried": ("F32", [1], bytes(4))})
    digest = re.search(rb"[0-9a-f]{64}", resume_path(path).read_bytes())
    assert digest
    with pytest.raises(CheckpointError, match=r"resume\.safetensors"):
        read_resume(path, replace(record, resume_digest=digest[0].decode()))


# What is no file at all, and would be waited for, or read for ever.


@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = model_path(tmp_path, 1)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for read in read_record, read_checkpoint, read_resume_file:
        with pytest.raises(CheckpointError, match=path.name):
            read(path)
    done = charrnn("checkpoints", "verify", tmp_path, timeout=30)
    assert done.returncode == 1
    assert path.name in done.stdout


def test_a_file_that_claims_more_than_there_is_memory_is_refused(tmp_path: Path) -> None:
    """A hole takes no room on a disk: four terabytes are soon sent."""
    size, rows = 2**42, 2**20
    header = hostile(vocabulary=Vocabulary("ab").to_json(), model=None) | {"model": {}}
    entries = {"a": {"dtype": "F32", "shape": [rows, rows], "data_offsets": [0, size]}}
    text = json.dumps({"__metadata__": {"charrnn": json.dumps(header)}} | entries).encode()
    path = tmp_path / "hole.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    try:
        os.truncate(path, 8 + len(text) + size)
    except OSError:
        pytest.skip("no files of this size here")
    for read in read_record, read_checkpoint:
        with pytest.raises(CheckpointError, match=r"hole\.safetensors"):
            read(path)


# What reaches a terminal.

NAME = "\x1b[2J\x9b31m\x1b]0;owned\x07\u202e\r\x7f.txt"
POINTS = [*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)]
ACTING = "".join(map(chr, POINTS))
VOCABULARY = Vocabulary("\n[]0;12mJHK" + ACTING.replace("\n", "") + "é\u0301\u00a0\u200d")


@pytest.fixture(scope="module")
def malicious(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint directory with a run whose every name and character is an escape code."""
    run = tmp_path_factory.mktemp("stranger") / f"run{NAME}"
    run.mkdir()
    file = {"name": NAME, "bytes": 12, "sha256": NAME}
    split = {"file": file, "start": 0, "end": 9, "sha256": NAME}
    corpus = CORPUS | {
        "files": [file],
        "sha256": NAME,
        "splits": dict.fromkeys(("train", "val", "test"), split),
    }
    record = a_record(vocabulary=VOCABULARY, corpus=corpus)
    weights = some_weights(vocabulary=VOCABULARY)
    for step in 5, 6:
        write_checkpoint(
            model_path(run, step), replace(record, step=step), weights, RESUME, {NAME: NAME}
        )
    (run / "run.json").write_text("{")
    model_path(run, 7).write_bytes(b"not one")
    return run.parent


COMMANDS = (
    "sample RUN --seed 1 --length 400",
    "sample RUN --seed 1 --length 400 --echo --prompt \x1b[2J\x9b",
    "sample RUN --seed 1 --length 400 --prompt \x1b\u2029\u202e",
    "sample RUN --length 9 --num-samples 2 --json",
    "sample --length 9",
    "checkpoints list",
    "checkpoints list --json",
    "checkpoints show RUN",
    "checkpoints show RUN --json",
    "checkpoints verify",
    "checkpoints verify RUN/step-00000005.safetensors",
    "checkpoints prune",
    "evaluate RUN RUN --text TEXT -q",
    "evaluate RUN",
    "evaluate RUN --json --text TEXT",
    "sample RUN/step-00000007.safetensors",
)


def acts(screen: str) -> set[str]:
    """The characters of a screen that could have done something to a terminal."""
    return set(screen.replace("\r", "")) & (set(ACTING) - set("\n\t\r"))


@pytest.mark.parametrize("command", COMMANDS)
def test_no_name_and_no_character_acts_on_a_terminal(command: str, malicious: Path) -> None:
    (run,) = malicious.iterdir()
    text = malicious.parent / "own.txt"
    text.write_text("mJHK012\n" * 9)
    words = [w.replace("RUN", str(run)).replace("TEXT", str(text)) for w in command.split(" ")]
    keys = [("[y/N]", "n\n")] if "prune" in words else []
    shown = on_terminal(*words, NO_COLOR="1", CHARRNN_CHECKPOINTS=str(malicious), keys=keys)
    assert len(shown.screen) > 50
    assert acts(shown.screen) == set()
    if words[0] == "sample":
        assert "\r" not in shown.screen.replace("\r\n", "\n")
    assert "Traceback" not in shown.screen
    assert "a bug" not in shown.screen


def test_tables_of_a_stranger_are_still_coloured(malicious: Path) -> None:
    shown = on_terminal("checkpoints", "list", CHARRNN_CHECKPOINTS=str(malicious))
    assert "\x1b[1m" in shown.screen
    assert acts(re.sub(r"\x1b\[[\d;]*m", "", shown.screen)) == set()
    assert "\\x1b" in shown.screen


def test_piped_text_is_what_was_generated_byte_for_byte(malicious: Path) -> None:
    (run,) = malicious.iterdir()
    arguments = ("sample", run, "--seed", 1, "--length", 2_000)
    done = charrnn(*arguments, text=False)
    told = json.loads(charrnn(*arguments, "--json").stdout)
    assert done.stdout == (told["text"] + "\n").encode()
    assert len(set(ACTING) & set(told["text"])) > 30
    assert told["run"] == run.name


# Weights that are no numbers.


@pytest.mark.parametrize(
    ("command", "number"),
    [
        *(("sample", number) for number in (np.nan, np.inf, -np.inf, 3e38)),
        *(("evaluate", number) for number in (np.nan, 3e38)),
    ],
)
def test_weights_that_are_no_numbers_are_a_plain_error(
    command: str, number: float, tmp_path: Path
) -> None:
    path = model_path(tmp_path, 5)
    weights = {name: np.full_like(w, number) for name, w in some_weights().items()}
    weights["output.weight"][::2] *= -1
    record = a_record(scores={"val": {"nats_per_char": float(number), "accuracy": 0.5}})
    write_checkpoint(path, record, weights, RESUME, {"reported": [float(number), 2]})
    read, again = read_checkpoint(path)
    for name, array in again.items():
        np.testing.assert_array_equal(array, weights[name])
    if not np.isfinite(number):
        assert read.scores == {"val": {"accuracy": 0.5}}
        assert read.nats_per_char == float("inf")
    read_resume(path, read)
    text = tmp_path / "text.txt"
    text.write_text("e e e", encoding="utf-8")
    more = ("--text", text, "--threads", 1) if command == "evaluate" else ("--seed", 1)
    done = charrnn(command, path, *more)
    assert_error(done, 1, "no probabilities", "earlier checkpoint")
    assert len(done.stderr.splitlines()) == 2, "no warnings of NumPy's"


# Structure, changed in every way that hypothesis thinks of.


@settings(
    deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(choices=st.data(), number=st.integers(0, 1))
def test_a_changed_structure_is_refused_or_a_checkpoint(
    choices: st.DataObject, number: int, whole: Path, tmp_path: Path
) -> None:
    data = mutated(bases(whole)[number], lambda below: choices.draw(st.integers(0, below - 1)))
    path = tmp_path / "changed.safetensors"
    path.write_bytes(data)
    use(path)


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "any.safetensors"
    path.write_bytes(data)
    assert not use(path)


def audited(count: int, directory: Path, *more: str) -> dict:
    done = subprocess.run(
        [sys.executable, TESTS / "hostile_reads.py", str(count), directory, *more],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_stranger_s_file_runs_nothing_and_writes_nothing(tmp_path: Path) -> None:
    """As an audit hook sees it, while 2,000 changed files are read and what passes is used."""
    written(tmp_path)
    found = audited(2_000, tmp_path)
    assert found["seen"] == []
    assert found["accepted"] > 30, "some changes are harmless, and their files are read"
    assert found["grown"] < 40e6


def test_the_audit_hook_would_have_seen_it(tmp_path: Path) -> None:
    written(tmp_path)
    seen = " ".join(audited(1, tmp_path, "--prove")["seen"])
    for event in "import ('colorsys'", "exec (", "compile (", "open (":
        assert event in seen


@pytest.mark.torture
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this platform"
)
def test_a_million_files_that_atheris_thinks_of(tmp_path: Path) -> None:
    written(tmp_path)
    done = subprocess.run(
        [
            *(sys.executable, TESTS / "fuzz_reads.py", tmp_path),
            *("-runs=1000000", "-len_control=0", "-max_len=512", "-rss_limit_mb=512"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-5_000:]
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts["files"] >= 1_000_000
    assert counts["accepted"] > 1_000
