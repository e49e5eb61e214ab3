"""charrnn corpus, end to end: list, info and build."""

import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import SHIPPED, charrnn
from test_cli import assert_error, imports

from charrnn.commands import corpus


def info(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return charrnn("corpus", "info", "--no-measure", *arguments, **options)


# Info.


def test_info_is_one_json_object(english_file: Path, english: str) -> None:
    done = info(english_file, "--json")
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["characters"] == len(english)
    assert found["distinct"] == len(set(english))
    assert found["bytes"] == english_file.stat().st_size
    assert found["lines"] == english.count("\n")
    assert found["commonest"][0] == [" ", english.count(" ")]


def test_info_measures_how_long_an_epoch_takes(english_file: Path) -> None:
    done = charrnn("corpus", "info", english_file, "--json")
    assert json.loads(done.stdout)["epoch_seconds"] > 0


def test_info_without_measuring_never_imports_torch(english_file: Path) -> None:
    loaded, done = imports("corpus", "info", "--no-measure", english_file)
    assert done.returncode == 0
    assert "torch" not in loaded


def test_info_tells_a_person_what_is_in_a_text() -> None:
    done = info(SHIPPED)
    text = SHIPPED.read_text(encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{len(text):,} characters" in done.stdout
    assert f"{len(set(text)):,} characters" in done.stdout
    for part in "commonest", "rarest", "look-alikes", "U+2018", "by heart":
        assert part in done.stdout


def test_info_names_look_alikes_and_problems(tmp_path: Path) -> None:
    text = tmp_path / "mixed.txt"
    text.write_bytes('\ufeff“curly” and "straight"\r\nit\'s it’s \ufffd\r\n'.encode())
    done = info(text)
    for part in "U+0022", "U+201C", "U+0027", "U+2019", "byte-order mark", "CR LF", "U+FFFD":
        assert part in done.stdout


def test_info_shows_no_control_characters(tmp_path: Path) -> None:
    text = tmp_path / "a\x1b[31mb.txt"
    text.write_text("he\x1b[31mllo\x07 w\u202eorld\x9b\n" * 9, encoding="utf-8")
    done = info(text)
    assert done.returncode == 0
    assert all(line.isprintable() for line in done.stdout.splitlines())
    assert "U+001B" in done.stdout


def test_info_of_an_empty_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"")
    assert_error(info(tmp_path / "bad.txt"), 1, "bad.txt: the file is empty")


def test_info_of_a_missing_file_suggests_the_likely_one(english_file: Path) -> None:
    done = info("caffe.txt", cwd=english_file.parent)
    assert_error(done, 1, "caffe.txt: no such file", "cafe.txt?")


def test_info_takes_what_train_takes(tmp_path: Path) -> None:
    """Folders, patterns, compressed files and stdin, and the flags of reading."""
    books = tmp_path / "books"
    books.mkdir()
    (books / "a.txt").write_bytes("\ufeffÉTÉ\r\n".encode("utf-16"))
    (books / "b.txt.gz").write_bytes(gzip.compress("e\u0301te\u0301\r\n".encode("utf-16")))
    flags = ("--encoding", "utf-16", "--newlines", "lf", "--normalize", "nfc", "--lowercase")
    done = info(books, "--document-separator", "-", *flags, "--json")
    found = json.loads(done.stdout)
    assert dict(found["commonest"]) == {"é": 4, "t": 2, "\n": 2, "-": 1}
    assert [Path(file["path"]).name for file in found["files"]] == ["a.txt", "b.txt.gz"]
    assert found["bytes"] == sum(file["bytes"] for file in found["files"])
    piped = info("-", "--json", input="one\ntwo\n", cwd=tmp_path)
    assert json.loads(piped.stdout)["lines"] == 2


def test_info_tells_a_person_of_what_files_it_speaks(tmp_path: Path) -> None:
    for name, data in (("a.txt", b"\xef\xbb\xbfone\n"), ("b.txt", b"two\n"), ("c.png", b"\0\1")):
        (tmp_path / name).write_bytes(data)
    told = info(tmp_path, "--lowercase").stdout
    for part in f"{tmp_path}: 2 files", "c.png", "1 byte-order mark", "UTF-8, lowercase":
        assert part in told


def test_info_of_another_encoding_shows_how_it_would_read(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes("Все счастливые семьи похожи друг на друга\n".encode("koi8-r"))
    done = info(file)
    assert done.returncode == 1
    assert done.stdout == "as koi8-r  Все счастливые семьи похожи друг на друга\n"
    assert "probably koi8-r" in done.stderr
    assert f"charrnn train {file} --encoding koi8-r" in done.stderr
    assert "--encoding" not in info(file, "--encoding", "koi8-r").stderr


def test_info_of_broken_utf_8_shows_the_places_harmlessly(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("déjà vu\n".encode() * 9 + b"caf\xe9 \x1b[31m au lait\n")
    done = info(tmp_path / "a.txt")
    assert done.stdout == "line 10, column 4  caf<E9> \\x1b[31m au lait  (é in windows-1252)\n"
    assert "\x1b" not in done.stderr
    assert "it is UTF-8 but for 1 place" in done.stderr


def test_info_of_bytes_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 90)
    told = info(tmp_path / "a.bin", "--encoding", "bytes").stdout
    assert "none found" in told
    assert "23,040 bytes\n" in told
    assert not any(word in told for word in ("scripts", "look-alikes", "unnamed", "min-count"))


# List.


def test_list_shows_the_texts_and_what_can_be_built(tmp_path: Path) -> None:
    done = charrnn("corpus", "list", "--directory", SHIPPED.parent)
    assert SHIPPED.name in done.stdout
    empty = charrnn("corpus", "list", cwd=tmp_path)
    assert (empty.returncode, empty.stdout) == (0, "")
    assert "charrnn corpus build python-reference" in empty.stderr
    assert "charrnn corpus build python-stdlib" in empty.stderr


def test_list_does_not_count_what_is_huge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("abcabc")
    monkeypatch.setattr(corpus, "COUNTED", 5)
    corpus.list_(tmp_path, json=True)
    assert json.loads(capsys.readouterr().out) == {"path": str(tmp_path / "a.txt"), "bytes": 6}
    corpus.list_(tmp_path)
    assert re.search(r"a\.txt +6 +- +-", capsys.readouterr().out)


def test_list_is_an_object_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcabc")
    (tmp_path / "b.txt").write_bytes(b"\xff\xff")
    done = charrnn("corpus", "list", "--directory", tmp_path, "--json")
    first, second = map(json.loads, done.stdout.splitlines())
    assert done.stderr == ""
    assert first == {
        "path": str(tmp_path / "a.txt"),
        "bytes": 6,
        "characters": 6,
        "distinct": 3,
    }
    assert "not UTF-8" in second["problem"]


# Build.


def test_build_writes_the_python_reference_and_says_where(tmp_path: Path) -> None:
    done = charrnn("corpus", "build", "python-reference", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout == "corpora/python-reference.txt\n"
    file = tmp_path / "corpora" / "python-reference.txt"
    assert list(tmp_path.rglob("*.txt")) == [file]
    text = file.read_text(encoding="utf-8")
    assert 300_000 < len(text) < 1_000_000
    assert 'The "yield" expression' in text or "yield" in text
    built = file.read_bytes()
    assert charrnn("corpus", "build", "python-reference", cwd=tmp_path).returncode == 0
    assert file.read_bytes() == built, "the same text every time"


def test_build_where_nothing_can_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = charrnn("corpus", "build", "python-reference", "--directory", tmp_path / "file" / "x")
    assert_error(done, 1, "file/x")
