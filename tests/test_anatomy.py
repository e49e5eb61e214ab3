"""Losses by kind and place add up to the whole, and places are those of the text."""

import numpy as np
import pytest
from conftest import Slices
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import strips
from charrnn.anatomy import LINE_PLACES, WORD_PLACES, Anatomy, places
from charrnn.kinds import ends_line, in_words
from charrnn.scores import Observed
from charrnn.tokenizer import Vocabulary

VOCABULARY = Vocabulary("ab \n.")


def observed(text, order=None):
    """A character costs as many nats as its place, plus 1; every other one is guessed."""
    order = np.arange(len(text)) if order is None else np.asarray(order)
    ids = VOCABULARY.encode(text).astype(np.int64)[order]
    losses = (order + 1).astype(np.float32)
    return Observed(order, ids, losses, losses, order % 2 == 0, order % 2 == 0)


def found(text):
    anatomy = Anatomy(VOCABULARY.encode(text), VOCABULARY)
    anatomy.add(observed(text))
    return anatomy.to_json()


def by_hand(text):
    """Each character's place in its line and word, by the characters before it."""
    for at, character in enumerate(text):
        before = text[:at]
        column = at - (before.rfind("\n") + 1) + 1
        line = next(
            i for i, last in enumerate([1, 2, 4, 8, 16, 32, 64, 128, 10**9]) if column <= last
        )
        letters = len(before) - len(before.rstrip("ab"))
        if character in "ab":
            word = next(i for i, last in enumerate([1, 2, 3, 4, 5, 8, 10**9]) if letters < last)
        else:
            word = 7 if letters else 8
        yield LINE_PLACES[line], WORD_PLACES[word]


@settings(deadline=None, max_examples=60)
@given(st.text("ab \n.x", max_size=300), st.sampled_from([1, 2, 7, 300]))
def test_places_are_those_by_hand_however_the_text_is_read(text, block):
    """The x is a character that the vocabulary lacks."""
    ids = VOCABULARY.encode(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "_BLOCK", block)
        slices = Slices(ids)
        numbers = places(slices, ends_line(VOCABULARY), in_words(VOCABULARY))
    assert slices.longest <= block
    assert [(LINE_PLACES[n >> 4], WORD_PLACES[n & 15]) for n in numbers] == list(by_hand(text))


def test_a_hand_computed_anatomy():
    """Nats:     1 2 3  4 5 6."""
    anatomy = found("ab \nb.")
    (letters, *_) = kinds = anatomy["kinds"]
    assert letters == {
        "kind": "lower case",
        "characters": 3,
        "share": 0.5,
        "share_of_nats": pytest.approx(8 / 21),
        "nats_per_char": pytest.approx(8 / 3),
        "accuracy": pytest.approx(2 / 3),
    }
    assert [row["kind"] for row in kinds] == ["lower case", "punctuation", "line ends", "spaces"]
    assert [(row["place"], row["nats_per_char"]) for row in anatomy["line"]] == [
        *(("1", 3), ("2", 4), ("3-4", 3.5))
    ]
    assert [(row["place"], row["nats_per_char"], row["accuracy"]) for row in anatomy["word"]] == [
        *(("1st letter", 3, 1), ("2nd", 2, 0), ("after a word", 4.5, 0.5), ("elsewhere", 4, 0))
    ]


@settings(deadline=None, max_examples=30)
@given(st.text("ab \n.x", min_size=1, max_size=80), st.randoms(use_true_random=False))
def test_shares_add_up_and_the_order_of_observation_is_no_matter(text, random):
    order = list(range(len(text)))
    random.shuffle(order)
    cut = random.randrange(len(text) + 1)
    anatomy = Anatomy(VOCABULARY.encode(text), VOCABULARY)
    for part in order[:cut], order[cut:]:
        anatomy.add(observed(text, np.array(part, dtype=np.int64)))
    assert anatomy.to_json() == found(text)
    for rows in anatomy.to_json().values():
        assert sum(row["characters"] for row in rows) == len(text)
        assert sum(row["share"] for row in rows) == pytest.approx(1)
        assert sum(row["share_of_nats"] for row in rows) == pytest.approx(1)


def test_what_comes_after_the_text_is_left_out():
    anatomy = Anatomy(VOCABULARY.encode("ab"), VOCABULARY)
    anatomy.add(observed("ab \n."))
    assert sum(row["characters"] for row in anatomy.to_json()["kinds"]) == 2
