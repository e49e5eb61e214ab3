"""What is said of bytes that are not in the encoding that was expected."""

import random

import pytest

from charrnn.unreadable import Unreadable, unreadable

FRENCH = "Où êtes-vous allés cet été ? Sa sœur a mangé du pâté près de la forêt.\n"
RUSSIAN = "Все счастливые семьи похожи друг на друга.\n"
CHINESE = "我家门前有一条小河，河水清清。春天来了，桥边的茶馆又开门了。\n"


def look(data: bytes, expected: str = "utf-8", *, near: bytes = b"") -> Unreadable:
    return unreadable(expected, data, near, [data])


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "windows-1252"),
        (RUSSIAN, "koi8-r"),
        (CHINESE, "gb18030"),
        (CHINESE, "utf-16-le"),
        (RUSSIAN, "utf-16"),
    ],
)
def test_another_encoding_is_named_with_what_it_would_read(text: str, encoding: str) -> None:
    found = look((text * 3).encode(encoding))
    assert found.what == f"probably {encoding}: “{text.strip()}”"
    assert (found.encoding, found.broken) == (encoding, False)
    assert found.details[0] == (f"as {encoding}", text.strip())


def test_several_that_are_likely_are_all_shown() -> None:
    found = look("El niño comió una manzana, según él.".encode("mac-roman"))
    assert found.encoding == "mac-roman"
    assert [name for name, _ in found.details[:2]] == ["as mac-roman", "as windows-1252"]
    assert len(found.details) <= 3


def test_broken_places_of_utf_8_are_told_by_line_and_column() -> None:
    found = look((FRENCH * 30).encode() + b"du caf\xe9 \xff\xfe au lait\n")
    around = "du caf<E9> <FF><FE> au lait"
    assert found.what == f"it is UTF-8 but for 2 places, the first “{around}”"
    assert (found.encoding, found.broken) == ("utf-8", True)
    assert found.details == [
        ("line 31, column 7", f"{around}  (é in windows-1252)"),
        ("line 31, column 9", f"{around}  (ÿþ in windows-1252)"),
    ]


def test_of_many_places_the_first_are_shown() -> None:
    found = look((FRENCH * 200 + "caf").encode() + b"\xff\n" + (FRENCH.encode() + b"\xff\n") * 9)
    assert "10 places" in found.what
    assert len(found.details) == 6
    assert found.details[-1] == ("and", "5 more")


def test_a_place_far_into_a_plain_file_is_looked_at() -> None:
    near = b"and a caf\xe9 with some p\xe2t\xe9 at last\n"
    found = look(b"plain words\n" * 900, near=near)
    assert found.what.startswith("probably windows-1252: “")
    assert "and a café with some pâté at last" in found.what


def test_another_encoding_than_utf_8_that_was_asked_for_can_be_wrong_too() -> None:
    found = look((FRENCH * 3).encode(), "gb18030")
    assert (found.encoding, found.broken) == ("utf-8", False)
    assert found.what.startswith("probably utf-8: “Où êtes")


def test_broken_bytes_in_another_encoding_are_told() -> None:
    for expected in "utf-8", "gb18030":
        found = look((CHINESE * 9).encode("gb18030") + b"\xff\xff\n", expected)
        assert found.what == "probably gb18030 with some broken bytes"
        assert (found.encoding, found.broken) == ("gb18030", True)


def test_what_is_no_text_is_said_to_be_none() -> None:
    found = look(random.Random(1).randbytes(5_000))
    assert found == Unreadable("no text in any encoding that was tried", None, False, [])
