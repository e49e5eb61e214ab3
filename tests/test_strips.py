"""Strips of a text side by side: what stands there, and no more of the text in memory."""

import numpy as np
import pytest
from conftest import Slices
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.strips import Strips, blocks


@given(
    count=st.integers(1, 60),
    begins=st.lists(st.integers(-30, 70), min_size=1, max_size=9).map(sorted),
    steps=st.integers(1, 20),
)
@settings(deadline=None, max_examples=200)
def test_a_strip_has_what_stands_at_its_places(count, begins, steps):
    text = Slices(np.arange(1, count + 1, dtype=np.uint8))
    found = Strips(text, 99).read(np.array(begins), steps)
    for column, begin in enumerate(begins):
        for row in range(steps):
            place = begin + row
            wanted = 99 if place < 0 else text.ids[place] if place < count else 0
            assert found[row, column] == wanted


def test_strips_are_read_into_the_same_memory():
    strips = Strips(np.arange(1_000), 0)
    first = strips.read(np.array([0, 500]), 20)
    assert np.shares_memory(first, strips.read(np.array([20, 520]), 20))
    assert np.shares_memory(first, strips.read(np.array([40, 540]), 10))


@pytest.mark.parametrize(("begins", "longest"), [([0, 10, 20], 30), ([0, 400, 800], 10)])
def test_no_more_is_read_than_is_wanted(begins, longest):
    """What adjoins is read at once, what is far apart by itself."""
    text = Slices(np.zeros(1_000, dtype=np.uint8))
    Strips(text, 0).read(np.array(begins), 10)
    assert text.longest == longest


@pytest.mark.parametrize("count", [0, 1, 2**20, 2**20 + 1])
def test_blocks_are_the_text(count):
    text = Slices(np.arange(count, dtype=np.uint32))
    found = list(blocks(text))
    np.testing.assert_array_equal(np.concatenate([[], *found]), text.ids)
    assert text.longest <= 2**20
