"""Confidence against accuracy, by hand and for a model whose calibration is known."""

import numpy as np
import pytest

from charrnn.reliability import BINS, Reliability


def reliability(*pairs):
    made = Reliability()
    for confidence, right in pairs:
        made.add(np.array(confidence, np.float32), np.array(right, bool))
    return made.to_json()


def test_by_hand():
    """Three guesses of 0.8 and 0.75, of which two are right, and one of 0.2 that is not."""
    found = reliability(([0.8, 0.75], [True, False]), ([0.2, 0.75], [False, True]))
    assert [(row["from"], row["to"], row["characters"]) for row in found["bins"]] == [
        *((0.1, 0.2, 1), (0.7, 0.8, 3))
    ]
    low, high = found["bins"]
    assert (low["confidence"], low["accuracy"]) == (pytest.approx(0.2), 0)
    assert (high["confidence"], high["accuracy"]) == (pytest.approx(2.3 / 3), pytest.approx(2 / 3))
    assert high["share"] == 0.75
    assert found["error"] == pytest.approx((0.2 + 0.3) / 4)
    assert found["too_sure"] == pytest.approx((0.2 + 0.3) / 4)


def test_the_error_adds_up_what_the_mean_cancels():
    found = reliability(([0.9], [False]), ([0.1], [True]))
    assert found["error"] == pytest.approx(0.9)
    assert found["too_sure"] == pytest.approx(0, abs=1e-6)


def test_the_ends_are_in_the_first_and_last_bin():
    found = reliability(([0.0, 1.0, 1.0000001], [False, True, True]))
    assert [(row["from"], row["characters"]) for row in found["bins"]] == [(0.0, 1), (0.9, 2)]


@pytest.mark.parametrize(("exponent", "too_sure"), [(1, 0.0), (2, -1 / 6)])
def test_a_model_of_known_calibration(exponent, too_sure):
    """It says x² where x is right, on average 1/6 too little, in every bin its own part of it."""
    random = np.random.default_rng(7)
    likely = random.random(200_000)
    found = reliability((likely**exponent, random.random(len(likely)) < likely))
    assert found["too_sure"] == pytest.approx(too_sure, abs=0.005)
    assert found["error"] == pytest.approx(abs(too_sure), abs=0.01)
    assert len(found["bins"]) == BINS


def test_of_nothing_there_is_nothing():
    assert reliability() == {"error": 0.0, "too_sure": 0.0, "bins": []}
