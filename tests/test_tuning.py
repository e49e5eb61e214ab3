"""Tuning: which learning is chosen, on which text, and what is tried on the way to it."""

import math

import numpy as np
import pytest
import torch
from conftest import Slices
from hypothesis import given
from hypothesis import strategies as st

from charrnn import tuning
from charrnn.dynamic import Learning, gradient_sizes
from charrnn.errors import TextError
from charrnn.model import CharacterModel
from charrnn.scores import Score
from charrnn.settings import ModelSettings
from charrnn.tuning import DECAY, FIRST_RATE, WINDOWS, climb, tune

V = 5


def network():
    found = CharacterModel(ModelSettings("gru", "tanh", 4, 5, 1), V)
    found.initialise("orthogonal", 1.0, 0)
    return found


def some_ids(count):
    return np.random.default_rng(0).integers(0, V, size=count).astype(np.uint8)


@pytest.fixture
def nats(monkeypatch):
    """What each learning costs, in place of a score; texts, starts and learnings that were."""
    asked = []

    def stand_in(cost):
        def score(model, ids, sizes, learning, *, start, **_):
            asked.append((ids.tolist(), start, learning))
            return Score(cost(learning), len(ids), 0, 0)

        monkeypatch.setattr(tuning, "score", score)
        return asked

    return stand_in


def away(learning, window, rate, decay):
    """How far a learning is from the best one."""
    return (
        abs(math.log(learning.rate / rate))
        + abs(learning.window - window) / 100
        + abs(learning.decay - decay) * 100
    )


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("rate", [FIRST_RATE / 8, FIRST_RATE, FIRST_RATE * 4])
@pytest.mark.parametrize("decay", [0.0, DECAY])
def test_the_best_is_found(nats, window, rate, decay):
    asked = nats(lambda learning: away(learning, window, rate, decay))
    tuned = tune(network(), some_ids(200), start=0)
    assert tuned.learning == Learning(window, rate, decay)
    assert len({learning for _, _, learning in asked}) == len(asked) <= 12
    assert tuned.characters == 200


def test_what_is_no_number_is_not_chosen(nats):
    nats(lambda learning: math.nan if learning.rate >= FIRST_RATE else learning.rate + 1)
    assert tune(network(), some_ids(200), start=0).learning.rate < FIRST_RATE


def test_it_is_chosen_on_the_end_of_the_text_and_sized_all_over_it(nats, monkeypatch):
    monkeypatch.setattr(tuning, "CHOSEN_ON", 100)
    monkeypatch.setattr(tuning, "_SIZED_ON", 2_048)
    asked = nats(lambda learning: away(learning, WINDOWS[0], FIRST_RATE, 0.0))
    ids = some_ids(1_000)
    ids[899] = 3
    text = Slices(ids)
    tuned = tune(network(), text, start=0)
    for scored, start, _ in asked:
        assert (scored, start) == (ids[900:].tolist(), 3)
    assert tuned.characters == 100
    begins = np.linspace(0, 1_000 - 128, 7).astype(int)
    wanted = gradient_sizes(network(), ids, WINDOWS[0], begins, 2, start=0)
    for one, other in zip(tuned.sizes, wanted, strict=True):
        assert torch.equal(one, other)


def test_a_text_of_less_than_a_window_is_refused():
    with pytest.raises(TextError, match="64 characters"):
        tune(network(), some_ids(64), start=0)
    assert tune(network(), some_ids(65), start=0).characters == 65


def test_all_that_is_read_is_told():
    told = []
    tune(network(), some_ids(300), start=0, read=told.append)
    trials, rest = divmod(sum(told) - 4 * 64 - 9 * 32, 300)
    assert trials >= 6
    assert rest == 0


@given(best=st.integers(-3, 3), steepness=st.floats(0.1, 10))
def test_climbing_ends_in_the_valley_and_asks_for_nothing_twice(best, steepness):
    asked = []

    def cost(value):
        asked.append(value)
        return abs(math.log2(value) - best - 0.1) * steepness

    assert climb(cost, 1.0) == 2.0**best
    assert len(set(asked)) == len(asked) <= abs(best) + 3


def test_climbing_goes_only_so_far():
    assert climb(lambda value: value, 1.0) == 1 / 8
    assert climb(lambda value: -value, 1.0) == 8.0
    assert climb(lambda value: math.inf, 1.0) == 1.0
