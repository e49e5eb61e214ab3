"""An n-gram model is the textbook's, and a probability distribution whatever was counted."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.ngram import ORDERS, Ngram, choose_order, unigram_losses

texts = st.lists(st.integers(0, 2), max_size=40).map(lambda ids: np.array(ids, np.uint8))


def probability(model, context, character, order):
    (loss,) = model.losses(np.array([character]), np.array(context, np.int64), [order])[order]
    return math.exp(-loss)


@settings(deadline=None, max_examples=25)
@given(ids=texts)
def test_after_every_context_the_whole_vocabulary_sums_to_1(ids):
    """Id 3 is of no character: a context may hold it, and no probability is its own."""
    model = Ngram(ids, 3, 3)
    for length in range(4):
        for context in itertools.product(range(4), repeat=length):
            for order in 1, 2, 3, 5:
                found = [probability(model, context, c, order) for c in range(4)]
                assert sum(found[:3]) == pytest.approx(1, abs=1e-12)
                assert min(found[:3]) > 0
                assert found[3] == 0


def naive(ids, vocabulary_size, order):
    """Interpolated Kneser-Ney written out with dictionaries, every discount 3/4."""
    text = list(map(int, ids))
    grams = {k: [tuple(text[i : i + k]) for i in range(len(text) - k + 1)] for k in range(1, 9)}

    def count(gram, highest):
        if highest:
            return grams[len(gram)].count(gram)
        return len({longer for longer in grams[len(gram) + 1] if longer[1:] == gram})

    def find(context, character, k, highest=True):
        if k == 0:
            return 1 / vocabulary_size
        context = context[len(context) - k + 1 :]
        lower = find(context[1:], character, k - 1, False)
        counts = [count((*context, c), highest) for c in range(vocabulary_size)]
        total, different = sum(counts), sum(c > 0 for c in counts)
        if not total:
            return lower
        return (max(counts[character] - 0.75, 0) + 0.75 * different * lower) / total

    return lambda context, character: find(context, character, order)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_it_is_kneser_and_ney_s_written_out(order):
    """Too few grams to estimate discounts from: then each is 3/4."""
    ids = np.array([0, 1, 0, 0, 1, 2, 0, 1, 0, 2, 0, 1])
    model, wanted = Ngram(ids, 3, order), naive(ids, 3, order)
    for context in itertools.product(range(3), repeat=order - 1):
        for character in range(3):
            found = probability(model, context, character, order)
            assert found == pytest.approx(wanted(context, character), abs=1e-12)


def test_a_bigram_by_hand():
    """abab: of two places after a, both are b; one character differs before each letter."""
    model = Ngram(np.array([0, 1, 0, 1]), 2, 2)
    b = (1 - 0.75) / 2 + 0.75 * 2 / 2 * 0.5  # by what differs before: a and b once each
    assert probability(model, [0], 1, 2) == pytest.approx((2 - 0.75) / 2 + 0.75 / 2 * b)
    assert probability(model, [], 1, 1) == pytest.approx((2 - 0.75) / 4 + 0.75 * 2 / 4 * 0.5)


def test_discounts_are_chen_and_goodman_s():
    """Four letters counted 1, 1, 2, 3, 4 times: n1 = 2, n2 = n3 = n4 = 1, Y = 2/4."""
    ids = np.repeat([0, 1, 2, 3, 4], [1, 1, 2, 3, 4])
    discounts = [1 - 2 * 0.5 / 2, 2 - 3 * 0.5, 3 - 4 * 0.5]
    rest = (2 * discounts[0] + discounts[1] + 2 * discounts[2]) / 11
    for letter, count in enumerate([1, 1, 2, 3, 4]):
        wanted = (count - discounts[min(count, 3) - 1]) / 11 + rest / 5
        assert probability(Ngram(ids, 5, 1), [], letter, 1) == pytest.approx(wanted)


def test_a_text_s_losses_are_those_of_its_characters_one_by_one():
    rng = np.random.default_rng(0)
    counted, ids, before = (rng.integers(0, 4, size) for size in (300, 50, 9))
    model = Ngram(counted, 4, 5)
    for order in ORDERS:
        together = model.losses(ids, before, [order])[order]
        for place, loss in enumerate(together):
            context = np.concatenate([before, ids[:place]])
            assert probability(model, context, ids[place], order) == pytest.approx(math.exp(-loss))


def test_the_order_is_that_of_the_source():
    """Each letter follows from the two before it, and that is learned from nine tenths."""
    rng = np.random.default_rng(1)
    table = rng.permuted(np.tile(np.arange(6), (36, 1)), axis=1)
    ids = [0, 1]
    for sure in rng.random(6000) < 0.9:
        ids.append(table[6 * ids[-2] + ids[-1], 0] if sure else int(rng.integers(6)))
    assert choose_order(np.array(ids), 6) == 3


def test_an_order_is_chosen_for_hardly_any_text():
    for size in range(4):
        assert choose_order(np.zeros(size, np.int64), 2) == 1


def test_unigrams_are_counts_and_a_half():
    losses = unigram_losses(np.array([0, 0, 1]), np.array([0, 1, 2, 3]), 3)
    assert np.exp(-losses) == pytest.approx([2.5 / 4.5, 1.5 / 4.5, 0.5 / 4.5, 0])
