"""Characters to ids and back.

Ids run from the commonest character to the rarest, equals by code point. A character
the vocabulary lacks has no id of its own; `encode` gives it one past the last, which a
model may have learned to expect. Where the text is bytes, an id is the byte.
"""

import unicodedata
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.errors import UsageError
from charrnn.reading import BYTES, Reading

Ids = NDArray[np.integer[Any]]

PLAIN = Reading()
ALL_BYTES = bytes(range(256)).decode("latin-1")
"""The vocabulary of bytes."""

CODE_POINTS = 0x110000 - 0x800
"""How many characters Unicode can name (the surrogates are not characters)."""

LARGE_VOCABULARY = 10_000
"""Characters beyond which a text was probably read in another encoding than its own."""

_TWINS = (
    "'\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4`",
    '"\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb',
    "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad",
    " \u00a0\u2002\u2003\u2007\u2009\u202f\u3000\t",
    ".\u3002\uff0e\u2024",
    ",\uff0c\u3001",
)
"""Characters that readers and keyboards take for one another."""

_UNLIKE = ("\u00ab\u00bb", "\uff0c\u3001")
"""Twins of the same character of a keyboard that nobody takes for one another."""


@dataclass(frozen=True)
class Vocabulary:
    """The characters a model knows, by id: V of them, an id for rare ones included.

    Raises UsageError unless they are distinct single characters, or the 256 bytes.
    """

    characters: str
    reading: Reading = PLAIN
    """how the text came to be characters"""
    unknown: bool = False
    """whether the model learned an id, the last one, for characters too rare to be here"""

    def __post_init__(self) -> None:
        try:
            distinct = np.unique(self._code_points)
        except UnicodeEncodeError:
            raise UsageError("a vocabulary cannot hold half a surrogate pair") from None
        if not self.characters or len(distinct) != len(self.characters):
            raise UsageError("a vocabulary must be one or more distinct characters")
        if self.of_bytes and (self.unknown or self.characters != ALL_BYTES):
            raise UsageError("a vocabulary of bytes must be all of them, in order")

    def __len__(self) -> int:
        return len(self.characters) + self.unknown

    def __contains__(self, character: str) -> bool:
        return len(character) == 1 and character in self.characters

    @property
    def of_bytes(self) -> bool:
        """Whether a character is a byte, so that several may make one character of a text."""
        return self.reading.encoding == BYTES

    @property
    def start(self) -> int:
        """The id that stands before a text's first character: newline, or the commonest."""
        return max(0, self.characters.find("\n"))

    @property
    def lacking(self) -> int:
        """The id of a character that the vocabulary lacks: one past those it has."""
        return len(self.characters)

    @property
    def rare(self) -> int | None:
        """The id that a model learned for characters that the vocabulary lacks, if it did."""
        return self.lacking if self.unknown else None

    @cached_property
    def _code_points(self) -> NDArray[np.uint32]:
        return code_points(self.characters)

    @cached_property
    def _ids(self) -> NDArray[np.unsignedinteger[Any]]:
        """The id of every code point up to the largest, and of all beyond that."""
        kind = narrowest(self.lacking)
        table = np.full(int(self._code_points.max()) + 2, self.lacking, dtype=kind)
        table[self._code_points] = np.arange(self.lacking, dtype=kind)
        return table

    @cached_property
    def _ids_of_ascii(self) -> bytes | None:
        """The same as a table of 256 bytes, where an id fits into a byte."""
        if self.lacking > 0xFF:
            return None
        table = bytearray([self.lacking]) * 256
        known = self._ids[:256]
        table[: len(known)] = known.tobytes()
        return bytes(table)

    @cached_property
    def byte_lengths(self) -> NDArray[np.int64]:
        """The UTF-8 bytes of each character, (V,); one of the unknown is taken for 3."""
        if self.of_bytes:
            return np.ones(len(self), dtype=np.int64)
        lengths = [len(c.encode()) for c in self.characters] + [3] * self.unknown
        return np.array(lengths, dtype=np.int64)

    def encode(self, text: str) -> Ids:
        """Ids of a text of N characters, (N,), in the narrowest of uint8, uint16, uint32."""
        if self._ids_of_ascii is not None and text.isascii():
            return np.frombuffer(text.encode().translate(self._ids_of_ascii), dtype=np.uint8)
        return self._ids.take(code_points(text), mode="clip")

    def decode(self, ids: Ids) -> str:
        """The text that ids (N,) stand for; one that stands for none is U+FFFD."""
        known = np.append(self._code_points, np.uint32(0xFFFD))
        points: NDArray[np.uint32] = known[np.minimum(ids, self.lacking)]
        return points.astype("<u4").tobytes().decode("utf-32-le")

    def missing(self, text: str) -> list[str]:
        """The characters of a text that the vocabulary lacks, in order of appearance."""
        return [character for character in dict.fromkeys(text) if character not in self]

    def look_alike(self, character: str) -> str | None:
        """A character of this vocabulary that is easily taken for `character`."""
        bare = unicodedata.normalize("NFKD", character)[:1]
        candidates = [bare, bare.lower(), bare.upper(), character.lower(), character.upper()]
        for twins in _TWINS:
            if character in twins:
                candidates += twins
        return next((c for c in candidates if c != character and c in self), None)

    def to_json(self) -> dict[str, Any]:
        """The vocabulary as a dictionary that JSON can hold."""
        return {"characters": self.characters, **asdict(self.reading), "unknown": self.unknown}

    @staticmethod
    def from_json(data: object) -> "Vocabulary":
        """The vocabulary from what `to_json` gave; raises UsageError if it is not that."""
        names = {"characters", "unknown", *asdict(PLAIN)}
        if not isinstance(data, dict) or set(data) != names:
            raise UsageError(f"a vocabulary must have {', '.join(sorted(names))}")
        flags = [data[name] for name in ("unknown", "lowercase")]
        texts = [data[name] for name in names - {"unknown", "lowercase"}]
        if not all(isinstance(text, str) for text in texts):
            raise UsageError("a vocabulary is made of texts")
        if not all(isinstance(flag, bool) for flag in flags):
            raise UsageError("a vocabulary's flags are true or false")
        reading = Reading(**{name: data[name] for name in asdict(PLAIN)})
        return Vocabulary(data["characters"], reading, data["unknown"])


