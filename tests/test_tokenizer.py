"""The tokenizer: every text comes back from its ids, and ids mean the same for years."""

import json
import sys
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import UsageError
from charrnn.reading import Reading
from charrnn.tokenizer import (
    ALL_BYTES,
    CODE_POINTS,
    Vocabulary,
    code_points,
    count_characters,
    look_alikes,
    name,
    narrowest,
)

characters = st.characters(exclude_categories=["Cs"])
texts = st.text(characters, max_size=200)


def vocabulary_of(text: str) -> Vocabulary:
    return Vocabulary("".join(character for character, _ in count_characters(text)))


# Ids


@settings(deadline=None, max_examples=150)
@given(texts.filter(bool))
def test_every_text_comes_back_from_its_ids(text: str) -> None:
    vocabulary = vocabulary_of(text)
    ids = vocabulary.encode(text)
    assert ids.shape == (len(text),)
    assert vocabulary.decode(ids) == text
    assert [vocabulary.characters[number] for number in ids] == list(text)


def test_an_empty_text_has_no_ids() -> None:
    vocabulary = Vocabulary("ab")
    assert vocabulary.encode("").shape == (0,)
    assert vocabulary.decode(vocabulary.encode("")) == ""


@settings(deadline=None, max_examples=100)
@given(texts)
def test_ids_run_from_the_commonest_to_the_rarest_equals_by_code_point(text: str) -> None:
    counted = Counter(text)
    assert count_characters(text) == sorted(
        counted.items(), key=lambda pair: (-pair[1], ord(pair[0]))
    )


def test_frequency_goes_before_code_point() -> None:
    assert count_characters("zzz茶茶bbaa!") == [
        ("z", 3),
        ("a", 2),
        ("b", 2),
        ("茶", 2),
        ("!", 1),
    ]


@settings(deadline=None, max_examples=100)
@given(texts.filter(bool), texts)
def test_what_the_vocabulary_lacks_is_v_and_nothing_else_is(known: str, text: str) -> None:
    vocabulary = vocabulary_of(known)
    ids = vocabulary.encode(text)
    for character, number in zip(text, ids, strict=True):
        if character in known:
            assert vocabulary.characters[number] == character
        else:
            assert number == len(vocabulary)


@pytest.mark.parametrize("distinct", [1, 2, 255, 256, 257, 1000])
def test_unknown_fits_beside_the_known_at_every_width(distinct: int) -> None:
    """With 255 characters unknown is the last number of a byte; with 256 it needs another."""
    vocabulary = Vocabulary("".join(chr(0x4E00 + number) for number in range(distinct)))
    ids = vocabulary.encode(vocabulary.characters + "?")
    assert ids.tolist() == [*range(distinct), distinct]
    assert ids.dtype == (np.uint8 if distinct <= 255 else np.uint16)


@pytest.mark.parametrize(
    ("largest", "kind"),
    [
        (0, np.uint8),
        (255, np.uint8),
        (256, np.uint16),
        (65_535, np.uint16),
        (65_536, np.uint32),
        (CODE_POINTS, np.uint32),
    ],
)
def test_the_narrowest_type_is_chosen(largest: int, kind: type) -> None:
    assert narrowest(largest) is kind
    assert kind(largest) == largest


def test_code_points_are_those_of_the_characters_beyond_16_bits_too() -> None:
    assert code_points("a茶\U0001f375\0").tolist() == [0x61, 0x8336, 0x1F375, 0]


def test_code_points_count_what_unicode_can_name() -> None:
    surrogates = sum(unicodedata.category(chr(point)) == "Cs" for point in range(0xD000, 0xE100))
    assert sys.maxunicode + 1 - surrogates == CODE_POINTS


# Vocabularies


def test_a_vocabulary_knows_its_characters() -> None:
    vocabulary = Vocabulary("ea\n茶")
    assert len(vocabulary) == 4
    assert "茶" in vocabulary
    assert "b" not in vocabulary
    assert "ea" not in vocabulary
    assert "" not in vocabulary
    assert "\udcff" not in vocabulary


