"""Kinds and scripts of characters."""

import pytest

from charrnn.scripts import kind, script, shares


@pytest.mark.parametrize(
    ("character", "name"),
    [
        *(("a", "Latin"), ("é", "Latin"), ("Ａ", "Latin"), ("ж", "Cyrillic"), ("茶", "Han")),
        *(("の", "Hiragana"), ("カ", "Katakana"), ("한", "Hangul"), ("ب", "Arabic")),
        *(("א", "Hebrew"), ("ไ", "Thai"), ("α", "Greek"), ("豈", "Han"), ("\U00020000", "Han")),
        *(("1", None), (".", None), ("\n", None), ("\u0301", None), ("😀", None)),
    ],
)
def test_a_letter_has_a_script(character: str, name: str | None) -> None:
    assert script(character) == name


def test_every_character_is_of_one_kind() -> None:
    assert [kind(c) for c in "a\u03018 \t\n\r.€\0"] == [
        *("letters", "letters", "digits", "spaces", "spaces", "line ends", "line ends"),
        *("punctuation", "others", "others"),
    ]


def test_shares_are_of_what_is_of_a_kind() -> None:
    assert shares([("a", 6), (" ", 50), ("ж", 2)], script) == [("Latin", 0.75), ("Cyrillic", 0.25)]
    assert shares([(" ", 50)], script) == []
