"""How the bytes of a text become characters: its encoding, line ends, normal form and case.

A policy is recorded with every model and applied alike to its corpus, to prompts and to
texts that are scored. It works on a stream: a text read in pieces of any size is the text
read whole.
"""

import codecs
import unicodedata
from dataclasses import dataclass
from encodings.aliases import aliases

from charrnn.errors import UsageError

BYTES = "bytes"
"""The encoding of what need not be text: its characters are the 256 values of a byte."""

NEWLINES = ("keep", "lf")
NORMALIZATIONS = ("none", "nfc", "nfkc")

_NOT_OF_TEXT = {
    *("base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec"),
    *("zlib_codec", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"),
    *("undefined", "tactis"),
}
_UNNAMED = {"utf_8_sig", "koi8_t", "koi8_u", "cp1006", "cp720", "cp737", "cp856", "cp874", "cp875"}
_CODECS = {*aliases.values(), *_UNNAMED} - _NOT_OF_TEXT
_MARKS = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}
_MARK = "\ufeff"
_STRICT = ("utf-8", "utf-16", "utf-32", "latin-1", BYTES)  # never give half a surrogate pair


@dataclass(frozen=True)
class Reading:
    """A policy. Raises UsageError for one that nothing here carries out."""

    encoding: str = "utf-8"
    """a Python codec by the name that `canonical` gives it, or BYTES"""
    newlines: str = "keep"
    """one of NEWLINES: line ends as they are, or CR LF and CR as LF"""
    normalization: str = "none"
    """one of NORMALIZATIONS: the Unicode normal form"""
    lowercase: bool = False
    """each character by itself, so that a Σ is a σ wherever it stands"""

    def __post_init__(self) -> None:
        if self.encoding != canonical(self.encoding):
            raise UsageError(f"--encoding {self.encoding}: goes by another name")
        for flag, value, choices in (
            ("newlines", self.newlines, NEWLINES),
            ("normalize", self.normalization, NORMALIZATIONS),
        ):
            if value not in choices:
                raise UsageError(f"--{flag} {value[:40]!r}: must be one of {', '.join(choices)}")
        if self.encoding == BYTES and (self.normalization != "none" or self.lowercase):
            flag = "--lowercase" if self.lowercase else f"--normalize {self.normalization}"
            raise UsageError(f"{flag}: bytes are no characters", "leave it or --encoding bytes out")

    @property
    def is_plain(self) -> bool:
        """Whether a text is the UTF-8 that its file holds, but for a byte-order mark."""
        return self == Reading()

    def text_of(self, text: str) -> str:
        """What a text given as characters, such as a prompt, is read as."""
        if self.encoding == BYTES:
            text = text.encode("utf-8", "surrogateescape").decode("latin-1")
        transform = _Transform(self)
        return transform.feed(text) + transform.end()

    def utf8_of(self, text: str) -> bytes:
        """The bytes that stand for what was read: UTF-8, or where it is bytes they themselves."""
        return text.encode("latin-1" if self.encoding == BYTES else "utf-8")

    def __str__(self) -> str:
        changes = [] if self.newlines == "keep" else ["line ends LF"]
        changes += [] if self.normalization == "none" else [self.normalization.upper()]
        changes += ["lowercase"] if self.lowercase else []
        encoding = self.encoding if self.encoding == BYTES else self.encoding.upper()
        return ", ".join([encoding, *changes])


def canonical(encoding: str) -> str:
    """The one name of an encoding; raises UsageError for one that Python does not have."""
    if encoding.lower() == BYTES:
        return BYTES
    name = encoding.strip().lower().replace("-", "_").replace(" ", "_")
    name = aliases.get(name, name)
    if name not in _CODECS or len(encoding) > 40:
        raise UsageError(
            f"--encoding {encoding[:40]!r}: Python knows no such encoding of text",
            "such as utf-8, utf-16, windows-1252, gb18030, shift_jis; or bytes, for anything",
        )
    if name == "utf_8_sig":
        name = "utf_8"  # whose byte-order mark is left out in any case
    return {"cp1252": "windows-1252"}.get(name, name.replace("_", "-"))


