"""Standard texts: there once they are whole and right, and not before."""

import errno
import hashlib
import io
import os
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from web import NO_PAUSES, Answer, Web, nobody, serving

from charrnn import files
from charrnn.catalogue import StandardText
from charrnn.errors import CharrnnError, DiskFullError, NetworkError, RunError, TextError
from charrnn.fetch import Fetched, fetch

BODY = b"To be, or not to be: that is the question.\n" * 5_000
DIGEST = hashlib.sha256(BODY).hexdigest()

TEXT = StandardText(
    name="hamlet",
    title="Hamlet",
    address="",
    licence="public domain",
    size=len(BODY),
    sha256=DIGEST,
)
UNPROVED = replace(TEXT, sha256=None)


def fetched(text: StandardText, directory: Path, **callbacks: Any) -> Fetched:
    settings = {"received": lambda count: None, "told": lambda line: None}
    return fetch(text, directory, pauses=NO_PAUSES, **(settings | callbacks))


def from_web(web: Web, text: StandardText, directory: Path, **callbacks: Any) -> Fetched:
    return fetched(replace(text, address=web.address), directory, **callbacks)


def zipped(body: bytes, member: str = "hamlet") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README", "what this is")
        archive.writestr(member, body)
    return stream.getvalue()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# What is right.


def test_a_text_lies_under_its_name(tmp_path: Path) -> None:
    pieces: list[int] = []
    with serving(Answer(BODY)) as web:
        found = from_web(web, TEXT, tmp_path / "some" / "corpora", received=pieces.append)
    path = tmp_path / "some" / "corpora" / "hamlet.txt"
    assert found == Fetched(path, len(BODY), DIGEST, "catalogue", True)
    assert path.read_bytes() == BODY
    assert sum(pieces) == len(BODY)
    assert names(path.parent) == ["hamlet.txt"]


def test_a_text_is_taken_out_of_its_archive(tmp_path: Path) -> None:
    archive = zipped(BODY)
    text = replace(TEXT, member="hamlet", archive_size=len(archive))
    with serving(Answer(archive)) as web:
        found = from_web(web, text, tmp_path)
    assert (found.bytes, found.sha256) == (len(BODY), DIGEST)
    assert found.path.read_bytes() == BODY
    assert names(tmp_path) == ["hamlet.txt"]


def test_a_text_that_is_there_is_not_downloaded_again(tmp_path: Path) -> None:
    (tmp_path / "hamlet.txt").write_bytes(BODY)
    found = fetched(replace(TEXT, address=nobody()), tmp_path)
    assert found == Fetched(tmp_path / "hamlet.txt", len(BODY), DIGEST, "catalogue", False)


def test_a_broken_line_is_told_and_mended(tmp_path: Path) -> None:
    told: list[str] = []
    with serving(Answer(BODY[:-1000], missing=1000), Answer(BODY)) as web:
        found = from_web(web, TEXT, tmp_path, told=told.append)
    assert found.path.read_bytes() == BODY
    assert len(told) == 1


# The first download of what is not known for certain.


def test_the_first_download_is_recorded_for_sha256sum(tmp_path: Path) -> None:
    with serving(Answer(BODY)) as web:
        found = from_web(web, UNPROVED, tmp_path)
    assert (found.proof, found.sha256) == ("none", DIGEST)
    assert names(tmp_path) == [".hamlet.sha256", "hamlet.txt"]
    subprocess.run(["sha256sum", "--check", "--strict", ".hamlet.sha256"], cwd=tmp_path, check=True)


def test_later_downloads_are_held_to_the_record(tmp_path: Path) -> None:
    with serving(Answer(BODY), Answer(BODY), Answer(BODY[:-1])) as web:
        from_web(web, UNPROVED, tmp_path)
        assert not from_web(web, UNPROVED, tmp_path).downloaded
        (tmp_path / "hamlet.txt").unlink()
        again = from_web(web, UNPROVED, tmp_path)
        assert (again.downloaded, again.proof) == (True, "record")
        (tmp_path / "hamlet.txt").unlink()
        with pytest.raises(TextError, match="not the text that was downloaded first") as caught:
            from_web(web, UNPROVED, tmp_path)
    assert f"rm {tmp_path / '.hamlet.sha256'}" in caught.value.hint
    assert names(tmp_path) == [".hamlet.sha256"]


def test_a_record_without_a_digest_is_named(tmp_path: Path) -> None:
    (tmp_path / ".hamlet.sha256").write_text("garbage")
    with pytest.raises(TextError, match=r"\.hamlet\.sha256: holds no SHA-256"):
        fetched(UNPROVED, tmp_path)


# What is wrong already.


