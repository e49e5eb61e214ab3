"""Texts: read as they are, or refused with what the file is and the way to its text."""

import bz2
import gzip
import io
import lzma
import pickle
import random
import re
import shlex
import subprocess
import zipfile
from pathlib import Path
from typing import BinaryIO

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import texts
from charrnn.errors import TextError
from charrnn.files import sha256
from charrnn.reading import Reading
from charrnn.texts import Pieces, decode, read_text

MARK = b"\xef\xbb\xbf"

characters = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def refusal(path: Path) -> TextError:
    with pytest.raises(TextError) as caught:
        read_text(path)
    error = caught.value
    assert error.exit_code == 1
    assert error.message.startswith(f"{path}: ")
    assert "\n" not in error.message + error.hint
    assert error.hint, "an error names a way out"
    return error


def zipped(*names: str) -> bytes:
    """A ZIP archive with these files in it."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, "some text")
    return data.getvalue()


# What is text


def test_a_text_is_read_as_it_is(tmp_path: Path) -> None:
    data = "Café “Zoë” 茶馆\n".encode()
    pieces = Pieces(write(tmp_path / "cafe.txt", data))
    assert "".join(pieces) == "Café “Zoë” 茶馆\n"
    text = pieces.text
    assert text.characters == 14
    assert text.path == tmp_path / "cafe.txt"
    assert text.bytes == len(data)
    assert text.sha256 == sha256(data)
    assert not text.byte_order_mark


@settings(deadline=None, max_examples=60)
@given(characters)
def test_any_text_comes_back_unchanged(characters: str) -> None:
    assert decode(Path("any.txt"), MARK + characters.encode()) == characters


def test_a_byte_order_mark_is_no_part_of_the_text_but_of_the_file(tmp_path: Path) -> None:
    data = MARK + b"hello\n"
    pieces = Pieces(write(tmp_path / "marked.txt", data))
    assert "".join(pieces) == "hello\n"
    text = pieces.text
    assert text.byte_order_mark
    assert text.bytes == len(data)
    assert text.sha256 == sha256(data)


def test_a_second_byte_order_mark_is_text(tmp_path: Path) -> None:
    assert read_text(write(tmp_path / "a.txt", MARK + MARK + b"a")) == "\ufeffa"


@pytest.mark.parametrize("ends", ["\r\n", "\r", "\n", "\u2028", "\x0b\x0c\x85"])
def test_line_ends_are_kept(ends: str, tmp_path: Path) -> None:
    written = f"one{ends}two{ends}"
    assert read_text(write(tmp_path / "a.txt", written.encode())) == written


@pytest.mark.parametrize("data", [b"a", b"\n", b" ", b"PK is no archive\n", b"%, $ and so on\n"])
def test_little_or_odd_text_is_text(data: bytes, tmp_path: Path) -> None:
    assert read_text(write(tmp_path / "a.txt", data)) == data.decode()


def test_a_single_nul_does_not_make_a_text_binary(tmp_path: Path) -> None:
    data = b"a line\n" * 20 + b"\0\n"
    assert read_text(write(tmp_path / "a.txt", data)) == data.decode()


# What is not there


def test_a_missing_file_is_named_and_a_similar_one_offered(tmp_path: Path) -> None:
    write(tmp_path / "hamlet.txt", b"To be\n")
    error = refusal(tmp_path / "hamlt.txt")
    assert "no such file" in error.message
    assert str(tmp_path / "hamlet.txt") in error.hint


def test_a_similar_text_in_corpora_is_offered_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("corpora").mkdir()
    write(Path("corpora") / "hamlet.txt", b"To be\n")
    assert "corpora/hamlet.txt" in refusal(Path("hamlet.txt")).hint


def test_where_nothing_is_similar_the_way_to_a_text_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("zzzzzz.csv"), b"1,2\n")
    assert "charrnn corpus list" in refusal(Path("hamlet.txt")).hint


def test_a_directory_of_that_name_is_no_similar_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hamlet").mkdir()
    assert "did you mean" not in refusal(tmp_path / "hamlet1").hint


def test_a_file_missing_from_a_missing_directory_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "no" / "hamlet.txt").message


def test_a_directory_is_said_to_be_one(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert "directory" in error.message
    assert f"{tmp_path}/*.txt" in error.hint


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: Path) -> BinaryIO:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(texts, "open_document", forbidden)
    error = refusal(tmp_path / "secret.txt")
    assert "Permission denied" in error.message
    assert "permissions" in error.hint


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    assert "empty" in refusal(write(tmp_path / "empty.txt", b"")).message


# What is not UTF-8


@pytest.mark.parametrize(
    ("before", "bad", "line"),
    [
        (b"", b"\xff", 1),
        (b"caf", b"\xe9 ", 1),
        (b"one\ntwo\nthr", b"\x80e\n", 3),
        (b"one\n" * 5000, b"\xc3(", 5001),
        ("é\n茶\n".encode(), b"\xed\xa0\x80", 3),
        (b"cut off in the middle ", "茶".encode()[:2], 1),
        (MARK + b"one\n", b"\xe9 ", 2),
    ],
)
def test_the_first_bad_byte_is_named_with_its_line(
    before: bytes, bad: bytes, line: int, tmp_path: Path
) -> None:
    data = before + bad + b" and so on\n"
    error = refusal(write(tmp_path / "latin.txt", data))
    assert "not UTF-8" in error.message
    assert f"byte {len(before):,} " in error.message
    assert f"line {line:,})" in error.message
    assert f"0x{bad[0]:02X}" in error.message


@settings(deadline=None, max_examples=60)
@given(characters, st.sampled_from([b"\xff", b"\xc0", b"\xfe"]), characters)
def test_the_byte_that_is_named_is_the_first_that_is_bad(
    before: str, bad: bytes, after: str
) -> None:
    with pytest.raises(TextError) as caught:
        # Text first, so that no byte-order mark and no other kind of file begins the data.
        decode(Path("x"), b"text " + before.encode() + bad + after.encode())
    offset = re.search(r"byte ([\d,]+)", caught.value.message)
    assert offset is not None
    assert int(offset[1].replace(",", "")) == len(b"text " + before.encode())


def test_a_western_text_gets_its_conversion_as_a_hint(tmp_path: Path) -> None:
    hint = refusal(write(tmp_path / "a.txt", "café, naïve".encode("latin-1"))).hint
    assert f"iconv -f WINDOWS-1252 -t UTF-8 {tmp_path / 'a.txt'}" in hint
    assert f"charrnn train {tmp_path / 'a.txt'} --encoding windows-1252" in hint


def test_utf_8_with_broken_bytes_gets_them_dropped(tmp_path: Path) -> None:
    error = refusal(write(tmp_path / "a.txt", "déjà vu, été\n".encode() * 9 + b"caf\xe9 au lait\n"))
    assert "it is UTF-8 but for 1 place, the first “caf<E9> au lait”" in error.message
    assert f"iconv -c -f UTF-8 -t UTF-8 {tmp_path / 'a.txt'} > " in error.hint


def test_a_compressed_file_is_decompressed_on_its_way(tmp_path: Path) -> None:
    path = tmp_path / "a b.txt.gz"
    path.write_bytes(gzip.compress("café, naïve".encode("latin-1")))
    command = refusal(path).hint.partition("UTF-8: ")[2]
    subprocess.run(["/bin/sh", "-ec", command], check=True)
    assert (tmp_path / "a b-utf8.txt").read_text(encoding="utf-8") == "café, naïve"


def test_a_place_far_into_a_file_decides_what_it_is(tmp_path: Path) -> None:
    data = b"plain words\n" * 120_000 + "Les élèves étaient là.\n".encode("cp1252")
    message = refusal(write(tmp_path / "a.txt", data)).message
    assert "byte 1,440,004 (line 120,001) is 0xE9; probably windows-1252: “" in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "text", ["Plain ASCII, as most English is.\n", "Un café, naïve, “voilà”.\n"]
)
def test_utf_16_and_utf_32_are_refused_with_and_without_a_mark(
    encoding: str, text: str, tmp_path: Path
) -> None:
    """Every second byte of ASCII in UTF-16 is NUL, which UTF-8 allows and no one means."""
    error = refusal(write(tmp_path / "notepad.txt", (text * 10).encode(encoding)))
    assert encoding[:6].upper() in error.message
    assert "iconv -f UTF-" in error.hint


@pytest.mark.parametrize("order", ["le", "be"])
def test_the_conversion_offered_for_utf_16_without_a_mark_is_the_right_one(
    order: str, tmp_path: Path
) -> None:
    data = ("Un café naïve.\n" * 10).encode(f"utf-16-{order}")
    assert f"iconv -f UTF-16{order.upper()} " in refusal(write(tmp_path / "a.txt", data)).hint


def test_a_mark_tells_the_order_of_utf_16(tmp_path: Path) -> None:
    for mark, order in (b"\xff\xfe", "le"), (b"\xfe\xff", "be"):
        data = mark + "hello".encode(f"utf-16-{order}")
        error = refusal(write(tmp_path / "a.txt", data))
        assert "is UTF-16," in error.message
        assert "iconv -f UTF-16 " in error.hint  # iconv reads the mark


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_mark_that_is_missing_is_told_with_the_flags_that_need_none(
    encoding: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.txt", "no mark".encode(f"{encoding}-be"))
    with pytest.raises(TextError, match="does not begin with the byte-order mark") as caught:
        read_text(path, Reading(encoding))
    assert f"{encoding}-be" in caught.value.hint
    assert read_text(path, Reading(f"{encoding}-be")) == "no mark"


# Compressed files

COMPRESSED = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
    "bz2": bz2.compress,
}


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("name", ["book.txt.{}", "book.txt"])
def test_a_compressed_file_is_the_text_in_it(kind: str, name: str, tmp_path: Path) -> None:
    data = ("Café 茶馆\n" * 3000).encode()
    pieces = Pieces(write(tmp_path / name.format(kind), COMPRESSED[kind](data)))
    assert "".join(pieces) == data.decode()
    assert (pieces.text.bytes, pieces.text.sha256) == (len(data), sha256(data))


@pytest.mark.parametrize("kind", COMPRESSED)
@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_compressed_file_that_is_damaged_is_refused(
    kind: str, damage: str, tmp_path: Path
) -> None:
    data = COMPRESSED[kind](bytes(random.Random(0).choices(b"abcdefgh", k=5000)))
    half = len(data) // 2
    broken = data[:half]
    if damage == "changed":
        broken += bytes([data[half] ^ 255]) + data[half + 1 :]
    error = refusal(write(tmp_path / f"book.{kind}", broken))
    assert "damaged or cut short" in error.message


def test_words_that_begin_as_a_compressed_file_does_are_text(tmp_path: Path) -> None:
    assert read_text(write(tmp_path / "a.txt", b"BZhang went home.")) == "BZhang went home."


# What is another kind of file

KINDS = [
    ("book.docx", zipped("[Content_Types].xml", "word/document.xml"), "Word", "pandoc"),
    ("book.epub", zipped("mimetype", "META-INF/container.xml", "ch1.xhtml"), "EPUB", "pandoc"),
    ("book.odt", zipped("mimetype", "META-INF/manifest.xml", "content.xml"), "Open", "pandoc"),
    ("texts.zip", zipped("hamlet.txt", "lear.txt"), "ZIP", "unzip"),
    ("cut.zip", zipped("hamlet.txt")[:40], "ZIP", "unzip"),
    ("book.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "PDF", "pdftotext"),
    ("book.rtf", rb"{\rtf1\ansi Hello}", "RTF", "pandoc"),
    ("book.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64), "Office", "soffice"),
    ("scan.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG", "text in it"),
    ("scan.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF", "JPEG", "text in it"),
    *(
        (f"data.{protocol}.pkl", pickle.dumps(["text"], protocol), "pickle", "text in it")
        for protocol in (2, 3, 4, 5)
    ),
]


@pytest.mark.parametrize(
    ("name", "data", "what", "way_out"), KINDS, ids=[name for name, *_ in KINDS]
)
def test_another_kind_of_file_is_called_by_its_name_with_a_way_to_its_text(
    name: str, data: bytes, what: str, way_out: str, tmp_path: Path
) -> None:
    error = refusal(write(tmp_path / name, data))
    assert what in error.message
    assert "not plain text" in error.message
    assert way_out in error.hint


@pytest.mark.parametrize(
    ("name", "data", "what", "way_out"), KINDS, ids=[name for name, *_ in KINDS]
)
def test_the_kind_is_told_by_what_is_inside_not_by_the_name(
    name: str, data: bytes, what: str, way_out: str, tmp_path: Path
) -> None:
    assert what in refusal(write(tmp_path / "hamlet.txt", data)).message


@pytest.mark.parametrize(
    ("name", "data", "what", "way_out"), KINDS, ids=[name for name, *_ in KINDS]
)
def test_bytes_that_come_from_no_file_are_told_as_well(
    name: str, data: bytes, what: str, way_out: str
) -> None:
    """As from a pipe: there is nothing at the path to look into."""
    with pytest.raises(TextError, match=what):
        decode(Path("stdin"), data)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("my book.docx", zipped("word/document.xml")),
        ("my book.txt", "café".encode("latin-1")),
        ("my book.txt", ("naïve é\n" * 10).encode("utf-16-le")),
    ],
)
def test_the_command_offered_can_be_pasted_whatever_the_name(
    name: str, data: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path / name, data)
    _, _, command = refusal(path).hint.partition(": ")
    assert str(path) in shlex.split(command)


def test_the_command_offered_does_not_write_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "hamlet.txt", "café".encode("latin-1"))
    hint = refusal(path).hint
    written = re.findall(r"> (\S+?)(?:;|$)", hint)
    assert written
    assert str(path) not in written


def test_a_name_with_braces_is_shown_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "{draft} {0}.pdf", b"%PDF-1.4\n")
    assert "{draft} {0}.pdf" in refusal(path).hint