def code_points(text: str) -> NDArray[np.uint32]:
    """The Unicode code points of a text of N characters, (N,)."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def count_characters(text: str) -> list[tuple[str, int]]:
    """Each distinct character with its count, commonest first, equals by code point."""
    counts = np.bincount(code_points(text))
    present = np.flatnonzero(counts)
    order = np.argsort(-counts[present], kind="stable")
    return [(chr(point), int(counts[point])) for point in present[order]]


def narrowest(largest: int) -> type[np.unsignedinteger[Any]]:
    """The narrowest unsigned type that holds `largest`."""
    if largest <= 0xFF:
        return np.uint8
    return np.uint16 if largest <= 0xFFFF else np.uint32


def look_alikes(characters: str) -> list[str]:
    """The groups of easily confused characters of which a text holds two or more."""
    groups = ("".join(c for c in twins if c in characters) for twins in _TWINS)
    return [
        group
        for group in groups
        if len(group) > 1 and not any(set(group) <= set(unlike) for unlike in _UNLIKE)
    ]


def name(character: str) -> str:
    """A character as a person can read it on any terminal: itself, code point and name."""
    printable = character if character.isprintable() and character != " " else ""
    title = unicodedata.name(character, _CONTROL_NAMES.get(character, "unnamed"))
    return f"{printable} U+{ord(character):04X} {title.lower()}".strip()


_CONTROL_NAMES = {
    "\n": "newline",
    "\t": "tab",
    "\r": "carriage return",
    "\0": "nul",
    "\f": "form feed",
    "\v": "vertical tab",
    "\b": "backspace",
    "\a": "bell",
    "\x1b": "escape",
    "\x7f": "delete",
}
