"""How bytes become characters: the same in one piece or in many, for every policy."""

import codecs
import itertools
import random
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import UsageError
from charrnn.reading import _CODECS, BYTES, Decoder, Reading, canonical

characters = st.characters(exclude_categories=["Cs"])
# Where pieces matter: line ends, marks that compose, Hangul, a final sigma, halves of kana.
awkward = st.sampled_from(
    "\r\n\r\nae\u0301\u0323\u0308Σσς ΑİIı\u1100\u1161\u11a8한ｶﾞ\u09c7\u09be㎏ﬁ℡\ufeff😀茶"
)
texts = st.text(awkward | characters, max_size=60)
policies = st.builds(
    Reading,
    encoding=st.sampled_from(["utf-8", "utf-16", "utf-16-be", "gb18030"]),
    newlines=st.sampled_from(["keep", "lf"]),
    normalization=st.sampled_from(["none", "nfc", "nfkc"]),
    lowercase=st.booleans(),
)


def read(data: bytes, reading: Reading, cuts: list[int]) -> str:
    decoder = Decoder(reading)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    parts = [decoder.feed(data[a:b]) for a, b in itertools.pairwise(edges)]
    return "".join(parts) + decoder.end()


@settings(deadline=None, max_examples=300)
@given(texts, policies, st.lists(st.integers(0, 10**6), max_size=8))
def test_pieces_of_any_size_give_the_text_of_the_whole(
    text: str, reading: Reading, cuts: list[int]
) -> None:
    data = text.encode(reading.encoding)
    assert read(data, reading, cuts) == read(data, reading, [])


@settings(deadline=None, max_examples=200)
@given(texts, policies)
def test_a_policy_is_what_it_says(text: str, reading: Reading) -> None:
    text = text.lstrip("\ufeff")
    expected = text
    if reading.newlines == "lf":
        expected = expected.replace("\r\n", "\n").replace("\r", "\n")
    form = reading.normalization.upper()
    if form != "NONE":
        expected = unicodedata.normalize(form, expected)
    if reading.lowercase:
        expected = "".join(character.lower() for character in expected)
        if form != "NONE":
            expected = unicodedata.normalize(form, expected)
    assert read(text.encode(reading.encoding), reading, []) == expected
    assert reading.text_of(text) == expected


@settings(deadline=None, max_examples=100)
@given(texts, policies)
def test_what_is_read_again_stays_as_it_is(text: str, reading: Reading) -> None:
    once = reading.text_of(text)
    if not (reading.lowercase and "\u0130" in text):  # i and a dot, that İ is alone
        assert reading.text_of(once) == once


def test_a_normal_form_waits_for_no_more_than_it_must() -> None:
    decoder = Decoder(Reading(normalization="nfc"))
    assert decoder.feed(b"one two e") == "one two "
    assert decoder.feed("\u0301 three".encode()) == "é thre"
    assert decoder.end() == "e"


def test_a_file_of_nothing_but_marks_is_read_all_the_same() -> None:
    data = ("\u0301" * 5000).encode()
    assert read(data, Reading(normalization="nfc"), list(range(0, 10_000, 7))) == "\u0301" * 5000


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=100), st.lists(st.integers(0, 1000), max_size=4))
def test_any_bytes_at_all_can_be_read_as_bytes(data: bytes, cuts: list[int]) -> None:
    reading = Reading(encoding=BYTES)
    text = read(data, reading, cuts)
    assert list(map(ord, text)) == list(data)
    assert reading.utf8_of(text) == data


def test_a_prompt_is_read_as_the_bytes_of_its_utf_8() -> None:
    assert Reading(encoding=BYTES).text_of("é\udcff") == "\xc3\xa9\xff"
    assert Reading(encoding="windows-1252").text_of("é") == "é"


