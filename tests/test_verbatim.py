"""Passages that stand in both of two texts: exactly those that a plain search finds."""

import tracemalloc

import numpy as np
import pytest
from conftest import Slices
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import verbatim
from charrnn.verbatim import LEAST, find

V = 60


def some(count, seed, characters=V):
    return np.random.default_rng(seed).integers(0, characters, size=count).astype(np.uint8)


def plainly(text, source, least, first_unknown):
    """By place of the text, whether it is in a passage that stands in the source; the longest."""
    known = "".join(chr(65 + c) if c < first_unknown else "?" for c in text)
    other = "".join(chr(65 + c) if c < first_unknown else "!" for c in source)
    held, longest = np.zeros(len(text), dtype=bool), 0
    for start in range(len(text)):
        end = start + max(least, longest)
        if known[start : start + least] in other and start + least <= len(text):
            held[start : start + least] = True
            longest = max(longest, least)
            end = start + longest + 1
            while end <= len(text) and known[start:end] in other:
                longest = end - start
                end += 1
    return held, longest


def check(text, source, least, first_unknown=V):
    found = find(Slices(text), Slices(source), first_unknown=first_unknown, least=least)
    held, longest = plainly(text, source, least, first_unknown)
    np.testing.assert_array_equal(found.holds(np.arange(len(text))), held)
    assert found.characters == held.sum()
    assert (found.starts[1:] > found.ends[:-1]).all()
    if not longest:
        assert found.longest is None
        return found
    start, place, count = found.longest
    assert count == longest
    np.testing.assert_array_equal(text[start : start + count], source[place : place + count])
    return found


texts = st.lists(st.integers(0, 3), max_size=80).map(lambda ids: np.array(ids, dtype=np.uint8))


@given(text=texts, source=texts, least=st.integers(1, 9), small=st.booleans())
@settings(deadline=None, max_examples=150)
def test_what_is_found_is_what_a_plain_search_finds(text, source, least, small):
    """Of an alphabet of three and an unknown one; also where texts count as long."""
    with pytest.MonkeyPatch.context() as patch:
        if small:
            patch.setattr(verbatim, "_SECTION", 8)
            patch.setattr(verbatim, "_AT_ONCE", 5)
        check(text, source, least, first_unknown=3)


@pytest.mark.parametrize("start", [0, 1, 1_000, 2_950])
@pytest.mark.parametrize("place", [0, 17, 31, 4_950])
@pytest.mark.parametrize("section", [2**22, 100])
def test_a_passage_is_found_wherever_it_stands(monkeypatch, start, place, section):
    monkeypatch.setattr(verbatim, "_SECTION", section)
    monkeypatch.setattr(verbatim, "_AT_ONCE", 64)
    text, source = some(3_000, 1), some(5_000, 2)
    text[start : start + LEAST] = source[place : place + LEAST]
    found = find(text, source, first_unknown=V)
    assert found.longest == (start, place, LEAST)
    assert (found.starts.tolist(), found.ends.tolist()) == ([start], [start + LEAST])
    text[start + 20] = (text[start + 20] + 1) % V
    assert find(text, source, first_unknown=V).longest is None


def test_passages_side_by_side_are_one_run_but_not_one_passage():
    text, source = some(1_000, 1), some(5_000, 3)
    text[100:180], text[180:300] = source[3_000:3_080], source[40:160]
    found = check(text, source, 50)
    assert (found.starts.tolist(), found.ends.tolist()) == ([100], [300])
    assert found.longest == (180, 40, 120)


def test_a_passage_whose_pieces_stand_earlier_too_is_found_as_a_whole():
    """Each piece is found at its first place; only the whole stands at the last."""
    whole = some(90, 3)
    source = np.concatenate([whole[30:], some(50, 4), whole[:60], some(50, 5), whole, some(9, 6)])
    text = np.concatenate([some(40, 7), whole, some(40, 8)])
    found = check(text, source, 20)
    assert found.longest == (40, 60 + 50 + 60 + 50, 90)


def test_a_text_that_is_its_source_is_one_passage():
    text = some(20_000, 1, 3)
    found = find(text, text, first_unknown=V)
    assert found.characters == 20_000
    assert found.longest == (0, 0, 20_000)


def test_one_character_over_and_over_is_one_passage():
    found = find(np.zeros(7_000, np.uint8), np.zeros(3_000, np.uint8), first_unknown=V)
    assert found.characters == 7_000
    assert found.longest == (0, 0, 3_000)


def test_hashes_alone_convince_nobody(monkeypatch):
    """Were all grams of one hash, the ones that are not the same would still not count."""
    monkeypatch.setattr(
        verbatim, "_hashes", lambda ids, width: np.zeros(len(ids) - width + 1, np.uint64)
    )
    assert find(some(200, 1), some(300, 2), first_unknown=V).longest is None


def test_memory_grows_with_neither_text():
    peaks = []
    for count in 1_000_000, 3_000_000:
        text, source = some(count, 1), some(count, 2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(verbatim, "_SECTION", 2**14)
            tracemalloc.start()
            find(text, source, first_unknown=V)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000


def test_it_is_told_of_the_grams_that_go_by():
    told = []
    find(some(500, 1), some(100_000, 2), first_unknown=V, read=told.append)
    assert sum(told) == 100_000 - (LEAST - 1)
