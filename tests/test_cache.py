"""Where what can be made again is kept."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from charrnn import documents
from charrnn.cache import cache_directory, recall, remember, room, sweep, use
from charrnn.stored import find, keeping


def test_it_is_where_the_standard_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "charrnn"


@pytest.mark.parametrize("named", [None, "", "relative/place"])
def test_it_is_below_home_where_nothing_usable_is_said(named, monkeypatch, tmp_path):
    if named is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_directory() == tmp_path / ".cache" / "charrnn"


def test_there_may_be_none(monkeypatch):
    def homeless():
        raise RuntimeError

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert cache_directory() is None


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    for name in ".writing-old", ".writing-young", "old.places":
        (tmp_path / name).write_text("")
    for name in ".writing-old", "old.places":
        os.utime(tmp_path / name, (0, time.time() - 7200))
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".writing-young", "old.places"}
    sweep(tmp_path / "none")


DAY = 86_400
LONG_AGO = 61 * DAY


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "charrnn"


def aged(path, read, written=LONG_AGO):
    """A file that was last read and written so many seconds ago."""
    now = time.time()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (now - read, now - written))
    return path


@pytest.mark.parametrize("folder", ["", "ids", "piped", "texts"])
def test_what_nobody_has_used_for_60_days_is_removed_when_something_is_written(folder, cache):
    old = aged(cache / folder / "old", LONG_AGO)
    read = aged(cache / folder / "read", 59 * DAY)
    written = aged(cache / folder / "written", LONG_AGO, 59 * DAY)
    (cache / folder / "link").symlink_to(cache)
    mine = aged(cache / "a folder of somebody s" / "old", LONG_AGO)
    remember("name", [], {})
    assert not old.exists()
    assert read.exists()
    assert written.exists()
    assert mine.exists()
    assert (cache / folder / "link").is_symlink()


def test_what_is_used_is_kept_though_the_system_does_not_note_it(cache):
    remember("name", [[1]], {"found": 3})
    aged(cache / "name.json", LONG_AGO)
    assert recall("name", [[1]]) == {"found": 3}
    with keeping("key", np.uint8, 2, {}) as keep:
        keep(np.array([1, 2]))
    for end in "json", "ids":
        aged(cache / "ids" / f"key.{end}", LONG_AGO)
    assert find("key")
    piped = aged(cache / "piped" / "text", LONG_AGO)
    assert documents.spooled(piped) == piped
    assert room() == cache
    assert {path.name for path in cache.rglob("*") if path.is_file()} == {
        *("name.json", "key.json", "key.ids", "text")
    }


def test_a_use_that_was_just_noted_is_not_noted_again(tmp_path):
    """It would change the file's facts, by which it is known to be the same."""
    path = aged(tmp_path / "file", 6 * DAY)
    before = path.stat()
    use(path)
    assert path.stat() == before
    use(tmp_path / "none")


def test_without_a_home_there_is_no_room(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "")
    assert room() is None
