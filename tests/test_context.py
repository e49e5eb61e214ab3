"""The context curve: cold readings of so many characters, at the same places, and its reach."""

import numpy as np
import pytest
import torch
from conftest import Slices
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import context, evaluation
from charrnn.context import LENGTHS, Curve, curve, reading
from charrnn.model import CharacterModel
from charrnn.settings import MODELS, ModelSettings, TrainingSettings
from charrnn.step import batches_of, take_step
from charrnn.training_state import fresh_state
from charrnn.workers import Workers

V = 6


def small(model="gru"):
    """A model of random weights, so strong that every loss differs from every other."""
    network = CharacterModel(ModelSettings(model, "tanh", 4, 5, 2), V)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.8, generator=generator)
    return network


def some_ids(count, largest=V - 1):
    return np.random.default_rng(0).integers(0, largest + 1, size=count).astype(np.uint8)


def all_losses(network, ids, **options):
    losses = np.zeros(len(ids), dtype=np.float32)
    evaluation.score(network, ids, start=0, byte_count=1, losses=losses, **options)
    return losses


# A source that is known: each of four characters depends on the three before it


A = 4
PULL = np.random.default_rng(7).normal(scale=1.2, size=(3, A, A))
"""How much a character one, two and three back speaks for each next one, (3, A, A)."""


def written_by_the_source(count, seed=0):
    draws = np.random.default_rng(seed).random(count)
    ids = [0, 0, 0]
    for draw in draws:
        scores = np.exp(sum(PULL[back, ids[-1 - back]] for back in range(3)))
        ids.append(int(np.searchsorted(np.cumsum(scores), draw * scores.sum())))
    return np.array(ids[3:], dtype=np.uint8)


def the_source_itself():
    """A network that remembers three characters, by shifting them along, and nothing else.

    Its state is made of three unit vectors, one for each of them; relu leaves them alone.
    """
    network = CharacterModel(ModelSettings("rnn", "relu", A, 3 * A, 1), A)
    shift = np.eye(3 * A, k=-A)
    weights = {
        "embedding.weight": np.eye(A),
        "recurrent.weight_ih_l0": np.eye(3 * A, A),
        "recurrent.weight_hh_l0": shift,
        "recurrent.bias_ih_l0": np.zeros(3 * A),
        "recurrent.bias_hh_l0": np.zeros(3 * A),
        "output.weight": np.concatenate([pull.T for pull in PULL], 1),
        "output.bias": np.zeros(A),
    }
    network.load({name: array.astype(np.float32) for name, array in weights.items()})
    return network


MARKOV_LENGTHS = (1, 2, 3, 5, 10)


def test_of_a_source_of_order_3_the_true_models_curve_is_flat_from_3_on():
    ids = written_by_the_source(6_000)
    network = the_source_itself()
    found = curve(network, ids, all_losses(network, ids), lengths=MARKOV_LENGTHS)
    one, two, three, five, ten = found.costs
    assert min(one, two) > 0.1
    assert max(map(abs, (three, five, ten))) < 1e-6
    assert found.reach == 3
    np.testing.assert_allclose(found.losses[2:], np.tile(found.full, (3, 1)), atol=1e-5)


def test_of_a_source_of_order_3_a_trained_models_curve_is_flat_from_3_on():
    chosen = TrainingSettings(seq_length=16, batch_size=64, learning_rate=1e-2)
    state = fresh_state(ModelSettings("gru", "tanh", 8, 32, 1), chosen, A)
    ids = written_by_the_source(40_000, seed=1)
    batches = batches_of(ids, chosen)
    for step in range(300):
        take_step(state, batches, chosen, chosen.learning_rate * (1 - step / 300))
    new = written_by_the_source(20_000, seed=2)
    found = curve(state.model, new, all_losses(state.model, new), lengths=MARKOV_LENGTHS)
    rows = found.to_json()["curve"]
    for row in rows[:2]:
        assert row["interval"][0] > 0.1
    for row in rows[2:]:
        assert abs(row["cost"]) < 0.01
    assert found.reach == 3


# What is computed


@pytest.mark.parametrize("model", MODELS)
def test_a_loss_is_that_of_reading_so_many_characters_from_nothing(model):
    network, ids = small(model), some_ids(400)
    full = np.arange(400, dtype=np.float32)
    found = curve(network, ids, full, lengths=(1, 4, 70))
    places = found.full.astype(int)  # as full has them
    assert found.lengths == (1, 4, 70)
    assert found.losses.shape == (3, len(places)) == (3, 330)
    for number in 0, 17, 329:
        for length, losses in zip(found.lengths, found.losses, strict=True):
            place = places[number]
            read = ids[place - length : place + 1]
            cold = np.zeros(length, dtype=np.float32)
            evaluation.score(
                *(network, read[1:]), start=int(read[0]), byte_count=1, exact=True, losses=cold
            )
            assert losses[number] == pytest.approx(cold[-1], abs=1e-5)


