"""Ids in a file: as an array, slice by slice; kept whole or not at all."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import files, stored
from charrnn.errors import DiskFullError, RunError, TextError
from charrnn.stored import StoredIds, can_keep, describe, find, keeping, part_of


@pytest.fixture
def cached(monkeypatch, tmp_path):
    """The folder of ids, which is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "charrnn" / "ids"


def keep(key, ids, **facts):
    with keeping(key, ids.dtype.type, len(ids), facts) as take:
        for start in range(0, len(ids), 70_000):
            take(ids[start : start + 70_000])


KINDS = {"u1": np.uint8, "u2": np.uint16, "u4": np.uint32}


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_slices_are_those_of_the_array(kind, data, tmp_path_factory):
    size = data.draw(st.integers(0, 40))
    ids = np.arange(size).astype(KINDS[kind]) * 5
    path = tmp_path_factory.mktemp("ids") / "a.ids"
    path.write_bytes(ids.astype(ids.dtype.newbyteorder("<")).tobytes())
    kept = StoredIds(path, kind)
    places = st.integers(-3, size + 5)
    for _ in range(3):  # parts of parts of parts
        assert len(kept) == len(ids)
        start, stop = data.draw(places), data.draw(places)
        assert kept[start:stop].tolist() == ids[start:stop].tolist()
        assert kept[:].tolist() == ids.tolist()
        assert kept[start:].dtype == KINDS[kind]
        inside = sorted(data.draw(st.lists(st.integers(0, size), min_size=2, max_size=2)))
        kept, ids = part_of(kept, *inside), part_of(ids, *inside)
        kept.will_need(0, 10**9)


def test_reads_into_memory_that_is_there(tmp_path):
    (tmp_path / "a.ids").write_bytes(bytes(range(100)))
    part = part_of(StoredIds(tmp_path / "a.ids", "u1"), 10, 50)
    found = np.zeros(7, np.uint8)
    part.read_into(found, 3)
    assert found.tolist() == [*range(13, 20)]


def test_a_file_that_is_cut_meanwhile_is_an_error_with_the_way_out(tmp_path):
    path = tmp_path / "a.ids"
    path.write_bytes(bytes(1000))
    ids = StoredIds(path, "u2")
    os.truncate(path, 500)
    assert len(ids[:250]) == 250
    with pytest.raises(TextError, match=r"a\.ids: it has been cut short") as caught:
        ids[:251]
    assert "makes it anew" in caught.value.hint


def test_a_file_that_is_removed_meanwhile_is_still_read(cached):
    keep("key", np.arange(10, dtype=np.uint8))
    ids, _ = find("key")
    (cached / "key.ids").unlink()
    assert ids[2:5].tolist() == [2, 3, 4]


def test_what_cannot_be_read_is_told(tmp_path, monkeypatch):
    (tmp_path / "a.ids").write_bytes(bytes(10))
    ids = StoredIds(tmp_path / "a.ids", "u1")

    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(TextError, match="Input/output error"):
        ids[:]


# Kept


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_is_found_with_what_was_said_of_it(kind, cached):
    ids = (np.arange(200_000) % 60_000).astype(KINDS[kind])
    keep("key", ids, parts={"a": 1})
    kept, facts = find("key")
    assert (kept[:] == ids).all()
    assert facts == {"kind": kind, "length": 200_000, "parts": {"a": 1}}
    assert find("other") is None
    describe("key", facts | {"parts": {"b": 2}})
    assert find("key")[1]["parts"] == {"b": 2}
    assert sorted(path.name for path in cached.iterdir()) == ["key.ids", "key.json"]


def test_none_is_kept_where_the_block_fails(cached):
    with (
        pytest.raises(KeyError),
        keeping("key", np.uint8, 300_000, {}) as take,
    ):
        take(np.zeros(200_000, np.uint8))
        raise KeyError
    assert find("key") is None
    assert list(cached.iterdir()) == []


