"""What a text costs in all and in blocks, with the price of characters a vocabulary lacks."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.intervals import BlockSums
from charrnn.strips import Text
from charrnn.tokenizer import CODE_POINTS, Ids, Vocabulary

_AT_ONCE = 2**20  # characters


class Prices(NamedTuple):
    """What characters cost on top of their losses, because of those the vocabulary lacks."""

    lacking: int
    """the id of a character that the vocabulary lacks"""
    known: float
    """nats, for not being one of them"""
    unknown: float
    """nats, for which one it is, and unless such ones are counted for being one"""
    counted: bool
    """whether characters that the vocabulary lacks are counted as one more"""

    @staticmethod
    def of(ids: Text, vocabulary: Vocabulary, escape: float) -> "Prices":
        """The prices in a text, ids (N,); a character that is not known has probability `escape`.

        They are those of evaluation: none where there is no such character.
        """
        lacking = vocabulary.lacking
        which = math.log(max(1, CODE_POINTS - lacking))
        if vocabulary.unknown or not any((part == lacking).any() for part in parts(ids)):
            return Prices(lacking, 0.0, which, vocabulary.unknown)
        return Prices(lacking, -math.log1p(-escape), which - math.log(escape), False)


def parts(ids: Text) -> Iterator[Ids]:
    """A text of N characters, some at a time."""
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : min(start + _AT_ONCE, len(ids))]


def spent(
    ids: Text, losses: Iterable[NDArray[np.float64]], prices: Prices
) -> tuple[float, tuple[float, ...]]:
    """The summed nats of a text (N,), and the mean of each of `intervals.block_edges`.

    `losses` are those of each of its `parts`, in nats.
    """
    nats, blocks, begun = 0.0, BlockSums(len(ids)), 0
    for part, found in zip(parts(ids), losses, strict=True):
        lacking = part == prices.lacking
        each = found + prices.known
        each[lacking] = prices.unknown + (found[lacking] if prices.counted else 0.0)
        nats += float(each.sum())
        blocks.add(np.arange(begun, begun + len(part)), each)
        begun += len(part)
    return nats, tuple(blocks.means().tolist())
