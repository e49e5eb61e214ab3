"""Characters to ids and back.

Ids run from the commonest character to the rarest, equals by code point. A character
the vocabulary lacks has no id of its own; `encode` gives it V, one past the last.
"""

import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.errors import UsageError

CODE_POINTS = 0x110000 - 0x800
"""How many characters Unicode can name (the surrogates are not characters)."""

_TWINS = (
    "'\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4`",
    '"\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb',
    "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad",
    " \u00a0\u2002\u2003\u2007\u2009\u202f\u3000\t",
    ".\u3002\uff0e\u2024",
    ",\uff0c\u3001",
)
"""Characters that readers and keyboards take for one another."""


@dataclass(frozen=True)
class Vocabulary:
    """The characters a model knows, by id: V of them.

    Raises UsageError unless they are distinct single characters, and for an encoding, a
    normal form or a treatment of line ends that nothing here carries out.
    """

    characters: str
    encoding: str = "utf-8"
    """of the files the text came from"""
    normalization: str = "none"
    """the Unicode normal form text is brought to before it is encoded"""
    newlines: str = "keep"
    """what happens to line ends"""

    def __post_init__(self) -> None:
        try:
            distinct = np.unique(self._code_points)
        except UnicodeEncodeError:
            raise UsageError("a vocabulary cannot hold half a surrogate pair") from None
        if not self.characters or len(distinct) != len(self.characters):
            raise UsageError("a vocabulary must be one or more distinct characters")
        if (self.encoding, self.normalization, self.newlines) != ("utf-8", "none", "keep"):
            raise UsageError("a vocabulary of another encoding, normal form or line ends")

    def __len__(self) -> int:
        return len(self.characters)

    def __contains__(self, character: str) -> bool:
        return len(character) == 1 and character in self.characters

    @property
    def start(self) -> int:
        """The id that stands before a text's first character: newline, or the commonest."""
        return max(0, self.characters.find("\n"))

    @cached_property
    def _code_points(self) -> NDArray[np.uint32]:
        return code_points(self.characters)

    @cached_property
    def byte_lengths(self) -> NDArray[np.int64]:
        """The UTF-8 bytes of each character, (V,)."""
        return np.array([len(c.encode()) for c in self.characters], dtype=np.int64)

    def encode(self, text: str) -> NDArray[np.integer[Any]]:
        """Ids of a text of N characters, (N,), in the narrowest of uint8, uint16, uint32."""
        points = code_points(text)
        size = max(int(points.max(initial=0)), int(self._code_points.max())) + 1
        kind = narrowest(len(self))
        table = np.full(size, len(self), dtype=kind)
        table[self._code_points] = np.arange(len(self), dtype=kind)
        return table[points]

    def decode(self, ids: NDArray[np.integer[Any]]) -> str:
        """The text that ids (N,) stand for."""
        points: NDArray[np.uint32] = self._code_points[ids]
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
        return {
            "characters": self.characters,
            "encoding": self.encoding,
            "normalization": self.normalization,
            "newlines": self.newlines,
        }

    @staticmethod
    def from_json(data: object) -> "Vocabulary":
        """The vocabulary from what `to_json` gave; raises UsageError if it is not that."""
        names = ("characters", "encoding", "normalization", "newlines")
        if not isinstance(data, dict) or set(data) != set(names):
            raise UsageError(f"a vocabulary must have {', '.join(names)}")
        if not all(isinstance(value, str) for value in data.values()):
            raise UsageError("a vocabulary is made of texts")
        return Vocabulary(**data)


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
    return [group for group in groups if len(group) > 1]


def name(character: str) -> str:
    """A character as a person can read it on any terminal: itself, code point and name."""
    printable = character if character.isprintable() and character != " " else ""
    title = unicodedata.name(character, _CONTROL_NAMES.get(character, "unnamed"))
    return f"{printable} U+{ord(character):04X} {title.lower()}".strip()


_CONTROL_NAMES = {"\n": "newline", "\t": "tab", "\r": "carriage return", "\0": "nul"}
