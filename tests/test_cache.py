"""Where what can be made again is kept."""

import os
import time
from pathlib import Path

import pytest

from charrnn.cache import cache_directory, sweep


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
