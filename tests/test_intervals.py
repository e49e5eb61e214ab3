"""Intervals: they hold the truth as often as they say, also where losses are correlated."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.intervals import BlockSums, block_length, block_means, interval

# Texts of known entropy


def markov_losses(transitions, *, texts, characters, seed):
    """The losses of the true model on texts drawn from a Markov source, and its entropy rate.

    Transitions are (V, V), a row for each character before; losses (texts, N), in nats.
    """
    generator = np.random.default_rng(seed)
    values, vectors = np.linalg.eig(transitions.T)
    stationary = np.abs(np.real(vectors[:, np.argmax(np.real(values))]))
    stationary /= stationary.sum()
    surprise = -np.log(np.where(transitions > 0, transitions, 1.0))
    entropy = float(stationary @ (transitions * surprise).sum(1))
    upper = np.cumsum(transitions, 1)
    upper[:, -1] = 1.0
    state = generator.choice(len(stationary), size=texts, p=stationary)
    losses = np.empty((characters, texts), dtype=np.float32)
    for drawn, loss in zip(generator.random((characters, texts)), losses, strict=True):
        after = (drawn[:, None] >= upper[state]).sum(1)
        loss[:] = surprise[state, after]
        state = after
    return losses.T, entropy


def ordinary():
    """Eight characters, each followed by some more often than by others."""
    transitions = np.random.default_rng(7).dirichlet(np.full(8, 0.5), size=8)
    return np.clip(transitions, 1e-3, None) / np.clip(transitions, 1e-3, None).sum(1)[:, None]


def moody():
    """Two moods that last for a hundred characters: four are all but certain, four are even."""
    within = np.zeros((8, 8))
    within[:4, :4] = 0.004 + 0.984 * np.roll(np.eye(4), 1, 1)
    within[4:, 4:] = 0.25
    across = np.full((8, 8), 0.25)
    across[:4, :4] = across[4:, 4:] = 0.0
    return 0.99 * within + 0.01 * across


def found(losses):
    limits = interval(block_means(losses), float(losses.mean(dtype=np.float64)))
    assert limits is not None
    return limits


def independent(losses):
    """The interval of a mean of independent numbers."""
    half = 1.96 * losses.std(ddof=1) / math.sqrt(len(losses))
    return losses.mean() - half, losses.mean() + half


def coverage(losses, truth, intervals):
    """How often an interval of a text's losses holds the truth."""
    return np.mean([low <= truth <= high for low, high in map(intervals, losses)])


@pytest.mark.parametrize("characters", [400, 5_000])
def test_the_entropy_of_a_markov_source_is_within_19_intervals_of_20(characters):
    losses, entropy = markov_losses(ordinary(), texts=500, characters=characters, seed=1)
    assert losses.mean() == pytest.approx(entropy, abs=0.01)
    assert 0.91 <= coverage(losses, entropy, found) <= 0.98


def test_so_it_is_where_losses_go_together_which_independent_ones_would_not_know():
    losses, entropy = markov_losses(moody(), texts=500, characters=12_000, seed=2)
    assert 0.91 <= coverage(losses, entropy, found) <= 0.98
    assert coverage(losses, entropy, independent) < 0.5


def test_where_nothing_is_correlated_blocks_cost_little():
    losses = np.random.default_rng(3).exponential(size=(300, 6_000)).astype(np.float32)
    widths = [np.diff(intervals(each))[0] for intervals in (found, independent) for each in losses]
    assert np.mean(widths[:300]) == pytest.approx(np.mean(widths[300:]), rel=0.1)
    assert 0.91 <= coverage(losses, 1.0, found) <= 0.98


def test_a_higher_confidence_is_held_as_well():
    losses = np.random.default_rng(4).exponential(size=(800, 1_000))
    limits = [interval(block_means(each), each.mean(), 0.995) for each in losses]
    assert np.mean([low <= 1.0 <= high for low, high in limits]) >= 0.985


