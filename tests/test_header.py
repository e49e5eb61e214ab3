"""A safetensors header: what is believed of it, and what refusing it costs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charrnn.checkpoints import model_path, write_checkpoint
from charrnn.errors import DamagedError, FormatError
from charrnn.header import check_tensors, header_length, parse
from charrnn.settings import ModelSettings
from charrnn.tokenizer import Vocabulary

INNER = {"format": 1, "digest": "0" * 64}


def entry(*shape: Any, begin: int = 0, end: int | None = None, kind: str = "F32") -> dict[str, Any]:
    size = 4
    for length in shape:
        size *= length
    return {
        "dtype": kind,
        "shape": list(shape),
        "data_offsets": [begin, begin + size if end is None else end],
    }


def outer(inner: str | None = None, **entries: Any) -> bytes:
    text = json.dumps(INNER) if inner is None else inner
    return json.dumps({"__metadata__": {"charrnn": text}} | entries).encode()


# What is read.


def test_a_header_is_its_metadata_and_its_tensors_shapes() -> None:
    metadata, entries = parse(
        "x", outer(a=entry(2, 3), b=entry(5, begin=24), none=entry(0, 9, begin=24))
    )
    assert metadata == INNER
    shapes = {"a": (2, 3), "b": (5,), "none": (0, 9)}
    assert check_tensors("x", entries, 44) == shapes


def test_tensors_stand_in_any_order() -> None:
    entries = {"b": entry(1, begin=8), "a": entry(2), "scalar": entry(begin=12)}
    assert check_tensors("x", entries, 16) == {"b": (1,), "a": (2,), "scalar": ()}


# What is refused.


@pytest.mark.parametrize(
    "entries",
    [
        {"a": entry(2, kind="F64", end=16)},
        {"a": entry(2, kind="I32")},
        {"a": entry(2, kind="BF16", end=4)},
        {"a": entry(2) | {"more": 1}},
        {"a": {"dtype": "F32", "shape": [2]}},
        {"a": entry(2, end=4)},
        {"a": entry(2, end=-8)},
        {"a": entry(2), "b": entry(2, begin=4)},
        {"a": entry(2), "b": entry(2, begin=12)},
        {"a": entry(2), "b": entry(2)},
        {"a": entry(2, begin=4)},
        {"a": entry(2) | {"shape": [2.0]}},
        {"a": entry(1) | {"shape": [True]}},
        {"a": entry(2) | {"shape": [-2, -1]}},
        {"a": entry(2) | {"shape": "2"}},
        {"a": entry(2) | {"shape": None}},
        {"a": entry(2) | {"shape": [2**40, 2**40]}},
        {"a": entry(2) | {"shape": [2**64]}},
        {"a": entry(0) | {"shape": [2**62, 4, 2**62]}},
        {"a": entry(1) | {"shape": [1] * 9}},
        {"a": entry(2) | {"data_offsets": [0, 8, 8]}},
        {"a": entry(2) | {"data_offsets": [0.0, 8.0]}},
        {"a": entry(2) | {"data_offsets": {"0": 0, "1": 8}}},
        {"a": entry(2) | {"data_offsets": [False, 8]}},
        {"a": [1, 2]},
        {"a": None},
        {"": entry(2)},
        {"\x1b[2J": entry(2)},
        {"é": entry(2)},
        {"a" * 201: entry(2)},
        {str(number): entry(0) for number in range(2**14 + 1)},
    ],
    ids=lambda entries: str(entries)[:60],
)
def test_tensors_that_charrnn_never_writes_are_refused(entries: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match=r"^x: its header") as caught:
        check_tensors("x", entries, 8)
    assert len(caught.value.message) < 300
    assert caught.value.hint


@pytest.mark.parametrize(("size", "what"), [(7, "1 bytes are missing"), (9, "1 bytes follow")])
def test_tensors_fill_the_file_to_its_end(size: int, what: str) -> None:
    with pytest.raises(DamagedError, match=what):
        check_tensors("x", {"a": entry(2)}, size)


@pytest.mark.parametrize(
    "text",
    [
        b'{"__metadata__":{"charrnn":"{}"},"__metadata__":{"charrnn":"{}"}}',
        outer(inner='{"format":1,"format":1,"digest":"' + "0" * 64 + '"}'),
        outer(inner='{"format":1,"digest":"' + "0" * 64 + '","a":[{"b":1,"b":2}]}'),
        outer().replace(b'"__metadata__": {', b'"__metadata__": {"format": "pt", '),
        outer().replace(b'"__metadata__"', b'"__metadata"'),
        outer(inner="[]"),
        outer(inner='"' + "0" * 64 + '"'),
        outer(inner=json.dumps(INNER) + "x"),
        outer(inner=json.dumps(INNER, ensure_ascii=False).replace("}", ',"é":1}')),
        outer().replace(b"charrnn", "é".encode()),
        outer() + b"{}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
        b"",
    ],
    ids=lambda text: text[:50],
)
def test_json_that_two_readers_could_read_differently_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError, match=r"^x: not a checkpoint of charrnn's"):
        parse("x", text)


def test_a_header_of_more_than_16_megabytes_is_not_read() -> None:
    assert header_length("x", (2**24).to_bytes(8, "little"), 2**25) == 2**24
    with pytest.raises(FormatError):
        header_length("x", (2**24 + 1).to_bytes(8, "little"), 2**25)


def test_the_largest_header_there_may_be_is_read() -> None:
    """Every character of Unicode, and ten thousand files."""
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    files = [{"name": f"file-{n}.txt", "bytes": n, "sha256": "0" * 64} for n in range(10_000)]
    for more in {"characters": "".join(map(chr, points))}, {"files": files}:
        text = outer(inner=json.dumps(INNER | more, separators=(",", ":")))
        assert header_length("x", len(text).to_bytes(8, "little"), len(text) + 8) == len(text)
        metadata, _ = parse("x", text)
        assert metadata == INNER | more


# What it costs.

MEASURE = """
import sys
from pathlib import Path
from peak import peak, reset_peak
from charrnn.checkpoints import read_checkpoint, read_record, resume_path
from charrnn.errors import CheckpointError
from charrnn.sealed import read_sealed

