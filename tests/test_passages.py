"""The worst and best passages are the extreme ones, apart from each other, and found again."""

import numpy as np
import pytest
from conftest import Slices
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import strips
from charrnn.passages import LENGTH, lines, passages


def test_the_extremes_of_a_made_text():
    losses = np.ones(3_000)
    losses[600:720] = 3.0
    losses[2_000:2_010] = 9.0
    losses[100:220] = 0.5
    losses[2_900:] = 50.0  # hardest of all
    hardest, easiest = passages(losses, 2)
    assert [each.start for each in hardest] == [2_880, 600]
    assert hardest[1].nats_per_char == 3.0
    assert easiest[0] == (100, 220, 0.5)


def means(losses):
    return {
        start: float(losses[start : start + LENGTH].mean())
        for start in range(0, len(losses) - LENGTH + 1, 20)
    }


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2_500), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_they_are_the_extremes_of_what_is_left_and_touch_no_other(count, most, seed):
    losses = np.random.default_rng(seed).exponential(size=count).astype(np.float32)
    hardest, easiest = passages(losses, most)
    assert len(hardest) == len(easiest) == min(most, count // (4 * LENGTH))
    free, taken = means(losses), set()
    for found, extreme in (hardest, max), (easiest, min):
        for passage in found:
            assert passage.end - passage.start == LENGTH
            assert not taken & set(range(passage.start, passage.end))
            taken |= set(range(passage.start, passage.end))
            assert passage.nats_per_char == pytest.approx(extreme(free.values()), rel=1e-5)
            free = {s: m for s, m in free.items() if abs(s - passage.start) >= LENGTH}


def test_losses_that_are_all_the_same_have_passages_too():
    hardest, easiest = passages(np.ones(500), 3)
    assert {each.nats_per_char for each in hardest + easiest} == {1.0}


@settings(deadline=None, max_examples=40)
@given(st.lists(st.booleans(), min_size=1, max_size=60), st.sampled_from([1, 5, 60]))
def test_lines_and_characters_as_an_editor_counts_them(ends, block):
    text = Slices(np.array(ends, dtype=np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "_BLOCK", block)
        found = lines(text, np.array([False, True]), range(len(ends)))
    shown = "".join("\n" if end else "x" for end in ends)
    for place, (line, character) in enumerate(found):
        before = shown[:place]
        assert line == before.count("\n") + 1
        assert character == place - before.rfind("\n")
