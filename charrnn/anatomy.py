"""Where a model fails: losses by kind of character, by place in the line and in the word."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.kinds import ends_line, in_words, kinds
from charrnn.scores import Observed
from charrnn.strips import Text, blocks
from charrnn.tokenizer import Ids, Vocabulary

LINE_PLACES = ("1", "2", "3-4", "5-8", "9-16", "17-32", "33-64", "65-128", "129 on")
"""Characters of a line, counted from 1; its end is one of them."""

WORD_PLACES = (
    *("1st letter", "2nd", "3rd", "4th", "5th", "6th to 8th", "9th on"),
    *("after a word", "elsewhere"),
)
"""Letters of a word; the character that ends it; what is neither."""

_LAST_OF_LINE = np.array([1, 2, 4, 8, 16, 32, 64, 128])
_LAST_OF_WORD = np.array([1, 2, 3, 4, 5, 8])
_AFTER, _ELSEWHERE = 7, 8


class Anatomy:
    """Adds up the losses of a text of N characters, of which a byte each is kept."""

    def __init__(self, text: Text, vocabulary: Vocabulary) -> None:
        """Read a text, ids of the vocabulary's characters (N,)."""
        self._names, self._kinds = kinds(vocabulary)
        self._places = places(text, ends_line(vocabulary), in_words(vocabulary))
        self._by_kind = Sums(len(self._names))
        self._by_line = Sums(len(LINE_PLACES))
        self._by_word = Sums(len(WORD_PLACES))

    def add(self, observed: Observed) -> None:
        """Count how some characters were predicted, of the text or of what comes after it."""
        inside = observed.places < len(self._places)
        losses, right = observed.losses[inside], observed.right[inside]
        places = self._places[observed.places[inside]]
        self._by_kind.add(self._kinds[observed.targets[inside]], losses, right)
        self._by_line.add(places >> 4, losses, right)
        self._by_word.add(places & 15, losses, right)

    def to_json(self) -> dict[str, Any]:
        """Rows of `kinds`, costliest first, and of places in `line` and `word`, in order."""
        of_kinds = self._by_kind.rows("kind", self._names)
        return {
            "kinds": sorted(of_kinds, key=lambda row: -row["share_of_nats"]),
            "line": self._by_line.rows("place", LINE_PLACES),
            "word": self._by_word.rows("place", WORD_PLACES),
        }


class Sums:
    """Characters, nats and right guesses of G groups."""

    def __init__(self, groups: int) -> None:
        self._values = np.zeros((3, groups))

    def add(self, group: Ids, losses: NDArray[np.float32], right: NDArray[np.bool_]) -> None:
        """Count M characters, each of a group (M,)."""
        for values, weights in zip(self._values, (None, losses, right), strict=True):
            values += np.bincount(group, weights, len(values))

    def rows(self, called: str, names: Sequence[str]) -> list[dict[str, Any]]:
        """A row by the names of `--json` for each group that has characters."""
        characters, nats, _ = self._values.sum(1)
        return [
            {
                called: name,
                "characters": int(count),
                "share": count / characters,
                "share_of_nats": spent / nats if nats else 0.0,
                "nats_per_char": spent / count,
                "accuracy": right / count,
            }
            for name, count, spent, right in zip(names, *self._values.tolist(), strict=True)
            if count
        ]


def places(
    text: Text, ends_line: NDArray[np.bool_], in_words: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Where in its line and in its word each character of a text stands, (N,).

    16 * i + j is the i-th of LINE_PLACES and the j-th of WORD_PLACES. `ends_line` and
    `in_words` say of each id (V+1,) whether a line ends with it, and whether it is of a word.
    """
    found = np.empty(len(text), np.uint8)
    begun, in_line, in_word = 0, 0, 0  # before each block: characters of the text, line, word
    for ids in blocks(text):
        letters = in_words[ids]
        since_end = _since(ends_line[ids], in_line)
        since_space = _since(~letters, in_word)
        line = np.searchsorted(_LAST_OF_LINE, since_end + 1)
        letter = np.searchsorted(_LAST_OF_WORD, since_space + 1)
        word = np.where(letters, letter, np.where(since_space > 0, _AFTER, _ELSEWHERE))
        found[begun : begun + len(ids)] = 16 * line + word
        begun += len(ids)
        in_line = 0 if ends_line[ids[-1]] else int(since_end[-1]) + 1
        in_word = int(since_space[-1]) + 1 if letters[-1] else 0
    return found


def _since(ends: NDArray[np.bool_], before: int) -> NDArray[np.int64]:
    """How many characters stand between each (M,) and the last one before it that `ends`.

    Before the first of them stand `before` since such a one.
    """
    steps = np.arange(len(ends))
    last = np.where(ends, steps, -1 - before)
    latest = np.concatenate([[-1 - before], np.maximum.accumulate(last)[:-1]])
    since: NDArray[np.int64] = steps - latest - 1
    return since