def test_unknown_characters_cost_what_they_cost_elsewhere():
    network, ids = small(), some_ids(300, largest=V)
    full = all_losses(network, ids, escape=0.01)
    found = curve(network, ids, full, lengths=(140,), escape=0.01)
    assert (found.full > 13).any()
    np.testing.assert_allclose(found.losses[0], found.full, atol=0.05)


def test_workers_and_few_rows_and_steps_at_a_time_change_nothing(monkeypatch):
    network, ids = small("lstm"), some_ids(500)
    full = all_losses(network, ids)
    told: list[int] = []
    wanted = curve(network, ids, full, lengths=(3, 100), read=told.append)
    assert sum(told) == reading(500, network.settings.parameters(V), (3, 100)) == 103 * 400
    monkeypatch.setattr(context, "_ROWS", 50)
    monkeypatch.setattr(context, "_STEPS", 7)
    workers = Workers(2)
    try:
        found = curve(network.train(), Slices(ids), full, lengths=(3, 100), workers=workers)
    finally:
        workers.close()
    assert network.training
    np.testing.assert_array_equal(found.full, wanted.full)
    np.testing.assert_allclose(found.losses, wanted.losses, atol=1e-5)


@given(characters=st.integers(1, 5_000), parameters=st.integers(1, 10**9))
@settings(deadline=None, max_examples=60)
def test_places_are_spread_over_the_text_and_have_enough_before_them(characters, parameters):
    lengths, places = context._places(characters, parameters, LENGTHS)
    assert lengths == tuple(length for length in LENGTHS if 2 * length < characters)
    assert (np.diff(places) > 0).all()
    if not lengths:
        assert len(places) == 0
        return
    room = characters - lengths[-1]
    assert min(room, 200) <= len(places) <= min(room, 2_000)
    edges = lengths[-1] + np.arange(len(places) + 1) * room // len(places)
    assert (edges[:-1] <= places).all()
    assert (places < edges[1:]).all()


def test_a_large_model_is_measured_at_fewer_places():
    def places(parameters):
        return len(context._places(100_000, parameters, LENGTHS)[1])

    assert places(675_000) == 2_000 > places(3_000_000) > places(10**9) == 200


def test_a_text_of_two_characters_has_no_curve():
    found = curve(small(), some_ids(2), np.zeros(2, dtype=np.float32))
    assert (found.lengths, found.reach, found.losses.shape) == ((), None, (0, 0))
    assert found.to_json() == {"places": 0, "nats_per_char": None, "curve": [], "reach": None}


# What follows


def of_costs(*costs):
    losses = np.array(costs, dtype=np.float32)[:, None] + np.full(40, 2.0, dtype=np.float32)
    return Curve(LENGTHS[: len(costs)], losses, np.full(40, 2.0, dtype=np.float32))


@pytest.mark.parametrize(
    ("costs", "reach"),
    [
        ((1.0, 0.5, 0.1), None),
        ((1.0, 0.5, 0.005), 5),
        ((1.0, 0.005, 0.001), 2),
        ((0.005, 0.5, 0.001), 5),
        ((0.001, -0.5, 0.001), 1),
        ((0.001, 0.0, 0.02), None),
        ((1.0, 0.5, np.nan), None),
    ],
)
def test_the_reach_is_where_little_is_left_to_gain(costs, reach):
    assert of_costs(*costs).reach == reach


def test_as_json_every_cost_has_its_interval():
    losses = np.random.default_rng(0).random((2, 400)).astype(np.float32)
    full = losses.mean(0) - 0.1
    found = Curve((1, 2), losses, full).to_json()
    assert (found["places"], found["reach"]) == (400, None)
    assert found["nats_per_char"] == pytest.approx(full.mean())
    for row, each in zip(found["curve"], losses, strict=True):
        assert row["nats_per_char"] == pytest.approx(each.mean())
        assert row["cost"] == pytest.approx(each.mean() - full.mean(), abs=1e-6)
        assert row["interval"][0] < row["cost"] < row["interval"][1]
    assert of_costs(1.0).to_json()["curve"][0]["interval"] == pytest.approx((1.0, 1.0))
