"""What a temperature, top-k, top-p and min-p do to next-character probabilities.

They apply in this order: what is forbidden is left out; the logits are divided by the
temperature; then each cut to what the one before it left, rescaled to sum to one. Where
characters are equally likely the lower id counts as the likelier, so that a cut never keeps
more than it says. Where nothing is left allowed, the likeliest character is. All in float64,
and for one stream, (V,), as for many side by side, (V, B).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.settings import SamplingSettings

Probabilities = NDArray[np.float64]
Temperature = float | NDArray[np.float64]
"""Of all streams, or of each, (B,)."""

Mask = NDArray[np.bool_]
"""Which ids are forbidden, (V,) or (V, B)."""

Drawer = Callable[[NDArray[Any], float, Mask | None], int]
"""What draws an id from logits (V,), a number from [0, 1) and what is forbidden."""

_REACHED = 1 - 1e-12  # a share that is short of what is asked by rounding alone reaches it

_BLOCK = 256  # uniforms drawn at once


def probabilities(
    logits: NDArray[Any], settings: SamplingSettings, temperature: Temperature | None = None
) -> Probabilities:
    """The distribution a character is drawn from: logits to probabilities, (V,) or (V, B).

    `temperature` stands in for that of the settings.
    """
    p = soften(logits, settings.temperature if temperature is None else temperature)
    if settings.top_k:
        p = top_k(p, settings.top_k)
    if settings.top_p < 1.0:
        p = top_p(p, settings.top_p)
    if settings.min_p > 0.0:
        p = min_p(p, settings.min_p)
    return p


def allowed(logits: NDArray[Any], forbidden: Mask) -> NDArray[Any]:
    """The logits with minus infinity where they are forbidden, (V,) or (V, B).

    Where all are, the likeliest is allowed.
    """
    none_left = forbidden.all(axis=0)
    if none_left.any():
        likeliest = np.arange(len(logits)) == np.argmax(logits, axis=0)[..., None]
        forbidden = forbidden & ~(none_left & likeliest.T)
    return np.where(forbidden, -np.inf, logits)


def soften(logits: NDArray[Any], temperature: Temperature) -> Probabilities:
    """softmax(logits / temperature), (V,) or (V, B); 0 is the likeliest character alone."""
    return _to_one(_softened(logits, temperature))


def _softened(logits: NDArray[Any], temperature: Temperature) -> Probabilities:
    """The same, not scaled to one."""
    logits = logits.astype(np.float64)
    most, greedy = logits.max(axis=0), np.equal(temperature, 0.0)
    with np.errstate(over="ignore"):  # a tiny temperature sends all but the maximum to -inf
        p: Probabilities = np.exp((logits - most) / np.where(greedy, 1.0, temperature))
    if greedy.any():
        likeliest = np.arange(len(logits)) == np.argmax(logits, axis=0)[..., None]
        p = np.where(greedy, likeliest.T + 0.0 * most, p)  # what is no number stays none
    return p


def top_k(p: Probabilities, k: int) -> Probabilities:
    """Keep the k likeliest characters (Fan, Lewis and Dauphin 2018), (V,) or (V, B)."""
    return _kept(p, _by_likelihood(p), k)


def top_p(p: Probabilities, share: float) -> Probabilities:
    """Keep the fewest likeliest characters that sum to `share` (Holtzman et al. 2020)."""
    order = _by_likelihood(p)
    sums = np.cumsum(np.take_along_axis(p, order, axis=0), axis=0)
    return _kept(p, order, 1 + (sums < share * _REACHED).sum(axis=0))


def min_p(p: Probabilities, share: float) -> Probabilities:
    """Keep what is at least `share` as likely as the likeliest (Nguyen et al. 2024)."""
    return _to_one(np.where(p >= share * p.max(axis=0), p, 0.0))


def uniforms(seed: int, skipped: int = 0) -> Iterator[float]:
    """Numbers from [0, 1), 53 bits each, the same in every version of NumPy.

    Those after the first `skipped`.
    """
    source = np.random.PCG64(seed)
    source.advance(skipped)
    while True:
        yield from ((source.random_raw(_BLOCK) >> np.uint64(11)) * 2.0**-53).tolist()


def draw(p: Probabilities, uniforms: float | NDArray[np.float64]) -> NDArray[np.int64]:
    """The ids that numbers from [0, 1) draw by the inverse of the cumulative sums, () or (B,)."""
    return _drawn(p, np.cumsum(p, axis=0), uniforms)


def draw_each(
    logits: NDArray[Any],
    uniforms: NDArray[np.float64],
    settings: SamplingSettings,
    temperatures: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Draw for B streams from logits (V, B), numbers from [0, 1) and temperatures (B,) of each.

    Gives -1 where the logits are no numbers.
    """
    if _is_plain(settings):
        p = _softened(logits, temperatures)
    else:
        p = probabilities(logits, settings, temperatures)
    sums = np.cumsum(p, axis=0)
    # Of what is no number the sum is none either.
    return np.where(sums[-1] < np.inf, _drawn(p, sums, uniforms), -1)


