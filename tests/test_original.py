"""A text where it lies: the same bytes, wherever its files are cut, and where they stand."""

from pathlib import Path

import numpy as np
import pytest

from charrnn import original
from charrnn.errors import TextError
from charrnn.original import Original


@pytest.fixture(params=["read", "mapped"])
def either(request, monkeypatch):
    """Whether files are mapped."""
    if request.param == "mapped":
        monkeypatch.setattr(original, "MAPPED", 1)
    return request.param


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
    monkeypatch.setattr(original, "MAPPED", 1)
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
