"""A character n-gram model: counts of a text, smoothed by interpolated modified Kneser-Ney.

A gram of k characters is its row among the distinct ones of that length, sorted by (row of
its first k - 1 characters, last character); so every text of any length is looked up
exactly, with sorted integers alone.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

ORDERS = (1, 2, 3, 4, 5, 6, 7, 8)
"""The lengths of grams to choose from."""

_LEAST_DISCOUNT = 0.1  # so that in a tiny text, too, what was never seen stays possible
_USUAL_DISCOUNT = 0.75  # where there is too little text to estimate one from


class Level(NamedTuple):
    """The grams of k characters, U of them, and how likely each one's last character is."""

    keys: NDArray[np.int64]
    """sorted, (U,): row of the first k - 1 characters * V + last character"""
    raw: tuple[Floats, Floats]
    """by counts, for the longest grams: a gram's share (U,), its context's rest (U',)"""
    distinct: tuple[Floats, Floats]
    """the same by the number of different characters before it, for shorter grams"""


class Ngram:
    """What a text says of each next character after the k - 1 before it, for each k.

    p_k(c | context) = max(C - D_C, 0) / C(context) + rest(context) p_{k-1}(c | shorter
    context), p_0 = 1/V: C counts the gram where it is of the longest kind, and otherwise
    the different characters that it follows; D_1, D_2 and D_3+ are estimated from how many
    grams there are of each count (Chen and Goodman 1998, eq. 25 and 26).
    """

    def __init__(self, ids: Ids, vocabulary_size: int, longest: int) -> None:
        """Count a text of N characters, ids (N,) below V, in grams of up to `longest`."""
        self.vocabulary_size = vocabulary_size
        self.levels: list[Level] = []
        count = len(ids)
        contexts, found = 1, _distinct(ids.astype(np.int64))
        for k in range(1, min(longest, count) + 1):
            keys, rows, _, counts = found
            # One character more to the left: where those differ is what shorter grams count.
            if k < count:
                found = _distinct(rows[:-1] * vocabulary_size + ids[k:])
                different = np.bincount(rows[1:][found[2]], minlength=len(keys))
            else:
                different = np.zeros(len(keys), np.int64)
            before = keys // vocabulary_size
            self.levels.append(
                Level(keys, _shares(counts, before, contexts), _shares(different, before, contexts))
            )
            contexts = len(keys)

    def losses(self, ids: Ids, before: Ids, orders: Sequence[int]) -> dict[int, Floats]:
        """Each character's loss in nats, (N,), by the length of the longest grams.

        `before` (M,) is what stands before the first character. An id of V, a character
        that is none of the vocabulary's, is in no gram; its own loss is infinite.
        """
        longest = min(max(orders), len(self.levels))
        before = before[max(0, len(before) - longest + 1) :]
        text = np.concatenate([before, ids]).astype(np.int64)
        skipped = len(before)
        known = text < self.vocabulary_size
        lower = np.where(known, 1 / self.vocabulary_size, 0.0)
        rows = np.zeros(len(text) + 1, np.int64)  # -1: there is no such gram
        found = {0: lower}
        for k, level in enumerate(self.levels[:longest], 1):
            context = rows[:-1]
            keys = np.where(known & (context >= 0), context * self.vocabulary_size + text, -1)
            place = np.minimum(np.searchsorted(level.keys, keys), len(level.keys) - 1)
            row = np.where(level.keys[place] == keys, place, -1)
            found[k] = _interpolated(level.raw, row, context, lower)
            lower = _interpolated(level.distinct, row, context, lower)
            rows = np.concatenate([[-1], row])
        with np.errstate(divide="ignore"):
            return {k: -np.log(found[min(k, longest)][skipped:]) for k in orders}


def choose_order(ids: Ids, vocabulary_size: int, orders: Sequence[int] = ORDERS) -> int:
    """The length of grams that predicts the last tenth of a text best, counted on the rest."""
    cut = len(ids) - len(ids) // 10
    counted, rest = ids[:cut], ids[cut:]
    if not len(rest):
        return min(orders)
    losses = Ngram(counted, vocabulary_size, max(orders)).losses(rest, counted, orders)
    return min(orders, key=lambda order: (float(losses[order].sum()), order))


def unigram_losses(counted: Ids, ids: Ids, vocabulary_size: int) -> Floats:
    """Each character's loss, (N,), by how often each was counted, and half a time more.

    An id of V costs infinitely much (Krichevsky and Trofimov 1981).
    """
    counts = np.bincount(counted, minlength=vocabulary_size) + 0.5
    losses = math.log(counts.sum()) - np.log(np.append(counts, 1.0))
    losses[vocabulary_size] = np.inf
    found: Floats = losses[ids]
    return found


def _distinct(
    keys: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The U distinct ones of N keys, sorted; each key's row among them (N,); by row, a place
    where it stands and how often it does, (U,).
    """
    order = np.argsort(keys)
    ordered = keys[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(keys)]
    starts = np.flatnonzero(first)
    rows = np.empty(len(keys), np.int64)
    rows[order] = np.cumsum(first) - 1
    return ordered[starts], rows, order[starts], np.diff(starts, append=len(keys))


def _shares(
    counts: NDArray[np.int64], context: NDArray[np.int64], contexts: int
) -> tuple[Floats, Floats]:
    """Each gram's discounted share of its context (U,), and what each context has left (U',)."""
    discount = _discounts(counts)[np.minimum(counts, 3)]
    total = np.bincount(context, counts, contexts)
    left = np.bincount(context, discount, contexts)
    seen = total > 0
    rest = np.ones(contexts)
    rest[seen] = left[seen] / total[seen]
    return (counts - discount) / np.maximum(total, 1)[context], rest


def _discounts(counts: NDArray[np.int64]) -> Floats:
    """What is taken from grams counted 0, 1, 2 and more times, (4,)."""
    grams = np.bincount(np.minimum(counts, 5), minlength=6).astype(float)
    found = np.array([0.0, *[_USUAL_DISCOUNT] * 3])
    if grams[1:5].all():
        y = grams[1] / (grams[1] + 2 * grams[2])
        for n in 1, 2, 3:
            estimate = n - (n + 1) * y * grams[n + 1] / grams[n]
            found[n] = min(max(estimate, _LEAST_DISCOUNT), n)
    return found


def _interpolated(
    shares: tuple[Floats, Floats], row: NDArray[np.int64], context: NDArray[np.int64], lower: Floats
) -> Floats:
    """Probabilities (N,) from those of one character less: a row or context of -1 is none."""
    own, rest = shares
    return np.where(row >= 0, own[row], 0.0) + np.where(context >= 0, rest[context], 1.0) * lower
