"""The encoding of bytes that are not UTF-8, guessed from what they would say in each.

A text's likelihood in a language (`writing`) tells Russian from what Russian in KOI8-R looks
like in Windows-1251. Bytes that are no text gain little in any of them over bytes drawn at
random.
"""

import codecs
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from charrnn.writing import CENTRAL, CYRILLIC, LANGUAGES, WESTERN, log_probability

LEAST_GAIN = 0.35
"""nats a byte that a text must gain over bytes drawn at random"""

_LOOKED_AT = 1 << 15  # bytes; more of them change nothing
_LINE = 72  # characters
_BROKEN = 20.0  # nats that a byte costs that cannot be read
_CUT = 10.0  # nats that a byte costs of a character that the end cuts off
_LATER = 0.5  # nats that an encoding must gain over one that is listed before it
_LEAST_SHARE = 0.6  # of the likeliest one's gain, in what else is likely

_CHINESE = ("Chinese", "traditional Chinese")
_OF_ASCII: tuple[tuple[str, Sequence[str]], ...] = (
    ("utf-8", LANGUAGES),
    ("windows-1252", WESTERN),
    ("gb18030", _CHINESE),
    *((name, ("traditional Chinese",)) for name in ("big5", "cp950", "big5hkscs")),
    *((name, ("Japanese",)) for name in ("shift_jis", "cp932", "euc-jp")),
    *((name, ("Korean",)) for name in ("euc-kr", "cp949")),
    *((name, CYRILLIC) for name in ("windows-1251", "koi8-r", "koi8-u")),
    *((name, CYRILLIC) for name in ("cp866", "iso-8859-5")),
    *((name, CENTRAL) for name in ("windows-1250", "iso-8859-2", "cp852")),
    *((name, ("Greek",)) for name in ("windows-1253", "iso-8859-7")),
    ("windows-1254", ("Turkish",)),
    ("windows-1255", ("Hebrew",)),
    *((name, ("Arabic",)) for name in ("windows-1256", "iso-8859-6")),
    ("tis-620", ("Thai",)),
    *((name, WESTERN) for name in ("iso-8859-15", "mac-roman", "cp850", "cp437")),
    ("mac-cyrillic", CYRILLIC),
)
"""Encodings of which ASCII is a part, the commoner first, and languages written in them."""

_WIDE = tuple((name, LANGUAGES) for name in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"))
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Guess:
    """An encoding in which bytes make sense."""

    encoding: str
    """by a name that `reading.canonical` takes"""
    line: str
    """a line as it would read, of 72 characters at most"""
    gain: float
    """nats a byte by which it is likelier than bytes drawn at random"""
    broken: int
    """places among those looked at that cannot be read in it"""


def guesses(sample: bytes) -> list[Guess]:
    """The encodings in which a text's first bytes make sense, likeliest first; none for no text.

    The sample may end within a character. An encoding in which it reads the same as in a
    likelier one is left out.
    """
    marked = next((name for mark, name in _MARKS if sample.startswith(mark)), None)
    wide = [(marked, LANGUAGES), *_WIDE] if marked else _WIDE
    tried = [*_tried(sample[:_LOOKED_AT], wide)]
    if not _is_binary(sample):
        tried += _tried(_beyond_ascii(sample), _OF_ASCII)
    tried.sort(key=lambda each: -each.gain)
    found: list[Guess] = []
    for guess in tried:
        if guess.gain < max(LEAST_GAIN, _LEAST_SHARE * tried[0].gain):
            break
        line = _line(sample, guess.encoding)
        if all(line != other.line for other in found):
            found.append(replace(guess, line=line))
    return found


def for_iconv(encoding: str) -> str:
    """What the command iconv calls an encoding."""
    wide = re.sub(r"^utf-(16|32)-", r"utf-\1", encoding)
    return {"mac-roman": "MACINTOSH", "latin-1": "LATIN1"}.get(encoding, wide.upper())


def _tried(data: bytes, encodings: Sequence[tuple[str, Sequence[str]]]) -> Iterator[Guess]:
    """What the bytes gain in each encoding, in the language in which they gain most."""
    for place, (encoding, languages) in enumerate(encodings if data else ()):
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        characters = Counter(decoder.decode(data).removeprefix("\ufeff"))
        broken = characters.pop("\ufffd", 0)
        total = max(log_probability(characters, each) for each in languages)
        total -= broken * _BROKEN * _BYTES.get(encoding[:6], 1) + place * _LATER
        total -= _CUT * len(decoder.getstate()[0])
        yield Guess(encoding, "", total / len(data) + math.log(256), broken)


_BYTES = {"utf-16": 2, "utf-32": 4}


def _is_binary(sample: bytes) -> bool:
    """Whether it holds more of the controls than text that contains ASCII ever does."""
    return len(_CONTROLS.findall(sample)) > len(sample) // 50


_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def _beyond_ascii(sample: bytes) -> bytes:
    """The words that are not ASCII: all others are the same in these encodings."""
    words, size = [], 0
    for found in _WORD.finditer(sample):
        if not found[0].isascii():
            end = b" " if found.end() < len(sample) else b""
            words.append(found[0] + end)
            size += len(words[-1])
            if size > _LOOKED_AT:
                break
    return b"".join(words)[:_LOOKED_AT]


# None of these encodings has other bytes within a character.
_WORD = re.compile(rb"[0-9@-\xff]+")


def _line(sample: bytes, encoding: str) -> str:
    """The first line that is not ASCII as it reads, or else the first that is not empty."""
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample).removeprefix("\ufeff")
    first = _BEYOND_ASCII.search(text) or _PRINTED.search(text)
    if not first:
        return ""
    start = max(text.rfind(end, 0, first.start()) for end in "\r\n") + 1
    shown = max(start, first.start() - _LINE // 2)
    line = re.split("[\r\n]", text[shown : shown + _LINE + 1])[0]
    line = line if len(line) <= _LINE else line[: _LINE - 1] + "…"
    return line.strip() if shown == start else "…" + line[1:].rstrip()


_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_PRINTED = re.compile(r"\S")
