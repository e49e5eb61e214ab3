"""Dynamic evaluation: what it computes, that it reads nothing of the future, that it learns."""

import copy
import random

import numpy as np
import pytest
import torch
from conftest import Slices
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import evaluation
from charrnn.dynamic import Learning, gradient_sizes, score
from charrnn.model import CharacterModel
from charrnn.settings import MODELS, ModelSettings, TrainingSettings
from charrnn.step import batches_of, take_step
from charrnn.tokenizer import Vocabulary, count_characters
from charrnn.training_state import fresh_state
from charrnn.tuning import tune

V = 6
FAST = Learning(window=7, rate=0.02, decay=0.05)


def small(model="gru"):
    """A model of random weights, so strong that every loss differs from every other."""
    network = CharacterModel(ModelSettings(model, "tanh", 4, 5, 2), V)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.8, generator=generator)
    return network


def some_ids(count, seed=0, largest=V - 1):
    return np.random.default_rng(seed).integers(0, largest + 1, size=count).astype(np.uint8)


def all_losses(network, ids, sizes, learning=FAST, **options):
    losses = np.full(len(ids), np.nan, dtype=np.float32)
    found = score(
        network, ids, sizes, learning, start=0, byte_count=len(ids), losses=losses, **options
    )
    return found, losses


@pytest.fixture(scope="module")
def network():
    return small()


@pytest.fixture(scope="module")
def sizes(network):
    return gradient_sizes(network, some_ids(300, seed=1), 7, [0, 100], 4, start=0)


# What is computed


def gradients_of(network, loss):
    return torch.autograd.grad(loss, list(network.parameters()))


def losses_of(network, read, targets, state):
    logits, state = network(torch.tensor(read)[:, None], state)
    losses = torch.nn.functional.cross_entropy(
        logits[:, 0], torch.tensor(targets), reduction="none"
    )
    return losses, [tuple(part.detach() for part in layer) for layer in state]


def test_it_is_the_rule_of_its_docstring(network, sizes):
    ids = some_ids(40).astype(np.int64)
    model, read = copy.deepcopy(network), np.concatenate([[3], ids[:-1]])
    theta0 = [weight.detach().clone() for weight in model.parameters()]
    mean = torch.cat([size.flatten() for size in sizes]).mean()
    state, wanted = model.start(1), []
    for first in range(0, 40, 7):
        part = slice(first, first + 7)
        losses, state = losses_of(model, read[part], ids[part], state)
        wanted += losses.tolist()
        gradients = gradients_of(model, losses.mean())
        with torch.no_grad():
            for theta, g, s, old in zip(model.parameters(), gradients, sizes, theta0, strict=True):
                step = 0.02 * g / (s + mean / 10)
                theta.copy_(theta - step + 0.05 * s / mean * (old - theta))
    losses = np.zeros(40, dtype=np.float32)
    found = score(network, ids, sizes, FAST, start=3, byte_count=80, losses=losses)
    np.testing.assert_allclose(losses, wanted, rtol=1e-4)
    assert found.nats_per_char == pytest.approx(np.mean(wanted), rel=1e-4)
    assert (found.characters, found.bytes) == (40, 80)


