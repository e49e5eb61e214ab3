"""Guesses at an encoding: texts of many languages, broken UTF-8, and what is no text."""

import random
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.guess import LEAST_GAIN, for_iconv, guesses
from charrnn.reading import Decoder, Reading, canonical

TEXTS = {
    "English": "He said: “It’s the ‘old’ café — where Zoë and I used to meet…”\n",
    "French": "Où êtes-vous allés cet été ? Sa sœur a mangé du pâté près de la forêt.\n",
    "German": "Über den Häusern hängt müder Nebel, und die Straße ist grün. Schön!\n",
    "Spanish": "El niño comió una manzana. ¿Qué pasó después? La canción terminó.\n",
    "Portuguese": "A situação não é fácil; as crianças estão à espera do avião.\n",
    "Scandinavian": "Det är en vacker dag på ön, och våra vänner går över bron.\n",
    "Russian": "Все счастливые семьи похожи друг на друга.\n",
    "Ukrainian": "Як умру, то поховайте мене на могилі серед степу широкого.\n",
    "Greek": "Εν αρχή ην ο Λόγος, και ο Λόγος ην προς τον Θεόν.\n",
    "Polish": "Litwo! Ojczyzno moja! ty jesteś jak zdrowie; ile cię trzeba cenić,\n",
    "Czech": "Příliš žluťoučký kůň úpěl ďábelské ódy.\n",
    "Turkish": "Güneş doğarken çocuklar şarkı söylüyordu.\n",
    "Hebrew": "בראשית ברא אלהים את השמים ואת הארץ\n",
    "Arabic": "كان يا ما كان في قديم الزمان ملك عادل يحبه شعبه\n",
    "Thai": "กาลครั้งหนึ่งนานมาแล้ว มีชายชราคนหนึ่งอาศัยอยู่ในป่า\n",
    "Chinese": "我家门前有一条小河，河水清清。春天来了，桥边的茶馆又开门了。\n",
    "traditional Chinese": "我家門前有一條小河，河水清清。春天來了，橋邊的茶館又開門了。\n",
    "Japanese": "吾輩は猫である。名前はまだ無い。ニャーニャー泣いていた事だけは記憶している。\n",
    "Korean": "나 보기가 역겨워 가실 때에는 말없이 고이 보내 드리오리다.\n",
}
ENCODINGS = {
    "windows-1252": "English French German Spanish Portuguese Scandinavian",
    "mac-roman": "French German Spanish",
    "cp850": "German",
    "windows-1251": "Russian Ukrainian",
    "koi8-r": "Russian",
    "koi8-u": "Ukrainian",
    "cp866": "Russian",
    "iso-8859-5": "Russian",
    "windows-1253": "Greek",
    "windows-1250": "Polish Czech",
    "iso-8859-2": "Polish Czech",
    "windows-1254": "Turkish",
    "windows-1255": "Hebrew",
    "windows-1256": "Arabic",
    "tis-620": "Thai",
    "gb18030": "Chinese",
    "big5": "traditional_Chinese",
    "shift_jis": "Japanese",
    "euc-jp": "Japanese",
    "euc-kr": "Korean",
    **{name: " ".join(each.replace(" ", "_") for each in TEXTS) for name in ("utf-16-le",)},
}
KNOWN = [
    (encoding, language.replace("_", " "))
    for encoding, languages in ENCODINGS.items()
    for language in languages.split()
]
WIDE = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")


@pytest.mark.parametrize(("encoding", "language"), KNOWN)
def test_the_first_guess_is_right(encoding: str, language: str) -> None:
    first = guesses(TEXTS[language].encode(encoding))[0]
    assert (first.encoding, first.broken) == (encoding, 0)
    assert first.line == TEXTS[language].strip()