def tried(read, path):
    try:
        read(path)
        return "read"
    except CheckpointError as error:
        return type(error).__name__

warm, path = map(Path, sys.argv[1:])
tried(read_checkpoint, warm)
before = reset_peak()
outcome = tried(read_record, path), tried(read_checkpoint, path), tried(read_sealed, path)
print(*outcome, peak() - before)
"""


def bomb(inner: str, body: bytes = b"") -> bytes:
    return after_its_length(outer(inner=inner)) + body


def after_its_length(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


def in_escapes(text: str) -> bytes:
    return after_its_length(outer(inner="").replace(b'""', f'"{text}"'.encode()))


def of_size(head: str, unit: str, tail: str, size: int = 15_000_000) -> bytes:
    return bomb(head + unit * (size // len(unit)) + tail)


START = json.dumps(INNER)[:-1]
BOMBS = {
    "lists": lambda: of_size(START + ',"a":[', "[],", "[]]}"),
    "objects": lambda: of_size(START + ',"a":[', "{},", "{}]}"),
    "members": lambda: of_size(START + ',"a":[', '{"":0},', "{}]}", 7_000_000),
    "numbers": lambda: of_size(START + ',"a":[', "9999,", "0]}"),
    "fractions": lambda: of_size(START + ',"a":[', ".1e1,".replace(".", "0."), "0]}"),
    "texts": lambda: of_size(START + ',"a":[', '"",', '""]}', 8_000_000),
    "just under the bound": lambda: bomb(START + ',"a":[' + "[]," * 2**16 + "[]]}"),
    "hidden in escapes": lambda: in_escapes(
        START.replace('"', '\\"') + ',\\"a\\":[' + "\\u005b]\\u002c" * 1_100_000 + "0]}"
    ),
    "a wide character": lambda: in_escapes("\\ud83d\\ude00" + "x" * 15_000_000),
    "a long name": lambda: of_size(START + ',"', "x", '":1}'),
    "a long number": lambda: of_size(START + ',"a":', "9", "}"),
    "a long text for a number": lambda: of_size(START.replace("1", '"'), "x", '"}'),
}


@pytest.mark.parametrize("which", BOMBS)
def test_refusing_a_file_costs_a_few_times_its_size(which: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(BOMBS[which]())
    outcome, grown = measured(path, tmp_path)
    assert "read" not in outcome[:2]
    assert grown < 5 * path.stat().st_size + 40e6


def measured(path: Path, directory: Path) -> tuple[list[str], int]:
    """How three readers fared, and by how many bytes their process grew."""
    from test_checkpoints import written

    (directory / "warm").mkdir()
    warm, _ = written(directory / "warm")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, warm, path],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    *outcome, grown = done.stdout.split()
    return outcome, int(grown)


@pytest.mark.parametrize("kind", ["weights", "vocabulary"])
def test_reading_a_file_costs_a_few_times_its_size(kind: str, tmp_path: Path) -> None:
    from test_checkpoints import RESUME, STATE, a_record, some_weights

    settings, vocabulary = ModelSettings("gru", "tanh", 8, 1_024, 1), Vocabulary("abc\n")
    if kind == "vocabulary":
        settings = ModelSettings("rnn", "tanh", 1, 1, 1)
        vocabulary = Vocabulary("".join(map(chr, range(0x10000, 0x110000))))
    path = model_path(tmp_path, 1)
    record = a_record(settings, vocabulary=vocabulary)
    write_checkpoint(path, record, some_weights(settings, vocabulary), RESUME, STATE)
    outcome, grown = measured(path, tmp_path)
    assert outcome == ["read"] * 3
    assert grown < 5 * path.stat().st_size + 20e6