def drawer(size: int, settings: SamplingSettings) -> Drawer:
    """What draws from V = `size` characters.

    It is drawn as `probabilities` has it. Gives -1 where the logits are no numbers.
    On the way numbers may overflow.
    """
    p, sums, temperature = np.empty(size), np.empty(size), settings.temperature
    plain = _is_plain(settings) and temperature > 0.0
    divisor = np.array(temperature)

    def drawn(logits: NDArray[Any], uniform: float, forbidden: Mask | None = None) -> int:
        """Without scaling to one, sorted once, and in buffers."""
        if forbidden is not None:
            logits = allowed(logits, forbidden)
        if plain:
            np.divide(logits, divisor, out=p)
            np.exp(p, out=p)
            np.add.accumulate(p, out=sums)
            if 1e-200 < sums[-1] < 1e200:
                return _found(p, sums, uniform)
        # Too large or too small for float64 as they are, or no numbers, or to be sorted.
        most = logits.max()
        if temperature == 0.0:
            return int(logits.argmax()) if np.isfinite(most) else -1
        np.subtract(logits, most, out=p, dtype=np.float64)
        if temperature != 1.0:
            np.divide(p, temperature, out=p)
        np.exp(p, out=p)
        if plain:
            np.add.accumulate(p, out=sums)
            if not sums[-1] < np.inf:  # which is no number, if any of them is none
                return -1
            return _found(p, sums, uniform)
        likeliest = _by_likelihood(p)
        if settings.top_k:
            likeliest = likeliest[: settings.top_k]
        if settings.top_p < 1.0:
            shares = p[likeliest].cumsum()
            needed = int(shares.searchsorted(settings.top_p * shares[-1] * _REACHED))
            likeliest = likeliest[: needed + 1]
        if settings.min_p > 0.0:
            likeliest = likeliest[p[likeliest] >= settings.min_p * p[likeliest[0]]]
        if not p.sum() < np.inf:
            return -1
        likeliest.sort()
        left = p[likeliest]
        return int(likeliest[_found(left, left.cumsum(), uniform)])

    return drawn


def _found(p: Probabilities, sums: Probabilities, uniform: float) -> int:
    """What `draw` gives, of one stream."""
    found = int(sums.searchsorted(uniform * sums[-1], side="right"))
    return found if found < len(p) and p[found] else int(np.flatnonzero(p)[-1])


def _is_plain(settings: SamplingSettings) -> bool:
    """Whether nothing is cut off."""
    return settings.top_k == 0 and settings.top_p == 1.0 and settings.min_p == 0.0


def _drawn(
    p: Probabilities, sums: Probabilities, uniforms: float | NDArray[np.float64]
) -> NDArray[np.int64]:
    found = (sums <= uniforms * sums[-1]).sum(axis=0)
    # A sum so small that its product rounds up would point past the last possible one.
    last: NDArray[np.int64] = len(p) - 1 - np.argmax(p[::-1] > 0.0, axis=0)
    drawn: NDArray[np.int64] = np.minimum(found, last)
    return drawn


def _by_likelihood(p: Probabilities) -> NDArray[np.intp]:
    return np.argsort(-p, axis=0, kind="stable")


def _kept(
    p: Probabilities, order: NDArray[np.intp], counts: int | NDArray[np.int64]
) -> Probabilities:
    """Of each stream the `counts` likeliest, () or (B,)."""
    ranks = np.arange(len(p)).reshape(-1, *(1,) * (p.ndim - 1))
    kept = np.zeros_like(p)
    np.put_along_axis(
        kept, order, np.where(ranks < counts, np.take_along_axis(p, order, axis=0), 0.0), axis=0
    )
    return _to_one(kept)


def _to_one(p: Probabilities) -> Probabilities:
    # Summed in order: the same for one stream as for one of many.
    scaled: Probabilities = p / np.cumsum(p, axis=0)[-1]
    return scaled
