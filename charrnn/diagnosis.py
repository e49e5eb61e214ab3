"""What a file is that is not the text it was given for, and the way to one that is."""

import contextlib
import difflib
import shlex
import zipfile
from pathlib import Path
from typing import BinaryIO

from charrnn.errors import TextError, UnreadableError
from charrnn.guess import for_iconv, guesses
from charrnn.unreadable import unreadable

_HEAD = 2**20  # bytes by which an encoding is guessed, and read at once
_AROUND = 2**14  # bytes before and after what cannot be read


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
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)

DECOMPRESSORS = {".gz": "gunzip -c", ".xz": "unxz -c", ".zst": "unzstd -c", ".bz2": "bunzip2 -c"}
"""What writes out a compressed file, by the end of its name."""

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
    marked = next((name for mark, name in _WIDE_MARKS if head.startswith(mark)), None)
    if marked is None and head[:4000].count(0) <= len(head[:4000]) // 4:
        return None
    found = [each for each in guesses(head) if each.encoding.startswith(("utf-16", "utf-32"))]
    if not found and marked is None:
        return TextError(
            f"{path}: is no text: {head.count(0) / len(head):.0%} of its bytes are NUL",
            "give a file with text in it; --encoding bytes takes anything",
        )
    encoding = found[0].encoding if found else str(marked)
    return UnreadableError(
        f"{path}: is {encoding.upper()}, not UTF-8 text",
        _as_utf8(path, encoding),
        [(f"as {each.encoding}", each.line) for each in found],
        _iconv(path, encoding),
    )


def not_decoded(
    path: Path, encoding: str, place: tuple[int, int], stream: BinaryIO
) -> UnreadableError:
    """The error for a file that is not in its encoding from a place on: its byte and line."""
    offset, line = place
    if encoding in ("utf-16", "utf-32") and not offset:
        return UnreadableError(
            f"{path}: does not begin with the byte-order mark of {encoding.upper()}",
            f"if it is {encoding.upper()}: --encoding {encoding}-le, or {encoding}-be",
            [],
        )
    stream.seek(max(0, offset - _AROUND))
    near = stream.read(2 * _AROUND)
    at = near[min(offset, _AROUND) :][:1]
    stream.seek(0)
    head = stream.read(_HEAD)
    stream.seek(0)
    found = unreadable(encoding, head, near, iter(lambda: stream.read(_HEAD), b""))
    what, conversion = f"0x{at[0]:02X}" if at else "cut short", ""
    if found.encoding == "utf-8" and encoding != "utf-8":
        hint = "all files of a corpus are read in one encoding: make the others UTF-8, with iconv"
    elif found.encoding is None:
        hint = "--encoding names another; --encoding bytes takes anything"
    elif found.broken:
        hint = f"to drop the broken bytes: {_iconv(path, found.encoding, '-c ')}"
    else:
        hint, conversion = _as_utf8(path, found.encoding), _iconv(path, found.encoding)
    return UnreadableError(
        f"{path}: not {encoding.upper()}: byte {offset:,} (line {line:,}) is {what}; {found.what}",
        hint,
        found.details,
        conversion,
    )


def _is(path: Path, what: str, command: str) -> TextError:
    return TextError(f"{path}: is {what}, not plain text", _way_out(path, command))


def _as_utf8(path: Path, encoding: str) -> str:
    """How a file of another encoding can be read, or made UTF-8."""
    reading = _filled(path, f"charrnn train {{name}} --encoding {encoding}")
    return f"{reading}; or make it UTF-8: {_iconv(path, encoding)}"


def _iconv(path: Path, encoding: str, flags: str = "") -> str:
    return _filled(
        path, f"iconv {flags}-f {for_iconv(encoding)} -t UTF-8 {{name}} > {{stem}}-utf8.txt"
    )


def _way_out(path: Path, command: str) -> str:
    if not command:
        return "give a file with text in it"
    return "get its text with: " + _filled(path, command)


def _filled(path: Path, command: str) -> str:
    """A command with the file's name in it, quoted for the shell; decompressed where it must be."""
    stem = path.with_suffix("")
    tool = DECOMPRESSORS.get(path.suffix)
    if tool and command.startswith("iconv "):
        return f"{tool} {shlex.quote(str(path))} | {_filled(stem, command.replace(' {name}', ''))}"
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
