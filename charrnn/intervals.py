"""How far a mean loss can be trusted: intervals by a bootstrap of blocks.

The losses of neighbouring characters resemble one another, because a hard word, a name or a
scene is hard for long. So characters are not drawn independently, whose interval would be far
too narrow, but in blocks (Carlstein 1986, which do not overlap; Künsch 1989 and Politis and
Romano 1994 for those that do): a text is cut into blocks, their means are taken for
independent, and the mean of as many of them, drawn with replacement, is taken again and again.

A block must be longer than losses resemble one another for, which in real texts has no end:
the longer the blocks, the wider the interval. So they are as long as can be: a text has no
more than `BLOCKS`. Of the means of so few the Student's t that widens the interval takes little
more than of many (Schmeiser 1982, who finds 10 to 30 to be enough).
"""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCKS = 30
FEWEST = 10
LEAST = 100  # characters in a block, if there are more than FEWEST
CONFIDENCE = 0.95

_RESAMPLES = 10_000
_SEED = 20_071  # the same draws every time, so that the same losses have the same interval


def block_length(characters: int) -> int:
    """About how many characters a block of a text of N has."""
    return max(1, characters // _blocks(characters))


def block_means(losses: ArrayLike) -> NDArray[np.float64]:
    """The mean of each block of losses (N,), in order: (30,), less of a text below 3,000.

    Fewer than 20 characters have none: (0,).
    """
    each = np.asarray(losses)
    edges = block_edges(len(each))
    if not len(edges):
        return np.empty(0)
    sums = np.add.reduceat(each, edges[:-1], dtype=np.float64)
    means: NDArray[np.float64] = sums / np.diff(edges)
    return means


class BlockSums:
    """The losses of a text of N characters, block by block, however they come."""

    def __init__(self, characters: int) -> None:
        self._edges = block_edges(characters)
        self._sums = np.zeros(max(0, len(self._edges) - 1))

    def add(self, places: NDArray[np.int64], losses: NDArray[np.floating[Any]]) -> None:
        """Count M losses, (M,), of characters at their places, (M,); each place once."""
        if len(self._sums):
            block = np.searchsorted(self._edges, places, "right") - 1
            self._sums += np.bincount(block, losses, len(self._sums))

    def means(self) -> NDArray[np.float64]:
        """The mean of each block, as `block_means` of all losses."""
        return self._sums / np.diff(self._edges) if len(self._sums) else np.empty(0)


def block_edges(characters: int) -> NDArray[np.int64]:
    """Where the blocks of a text of N characters begin, and N: (31,), less below 3,000.

    Fewer than 20 characters have none: (0,).
    """
    if characters < 2 * FEWEST:
        return np.empty(0, dtype=np.int64)
    blocks = _blocks(characters)
    return np.arange(blocks + 1) * characters // blocks


def interval(
    means: NDArray[np.float64], mean: float, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Between what `mean` lies, by the means of its blocks; None if there are too few.

    The percentiles of the mean of as many blocks, drawn with replacement, wider by
    √(n / (n - 1)) and by Student's t against the normal distribution, n being the blocks.
    """
    count = len(means)
    if count < FEWEST or not np.isfinite(means).all():
        return None
    drawn = np.random.default_rng(_SEED).integers(count, size=(_RESAMPLES, count), dtype=np.uint8)
    tail = (1 - confidence) / 2
    spread = np.quantile(means[drawn].mean(1), [tail, 1 - tail]) - means.mean()
    normal = NormalDist().inv_cdf(1 - tail)
    wider = _student(normal, count - 1) / normal * math.sqrt(count / (count - 1))
    low, high = mean + spread * wider
    return float(low), float(high)


def _blocks(characters: int) -> int:
    return min(max(characters // LEAST, FEWEST), BLOCKS)


def _student(normal: float, freedom: int) -> float:
    """The quantile of Student's t that the normal one belongs to (Fisher and Cornish 1960)."""
    z = normal
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
