"""Every character has one kind, whatever its script."""

import sys
import unicodedata

import pytest

from charrnn import kinds as module
from charrnn.kinds import ends_line, in_words, kind, kinds
from charrnn.reading import Reading
from charrnn.tokenizer import ALL_BYTES, Vocabulary


@pytest.mark.parametrize(
    ("characters", "wanted"),
    [
        ("aßéﬁµ", "lower case"),
        ("AÉẞǅＡ", "upper case"),
        ("ªʰ", "Latin"),
        ("жё", "Cyrillic lower case"),
        ("Ω", "Greek upper case"),
        ("中𠀀", "Han"),
        ("あ", "Hiragana"),
        ("アーﾊ", "Katakana"),
        ("한", "Hangul"),
        ("אﬡ", "Hebrew"),
        ("عﺏ", "Arabic"),
        ("5½Ⅷ²٣", "digits"),
        (" \t\u00a0\u3000", "spaces"),
        ("\n\r\u2028\x85", "line ends"),
        (".,—«。،_", "punctuation"),
        ("$+|😀`^", "symbols"),
        ("\u0301\ufe0f", "combining marks"),
        ("\0\x1b\u200d\ue000\u0378", "control characters"),
    ],
)
def test_kinds_by_category_and_script(characters, wanted):
    assert {kind(c) for c in characters} == {wanted}


def test_every_character_of_unicode_has_a_kind():
    found = {kind(chr(point)) for point in range(0, sys.maxunicode + 1, 7)}
    assert "" not in found
    assert all(name == " ".join(name.split()) for name in found)


def test_a_table_by_id_and_what_the_vocabulary_lacks():
    names, table = kinds(Vocabulary("e \nE中"))
    assert [names[i] for i in table] == [
        *("lower case", "spaces", "line ends", "upper case", "Han", "unknown characters")
    ]


def test_bytes_that_are_no_characters_are_a_kind_of_their_own():
    vocabulary = Vocabulary(ALL_BYTES, Reading("bytes"))
    names, table = kinds(vocabulary)
    assert {names[i] for i in table[128:256]} == {"bytes from 128 on"}
    assert names[table[ord("a")]] == "lower case"
    assert not in_words(vocabulary)[128:].any()


def test_kinds_beyond_a_bound_go_together(monkeypatch):
    monkeypatch.setattr(module, "_MOST", 3)
    names, table = kinds(Vocabulary("a1 \n."))
    assert names == ["unknown characters", "lower case", "digits", "others"]
    assert [names[i] for i in table] == [*names[1:3], *["others"] * 3, names[0]]


def test_words_are_letters_of_scripts_that_put_spaces_between_them():
    characters = "eÉж\u0301א1 中あก한"
    found = in_words(Vocabulary(characters))
    assert len(found) == len(characters) + 1
    words = [c for c, of_word in zip(characters, found, strict=False) if of_word]
    assert "".join(words) == "eÉж\u0301א한"
    assert unicodedata.category("ก") == "Lo", "a letter, but of a script without spaces"


def test_a_line_ends_with_a_newline_or_where_there_is_none_with_a_carriage_return():
    assert ends_line(Vocabulary("a\r\n")).tolist() == [False, False, True, False]
    assert ends_line(Vocabulary("a\r")).tolist() == [False, True, False]
    assert not ends_line(Vocabulary("ab")).any()
