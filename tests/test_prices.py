"""What a text costs in parts is what it costs whole, unknown characters included."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import prices
from charrnn.intervals import block_means
from charrnn.prices import Prices, parts, spent
from charrnn.tokenizer import CODE_POINTS, Vocabulary


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 400), st.sampled_from([1, 7, 64, 1000]), st.integers(0, 99))
def test_sums_and_blocks_are_those_of_all_losses_at_once(count, at_once, seed):
    random = np.random.default_rng(seed)
    ids, losses = random.integers(3, size=count), random.exponential(size=count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prices, "_AT_ONCE", at_once)
        shares = np.split(losses, range(at_once, count, at_once))
        nats, blocks = spent(ids, iter(shares), Prices.of(ids, Vocabulary("abc"), 0.1))
        assert [len(part) for part in parts(ids)] == [len(share) for share in shares]
    assert nats == pytest.approx(losses.sum())
    assert blocks == pytest.approx(tuple(block_means(losses)))


def test_a_character_that_is_lacking_is_told_apart_and_named():
    ids = Vocabulary("ab").encode("ab☃")
    found = Prices.of(ids, Vocabulary("ab"), 0.2)
    nats, _ = spent(ids, [np.array([1.0, 2.0, math.inf])], found)
    which = math.log(CODE_POINTS - 2)
    assert nats == pytest.approx(3 - 2 * math.log(0.8) - math.log(0.2) + which)


def test_one_that_is_counted_pays_what_it_was_counted_for_and_its_name():
    """As a model does that was trained to expect such ones: there is nothing to escape from."""
    vocabulary = Vocabulary("ab", unknown=True)
    ids = vocabulary.encode("ab☃")
    nats, _ = spent(ids, [np.array([1.0, 2.0, 3.0])], Prices.of(ids, vocabulary, 0.2))
    assert nats == pytest.approx(6 + math.log(CODE_POINTS - 2))
