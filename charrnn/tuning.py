"""How a model is to go on learning in dynamic evaluation, chosen on its training text.

What is chosen is what predicts the text's end best. A model has learned that already, and the
better it did, the less is left to learn from it: the rate found there is rather too small for
a text that the model has not seen.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from torch import Tensor

from charrnn.dynamic import Learning, gradient_sizes, score
from charrnn.errors import TextError
from charrnn.model import CharacterModel
from charrnn.strips import Text

CHOSEN_ON = 2**14  # characters
WINDOWS = (64, 32)
FIRST_RATE = 2e-4
DECAY = 1e-3

_FARTHEST = 2**3  # times the first rate, or that part of it
_SIZED_ON = 2**14  # characters
_PLACES = 16  # all over the text


class Tuned(NamedTuple):
    """The learning that was chosen."""

    learning: Learning
    sizes: list[Tensor]
    """s, by weight"""
    characters: int
    """of the end of the training text, that it was chosen on"""


def tune(
    model: CharacterModel,
    ids: Text,
    *,
    start: int,
    read: Callable[[int], object] = lambda _: None,
) -> Tuned:
    """The learning that predicts the last 16,384 characters of a training text (N,) best.

    For a T of 64, η is doubled and halved while that helps, and λ tried at the best; then
    the same for one of 32. `start` is the id before the text. `read` is told now and then
    how many characters were read. Raises TextError for a text shorter than a window.
    """
    if len(ids) <= max(WINDOWS):
        raise TextError(
            f"the training part has {len(ids)} characters, fewer than a window of {max(WINDOWS)}"
        )
    begin = max(0, len(ids) - CHOSEN_ON)
    before = int(ids[begin - 1 : begin][0]) if begin else start
    end = ids[begin : len(ids)]
    found: list[tuple[float, Learning, list[Tensor]]] = []
    rate = FIRST_RATE
    for window in WINDOWS:
        windows = min(_SIZED_ON // _PLACES, len(ids)) // window
        places = min(_PLACES, len(ids) // (windows * window))
        begins = np.linspace(0, len(ids) - windows * window, places).astype(int).tolist()
        sizes = gradient_sizes(model, ids, window, begins, windows, start=start, read=read)
        nats, learning = _tune_window(model, end, sizes, window, rate, before, read)
        found.append((nats, learning, sizes))
        rate = learning.rate
    _, learning, sizes = min(found, key=lambda each: each[0])
    return Tuned(learning, sizes, len(end))


def _tune_window(
    model: CharacterModel,
    ids: Text,
    sizes: list[Tensor],
    window: int,
    rate: float,
    start: int,
    read: Callable[[int], object],
) -> tuple[float, Learning]:
    """The nats that a text costs with the best learning in windows of T, and that learning."""
    costs: dict[Learning, float] = {}

    def cost(rate: float, decay: float = 0.0) -> float:
        learning = Learning(window, rate, decay)
        nats = score(model, ids, sizes, learning, start=start, byte_count=0, scored=read).nats
        costs[learning] = nats if math.isfinite(nats) else math.inf
        return costs[learning]

    cost(climb(cost, rate), DECAY)
    best = min(costs, key=costs.__getitem__)
    return costs[best], best


def climb(cost: Callable[[float], float], first: float) -> float:
    """The cheapest of a first value's doubles and halves, on the way downhill from it."""
    costs = {first: cost(first)}
    for factor in 2.0, 0.5:
        while True:
            best = min(costs, key=costs.__getitem__)
            value = best * factor
            if value in costs or not first / _FARTHEST <= value <= first * _FARTHEST:
                break
            costs[value] = cost(value)
    return min(costs, key=costs.__getitem__)