KILLED = """
import os, sys, numpy as np
from charrnn import files, stored
where = sys.argv[1]
def die(*_): os._exit(9)
if where == "before the rename": os.replace = die
if where == "before the facts": stored.write_json = die
with stored.keeping("key", np.uint8, 200_000, {}) as take:
    take(np.zeros(100_000, np.uint8))
    if where == "half-way": die()
    take(np.ones(100_000, np.uint8))
"""


def test_who_is_killed_leaves_nothing_that_is_taken_for_whole(cached):
    for where in "half-way", "before the rename", "before the facts":
        assert subprocess.run([sys.executable, "-c", KILLED, where], check=False).returncode == 9
        assert find("key") is None, where
    keep("key", np.ones(200_000, np.uint8))
    assert (find("key")[0][:] == 1).all()
    for path in cached.glob(f"{files.TEMPORARY_PREFIX}*"):
        os.utime(path, (0, 0))
    keep("another", np.ones(3, np.uint8))  # sweeps
    assert not list(cached.glob(f"{files.TEMPORARY_PREFIX}*"))


def test_two_at_once_leave_one_whole(cached):
    ids = [np.full(500_000, 7, np.uint8) for _ in range(4)]
    together = threading.Barrier(len(ids))
    failed = []

    def write(these):
        try:
            with keeping("key", np.uint8, len(these), {"who": "any"}) as take:
                for start in range(0, len(these), 100_000):
                    together.wait(30)
                    take(these[start : start + 100_000])
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=[these]) for these in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    kept, facts = find("key")
    assert (kept[:] == 7).all()
    assert facts["who"] == "any"
    assert len(list(cached.iterdir())) == 2


def test_where_there_is_no_room_it_is_said_before_anything_is_written(cached, monkeypatch):
    monkeypatch.setattr(stored, "free_space", lambda _: 999)
    with pytest.raises(DiskFullError, match="no room for the 1,000 bytes") as caught:
        keep("key", np.zeros(1000, np.uint8))
    assert "XDG_CACHE_HOME" in caught.value.hint
    keep("key", np.zeros(999, np.uint8))


FULL = """
import resource, signal, sys, numpy as np
from charrnn.errors import CharrnnError
from charrnn.stored import find, keeping
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    with keeping("key", np.uint8, 400_000, {}) as take:
        for _ in range(4): take(np.zeros(100_000, np.uint8))
except CharrnnError as error:
    print(type(error).__name__, error.message, find("key"))
"""


def test_a_disk_that_fills_meanwhile_leaves_nothing(cached):
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(("DiskFullError ", "RunError ")), done.stderr
    assert done.stdout.rstrip().endswith(" None")
    assert list(cached.iterdir()) == []


@pytest.mark.parametrize(
    "facts",
    [
        *("", "[]", "3", "{}", "null", '{"kind": "u1"}', "[" * 5000, "\0"),
        '{"kind": "u1", "length": 99}',
        '{"kind": "u2", "length": 100}',
        '{"kind": "f8", "length": 100}',
        '{"kind": ["u1"], "length": 100}',
    ],
)
def test_facts_that_are_damaged_or_of_other_ids_are_none(facts, cached):
    keep("key", np.zeros(100, np.uint8))
    assert find("key")
    (cached / "key.json").write_text(facts)
    assert find("key") is None


@pytest.mark.parametrize("change", ["cut", "longer", "gone", "a pipe", "a folder"])
def test_ids_that_are_not_as_long_as_they_were_are_none(change, cached):
    keep("key", np.zeros(100, np.uint8))
    path = cached / "key.ids"
    if change in ("cut", "longer"):
        os.truncate(path, 99 if change == "cut" else 101)
    else:
        path.unlink()
        if change == "a pipe":
            os.mkfifo(path)
        elif change == "a folder":
            path.mkdir()
    assert find("key") is None


def test_where_nothing_can_be_kept_nothing_is_found(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "")
    assert not can_keep()
    assert find("key") is None


def test_a_cache_that_cannot_be_written_to_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "charrnn").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(RunError, match="charrnn"):
        keep("key", np.zeros(10, np.uint8))