def test_a_newline_stands_before_a_text_or_else_the_commonest_character() -> None:
    assert Vocabulary("ea\nt").start == 2
    assert Vocabulary("eat").start == 0


def test_byte_lengths_are_those_of_utf_8() -> None:
    assert Vocabulary("a\né茶\U0001f375").byte_lengths.tolist() == [1, 1, 2, 3, 4]


def test_missing_characters_come_once_in_order_of_appearance() -> None:
    assert Vocabulary("abc").missing("xaybxz") == ["x", "y", "z"]
    assert Vocabulary("abc").missing("cab") == []
    assert Vocabulary("abc").missing("a\udcff") == ["\udcff"], "bytes that are no UTF-8"


@pytest.mark.parametrize("bad", ["", "aa", "abca"])
def test_a_vocabulary_is_of_distinct_characters(bad: str) -> None:
    with pytest.raises(UsageError, match="distinct"):
        Vocabulary(bad)


@pytest.mark.parametrize("bad", ["a\ud800", "\udfff"])
def test_half_a_surrogate_pair_is_no_character(bad: str) -> None:
    with pytest.raises(UsageError, match="surrogate"):
        Vocabulary(bad)


@settings(deadline=None, max_examples=60)
@given(st.sets(characters, min_size=1))
def test_a_vocabulary_survives_a_round_trip_through_ascii_json(known: set[str]) -> None:
    made = Vocabulary("".join(known))
    data = json.dumps(made.to_json(), ensure_ascii=True)
    again = Vocabulary.from_json(json.loads(data))
    assert again == made
    assert again.encode("".join(known)).tolist() == [*range(len(known))]


GOOD = Vocabulary("ab").to_json()


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "ab",
        {},
        {"characters": "ab"},
        GOOD | {"more": "x"},
        GOOD | {"characters": ["a", "b"]},
        GOOD | {"encoding": None},
        GOOD | {"characters": ""},
        GOOD | {"characters": "aa"},
        GOOD | {"characters": "a\ud800"},
        GOOD | {"encoding": "zlib-codec"},
        GOOD | {"encoding": "bytes"},
        GOOD | {"encoding": "utf8"},
        GOOD | {"lowercase": 1},
        GOOD | {"unknown": "yes"},
        GOOD | {"normalization": "NFC"},
        GOOD | {"newlines": "\n"},
    ],
)
def test_what_is_no_vocabulary_is_refused(data: object) -> None:
    with pytest.raises(UsageError):
        Vocabulary.from_json(data)


def test_bytes_are_their_own_ids() -> None:
    vocabulary = Vocabulary(ALL_BYTES, Reading(encoding="bytes"))
    assert len(vocabulary) == 256
    assert vocabulary.of_bytes
    text = vocabulary.reading.text_of("茶\n")
    assert bytes(vocabulary.encode(text).tolist()) == "茶\n".encode()
    assert vocabulary.byte_lengths.tolist() == [1] * 256
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@pytest.mark.parametrize("bad", [ALL_BYTES[:255], ALL_BYTES[::-1]])
def test_a_vocabulary_of_bytes_is_all_of_them_in_order(bad: str) -> None:
    with pytest.raises(UsageError, match="all of them"):
        Vocabulary(bad, Reading(encoding="bytes"))


@pytest.mark.parametrize("distinct", [2, 255, 256, 300])
def test_rare_characters_share_the_last_id_of_a_model_that_learned_one(distinct: int) -> None:
    known = "".join(chr(0x4E00 + number) for number in range(distinct))
    vocabulary = Vocabulary(known, unknown=True)
    assert len(vocabulary) == distinct + 1
    assert vocabulary.encode(known[:2] + "a茷😀" + known[-1:]).tolist() == [
        *(0, 1),
        *[distinct] * 3,
        distinct - 1,
    ]
    assert vocabulary.decode(np.array([distinct, 0])) == "\ufffd" + known[0]
    assert vocabulary.missing("a" + known) == ["a"]
    assert len(vocabulary.byte_lengths) == distinct + 1


