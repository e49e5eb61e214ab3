"""What follows from a score, and how one is added up."""

import math

import numpy as np
import pytest

from charrnn.scores import Observed, Score, Tally


def test_bits_and_perplexity_follow_from_nats():
    found = Score(nats=30 * math.log(4), characters=30, bytes=40, correct=12, correct_top5=21)
    assert found.nats_per_char == pytest.approx(math.log(4))
    assert found.bits_per_char == pytest.approx(2.0)
    assert found.bits_per_byte == pytest.approx(60 / 40)
    assert found.perplexity == pytest.approx(4.0)
    assert found.accuracy == pytest.approx(0.4)
    assert found.accuracy_top5 == pytest.approx(0.7)
    assert found.to_json() == {
        "characters": 30,
        "nats_per_char": found.nats_per_char,
        "bits_per_char": found.bits_per_char,
        "bits_per_byte": found.bits_per_byte,
        "perplexity": found.perplexity,
        "accuracy": found.accuracy,
        "accuracy_top5": found.accuracy_top5,
    }


def test_a_hopeless_perplexity_is_still_a_number():
    assert math.isfinite(Score(nats=1e9, characters=1, bytes=1, correct=0).perplexity)


def test_a_tally_adds_up_what_is_observed():
    tally = Tally(3, np.array([1, 2, 4]))
    for targets in [0, 1, 1], [2, 3, 4], []:
        count = len(targets)
        tally.add(
            Observed(
                places=np.arange(count),
                targets=np.array(targets, dtype=np.int64),
                losses=np.full(count, 0.5, dtype=np.float32),
                confidence=np.ones(count, dtype=np.float32),
                right=np.arange(count) == 1,
                rank5=np.arange(count) >= 1,
            )
        )
    assert tally.score(None) == Score(3.0, 6, 9, 2, 2, 4)
    assert tally.score(50) == Score(3.0, 6, 50, 2, 2, 4)
