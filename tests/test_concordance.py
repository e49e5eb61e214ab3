"""The index: it finds what is there, is built once, and is not believed when damaged."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import concordance as module
from charrnn.cache import cache_directory, room
from charrnn.concordance import Concordance, concordance
from charrnn.errors import DiskFullError, UsageError
from charrnn.order import sort
from charrnn.original import Original

SHA = "5" * 64


@pytest.fixture
def text(english_file, monkeypatch, tmp_path):
    """A text whose index goes to a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_CACHED", 1)
    return proven(english_file)


def proven(path):
    text = Original([path])
    text.sha256 = SHA
    return text


def unsorted(monkeypatch):
    def sort(*_):
        raise AssertionError("was sorted")

    monkeypatch.setattr(module, "sort", sort)


def index_file():
    (path,) = cache_directory().iterdir()
    return path


def places(found):
    return found.places(0, 10**9).tolist()


def right(text, run=20):
    stride = 8 if run == 20 else 5
    return [int(place) * stride for part in sort(text, run) for place in part]


# What it finds.


@settings(deadline=None, max_examples=200)
@given(
    st.text("a\0茶", max_size=300).map(lambda t: t + t[:40]),
    st.sampled_from([8, 12, 20]),
    st.integers(1, 9),
    st.data(),
)
def test_it_finds_every_kept_place_of_a_passage(tmp_path_factory, text, run, heads, data):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(text, encoding="utf-8")
    whole = text.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_HEADS", heads)
        index = concordance(Original([path]), run)
    kept = range(0, max(0, len(whole) - index.gram + 1), index.stride)
    start = data.draw(st.integers(0, len(whole)))
    passages = [
        whole[start : start + run],
        data.draw(st.text("a\0茶", max_size=run)).encode()[:run],
    ]
    for passage in passages:
        if len(passage) < index.gram:
            continue
        short = passage[: index.gram]
        found = index.find(short)
        assert sorted(index.places(*found)) == [p for p in kept if whole.startswith(short, p)]
        longer = index.places(*index.narrow(passage, *found)) if found[1] else []
        inside = [p for p in longer if p + len(passage) <= len(whole)]
        assert sorted(inside) == [p for p in kept if whole.startswith(passage, p)]


def test_the_end_of_a_text_is_taken_for_zeros_and_hides_none(tmp_path):
    """As the places are sorted; otherwise the bisection would go astray."""
    path = tmp_path / "text.txt"
    passage = b"thirteen long" + b"\0" * 7
    path.write_bytes(passage + b"\0" * 4 + passage[:13])
    index = concordance(Original([path]))
    found = index.find(passage[:13])
    assert index.places(*found).tolist() == [0, 24]
    assert 0 in index.places(*index.narrow(passage, *found))


@pytest.mark.parametrize(("longest", "run"), [(8, 8), (19, 19), (20, 20), (50, 20), (None, 20)])
def test_an_index_serves_all_runs_from_its_own_on(longest, run, text):
    assert concordance(text, longest).run == run


def test_short_runs_are_refused_by_the_flag(text):
    with pytest.raises(UsageError, match="--max-copy 7: must be at least 8") as caught:
        concordance(text, 7)
    assert caught.value.hint


# The cache.


def test_it_is_built_once_told_and_no_larger_than_the_text(text, monkeypatch):
    told = []
    first = concordance(text, told=told.append)
    assert told == ["indexing the training text, once"]
    assert places(first) == right(text)
    assert index_file().stat().st_size <= text.size
    unsorted(monkeypatch)
    assert places(concordance(text, told=told.append)) == places(first)
    assert len(told) == 1


@pytest.mark.parametrize("longest", [8, 19])
def test_that_of_short_runs_is_no_larger_either(longest, text):
    concordance(text, longest)
    assert index_file().stat().st_size <= text.size


def test_a_small_text_is_not_worth_a_file(english_file, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    text = proven(english_file)
    assert places(concordance(text)) == right(text)
    assert list(tmp_path.iterdir()) == []


def test_runs_of_another_length_have_an_index_of_their_own(text):
    for longest in 20, 12:
        assert places(concordance(text, longest)) == right(text, longest)
    assert len(list(cache_directory().iterdir())) == 2


def test_no_changed_byte_is_believed(text):
    concordance(text)
    path = index_file()
    data = path.read_bytes()
    for place in [*range(0, 256, 7), *range(256, len(data), 41), *range(len(data) - 5, len(data))]:
        changed = bytearray(data)
        changed[place] ^= 1
        path.write_bytes(changed)
        told = []
        assert places(concordance(text, told=told.append)) == right(text)
        assert told, place
        assert path.read_bytes() == data


@pytest.mark.parametrize("size", [0, 3, 256, 300, -1, None])
def test_nor_is_one_of_another_length(size, text):
    concordance(text)
    path = index_file()
    data = path.read_bytes()
    path.write_bytes(data + b"x" if size is None else data[:size])
    assert places(concordance(text)) == right(text)
    assert path.read_bytes() == data


def test_nor_is_that_of_another_text(text, tmp_path):
    """Though it bears the same name."""
    other = tmp_path / "other.txt"
    other.write_text("the same passage again and again, " * 90)
    concordance(proven(other))
    assert places(concordance(text)) == right(text)


def test_nor_are_places_beyond_the_text(text, monkeypatch):
    """Whose checksum may be right."""
    beyond = [np.array([10**6] * module.kept(text, 20))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "sort", lambda *_: beyond)
        room()
        module._write(cache_directory() / f"{SHA}-20.places", text, 20)
    assert places(concordance(text)) == right(text)


def test_a_pipe_in_its_place_is_not_waited_for(text):
    cache_directory().mkdir(parents=True)
    os.mkfifo(cache_directory() / f"{SHA}-20.places")
    assert places(concordance(text)) == right(text)


@pytest.mark.parametrize("kind", ["file", "full", "homeless"])
def test_a_cache_that_cannot_be_written_is_done_without(kind, text, monkeypatch):
    told = []
    if kind == "file":
        cache_directory().parent.write_text("a file")
    elif kind == "homeless":
        monkeypatch.setattr(module, "cache_directory", lambda: None)
    else:

        def full(path):
            raise DiskFullError(f"{path}: no space left on device")

        monkeypatch.setattr(module, "whole_file", full)
    assert places(concordance(text, told=told.append)) == right(text)
    if kind != "homeless":
        assert "in memory" in told[-1]


def test_several_may_build_it_at_once(text):
    barrier = threading.Barrier(4)
    found = []

    def build():
        barrier.wait()
        found.append(places(concordance(text)))

    threads = [threading.Thread(target=build) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [right(text)] * 4
    assert index_file().name == f"{SHA}-20.places"


def test_a_wrong_index_can_only_overlook(text):
    """Whatever it says is compared with the text itself."""
    from charrnn.copies import Copies

    kept = module.kept(text, 20)
    wrong = np.random.default_rng(0).integers(0, kept, kept).astype(np.uint32)
    copies = Copies(Concordance(text, 20, wrong))
    whole = b"".join(text.chunks()).decode()
    for character in whole[:300] + "x" + whole[200:600]:
        copies.read(character)
    report = copies.report()
    assert report.text in whole


def test_the_cache_is_not_the_user_s(text):
    assert Path.home() not in cache_directory().parents