class Decoder:
    """One file's bytes to text, piece by piece."""

    def __init__(self, reading: Reading) -> None:
        self.byte_order_mark = False
        """whether the file began with one; it is no part of the text"""
        self._reading = reading
        self._marks = _MARKS.get(reading.encoding, ())
        name = "latin-1" if reading.encoding == BYTES else reading.encoding
        self._decoder = codecs.getincrementaldecoder(name)("strict")
        self._read = 0  # bytes
        self._begun = False
        self._transform = _Transform(reading)

    def feed(self, data: bytes) -> str:
        """The text that is certain once `data` is read; raises UnicodeDecodeError.

        The error's `start` is the place of the byte in the whole file.
        """
        if not self._read:
            self.byte_order_mark = data.startswith(tuple(self._marks))
        return self._transform.feed(self._decoded(data, False))

    def end(self) -> str:
        """What is left of the text at the file's end; raises UnicodeDecodeError."""
        last = self._decoded(b"", True)
        return self._transform.feed(last) + self._transform.end()

    def _decoded(self, data: bytes, final: bool) -> str:
        waiting = self._decoder.getstate()[0]
        try:
            text = self._decoder.decode(data, final)
            if not (text.isascii() or self._reading.encoding.startswith(_STRICT)):
                _check_characters(text)
        except UnicodeDecodeError as error:
            error.start += self._read - len(waiting)
            raise
        except UnicodeError as error:  # of UTF-16 and UTF-32 without their mark
            name = self._reading.encoding
            raise UnicodeDecodeError(name, data[:1], 0, 1, str(error)) from None
        self._read += len(data)
        if not self._begun and text:
            self._begun = True
            if text[0] == _MARK and self._reading.encoding != BYTES:
                self.byte_order_mark = True
                text = text[1:]
        return text


def _check_characters(text: str) -> None:
    """Raise UnicodeDecodeError for half a surrogate pair, which some codecs let pass."""
    try:
        text.encode("utf-16-le")
    except UnicodeEncodeError as error:
        raise UnicodeDecodeError(error.encoding, b"\0", 0, 1, "half a surrogate pair") from None


class _Transform:
    """Line ends, normal form and case of a text that comes in pieces."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._return = ""  # a CR whose LF may yet come
        self._held: list[str] = []  # what may yet compose with what comes

    def feed(self, text: str) -> str:
        reading = self._reading
        if reading.newlines == "lf":
            text = self._return + text
            self._return = "\r" if text.endswith("\r") else ""
            text = _line_feeds(text.removesuffix("\r") if self._return else text)
        if reading.normalization == "none":
            return _lowered(text) if reading.lowercase else text
        cut = _boundary(text)
        if not cut:
            self._held.append(text)
            return ""
        whole = "".join([*self._held, text[:cut]])
        self._held = [text[cut:]]
        return self._normal(whole)

    def end(self) -> str:
        last = _line_feeds(self._return)
        self._return = ""
        if self._reading.normalization == "none":
            return _lowered(last) if self._reading.lowercase else last
        whole, self._held = "".join([*self._held, last]), []
        return self._normal(whole)

    def _normal(self, text: str) -> str:
        text = _normalized(text, self._reading.normalization)
        if self._reading.lowercase:  # which may undo it
            text = _normalized(_lowered(text), self._reading.normalization)
        return text


def _normalized(text: str, form: str) -> str:
    return unicodedata.normalize("NFC" if form == "nfc" else "NFKC", text)


def _line_feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _lowered(text: str) -> str:
    return text.replace("Σ", "σ").lower()  # a word's last Σ would depend on what follows it


def _boundary(text: str) -> int:
    """The last place in a text before which nothing composes with what is after it.

    0 where there is none. Unicode's normalization (UAX 15) composes marks, and vowels and
    final consonants of Hangul, with what is before them.
    """
    for place in range(len(text) - 1, 0, -1):
        first = unicodedata.normalize("NFKD", text[place])[0]
        if not (
            unicodedata.combining(first)
            or unicodedata.category(first)[0] == "M"
            or "\u1160" <= first <= "\u11ff"
        ):
            return place
    return 0