@pytest.mark.parametrize(
    ("text", "part"),
    [(TEXT, "is not the catalogue's"), (UNPROVED, "nothing says whether")],
    ids=["known", "unproved"],
)
def test_another_text_in_its_place_stays_and_is_named(
    text: StandardText, part: str, tmp_path: Path
) -> None:
    path = tmp_path / "hamlet.txt"
    path.write_bytes(b"mine")
    with pytest.raises(TextError, match=f"{path}: is there already.*{part}") as caught:
        fetched(replace(text, address=nobody()), tmp_path)
    assert "move it away" in caught.value.hint
    assert path.read_bytes() == b"mine"


def test_a_directory_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "hamlet.txt").mkdir()
    with pytest.raises(TextError, match="no file"):
        fetched(TEXT, tmp_path)


def test_a_file_in_the_directorys_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for text in TEXT, UNPROVED:
        with pytest.raises(RunError, match="file/x"):
            fetched(replace(text, address=nobody()), tmp_path / "file" / "x")


# What goes wrong: nothing is left.

ARCHIVED = replace(TEXT, member="hamlet", archive_size=1_000)

WRONG: list[Any] = [
    (TEXT, Answer(BODY[:-1] + b"!"), TextError, "its SHA-256 is"),
    (TEXT, Answer(BODY[:-1]), TextError, f"{len(BODY) - 1:,} bytes, not {len(BODY):,}"),
    (TEXT, Answer(BODY * 8), TextError, "more than"),
    (TEXT, Answer(BODY, missing=1), NetworkError, "the line broke"),
    (TEXT, Answer(b"", status=404), TextError, "404"),
    (TEXT, Answer(b"", status=500), NetworkError, "500"),
    (ARCHIVED, Answer(b"<html>"), TextError, "no zip archive"),
    (ARCHIVED, Answer(zipped(BODY)[:-9]), TextError, "no zip archive"),
    (ARCHIVED, Answer(zipped(BODY, "other")), TextError, "no zip archive with a sound hamlet"),
    (ARCHIVED, Answer(zipped(b"\0" * 10**7)), TextError, "holds more than"),
    (ARCHIVED, Answer(zipped(BODY[:-1])), TextError, "bytes, not"),
]


@pytest.mark.parametrize("there", [False, True], ids=["new", "old"])
@pytest.mark.parametrize(("text", "answer", "error", "part"), WRONG)
def test_what_is_wrong_leaves_nothing(
    text: StandardText,
    answer: Answer,
    error: type[CharrnnError],
    part: str,
    there: bool,
    tmp_path: Path,
) -> None:
    directory = tmp_path / "some" / "corpora"
    if there:
        directory.mkdir(parents=True)
    with serving(answer) as web, pytest.raises(error, match=part) as caught:
        from_web(web, text, directory)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert not list((directory if there else tmp_path).iterdir())


def test_a_damaged_archive_is_noticed(tmp_path: Path) -> None:
    archive = bytearray(zipped(BODY))
    at = archive.index(b"hamlet") + 60
    archive[at] ^= 0xFF
    with serving(Answer(bytes(archive))) as web, pytest.raises(TextError, match="no zip archive"):
        from_web(web, ARCHIVED, tmp_path)
    assert names(tmp_path) == []


def test_without_a_network_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="cannot be reached"):
        fetched(replace(TEXT, address=nobody()), tmp_path / "corpora")
    assert names(tmp_path) == []


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("text", [TEXT, UNPROVED], ids=["known", "unproved"])
def test_ctrl_c_leaves_nothing(text: StandardText, tmp_path: Path) -> None:
    with serving(Answer(BODY)) as web, pytest.raises(KeyboardInterrupt):
        from_web(web, text, tmp_path / "corpora", received=interrupt)
    assert names(tmp_path) == []


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("moment", ["received", "sync"])
@pytest.mark.parametrize("end", [full, interrupt], ids=["full disk", "ctrl-c"])
def test_a_failure_at_any_moment_leaves_nothing(
    end: Callable[..., None], moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    callbacks = {"received": end} if moment == "received" else {}
    if moment == "sync":
        monkeypatch.setattr(files, "sync", end)
    (tmp_path / "corpora").mkdir()
    with serving(Answer(BODY)) as web, pytest.raises((DiskFullError, KeyboardInterrupt)) as caught:
        from_web(web, TEXT, tmp_path / "corpora", **callbacks)
    if end is full:
        assert "--directory" in caught.value.hint  # type: ignore[union-attr]
    assert names(tmp_path / "corpora") == []


def test_a_disk_without_room_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "free_space", lambda directory: len(BODY))
    with pytest.raises(DiskFullError, match="needed") as caught:
        fetched(replace(TEXT, address=nobody()), tmp_path)
    assert "--directory" in caught.value.hint


def test_what_a_killed_fetch_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".writing-killed"
    left.write_bytes(BODY[:100])
    os.utime(left, (0, 0))
    with serving(Answer(BODY)) as web:
        from_web(web, TEXT, tmp_path)
    assert names(tmp_path) == ["hamlet.txt"]
