"""Text files to text, or in words what a file is instead."""

import contextlib
import difflib
import io
import shlex
import zipfile
from dataclasses import dataclass
from pathlib import Path

from charrnn.errors import TextError
from charrnn.files import sha256


@dataclass(frozen=True)
class Text:
    """One file's text, and what proves later that it is still the same."""

    path: Path
    characters: str
    bytes: int
    sha256: str
    """of the file's bytes"""
    byte_order_mark: bool
    """whether the file began with one; it is no part of the text"""


def read_text(path: Path) -> Text:
    """The text of a UTF-8 file; its line ends are kept as they are.

    Raises TextError where the file is missing, empty, or not UTF-8 text.
    """
    return decode(path, _read(path))


def decode(path: Path, data: bytes) -> Text:
    """The text that the bytes of a file are; raises as `read_text`."""
    if not data:
        raise TextError(f"{path}: the file is empty", "give a file with text in it")
    kind = _other_kind(path, data)
    if kind:
        what, way_out = kind
        raise TextError(f"{path}: is {what}, not plain text", way_out)
    order = _order_of_utf_16(data[:4000])
    if order:
        raise TextError(
            f"{path}: is UTF-16 or binary, not UTF-8 text",
            "if it is text: "
            + _filled(path, f"iconv -f UTF-16{order} -t UTF-8 {{name}} > {{stem}}-utf8.txt"),
        )
    marked = data.startswith(b"\xef\xbb\xbf")
    try:
        characters = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, data, error.start + 3 * marked) from None
    if not characters:
        raise TextError(
            f"{path}: the file holds a byte-order mark and no text", "give a file with text in it"
        )
    return Text(path, characters, len(data), sha256(data), marked)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise TextError(f"{path}: no such file", _similar(path)) from None
    except IsADirectoryError:
        raise TextError(
            f"{path}: is a directory", f"name the files in it, for example {path}/*.txt"
        ) from None
    except OSError as error:
        raise TextError(f"{path}: {error.strerror}", "check the file's permissions") from None


def _similar(path: Path) -> str:
    places = [path.parent, Path("corpora")]
    present: list[Path] = []
    for place in places:
        with contextlib.suppress(OSError):
            present += [file for file in place.iterdir() if file.is_file()]
    names = {file.name: file for file in present}
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {names[close[0]]}?"
    return "charrnn corpus list shows the texts in corpora/; corpus build makes one"


_MAGIC = (
    (b"%PDF", "a PDF", "pdftotext {name} {stem}.txt"),
    (b"{\\rtf", "an RTF document", "pandoc -t plain {name} -o {stem}.txt"),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "soffice --convert-to txt {name}"),
    (b"\x1f\x8b", "gzip-compressed", "gunzip -c {name} > {stem}"),
    (b"\xfd7zXZ\x00", "xz-compressed", "unxz -c {name} > {stem}"),
    (b"(\xb5/\xfd", "zstd-compressed", "unzstd -c {name} > {stem}"),
    (b"BZh", "bzip2-compressed", "bunzip2 -c {name} > {stem}"),
    (b"\xff\xfe\x00\x00", "UTF-32", "iconv -f UTF-32 -t UTF-8 {name} > {stem}-utf8.txt"),
    (b"\x00\x00\xfe\xff", "UTF-32", "iconv -f UTF-32 -t UTF-8 {name} > {stem}-utf8.txt"),
    (b"\xff\xfe", "UTF-16", "iconv -f UTF-16 -t UTF-8 {name} > {stem}-utf8.txt"),
    (b"\xfe\xff", "UTF-16", "iconv -f UTF-16 -t UTF-8 {name} > {stem}-utf8.txt"),
    (b"\x89PNG", "a PNG picture", ""),
    (b"\xff\xd8\xff", "a JPEG picture", ""),
    *((bytes([0x80, protocol]), "a Python pickle", "") for protocol in range(2, 6)),
)

_ZIPPED = (
    ("word/", "a Word document (.docx)", "pandoc -t plain {name} -o {stem}.txt"),
    ("META-INF/container.xml", "an EPUB book", "pandoc -t plain {name} -o {stem}.txt"),
    ("content.xml", "an OpenDocument text", "pandoc -t plain {name} -o {stem}.txt"),
    ("", "a ZIP archive", "unzip {name}"),
)


def _other_kind(path: Path, data: bytes) -> tuple[str, str] | None:
    """What a file is by its first bytes, and the command that makes text of it."""
    if data.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                inside = archive.namelist()
        except (OSError, zipfile.BadZipFile):
            inside = []
        for part, what, command in _ZIPPED:
            if not part or any(entry.startswith(part) for entry in inside):
                return what, _way_out(path, command)
    for magic, what, command in _MAGIC:
        if data.startswith(magic):
            return what, _way_out(path, command)
    return None


def _way_out(path: Path, command: str) -> str:
    if not command:
        return "give a file with text in it"
    return "get its text with: " + _filled(path, command)


def _filled(path: Path, command: str) -> str:
    """A command with the file's name in it, quoted for the shell."""
    stem = path.with_suffix("")
    names = {
        "{stem}-utf8.txt": f"{stem}-utf8.txt",
        "{stem}.txt": f"{stem}.txt",
        "{stem}": stem,
        "{name}": path,
    }
    for target in "{stem}.txt", "{stem}":  # never the file itself
        if str(names[target]) == str(path):
            names[target] = f"{stem}-text.txt"
    return " ".join(shlex.quote(str(names[w])) if w in names else w for w in command.split(" "))


def _order_of_utf_16(start: bytes) -> str:
    """The byte order, where so many bytes are NUL that it may be UTF-16, or nothing."""
    even, odd = start[::2].count(0), start[1::2].count(0)
    if even + odd <= len(start) // 4:
        return ""
    return "LE" if odd >= even else "BE"


def _not_utf8(path: Path, data: bytes, offset: int) -> TextError:
    line = data.count(b"\n", 0, offset) + 1
    western = _filled(path, "iconv -f WINDOWS-1252 -t UTF-8 {name} > {stem}-utf8.txt")
    dropping = _filled(path, "iconv -c -f UTF-8 -t UTF-8 {name} > {stem}-utf8.txt")
    return TextError(
        f"{path}: not UTF-8: byte {offset:,} (line {line:,}) is 0x{data[offset]:02X}",
        f"if it is a Western text: {western}; to drop the broken bytes: {dropping}",
    )