# Differences


def test_a_difference_is_seen_that_the_intervals_of_both_would_hide():
    generator = np.random.default_rng(5)
    one = generator.exponential(size=9_000)
    other = one + 0.004 + 0.05 * generator.normal(size=9_000)
    (low, high), (other_low, _) = found(one), found(other)
    assert low < other_low < high
    assert 0 < found(other - one)[0] < 0.004 < found(other - one)[1]


def test_no_difference_is_seen_where_there_is_none():
    generator = np.random.default_rng(16)
    falsely = 0
    for _ in range(600):
        low, high = found(generator.normal(size=(2, 2_000)).T @ [1.0, -1.0])
        falsely += not low <= 0 <= high
    assert 0.02 <= falsely / 600 <= 0.08


# Blocks


@given(st.integers(20, 40_000))
@settings(deadline=None, max_examples=60)
def test_blocks_are_even_and_hold_every_character_once(count):
    places = np.arange(count, dtype=np.float64)
    means = block_means(places)
    assert 10 <= len(means) <= 30
    # Of a block of consecutive numbers the mean is the middle: so the edges follow.
    edges = [0.0]
    for mean in means:
        edges.append(2 * mean + 1 - edges[-1])
    lengths = np.diff(edges)
    assert edges[-1] == pytest.approx(count)
    assert set(np.round(lengths)) <= {block_length(count), block_length(count) + 1}


@pytest.mark.parametrize(
    ("count", "blocks", "length"), [(20, 10, 2), (2_000, 20, 100), (111_540, 30, 3_718)]
)
def test_how_many_blocks_there_are(count, blocks, length):
    assert len(block_means(np.zeros(count))) == blocks
    assert block_length(count) == length


def test_too_few_characters_have_no_interval():
    assert interval(block_means(np.ones(19)), 1.0) is None
    assert interval(block_means(np.ones(20)), 1.0) == (1.0, 1.0)


def test_a_loss_that_is_no_number_has_no_interval():
    losses = np.ones(1_000)
    losses[500] = np.nan
    assert interval(block_means(losses), math.nan) is None


def test_sums_are_taken_in_float64():
    losses = np.full(3_000_000, 0.125, dtype=np.float32)
    losses[::100_000] = 2.0**24
    wanted = (99_999 * 0.125 + 2.0**24) / 100_000
    np.testing.assert_allclose(block_means(losses), wanted, rtol=1e-12)


def test_of_few_blocks_it_is_as_wide_as_that_of_student():
    """Of means that lie as normal ones would; 2.262 is t's 97.5% for 9 degrees of freedom."""
    means = np.array([NormalDist().inv_cdf((n + 0.5) / 10) for n in range(10)])
    low, high = interval(means, 0.0)
    assert (high - low) / 2 == pytest.approx(2.262 * means.std(ddof=1) / math.sqrt(10), rel=0.03)


def test_the_same_losses_have_the_same_interval_around_their_mean():
    losses = np.random.default_rng(8).exponential(size=3_000)
    low, high = found(losses)
    assert found(losses.copy()) == (low, high)
    assert low < losses.mean() < high
    assert high - losses.mean() > losses.mean() - low, "what is skewed has a skewed interval"
    shifted = interval(block_means(losses), losses.mean() + 1.0)
    np.testing.assert_allclose(shifted, (low + 1.0, high + 1.0))


@pytest.mark.parametrize("count", [5, 20, 1_999, 4_000])
def test_blocks_are_the_same_in_whatever_order_losses_come(count):
    random = np.random.default_rng(count)
    losses, places = random.exponential(size=count).astype(np.float32), random.permutation(count)
    sums = BlockSums(count)
    for part in np.array_split(places, 13):
        sums.add(part, losses[part])
    np.testing.assert_allclose(sums.means(), block_means(losses), rtol=1e-6)
