"""The passages of a text that a model predicts worst and best."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.strips import Text, blocks

LENGTH = 120
"""characters of a passage"""

_STEP = 20  # characters; a passage begins at a multiple of it


class Passage(NamedTuple):
    """A stretch of a text."""

    start: int
    end: int
    nats_per_char: float


def passages(losses: NDArray[np.floating[Any]], most: int) -> tuple[list[Passage], list[Passage]]:
    """The passages of the highest mean loss and those of the lowest, of losses (N,).

    `most` of each, the most extreme first; no two have a character in common, so that a
    short text has fewer, and one of less than 4 * LENGTH none.
    """
    cells = len(losses) // _STEP
    width = LENGTH // _STEP
    most = min(most, cells // (4 * width))
    if not most:
        return [], []
    sums = losses[: cells * _STEP].reshape(cells, _STEP).sum(1, dtype=np.float64)
    through = np.concatenate([[0.0], np.cumsum(sums)])
    means = (through[width:] - through[:-width]) / LENGTH
    order = np.argsort(means, kind="stable")
    free = np.ones(cells, dtype=bool)
    hardest, easiest = (
        [
            Passage(cell * _STEP, cell * _STEP + LENGTH, float(means[cell]))
            for cell in _apart(cells_in_order, free, width, most)
        ]
        for cells_in_order in (order[::-1], order)
    )
    return hardest, easiest


def _apart(order: NDArray[np.intp], free: NDArray[np.bool_], width: int, most: int) -> list[int]:
    """The first `most` of some starts whose cells are all still free; they are taken."""
    found: list[int] = []
    for cell in map(int, order):
        if len(found) == most:
            break
        if free[cell : cell + width].all():
            free[cell : cell + width] = False
            found.append(cell)
    return found


def lines(text: Text, ends_line: NDArray[np.bool_], places: Sequence[int]) -> list[tuple[int, int]]:
    """In which line each of some places of a text is, and its which character, both from 1.

    `ends_line` says of each id (V+1,) whether a line ends with it.
    """
    found: dict[int, tuple[int, int]] = {}
    begun, line, start = 0, 1, 0  # where a block begins, the line there and where that begins
    for ids in blocks(text):
        ends = begun + np.flatnonzero(ends_line[ids]) + 1
        for place in places:
            if begun <= place < begun + len(ids):
                before = int(np.searchsorted(ends, place, "right"))
                first = int(ends[before - 1]) if before else start
                found[place] = (line + before, place - first + 1)
        begun += len(ids)
        line += len(ends)
        start = int(ends[-1]) if len(ends) else start
    return [found[place] for place in places]