def test_sizes_are_root_mean_squares_of_the_gradients_of_windows(network):
    ids = some_ids(60).astype(np.int64)
    squares = []
    for begin in 0, 30:
        state = network.start(1)
        for first in range(begin, begin + 10, 5):
            read = [2, *ids][first : first + 5]
            losses, state = losses_of(network, read, ids[first : first + 5], state)
            squares.append([g.square() for g in gradients_of(network, losses.mean())])
    found = gradient_sizes(network, ids, 5, [0, 30], 2, start=2)
    for own, *each in zip(found, *squares, strict=True):
        torch.testing.assert_close(own, torch.stack(each).mean(0).sqrt(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_without_a_rate_it_is_the_static_score_of_one_stream(model):
    network, ids = small(model), some_ids(90, largest=V)
    sizes = gradient_sizes(network, ids, 8, [0], 3, start=0)
    wanted = np.zeros(90, dtype=np.float32)
    static = evaluation.score(
        network, ids, start=0, byte_count=90, escape=0.01, exact=True, losses=wanted
    )
    found, losses = all_losses(network, ids, sizes, Learning(8, 0.0, 0.1), escape=0.01)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5, atol=1e-5)
    assert found.nats == pytest.approx(static.nats, rel=1e-6)
    assert (found.correct, found.correct_top5) == (static.correct, static.correct_top5)
    assert found.unknown == static.unknown > 0


# What it reads


@given(
    count=st.integers(0, 60),
    after=st.lists(st.integers(0, V), min_size=1, max_size=30),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=40)
def test_whatever_follows_changes_nothing_before_it(network, sizes, count, after, seed):
    ids = some_ids(61, seed=seed, largest=V)
    _, wanted = all_losses(network, ids, sizes, escape=0.01)
    changed = np.concatenate([ids[:count], np.array(after, dtype=np.uint8)])
    _, losses = all_losses(network, changed, sizes, escape=0.01)
    assert losses[:count].tobytes() == wanted[:count].tobytes()


def test_a_permuted_future_changes_nothing_before_it_and_a_permuted_past_does(network, sizes):
    ids = some_ids(300)
    _, wanted = all_losses(network, ids, sizes)
    for count in (1, 6, 7, 8, 150, 293):
        future = np.random.default_rng(count).permutation(ids[count:])
        _, losses = all_losses(network, np.concatenate([ids[:count], future]), sizes)
        assert losses[:count].tobytes() == wanted[:count].tobytes()
        past = np.random.default_rng(count).permutation(ids[: count + 1])
        _, losses = all_losses(network, np.concatenate([past, ids[count + 1 :]]), sizes)
        if count > 1:
            assert not np.array_equal(losses[count + 1 :], wanted[count + 1 :])


def test_what_is_read_is_learned_after_its_window_and_not_before(network, sizes):
    """Another character in a window, and back in the same state: only learning tells."""
    ids = some_ids(40)
    static = Learning(FAST.window, 0.0)
    _, learned = all_losses(network, ids, sizes)
    _, still = all_losses(network, ids, sizes, static)
    np.testing.assert_array_equal(learned[:7], still[:7])
    assert (learned[7:] != still[7:]).all()


def test_what_the_vocabulary_lacks_is_scored_and_not_learned(network, sizes):
    ids = np.concatenate([np.full(14, V), some_ids(7)])
    _, learned = all_losses(network, ids, sizes, escape=0.01)
    _, still = all_losses(network, ids, sizes, Learning(FAST.window, 0.0), escape=0.01)
    assert np.isfinite(learned).all()
    assert learned[:14].min() > 13
    np.testing.assert_array_equal(learned, still)


def test_a_text_need_only_know_its_slices(network, sizes):
    ids = some_ids(100)
    text = Slices(ids)
    _, wanted = all_losses(network, ids, sizes)
    _, found = all_losses(network, text, sizes)
    np.testing.assert_array_equal(found, wanted)
    assert text.longest == FAST.window + 1
    own = gradient_sizes(network, text, 7, [0, 50], 3, start=0)
    for one, other in zip(own, gradient_sizes(network, ids, 7, [0, 50], 3, start=0), strict=True):
        assert torch.equal(one, other)


def test_the_model_is_left_as_it_is(network, sizes):
    before = network.arrays()
    told = []
    network.train()
    all_losses(network, some_ids(20), sizes, scored=told.append)
    assert network.training
    assert told == [7, 7, 6]
    for name, array in network.arrays().items():
        assert array.tobytes() == before[name].tobytes()


# What it learns


def words(seed, count):
    """Words that nobody knows."""
    draw = random.Random(seed)
    return ["".join(draw.choices("abcdefghij", k=draw.randint(3, 7))) for _ in range(count)]


def written(vocabulary, seed, count):
    draw = random.Random(seed)
    return "".join(f"{draw.choice(vocabulary)} " for _ in range(count))


def test_words_that_come_again_and_again_are_learned():
    """A model that knows thirty words meets thirty others: how it learns, it was not told."""
    known, others = words(0, 30), words(1, 30)
    text = written(known, 2, 2_500)
    vocabulary = Vocabulary("".join(c for c, _ in count_characters(text)))
    ids = vocabulary.encode(text)
    chosen = TrainingSettings(seq_length=24, batch_size=24, learning_rate=1e-2)
    state = fresh_state(ModelSettings("gru", "tanh", 16, 48, 1), chosen, len(vocabulary))
    batches = batches_of(ids, chosen)
    for _ in range(150):
        take_step(state, batches, chosen, chosen.learning_rate)
    new = vocabulary.encode(written(known, 3, 300) + written(others, 4, 600))
    static = np.zeros(len(new), dtype=np.float32)
    evaluation.score(state.model, new, start=0, byte_count=1, exact=True, losses=static)
    tuned = tune(state.model, ids[-3_000:], start=0)
    _, losses = all_losses(state.model, new, tuned.sizes, tuned.learning)
    third = len(new) // 3
    assert abs(losses[:third].mean() - static[:third].mean()) < 0.1
    assert losses[-third:].mean() < static[-third:].mean() - 0.5
