"""UTF-8 that was read as something else, once or several times."""

import pytest

from charrnn.mojibake import mojibake

FRENCH = "Où êtes-vous allés cet été ? Sa sœur a mangé du pâté près de la forêt.\n"
RUSSIAN = "Все счастливые семьи похожи друг на друга.\n"
CHINESE = "我家门前有一条小河，河水清清。春天来了，桥边的茶馆又开门了。\n"
SOUND = [
    FRENCH,
    RUSSIAN,
    CHINESE,
    "«Où êtes-vous, Âme pâle ?» 3 € — château, bâtiment\n",
    "NÃO SEI, IRMÃO: A MANHÃ E O CORAÇÃO. São 5 €.\n",
    "“It’s a naïve façade,” said Zoë—“œuvre™”.\n",
    "Ελληνικά, עברית, العربية, ไทย, 日本語、한국어 😀\n",
]


def misread(text: str, encoding: str, times: int = 1) -> str:
    for _ in range(times):
        if encoding == "windows-1252":
            text = "".join(
                bytes([b]).decode("latin-1" if b in b"\x81\x8d\x8f\x90\x9d" else "cp1252")
                for b in text.encode()
            )
        else:
            text = text.encode().decode(encoding, "ignore")
    return text


@pytest.mark.parametrize("text", SOUND)
def test_sound_text_is_none(text: str) -> None:
    assert mojibake(text * 50) is None


@pytest.mark.parametrize(
    ("text", "encoding", "times"),
    [
        (FRENCH, "windows-1252", 1),
        (FRENCH, "windows-1252", 2),
        (FRENCH, "windows-1252", 3),
        (RUSSIAN, "windows-1252", 1),
        (CHINESE, "windows-1252", 1),
        (RUSSIAN, "windows-1251", 1),
        (FRENCH, "mac-roman", 1),
        (FRENCH, "cp437", 1),
    ],
)
def test_what_was_misread_is_told_with_how_often(text: str, encoding: str, times: int) -> None:
    found = mojibake(misread(text, encoding, times) * 9)
    assert found is not None
    assert (found.encoding, found.times) == (encoding, times)
    assert found.meant in text
    assert found.example not in text


def test_it_is_told_whether_it_is_so_everywhere() -> None:
    spoilt = misread("déjà vu, l'été\n", "windows-1252")
    everywhere, here = mojibake(spoilt * 5), mojibake(spoilt * 5 + FRENCH * 5)
    assert everywhere is not None and everywhere.everywhere
    assert here is not None and not here.everywhere


def test_latin_1_is_told_from_windows_1252() -> None:
    found = mojibake("«Être» à Noël — ça\n".encode().decode("latin-1") * 5)
    assert found is not None
    assert (found.encoding, found.everywhere) == ("latin-1", True)


def test_what_no_single_encoding_reads_back_is_not_so_everywhere() -> None:
    """Programs that have a character for every byte make text that iconv cannot undo."""
    found = mojibake(misread("Álvaro dit “à”\n", "windows-1252") * 5)
    assert found is not None
    assert (found.encoding, found.everywhere) == ("windows-1252", False)
