"""What logits say of what came, held to the same in float64, one character at a time."""

import math

import numpy as np
import pytest
import torch

from charrnn.guesses import Unknown, guesses
from charrnn.tokenizer import CODE_POINTS

V = 9


def plainly(logits, target, unknown):
    """Loss, confidence, right and near of one character, by their definitions."""
    probabilities = np.exp(logits.astype(np.float64))
    probabilities = (1 - unknown.escape) * probabilities / probabilities.sum()
    guessable = list(range(min(len(logits), unknown.first)))
    order = sorted(guessable, key=lambda character: -logits[character])
    confidence = probabilities[order[0]]
    if target < unknown.first:
        return -math.log(probabilities[target]), confidence, order[0] == target, target in order[:5]
    probability = unknown.escape if unknown.first == len(logits) else probabilities[unknown.first]
    others = CODE_POINTS - unknown.first
    return -math.log(probability / others), confidence, False, False


@pytest.mark.parametrize(
    ("unknown", "largest"),
    [
        (Unknown.of(V, 0.0, None), V - 1),
        (Unknown.of(V, 0.02, None), V),
        (Unknown.of(V, 0.02, V - 1), V - 1),
    ],
)
def test_guesses_are_what_they_are_by_definition(unknown, largest):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(30, 4, V, generator=generator) * 2
    targets = torch.randint(0, largest + 1, (30, 4), generator=generator)
    found = guesses(logits, targets, unknown)
    for place in np.ndindex(30, 4):
        wanted = plainly(logits[place].numpy(), int(targets[place]), unknown)
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours[place] == pytest.approx(theirs, rel=1e-5)
    assert 0 < found.right.sum() < found.near.sum() < 120


def test_a_trained_unknown_makes_one_distribution_of_all_characters():
    logits, size = torch.randn(1, 1, V), V - 1
    costs = [
        float(guesses(logits, torch.tensor([[id]]), Unknown.of(V, 0.0, size)).losses[0, 0])
        for id in range(V)
    ]
    total = sum(math.exp(-cost) for cost in costs[:size])
    assert total + math.exp(-costs[size]) * (CODE_POINTS - size) == pytest.approx(1, abs=1e-5)


def test_where_a_trained_unknown_is_likeliest_the_guess_is_the_likeliest_character():
    logits = torch.tensor([[[1.0, 3.0, 2.0, 9.0]]])
    probability = math.exp(3) / sum(map(math.exp, [1, 3, 2, 9]))
    for target, right in (1, True), (3, False):
        found = guesses(logits, torch.tensor([[target]]), Unknown.of(4, 0.0, 3))
        assert bool(found.right[0, 0]) is right
        assert found.confidence[0, 0] == pytest.approx(probability)


def test_of_equally_likely_characters_the_first_is_the_guess():
    """Eight of nine are: one is guessed right, and of the others none is among five."""
    logits = torch.ones(1, V, V)
    logits[..., 1] = 0
    found = guesses(logits, torch.arange(V)[None], Unknown.of(V, 0.0, None))
    assert np.flatnonzero(found.right).tolist() == np.flatnonzero(found.near).tolist() == [0]
    logits[..., 4] = logits[..., 6] = 2
    found = guesses(logits, torch.arange(V)[None], Unknown.of(V, 0.0, None))
    assert np.flatnonzero(found.right).tolist() == [4]
    assert np.flatnonzero(found.near).tolist() == [4, 6]
