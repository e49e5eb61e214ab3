"""What a file is that is not the text it was given for, and the way to one that is."""

import contextlib
import difflib
import shlex
import zipfile
from pathlib import Path
from typing import BinaryIO

from charrnn.errors import TextError


def missing(path: Path) -> TextError:
    """The error for a file that is not there."""
    return TextError(f"{path}: no such file", _similar(path))


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
    (b"\x89PNG", "a PNG picture", ""),
    (b"\xff\xd8\xff", "a JPEG picture", ""),
    *((bytes([0x80, protocol]), "a Python pickle", "") for protocol in range(2, 6)),
)

_WIDE_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)

_ZIPPED = (
    ("word/", "a Word document (.docx)", "pandoc -t plain {name} -o {stem}.txt"),
    ("META-INF/container.xml", "an EPUB book", "pandoc -t plain {name} -o {stem}.txt"),
    ("content.xml", "an OpenDocument text", "pandoc -t plain {name} -o {stem}.txt"),
    ("", "a ZIP archive", "unzip {name}"),
)


def other_kind(path: Path, stream: BinaryIO) -> TextError | None:
    """The error that says what a file is by its first bytes, if it is known not to be text."""
    head = stream.read(8)
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(stream) as archive:
                inside = archive.namelist()
        except (OSError, ValueError, zipfile.BadZipFile):
            inside = []
        for part, what, command in _ZIPPED:
            if not part or any(entry.startswith(part) for entry in inside):
                return _is(path, what, command)
    for magic, what, command in _MAGIC:
        if head.startswith(magic):
            return _is(path, what, command)
    return None


def wide(path: Path, head: bytes) -> TextError | None:
    """The error that says that a file is UTF-16 or UTF-32, by its first bytes, if it is."""
    for mark, encoding in _WIDE_MARKS:
        if head.startswith(mark):
            return TextError(f"{path}: is {encoding}, not UTF-8 text", _as_utf8(path, encoding))
    order = _order_of_utf_16(head[:4000])
    if not order:
        return None
    return TextError(
        f"{path}: is UTF-16 or binary, not UTF-8 text",
        f"if it is text: {_as_utf8(path, f'UTF-16{order}', f'utf-16-{order.lower()}')}; "
        "anything is read with --encoding bytes",
    )


def not_decoded(path: Path, encoding: str, data: bytes, offset: int, line: int) -> TextError:
    """The error for `data`, the bytes at `offset` of a file, which are none of its encoding."""
    what = f"0x{data[0]:02X}" if data else "cut short"
    message = f"{path}: not {encoding.upper()}: byte {offset:,} (line {line:,}) is {what}"
    if encoding in ("utf-16", "utf-32") and not offset:
        return TextError(
            f"{path}: does not begin with the byte-order mark of {encoding.upper()}",
            f"if it is {encoding.upper()}: --encoding {encoding}-le, or {encoding}-be",
        )
    if encoding != "utf-8":
        return TextError(message, "--encoding names another; charrnn corpus info tries some")
    dropping = _filled(path, "iconv -c -f UTF-8 -t UTF-8 {name} > {stem}-utf8.txt")
    western = _as_utf8(path, "WINDOWS-1252")
    return TextError(
        message, f"if it is a Western text: {western}; to drop the broken bytes: {dropping}"
    )


def _is(path: Path, what: str, command: str) -> TextError:
    return TextError(f"{path}: is {what}, not plain text", _way_out(path, command))


def _as_utf8(path: Path, name: str, flag: str = "") -> str:
    """How a file of another encoding can be read, or made UTF-8."""
    command = _filled(path, f"iconv -f {name} -t UTF-8 {{name}} > {{stem}}-utf8.txt")
    reading = _filled(path, f"charrnn train {{name}} --encoding {flag or name.lower()}")
    return f"{reading}; or make it UTF-8: {command}"


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