@pytest.mark.parametrize("encoding", WIDE)
@pytest.mark.parametrize("language", ["English", "Russian", "Chinese", "Korean"])
def test_wide_encodings_are_guessed_with_their_mark_and_without(
    encoding: str, language: str
) -> None:
    first = guesses((TEXTS[language] * 9).encode(encoding))[0]
    assert first.encoding == encoding


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-16-be"])
def test_a_single_odd_letter_in_a_text_is_enough(encoding: str) -> None:
    text = "a plain line\n" * 500 + "a café at last\n"
    (first, *_) = guesses(text.encode(encoding))
    assert first.encoding == encoding
    assert first.line == "a café at last"


def test_one_word_is_enough() -> None:
    assert guesses(b"caf\xe9")[0].encoding == "windows-1252"


@pytest.mark.parametrize(("encoding", "language"), [("gb18030", "Chinese"), ("koi8-r", "Russian")])
def test_languages_beside_plain_english_are_found(encoding: str, language: str) -> None:
    """What is ASCII is the same in all of these, however much of it there is."""
    text = "Chapter One, in which nothing happens. " * 50 + TEXTS[language]
    first = guesses(text.encode(encoding))[0]
    assert first.encoding == encoding


def test_a_sample_may_end_within_a_character() -> None:
    data = (TEXTS["Chinese"] * 9).encode("gb18030")[:-2]
    assert (guesses(data)[0].encoding, guesses(data)[0].broken) == ("gb18030", 0)


def test_utf_8_with_some_broken_bytes_is_still_utf_8() -> None:
    data = (TEXTS["French"] * 20).encode() + b"caf\xe9 \xff au lait\n"
    first = guesses(data)[0]
    assert (first.encoding, first.broken) == ("utf-8", 2)


def test_western_text_with_a_word_of_utf_8_is_still_western() -> None:
    data = (TEXTS["French"] * 20).encode("cp1252") + "café\n".encode()
    assert guesses(data)[0].encoding == "windows-1252"


@pytest.mark.parametrize(
    "data",
    [
        *(random.Random(seed).randbytes(4_000) for seed in range(5)),
        zlib.compress(random.Random(1).randbytes(3_000)),
        bytes(range(256)) * 9,
        b"\0" * 1_000,
        b"\x7fELF\2\1\1\0" + bytes(400) + b"GLIBC_2.34\0main\0" + b"\xf3\x0f\x1e\xfa\xe9" * 300,
        b"\xff\xff",
        b"",
    ],
)
def test_what_is_no_text_is_none_in_any_encoding(data: bytes) -> None:
    assert guesses(data) == []


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300))
def test_any_bytes_can_be_asked_about(data: bytes) -> None:
    found = guesses(data)
    assert all(each.gain >= LEAST_GAIN for each in found)
    assert sorted(found, key=lambda each: -each.gain) == found
    assert len({each.line for each in found}) == len(found)
    assert all(len(each.line) <= 72 and "\n" not in each.line for each in found)


@pytest.mark.parametrize(("encoding", "language"), [*KNOWN, *((each, "Thai") for each in WIDE)])
def test_what_is_guessed_can_be_asked_for(encoding: str, language: str) -> None:
    decoder = Decoder(Reading(encoding=canonical(encoding)))
    assert decoder.feed(TEXTS[language].encode(encoding)) + decoder.end() == TEXTS[language]


def test_a_long_line_is_cut_around_what_is_odd_in_it() -> None:
    line = guesses(b"plain words " * 90 + b"d\xe9j\xe0 vu " + b"and more " * 90)[0].line
    assert "déjà vu" in line
    assert len(line) <= 72
    assert line.startswith("…") and line.endswith("…")


@pytest.mark.parametrize("encoding", [*ENCODINGS, *WIDE, "latin-1"])
def test_iconv_knows_the_name(encoding: str) -> None:
    command = ["iconv", "-f", "UTF-8", "-t", for_iconv(encoding)]
    done = subprocess.run(command, input=b"plain\n", capture_output=True)
    assert done.stdout.decode(encoding) == "plain\n"