def test_line_ends_of_bytes_can_be_changed() -> None:
    assert read(b"a\r\nb\xff\r", Reading(encoding=BYTES, newlines="lf"), [2]) == "a\nb\xff\n"


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16", codecs.BOM_UTF16_LE),
        ("utf-16", codecs.BOM_UTF16_BE),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-32", codecs.BOM_UTF32_BE),
        ("gb18030", "\ufeff".encode("gb18030")),
    ],
)
def test_a_byte_order_mark_is_seen_and_left_out(encoding: str, mark: bytes) -> None:
    name = encoding
    if encoding in ("utf-16", "utf-32"):
        order = "le" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF32_LE) else "be"
        name = f"{encoding}-{order}"
    data = "one\ufefftwo".encode(name)
    for start, seen in (mark, True), (b"", False):
        if not start and encoding != name:
            continue  # which order it has is not said
        decoder = Decoder(Reading(encoding=encoding))
        assert decoder.feed(start + data) + decoder.end() == "one\ufefftwo"
        assert decoder.byte_order_mark is seen


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize(
    ("encoding", "bad", "place"),
    [
        ("utf-8", b"abc\xff", 3),
        ("gb18030", b"abc\xff", 3),
        ("ascii", b"caf\xe9 au lait", 3),
        ("utf-8", "茶茶".encode()[:-1], 3),
    ],
)
def test_a_byte_that_is_no_character_is_placed_in_the_file(
    encoding: str, bad: bytes, place: int, size: int
) -> None:
    decoder = Decoder(Reading(encoding=encoding))
    with pytest.raises(UnicodeDecodeError) as caught:
        for start in range(0, len(bad), size):
            decoder.feed(bad[start : start + size])
        decoder.end()
    assert caught.value.start == place


def test_half_a_surrogate_pair_is_no_character() -> None:
    with pytest.raises(UnicodeDecodeError):
        read(b"a+2AA-b", Reading(encoding="utf-7"), [])


# Names


def test_every_encoding_that_is_offered_reads_what_it_writes() -> None:
    generator = random.Random(0)
    for name in sorted(_CODECS):
        known = canonical(name)
        assert canonical(known) == known
        if known != "utf-8":
            text = "Plain: ASCII 123"
            reading = Reading(encoding=known)
            with_cuts = [generator.randrange(100) for _ in range(3)]
            assert read(text.encode(known), reading, with_cuts) == text, known


@pytest.mark.parametrize(
    ("given_as", "known_as"),
    [
        ("UTF8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("U8", "utf-8"),
        ("Windows-1252", "windows-1252"),
        ("cp1252", "windows-1252"),
        ("latin1", "latin-1"),
        ("iso-8859-1", "latin-1"),
        ("Shift-JIS", "shift-jis"),
        ("big5", "big5"),
        ("UTF-16LE", "utf-16-le"),
        ("Bytes", "bytes"),
    ],
)
def test_an_encoding_has_one_name(given_as: str, known_as: str) -> None:
    assert canonical(given_as) == known_as


@pytest.mark.parametrize(
    "bad", ["", "klingon", "zlib", "rot13", "hex", "idna", "../../x", "x" * 99]
)
def test_what_is_no_encoding_of_text_is_refused(bad: str) -> None:
    with pytest.raises(UsageError, match="--encoding"):
        canonical(bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"encoding": "UTF-8"},
        {"encoding": "klingon"},
        {"newlines": "crlf"},
        {"normalization": "NFC"},
        {"encoding": "bytes", "lowercase": True},
        {"encoding": "bytes", "normalization": "nfc"},
    ],
)
def test_a_policy_that_nothing_carries_out_is_refused(bad: dict) -> None:
    with pytest.raises(UsageError):
        Reading(**bad)


def test_a_policy_in_words() -> None:
    assert str(Reading()) == "UTF-8"
    assert str(Reading("gb18030", "lf", "nfkc", True)) == "GB18030, line ends LF, NFKC, lowercase"
    assert str(Reading("bytes")) == "bytes"
