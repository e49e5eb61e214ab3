"""What is said of bytes that are not in the encoding that was expected."""

import random

import pytest

from charrnn.unreadable import Unreadable, unreadable

FRENCH = "Où êtes-vous allés cet été ? Sa sœur a mangé du pâté près de la forêt.\n"
RUSSIAN = "Все счастливые семьи похожи друг на друга.\n"
CHINESE = "我家门前有一条小河，河水清清。春天来了，桥边的茶馆又开门了。\n"


def look(data: bytes, encoding: str = "utf-8", *, near: bytes = b"") -> Unreadable:
    return unreadable(encoding, head=data, near=near, chunks=[data], file="a.txt")


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
def test_another_encoding_is_named_with_what_it_would_read_and_its_flag(
    text: str, encoding: str
) -> None:
    found = look((text * 3).encode(encoding))
    assert found.what == f"not UTF-8 but probably {encoding}: “{text.strip()}”"
    assert found.way_out.startswith(f"charrnn train a.txt --encoding {encoding}")
    assert found.details[0] == (f"as {encoding}", text.strip())


def test_several_that_are_likely_are_all_shown() -> None:
    found = look("El niño comió una manzana, según él.".encode("mac-roman"))
    assert "mac-roman, or windows-1252" in found.way_out
    assert 1 < len(found.details) <= 3


def test_broken_places_of_utf_8_are_told_by_line_and_column() -> None:
    found = look((FRENCH * 30).encode() + b"du caf\xe9 \xff\xfe au lait\n")
    assert found.what == (
        "UTF-8 that is broken in 2 places, first in line 31, column 7: "
        "“du caf<E9> <FF><FE> au lait”"
    )
    assert "iconv -c -f UTF-8 -t UTF-8 a.txt" in found.way_out
    assert found.details == [
        ("line 31, column 7", "du caf<E9> <FF><FE> au lait  (é in windows-1252)"),
        ("line 31, column 9", "du caf<E9> <FF><FE> au lait  (ÿþ in windows-1252)"),
    ]


def test_of_many_places_the_first_are_shown() -> None:
    found = look((FRENCH * 200 + "caf").encode() + b"\xff\n" + (FRENCH.encode() + b"\xff\n") * 9)
    assert "10 places" in found.what
    assert len(found.details) == 6
    assert found.details[-1] == ("and", "5 more")


def test_a_place_far_into_a_plain_file_is_looked_at() -> None:
    near = b"and a caf\xe9 with some p\xe2t\xe9 at last\n"
    found = look(b"plain words\n" * 900, near=near)
    assert "windows-1252: “and a café with some pâté at last”" in found.what


def test_another_encoding_than_utf_8_that_was_asked_for_can_be_wrong_too() -> None:
    found = look((FRENCH * 3).encode(), "gb18030")
    assert found.what.startswith("not GB18030 but probably utf-8: “Où êtes")
    assert found.way_out.startswith("charrnn train a.txt --encoding utf-8")


def test_an_encoding_with_broken_bytes_is_repaired_by_leaving_them_out() -> None:
    found = look((CHINESE * 9).encode("gb18030") + b"\xff\xff\n")
    assert found.what == "not UTF-8 but probably gb18030 with some broken bytes"
    assert "iconv -c -f GB18030 -t UTF-8 a.txt > repaired.txt" in found.way_out


def test_what_is_no_text_can_be_taken_as_bytes() -> None:
    found = look(random.Random(1).randbytes(5_000))
    assert "no text in any other encoding" in found.what
    assert "--encoding bytes" in found.way_out
    assert found.details == []
