"""A text as people write it, in the characters of a model: or in words why not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import UnknownCharacterError
from charrnn.reading import Reading
from charrnn.spelling import is_written, known_part, rarities, spelled
from charrnn.tokenizer import ALL_BYTES, Vocabulary

VOCABULARY = Vocabulary("e ta\n'Z")
RARE = Vocabulary("e ta\n'Z", unknown=True)
BYTES = Vocabulary(ALL_BYTES, Reading(encoding="bytes"))


def reading(characters, **policy):
    return Vocabulary(characters, Reading(**policy))


def test_of_many_unknown_characters_five_are_named():
    with pytest.raises(UnknownCharacterError, match="and 3 more") as caught:
        spelled("b c d f g h i j b", VOCABULARY)
    assert caught.value.message.count("U+00") == 5


def test_known_characters_are_read_as_they_are():
    assert [spelled(text, VOCABULARY) for text in ("tea", "")] == ["tea", ""]


@pytest.mark.parametrize(
    ("vocabulary", "text", "read"),
    [
        (reading("tea", lowercase=True), "TEA", "tea"),
        (reading("te\n", newlines="lf"), "t\r\ne\r", "t\ne\n"),
        (reading("café", normalization="nfc"), "cafe\u0301", "café"),
        (reading("fi", normalization="nfkc"), "ﬁ", "fi"),
        (BYTES, "é\udcff", "\xc3\xa9\xff"),
        (reading(ALL_BYTES, encoding="bytes", newlines="lf"), "é\r\n", "\xc3\xa9\n"),
    ],
)
def test_a_text_is_read_as_the_corpus_was(vocabulary, text, read):
    assert spelled(text, vocabulary) == read
    assert is_written(text, vocabulary, raw=True)


@pytest.mark.parametrize("vocabulary", [VOCABULARY, RARE, BYTES])
def test_half_a_surrogate_pair_is_read_by_none(vocabulary):
    with pytest.raises(UnknownCharacterError, match=r"U\+D800"):
        spelled("e\ud800", vocabulary)
    assert not is_written("e\ud800", vocabulary, raw=True)


def test_where_rare_characters_were_learned_as_one_all_that_are_lacking_are_read():
    assert spelled("t☂a猫", RARE) == "t☂a猫"
    assert RARE.encode("t☂a猫").tolist() == [2, 7, 3, 7]
    told = rarities("t☂a猫☂’", RARE)
    assert told == (
        "too rare for the model to tell apart: ☂ U+2602 umbrella, 猫 U+732B cjk unified "
        "ideograph-732b, ’ U+2019 right single quotation mark (it knows ' U+0027 apostrophe)"
    )
    assert rarities("tea", RARE) == rarities("t☂a", VOCABULARY) == rarities("t☂a", BYTES) == ""
    with pytest.raises(UnknownCharacterError, match=r"U\+DCE9"):
        spelled("tea\udce9", RARE)


def test_what_is_not_known_can_be_left_out():
    assert known_part("t☂a猫\udce9", VOCABULARY) == known_part("t☂a猫\udce9", RARE) == "ta"
    assert known_part("t☂a猫\udce9", BYTES) == "t☂a猫\udce9"
    assert known_part("T☂A", reading("ta", lowercase=True)) == "ta"


@settings(deadline=None, max_examples=200)
@given(st.text("ae\u0301é☂\u0302\udce9", max_size=12))
def test_what_is_left_of_a_text_can_be_read(text):
    """Also where it composes to something else once a character between is gone."""
    for known in "ae\u0301", "aé", "a\u0301e\u0302ê":
        vocabulary = reading(known, normalization="nfc")
        left = known_part(text, vocabulary)
        assert spelled(left, vocabulary) == left
        assert set(left) <= set(known)


def test_what_a_model_never_writes_is_known():
    assert [is_written(text, RARE) for text in ("tea", "t☂", "\udce9")] == [True, False, False]
    assert is_written("TEA", reading("tea", lowercase=True))
    assert is_written("é\r", BYTES)
    assert not is_written("\udcc3", BYTES)
    assert is_written("\udcc3", BYTES, raw=True)
