"""What scoring a text found, and what follows from it."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Observed(NamedTuple):
    """Some M characters of a text, and how they were predicted."""

    places: NDArray[np.int64]
    """(M,) where they stand in the text, in any order"""
    targets: NDArray[np.int64]
    """(M,) their ids"""
    losses: NDArray[np.float32]
    """(M,) nats"""
    confidence: NDArray[np.float32]
    """(M,) the probability of the model's first guess"""
    right: NDArray[np.bool_]
    """(M,) whether that was right"""
    rank5: NDArray[np.bool_]
    """(M,) whether one of its first five was"""


@dataclass(frozen=True)
class Score:
    """What scoring a text found."""

    nats: float
    """summed over the characters"""
    characters: int
    bytes: int
    """of the characters in UTF-8"""
    correct: int
    """characters that were the model's first guess"""
    unknown: int = 0
    """characters the vocabulary lacks"""
    correct_top5: int = 0
    """characters among the model's first five guesses"""

    @property
    def nats_per_char(self) -> float:
        """The cross-entropy, in nats per character."""
        return self.nats / self.characters

    @property
    def bits_per_char(self) -> float:
        """The same in bits."""
        return self.nats_per_char / math.log(2)

    @property
    def bits_per_byte(self) -> float:
        """Bits per UTF-8 byte, comparable between vocabularies."""
        return self.nats / math.log(2) / self.bytes

    @property
    def perplexity(self) -> float:
        """Between how many equally likely characters the model hesitates."""
        return math.exp(min(self.nats_per_char, 700.0))

    @property
    def accuracy(self) -> float:
        """The share of characters that were the model's first guess."""
        return self.correct / self.characters

    @property
    def accuracy_top5(self) -> float:
        """The share of characters that were among the model's first five guesses."""
        return self.correct_top5 / self.characters

    def to_json(self) -> dict[str, float]:
        """The score by the names that every `--json` uses."""
        return {
            "characters": self.characters,
            "nats_per_char": self.nats_per_char,
            "bits_per_char": self.bits_per_char,
            "bits_per_byte": self.bits_per_byte,
            "perplexity": self.perplexity,
            "accuracy": self.accuracy,
            "accuracy_top5": self.accuracy_top5,
        }


class Tally:
    """Adds up what is observed of a text; sums of nats are taken in float64."""

    def __init__(self, first_unknown: int, byte_lengths: NDArray[Any] | None) -> None:
        """Ids from `first_unknown` on are characters not known.

        `byte_lengths` are the UTF-8 bytes of a character by its id; of the ids after the
        last it is not known how many they are, and none are counted.
        """
        self._first_unknown = first_unknown
        self._byte_lengths = byte_lengths
        self._bytes = 0.0
        self._nats = 0.0
        self.characters = 0
        self._correct = self._correct_top5 = self._unknown = 0

    def add(self, observed: Observed) -> None:
        """Count some characters."""
        self._nats += float(observed.losses.sum(dtype=np.float64))
        self.characters += len(observed.targets)
        self._correct += int(observed.right.sum())
        self._correct_top5 += int(observed.rank5.sum())
        self._unknown += int((observed.targets >= self._first_unknown).sum())
        if self._byte_lengths is not None:
            counts = np.bincount(observed.targets, minlength=len(self._byte_lengths))
            self._bytes += float(counts[: len(self._byte_lengths)] @ self._byte_lengths)

    def score(self, byte_count: int | None) -> Score:
        """What was counted; the bytes, where they are known, are not those that were."""
        return Score(
            self._nats,
            self.characters,
            round(self._bytes) if byte_count is None else byte_count,
            self._correct,
            self._unknown,
            self._correct_top5,
        )
