"""The census of a text: what characters it has, found once and remembered."""

import json
import os
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import census
from charrnn.census import Census, Counts, take, vocabulary_of
from charrnn.errors import TextError, UsageError
from charrnn.reading import Reading
from charrnn.tokenizer import ALL_BYTES, Vocabulary

PLAIN = Reading()


def counted(text):
    return {ord(character): count for character, count in Counter(text).items()}


def nonzero(counts):
    table = counts.table()
    return {int(point): int(table[point]) for point in np.flatnonzero(table)}


# Counting

pieces = st.lists(
    st.one_of(
        st.text(st.characters(max_codepoint=127)),
        st.text(st.characters(exclude_categories=["Cs"])),
        st.sampled_from(["\0", "\U0010ffff", "a" * 2**16, "ab" * 2**15 + "c", "é" * 2**16]),
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(pieces)
def test_counts_are_those_of_a_counter(several):
    counts = Counts()
    for piece in several:
        counts.add(piece)
    assert nonzero(counts) == counted("".join(several))


def test_a_table_may_be_asked_for_in_between():
    counts = Counts()
    counts.add("ab" * 2**15)
    assert nonzero(counts) == counted("ab" * 2**15)
    counts.add("a" * 2**16)
    assert nonzero(counts) == counted("ab" * 2**15 + "a" * 2**16)


# Files


@pytest.fixture
def files(tmp_path):
    """Two, that nobody has touched for a while."""
    paths = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path, text in zip(paths, ("one é\n", "two 茶\r\n"), strict=True):
        path.write_bytes(text.encode())
        settle(path)
    return paths


def settle(path, age=100):
    moment = time.time() - age
    os.utime(path, (moment, moment))


def test_a_census_is_of_all_files_and_what_stands_between(files):
    found = take(files, PLAIN, "--")
    assert found.counts == counted("one é\n--two 茶\r\n")
    assert found.characters == len("one é\n--two 茶\r\n")
    assert [(text.path, text.characters) for text in found.texts] == [(files[0], 6), (files[1], 7)]


def test_a_census_counts_what_was_read_and_not_what_is_written(files):
    found = take(files, Reading(newlines="lf", lowercase=True), "X")
    assert found.counts == counted("one é\nXtwo 茶\n")  # what separates is given as it is to be


def test_told_how_many_bytes(files):
    told = []
    take(files, PLAIN, "--", told=told.append)
    assert sum(told) == sum(path.stat().st_size for path in files)


def test_a_missing_file_is_an_error(files, tmp_path):
    with pytest.raises(TextError, match="no such file"):
        take([*files, tmp_path / "none.txt"], PLAIN)


# Remembered


@pytest.fixture
def cached(monkeypatch, tmp_path):
    """Every file is large, and the moment at which a change would show is past."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(census, "LARGE", 4)
    monkeypatch.setattr(census, "are_settled", lambda _: True)
    return tmp_path / "cache" / "charrnn"


@pytest.fixture
def reads(monkeypatch):
    """The lists of files that were read."""
    read, joined = [], census.joined

    def told(paths, *arguments, **options):
        read.append(list(paths))
        return joined(paths, *arguments, **options)

    monkeypatch.setattr(census, "joined", told)
    return read


def test_what_is_remembered_is_what_was_found(files, cached, reads):
    first = take(files, PLAIN, "-")
    assert take(files, PLAIN, "-") == first
    assert len(reads) == 1


def test_small_files_are_read_every_time(files, cached, reads, monkeypatch):
    monkeypatch.setattr(census, "LARGE", 10**6)
    for _ in range(2):
        take(files, PLAIN)
    assert len(reads) == 2
    assert not cached.exists()


def test_asked_to_read_again_it_does(files, cached, reads):
    first = take(files, PLAIN)
    assert take(files, PLAIN, again=True) == first
    assert len(reads) == 2
    take(files, PLAIN)
    assert len(reads) == 2


@pytest.mark.parametrize("other", ["reading", "separator", "order", "fewer"])
def test_another_question_has_another_answer(other, files, cached, reads):
    take(files, PLAIN)
    if other == "reading":
        assert take(files, Reading(newlines="lf")).counts == counted("one é\ntwo 茶\n")
    elif other == "separator":
        assert take(files, PLAIN, "|").counts == counted("one é\n|two 茶\r\n")
    elif other == "order":
        assert [text.path for text in take(files[::-1], PLAIN).texts] == files[::-1]
    else:
        assert take(files[:1], PLAIN).counts == counted("one é\n")
    assert len(reads) == 2


CHANGES = {
    "touched": lambda path: settle(path, 50),
    "longer": lambda path: path.write_bytes("one é\nX".encode()),
    "as long as before": lambda path: path.write_bytes("ono é\n".encode()),
}


@pytest.mark.parametrize("change", [*CHANGES, "replaced", "as long, at the same time"])
def test_a_file_that_may_have_changed_is_read_again(change, files, cached, reads):
    take(files, PLAIN)
    path, before = files[0], files[0].stat()
    if change == "replaced":
        other = path.with_name("other")
        other.write_bytes("ono é\n".encode())
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(path)
    elif change == "as long, at the same time":  # ctime tells
        path.write_bytes("ono é\n".encode())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    else:
        CHANGES[change](path)
    text = path.read_bytes().decode()
    assert take(files, PLAIN).counts == counted(text + "two 茶\r\n")
    assert len(reads) == 2


def test_a_file_that_was_written_just_now_is_not_remembered(files, cached, reads, monkeypatch):
    """Another change could bear the same time."""
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cached.parent))
    monkeypatch.setattr(census, "LARGE", 4)
    files[0].write_bytes(b"fresh")
    take(files, PLAIN)
    assert not cached.exists()


@pytest.mark.parametrize(
    "damage",
    [
        *(b"", b"{}", b"[]", b"\xff", b"[" * 5000, b"3"),
        lambda data: data[: len(data) // 2],
        lambda data: json.dumps(json.loads(data) | {"texts": []}).encode(),
        lambda data: json.dumps(json.loads(data) | {"texts": 3}).encode(),
        lambda data: json.dumps(json.loads(data) | {"counts": 3}).encode(),
        lambda data: json.dumps(json.loads(data) | {"counts": [[1]]}).encode(),
        lambda data: json.dumps(json.loads(data) | {"counts": [["a", "b"]]}).encode(),
        lambda data: json.dumps(json.loads(data) | {"files": []}).encode(),
    ],
)
def test_a_damaged_memory_is_done_without(damage, files, cached, reads):
    first = take(files, PLAIN)
    (memory,) = cached.glob("*.json")
    memory.write_bytes(damage if isinstance(damage, bytes) else damage(memory.read_bytes()))
    assert take(files, PLAIN) == first
    assert len(reads) == 2
    assert take(files, PLAIN) == first  # and made anew
    assert len(reads) == 2


def test_without_a_cache_nothing_is_remembered(files, cached, reads, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "")
    for _ in range(2):
        take(files, PLAIN)
    assert len(reads) == 2


# The vocabulary


def of(text):
    return Census((), counted(text), [])


def test_the_commonest_come_first_and_equals_by_code_point():
    assert vocabulary_of([of("bbbccaa"), of("cda")], PLAIN).characters == "abcd"


def test_the_rare_become_one():
    found = vocabulary_of([of("aaabbc"), of("bd")], PLAIN, least=2)
    assert (found.characters, found.unknown, len(found)) == ("ab", True, 3)
    assert not vocabulary_of([of("aabb")], PLAIN, least=2).unknown
    with pytest.raises(UsageError, match="--min-count 5: no character"):
        vocabulary_of([of("aabb")], PLAIN, least=5)


def test_another_model_s_characters_keep_their_ids():
    base = Vocabulary("xa", PLAIN)
    found = vocabulary_of([of("bbbacc")], PLAIN, base=base)
    assert (found.characters, found.unknown) == ("xabc", False)
    rare = vocabulary_of([of("bbbacc")], PLAIN, base=base, least=3)
    assert (rare.characters, rare.unknown) == ("xab", True)
    known = vocabulary_of([of("a")], PLAIN, base=Vocabulary("xa", PLAIN, True))
    assert (known.characters, known.unknown) == ("xa", True)


def test_a_character_that_another_model_knows_is_not_unknown_however_rare():
    """It has an id; only those without one are counted as unknown."""
    found = vocabulary_of([of("aaab")], PLAIN, base=Vocabulary("ab", PLAIN), least=2)
    assert (found.characters, found.unknown) == ("ab", False)


def test_of_bytes_there_are_always_all():
    reading = Reading("bytes")
    found = vocabulary_of([of("a")], reading, least=9, base=Vocabulary(ALL_BYTES, reading))
    assert found == Vocabulary(ALL_BYTES, reading)
