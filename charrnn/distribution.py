"""What temperature, top-k, top-p and min-p do to next-character probabilities.

They apply in that order: the temperature to the logits, then each cut to what the one
before it left, rescaled to sum to one. Where characters are equally likely the lower id
counts as the likelier, so that a cut never keeps more than it says. All in float64.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.settings import SamplingSettings

Probabilities = NDArray[np.float64]


def probabilities(logits: NDArray[Any], settings: SamplingSettings) -> Probabilities:
    """The distribution a character is drawn from: logits (V,) to probabilities (V,)."""
    p = soften(logits, settings.temperature)
    if settings.top_k:
        p = top_k(p, settings.top_k)
    if settings.top_p < 1.0:
        p = top_p(p, settings.top_p)
    if settings.min_p > 0.0:
        p = min_p(p, settings.min_p)
    return p


def soften(logits: NDArray[Any], temperature: float) -> Probabilities:
    """softmax(logits / temperature), (V,); temperature 0 is the likeliest character alone."""
    logits = logits.astype(np.float64)
    if temperature == 0.0:
        return _one_hot(len(logits), int(np.argmax(logits)))
    with np.errstate(over="ignore"):  # a tiny temperature sends all but the maximum to -inf
        p: Probabilities = np.exp((logits - logits.max()) / temperature)
    return _to_one(p)


def top_k(p: Probabilities, k: int) -> Probabilities:
    """Keep the k likeliest characters (Fan, Lewis and Dauphin 2018), (V,)."""
    return _kept(p, _by_likelihood(p)[:k])


def top_p(p: Probabilities, share: float) -> Probabilities:
    """Keep the fewest likeliest characters that sum to `share` (Holtzman et al. 2020), (V,)."""
    order = _by_likelihood(p)
    needed = int(np.searchsorted(np.cumsum(p[order]), share)) + 1
    return _kept(p, order[:needed])


def min_p(p: Probabilities, share: float) -> Probabilities:
    """Keep what is at least `share` as likely as the likeliest (Nguyen et al. 2024), (V,)."""
    return _kept(p, np.flatnonzero(p >= share * p.max()))


def draw(p: Probabilities, uniform: float) -> int:
    """The id that a number from [0, 1) draws, by the inverse of the cumulative sums."""
    sums = np.cumsum(p)
    drawn = int(np.searchsorted(sums, uniform * sums[-1], side="right"))
    # A sum so small that its product rounds up would point past the last possible one.
    return min(drawn, int(np.flatnonzero(p)[-1]))


def drawer(size: int, settings: SamplingSettings) -> Callable[[NDArray[Any], float], int]:
    """What draws an id from logits (V,) and a number from [0, 1), as `probabilities` has it.

    V = `size`. It gives -1 where the logits are no numbers.
    """
    plain = settings.top_k == 0 and settings.top_p == 1.0 and settings.min_p == 0.0
    if not plain or settings.temperature == 0.0:

        def defined(logits: NDArray[Any], uniform: float) -> int:
            if not np.isfinite(logits).all():
                return -1
            return draw(probabilities(logits, settings), uniform)

        return defined
    p, sums, temperature = np.empty(size), np.empty(size), settings.temperature

    def quick(logits: NDArray[Any], uniform: float) -> int:
        """The same without scaling to one, in buffers."""
        np.subtract(logits, logits.max(), out=p, dtype=np.float64)
        if temperature != 1.0:
            np.divide(p, temperature, out=p)
        np.exp(p, out=p)
        np.cumsum(p, out=sums)
        total = sums[-1]
        if not total < np.inf:  # which is no number, if any of them is none
            return -1
        drawn = int(sums.searchsorted(uniform * total, side="right"))
        return drawn if drawn < size and p[drawn] else int(np.flatnonzero(p)[-1])

    return quick


def _by_likelihood(p: Probabilities) -> NDArray[np.intp]:
    return np.argsort(-p, kind="stable")


def _kept(p: Probabilities, ids: NDArray[np.intp]) -> Probabilities:
    kept = np.zeros_like(p)
    kept[ids] = p[ids]
    return _to_one(kept)


def _to_one(p: Probabilities) -> Probabilities:
    scaled: Probabilities = p / p.sum()
    return scaled


def _one_hot(size: int, chosen: int) -> Probabilities:
    p = np.zeros(size)
    p[chosen] = 1.0
    return p
