"""A sample: all of a small text, and of a large one the same passages in any pieces."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import excerpts
from charrnn.excerpts import Excerpts


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excerpts, "_SIZE", 10)
    monkeypatch.setattr(excerpts, "_MOST", 8)


def sample(text: str, size: int) -> str:
    found = Excerpts()
    for start in range(0, len(text), size):
        found.feed(text[start : start + size])
    return found.text()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 80), st.integers(1, 100))
def test_a_small_text_is_its_own_sample(length: int, size: int) -> None:
    text = "".join(chr(0x4E00 + number) for number in range(length))
    assert sample(text, size) == text


@settings(deadline=None, max_examples=60)
@given(st.integers(81, 3_000), st.integers(1, 500))
def test_a_large_one_is_sampled_evenly_and_whatever_its_pieces(length: int, size: int) -> None:
    text = "".join(chr(0x4E00 + number) for number in range(length))
    found = sample(text, size)
    assert found == sample(text, length)
    parts = found.split("\n\n")
    assert all(part in text for part in parts)
    assert parts[0] == text[:10]
    assert 30 < sum(map(len, parts)) <= 80
    starts = [text.index(part) for part in parts]
    assert len({later - earlier for earlier, later in pairwise(starts)}) == 1
