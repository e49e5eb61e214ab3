"""The files that a corpus is made of: which ones names stand for, and what is in them."""

import bz2
import gzip
import io
import lzma
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from backports import zstd

from charrnn.cache import cache_directory
from charrnn.documents import STDIN, find, open_document, spooled
from charrnn.errors import TextError
from charrnn.reading import Reading

PLAIN, AS_BYTES = Reading(), Reading("bytes")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Texts in folders, and much that is none; the working directory."""
    for name, data in {
        "b.txt": b"b",
        "a.txt": "café".encode(),
        "a/z.md": b"z",
        "a/deep/er/x.txt": b"x",
        "a.b": b"no ending that is known",
        ".hidden.txt": b"hidden",
        ".git/config": b"hidden",
        "empty.txt": b"",
        "mark.txt": b"\xef\xbb\xbf",
        "picture.txt": PNG,
        "latin.txt": b"caf\xe9 au lait",
        "null.bin": b"a\0b",
        "wide.txt": "wide".encode("utf-16"),
        "half.txt.gz": gzip.compress(b"half" * 99)[:20],
        "whole.txt.gz": gzip.compress(b"whole"),
        "[odd].txt": b"odd",
    }.items():
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "texts" / "dangling.txt").symlink_to("nowhere")
    os.mkfifo(tmp_path / "texts" / "pipe.txt")
    monkeypatch.chdir(tmp_path)
    return Path("texts")


def names(paths, folder):
    return [str(path.relative_to(folder)) for path in paths]


OF_FOLDER = ["[odd].txt", "a/deep/er/x.txt", "a/z.md", "a.b", "a.txt", "b.txt", "whole.txt.gz"]
NO_TEXT = ["empty.txt", "half.txt.gz", "latin.txt", "mark.txt", "null.bin", "picture.txt"]


def test_a_folder_stands_for_its_texts_in_order(folder):
    found = find([folder], PLAIN)
    assert names(found.paths, folder) == OF_FOLDER
    assert names(found.passed_over, folder) == [*NO_TEXT, "wide.txt"]


def test_as_bytes_everything_but_the_empty_is_text(folder):
    found = find([folder], AS_BYTES)
    assert names(found.passed_over, folder) == ["empty.txt", "half.txt.gz"]
    assert {"picture.txt", "null.bin", "mark.txt"} <= set(names(found.paths, folder))


def test_a_folder_of_another_encoding_has_other_texts(folder):
    assert folder / "latin.txt" in find([folder], Reading("windows-1252")).paths
    assert folder / "wide.txt" in find([folder], Reading("utf-16")).paths


def test_names_keep_their_order_and_may_come_twice(folder):
    asked = [folder / "b.txt", folder / "a", folder / "a.txt", folder / "b.txt"]
    found = names(find(asked, PLAIN).paths, folder)
    assert found == ["b.txt", "a/deep/er/x.txt", "a/z.md", "a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["[odd].txt", "a.txt", "b.txt"]),
        ("a/*", ["a/z.md"]),
        ("**/*.md", ["a/z.md"]),
        ("**/x.txt", ["a/deep/er/x.txt"]),
        ("a/**/*", ["a/deep/er/x.txt", "a/z.md"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("?.txt", ["a.txt", "b.txt"]),
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_pattern_stands_for_the_texts_that_it_matches(pattern, expected, absolute, folder):
    place = folder.absolute() if absolute else folder
    assert names(find([place / pattern], PLAIN).paths, place) == expected


def test_what_a_pattern_matches_and_is_no_text_is_told(folder):
    found = find([folder / "*.txt"], PLAIN)
    assert folder / "latin.txt" in found.passed_over
    assert folder / "pipe.txt" not in [*found.paths, *found.passed_over]  # which would wait


def test_a_file_that_is_named_like_a_pattern_is_itself(folder):
    assert find([folder / "[odd].txt"], PLAIN).paths == [folder / "[odd].txt"]


def test_a_file_that_is_named_is_found_whatever_is_in_it(folder):
    """Reading it says what is wrong."""
    asked = [folder / name for name in ("picture.txt", "empty.txt", ".hidden.txt", "missing")]
    assert find(asked, PLAIN).paths == asked


@pytest.mark.parametrize("name", ["none", "*.nothing", "none/**/*.txt"])
def test_a_name_that_stands_for_no_text_is_an_error(name, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(TextError, match="no file of text there"):
        find([tmp_path / name], PLAIN)


def test_others_that_are_there_are_counted(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    with pytest.raises(TextError, match=r"\(1 others\)") as caught:
        find([tmp_path], PLAIN)
    assert "--encoding bytes" in caught.value.hint


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_files_of_the_system_that_never_end_are_left_alone(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(TextError, match="no file of text"):
        find([Path("/proc/self")], PLAIN)
    with pytest.raises(TextError, match="no file of text"):
        find([Path("/dev")], AS_BYTES)


def test_links_to_folders_are_not_followed_and_to_files_are(folder, tmp_path):
    (folder / "a" / "round").symlink_to(folder.absolute())
    (folder / "a" / "link.txt").symlink_to((folder / "b.txt").absolute())
    found = names(find([folder / "a"], PLAIN).paths, folder)
    assert found == ["a/deep/er/x.txt", "a/link.txt", "a/z.md"]


COMPRESSED = [gzip.compress, lzma.compress, zstd.compress, bz2.compress]


@pytest.mark.parametrize("compress", COMPRESSED)
def test_a_document_is_known_as_compressed_by_what_is_in_it(compress, tmp_path):
    (tmp_path / "plain.txt").write_bytes(compress(b"some text" * 1000))
    with open_document(tmp_path / "plain.txt") as stream:
        assert stream.read(9) == b"some text"
        stream.seek(0)
        assert stream.read() == b"some text" * 1000
    assert stream.closed


def test_a_document_that_only_has_the_name_is_plain(tmp_path):
    (tmp_path / "notes.gz").write_bytes(b"just notes")
    with open_document(tmp_path / "notes.gz") as stream:
        assert stream.read() == b"just notes"


@pytest.mark.parametrize("compress", COMPRESSED)
def test_parts_compressed_one_after_the_other_are_all_read(compress, tmp_path):
    """As pigz, and `cat a.gz b.gz`, write them."""
    (tmp_path / "two").write_bytes(compress(b"one, ") + compress(b"two"))
    with open_document(tmp_path / "two") as stream:
        assert stream.read() == b"one, two"


def test_no_file_beneath_stays_open(tmp_path):
    (tmp_path / "a").write_bytes(gzip.compress(b"a"))
    before = len(list(Path("/dev/fd").iterdir()))
    for _ in range(5):
        open_document(tmp_path / "a").close()
    assert len(list(Path("/dev/fd").iterdir())) == before


# Pipes


@pytest.fixture
def cached(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "charrnn" / "piped"


def piped(path, data):
    writing = threading.Thread(target=path.write_bytes, args=[data])
    writing.start()
    try:
        return spooled(path)
    finally:
        writing.join()


def test_a_pipe_is_kept_by_its_content(cached, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = bytes(range(256)) * 9000
    kept = piped(pipe, data)
    assert kept.parent == cached
    assert kept.read_bytes() == data
    assert piped(pipe, data) == kept
    assert piped(pipe, data + b"more") != kept
    assert len(list(cached.iterdir())) == 2  # and nothing half written


def test_an_empty_pipe_is_an_error_and_leaves_nothing(cached, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(TextError, match=r"pipe: there is nothing in it"):
        piped(pipe, b"")
    assert list(cached.iterdir()) == []


def test_stdin_is_kept_and_found_again(cached):
    script = "from charrnn.documents import *; print(spooled(STDIN), end='')"
    command = [sys.executable, "-c", script]
    first, second = (
        subprocess.run(command, input=b"from a pipe", capture_output=True, check=True).stdout
        for _ in range(2)
    )
    assert first == second
    assert Path(os.fsdecode(first)).read_bytes() == b"from a pipe"


def test_a_closed_stdin_is_an_error(cached, monkeypatch):
    def closed(_):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    with pytest.raises(TextError, match="-: Bad file descriptor"):
        spooled(STDIN)


def test_without_a_cache_a_pipe_cannot_be_kept(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "")
    assert cache_directory() is None
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TextError, match="home directory"):
        spooled(tmp_path / "pipe")


def test_what_is_no_pipe_is_given_back_as_it_is(cached, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    for path in tmp_path / "a.txt", tmp_path, tmp_path / "missing":
        assert spooled(path) == path
    assert not cached.exists()


def test_reading_in_small_pieces_is_reading_whole(tmp_path):
    data = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(zstd.compress(data))
    with open_document(tmp_path / "a") as stream:
        found = io.BytesIO()
        while piece := stream.read(777):
            found.write(piece)
    assert found.getvalue() == data


def test_a_device_that_may_never_end_is_refused() -> None:
    with pytest.raises(TextError, match="/dev/zero: is a device"):
        find([Path("/dev/zero")], Reading())