@settings(deadline=None, max_examples=100)
@given(st.sets(characters, min_size=1), texts)
def test_a_text_is_encoded_alike_whether_it_is_ascii_or_not(known: set[str], text: str) -> None:
    """ASCII goes another, faster way."""
    vocabulary = Vocabulary("".join(sorted(known)))
    alone = [vocabulary.encode(character)[0] for character in text]
    assert vocabulary.encode(text).tolist() == alone


# Look-alikes


@pytest.mark.parametrize(
    ("character", "known", "expected"),
    [
        ("’", "a'b", "'"),
        ("'", "a’b", "’"),
        ("“", 'a"', '"'),
        ("—", "a-", "-"),
        ("\u00a0", "a ", " "),
        ("é", "ea", "e"),
        ("É", "ea", "e"),
        ("A", "a", "a"),
        ("a", "A", "A"),
        ("…", ".", "."),
        ("Ａ", "A", "A"),
        ("。", ".", "."),
        ("，", ",", ","),
        ("茶", "abc", None),
        ("x", "abc", None),
        ("a", "a", None),
        ("ß", "S", None),
    ],
)
def test_the_look_alike_offered_is_one_that_the_model_knows(
    character: str, known: str, expected: str | None
) -> None:
    assert Vocabulary(known).look_alike(character) == expected


@settings(deadline=None, max_examples=200)
@given(characters, st.sets(characters, min_size=1))
def test_a_look_alike_is_another_character_of_the_vocabulary(
    character: str, known: set[str]
) -> None:
    found = Vocabulary("".join(known)).look_alike(character)
    assert found is None or (found in known and found != character)


def test_look_alikes_of_a_text_are_found_in_groups() -> None:
    assert look_alikes("He said “no”, and: 'yes'—I'm sure.") == ["“”"]
    assert look_alikes("it's, it’s") == ["'’"]
    assert set(look_alikes("""a-b–c "d" «e»""")) == {"-–", '"«»'}
    assert look_alikes("a, b，c、") == [",，、"]


def test_a_prompt_may_still_mean_what_no_reader_would_confuse() -> None:
    assert Vocabulary("ab«").look_alike("»") == "«"
    assert Vocabulary("ab、").look_alike("，") == "、"


def test_a_text_with_one_of_each_has_no_look_alikes() -> None:
    assert look_alikes('it\'s a "plain" text - no more, no less.\n') == []
    assert look_alikes("") == []
    assert look_alikes("«Oui», dit-il") == look_alikes("你，我、他") == []


# Names


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        ("a", "a U+0061 latin small letter a"),
        ("’", "’ U+2019 right single quotation mark"),
        ("茶", "茶 U+8336 cjk unified ideograph-8336"),
        (" ", "U+0020 space"),
        ("\u00a0", "U+00A0 no-break space"),
        ("\n", "U+000A newline"),
        ("\t", "U+0009 tab"),
        ("\r", "U+000D carriage return"),
        ("\0", "U+0000 nul"),
        ("\x1b", "U+001B escape"),
        ("\ud800", "U+D800 unnamed"),
    ],
)
def test_a_character_has_a_name_for_people(character: str, expected: str) -> None:
    assert name(character) == expected


def test_no_name_of_any_character_holds_a_control_character() -> None:
    """Names reach terminals: an escape, or a mark that turns writing round, would act there."""
    points = [*range(0x3000), *range(0x3000, 0x110000, 97), *range(0xFE00, 0x10000)]
    for point in points:
        shown = name(chr(point))
        assert shown.isprintable(), hex(point)
        assert f"U+{point:04X} " in shown
