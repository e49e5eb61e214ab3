"""The training text where it lies: the same characters, found, proven, not read twice."""

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_heldout import Trained

from charrnn import cache, original
from charrnn.cache import cache_directory
from charrnn.errors import TextError
from charrnn.original import Original, training_text
from charrnn.run_record import read_run, write_record


@pytest.fixture
def trained(english, tmp_path):
    return Trained(tmp_path, english, val_fraction=0.25, test_fraction=0.25)


@pytest.fixture(params=["read", "mapped"])
def either(request, monkeypatch):
    """Whether files are mapped."""
    if request.param == "mapped":
        monkeypatch.setattr(original, "_MAPPED", 1)
    return request.param


@pytest.fixture
def remembering(monkeypatch, tmp_path):
    """Small texts are remembered too, and files need not be old."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(original, "_MAPPED", 1)
    monkeypatch.setattr(cache, "_SETTLED", 0)


def found(trained, corpus=None):
    text = training_text(trained.checkpoint, trained.record, corpus)
    return b"".join(text.chunks()).decode()


# The bytes.


def test_files_stand_one_after_the_other_without_their_marks(either, tmp_path):
    parts = ["\ufeffcafé\r\nthé\n", "zwei", "\ufeff", "茶茶", "x" * 50]
    paths = []
    for number, part in enumerate(parts):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(part.encode())
    whole = "".join(parts).replace("\ufeff", "").encode()
    text = Original(paths)
    assert text.size == len(whole)
    assert b"".join(text.chunks()) == whole
    for start in range(len(whole)):
        for end in (start, start + 1, start + 13, len(whole) + 9):
            assert text.slice(start, end) == whole[start:end]
    for width in 1, 4, 20:
        for count in 3, 40:
            starts = np.arange(count) % (len(whole) - width + 1)
            windows = text.windows(starts, width)
            assert [bytes(row) for row in windows] == [whole[s : s + width] for s in starts]
    wild = text.windows(np.array([-30, -1, len(whole) - 1] * 9), 20)  # beyond: anything
    assert wild.shape == (27, 20)
    assert bytes(wild[1, 1:]) == whole[:19]


def test_a_place_is_a_file_a_line_and_a_character(either, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes("\ufeffé\ncafé\r\n".encode())
    two.write_bytes("茶\n\n茶x".encode())
    text = Original([one, two])
    whole = b"".join(text.chunks()).decode()
    wanted = [(one, 1, 0), (one, 1, 1), *((one, 2, n) for n in range(2, 8))]
    wanted += [(two, 1, 0), (two, 1, 1), (two, 2, 2), (two, 3, 3), (two, 3, 4)]
    for number, (path, line, character) in enumerate(wanted):
        place = text.place(len(whole[:number].encode()))
        assert place == (str(path), line, character)


def test_of_very_many_files_few_are_held_open(tmp_path, monkeypatch):
    monkeypatch.setattr(original, "_MAPPED", 1)
    monkeypatch.setattr(original, "_MOST_MAPPED", 4)
    paths = []
    for number in range(40):
        paths.append(tmp_path / str(number))
        paths[-1].write_text(f"{number:02d}" * (40 if number == 7 else 1))
    held = Path("/proc/self/fd")
    before = len(list(held.iterdir())) if held.exists() else 0
    text = Original(paths)
    if before:
        assert len(list(held.iterdir())) - before <= 4
    assert b"".join(text.chunks()).decode() == "".join(path.read_text() for path in paths)


@pytest.mark.parametrize("kind", ["missing", "directory"])
def test_a_file_that_cannot_be_read_is_named(kind, tmp_path):
    path = tmp_path / "text.txt"
    if kind == "directory":
        path.mkdir()
    with pytest.raises(TextError, match=r"text\.txt: (no such file|is a directory)") as caught:
        Original([path])
    assert "--corpus" in caught.value.hint


# The proof.


def test_it_is_what_was_trained_on_and_nothing_that_was_held_out(either, trained, english):
    assert found(trained) == english[:350]


def test_bounds_are_characters_however_many_bytes_they_have(tmp_path, monkeypatch):
    monkeypatch.setattr(original, "_CHUNK", 7)  # which cuts characters in two
    trained = Trained(tmp_path, "é茶x😀" * 200, val_fraction=0.3)
    assert found(trained) == ("é茶x😀" * 200)[:490]


def test_nothing_held_out_is_all_of_it(english, tmp_path):
    assert found(Trained(tmp_path, english, val_fraction=0.0)) == english[:700]


def test_another_file_held_out_is_no_part_of_it(english, tmp_path):
    own = tmp_path / "own.txt"
    own.write_text("A café of its own.", encoding="utf-8")
    assert found(Trained(tmp_path, english, val_file=own)) == english[:700]


def test_what_was_held_out_may_change(trained, english):
    trained.files[1].write_text("another text altogether", encoding="utf-8")
    assert found(trained) == english[:350]


@pytest.mark.parametrize("change", ["changed", "longer", "shorter"])
def test_a_text_that_changed_is_refused_and_named(change, trained):
    path = trained.files[0]
    text = path.read_text(encoding="utf-8")
    changed = {"changed": "#" + text[1:], "longer": "#" + text, "shorter": text[:100]}
    path.write_text(changed[change], encoding="utf-8")
    with pytest.raises(TextError, match=r"SHA-256") as caught:
        found(trained)
    assert "one.txt" in caught.value.message
    assert "two.txt" not in caught.value.message
    assert "--corpus" in caught.value.hint
    assert "--text" not in caught.value.hint


def test_a_text_that_moved_can_be_pointed_at(trained, english, tmp_path):
    moved = [path.rename(tmp_path / f"moved-{path.name}") for path in trained.files]
    with pytest.raises(TextError, match=r"one\.txt: no such file") as caught:
        found(trained)
    assert "--corpus" in caught.value.hint
    assert found(trained, moved) == english[:350]


def test_a_checkpoint_without_its_run_says_which_files_it_needs(trained, english):
    (trained.run / "run.json").unlink()
    with pytest.raises(TextError, match=r"no run\.json") as caught:
        found(trained)
    assert caught.value.hint == "say where it is: --corpus one.txt two.txt"
    assert found(trained, trained.files) == english[:350]


def test_a_pipe_that_run_json_names_is_not_waited_for(trained, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    record = replace(read_run(trained.run), paths=[str(tmp_path / "pipe")])
    write_record(trained.run, record)
    with pytest.raises(TextError, match=r"run\.json"):
        found(trained)


def test_a_wrong_text_from_a_pipe_is_refused_and_not_waited_for_again(trained, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("another text"))
    writer.start()
    with pytest.raises(TextError, match="pipe: not the text"):
        found(trained, [tmp_path / "pipe"])
    writer.join()


# What is remembered.


def unread(monkeypatch):
    def proven(*_):
        raise AssertionError("was read")

    monkeypatch.setattr(original, "_proven", proven)


def test_a_text_that_nobody_touched_is_not_read_again(trained, english, remembering, monkeypatch):
    assert found(trained) == english[:350]
    unread(monkeypatch)
    assert found(trained) == english[:350]


@pytest.mark.parametrize("change", ["content", "time", "file", "memory", "owner"])
def test_a_text_that_may_have_changed_is_read_again(change, trained, remembering, monkeypatch):
    found(trained)
    path = trained.files[0]
    before = path.stat()
    if change == "content":  # of the same size, with the old time put back
        path.write_bytes(b"#" + path.read_bytes()[1:])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "time":
        os.utime(path, ns=(0, 0))
    elif change == "file":
        data = path.read_bytes()
        path.rename(path.with_suffix(".old"))
        path.write_bytes(data)
    elif change == "memory":
        for memory in cache_directory().iterdir():
            memory.write_bytes(b'{"files": [')
    else:
        path.chmod(0o600)
        path.chmod(0o644)
    unread(monkeypatch)
    with pytest.raises(AssertionError, match="was read"):
        found(trained)


def test_a_file_that_was_just_written_is_not_trusted_to_be_told_apart(
    trained, remembering, monkeypatch
):
    """Another change within the clock's tick would leave the same time."""
    monkeypatch.setattr(cache, "_SETTLED", 10**18 * 100)
    monkeypatch.setattr(time, "time_ns", lambda: 10**18 * 20)
    found(trained)
    assert not cache_directory().exists()


def test_a_stranger_s_checkpoint_names_no_file_of_the_cache(trained, remembering, tmp_path):
    """Its hash is part of a name there."""
    found(trained)
    (memory,) = cache_directory().iterdir()
    trained.record.corpus["splits"]["train"]["sha256"] = f"../charrnn/{memory.stem}"
    with pytest.raises(TextError, match="SHA-256"):
        found(trained)


def test_a_cache_that_cannot_be_written_is_done_without(trained, english, remembering, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert found(trained) == english[:350]
