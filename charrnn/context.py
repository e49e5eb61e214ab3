"""How far back a model looks: its loss where it may read no more than some characters.

A character is predicted after reading the k before it from a state of zeros. It is done at
some places, the same for every k, so that what less context costs is a difference of pairs:
one place is drawn at random from each of M equal stretches of the text.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from charrnn.guesses import Unknown, guesses
from charrnn.intervals import block_means, interval
from charrnn.model import CharacterModel
from charrnn.strips import Strips, Text
from charrnn.workers import Workers

LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
"""k, in characters"""
LITTLE = 0.01  # nats

_MOST, _FEWEST = 2_000, 200  # places
_MULTIPLICATIONS = 1.2e12  # half a minute or so
_SEED = 5_318
_ROWS = 256  # places side by side
_STEPS = 64
_LOGITS_AT_ONCE = 2**21


class Curve(NamedTuple):
    """The losses at M places by how much of what stands before them is read."""

    lengths: tuple[int, ...]
    """k, ascending"""
    losses: NDArray[np.float32]
    """(k, M) nats"""
    full: NDArray[np.float32]
    """(M,) with all of it read"""

    @property
    def costs(self) -> list[float]:
        """By length, what it costs to read no more than that, in nats per character."""
        return [float(each.mean(dtype=np.float64)) for each in self.losses - self.full]

    @property
    def reach(self) -> int | None:
        """The least k from which on all the rest gains less than 0.01 nats; None if none is."""
        found = None
        for length, cost in zip(reversed(self.lengths), reversed(self.costs), strict=True):
            if not cost < LITTLE:
                break
            found = length
        return found

    def to_json(self) -> dict[str, Any]:
        """The curve by the names that `--json` uses; a cost has its 95% interval."""
        rows = [
            {
                "characters": length,
                "nats_per_char": float(losses.mean(dtype=np.float64)),
                "cost": cost,
                "interval": interval(block_means(losses - self.full), cost),
            }
            for length, losses, cost in zip(self.lengths, self.losses, self.costs, strict=True)
        ]
        full = float(self.full.mean(dtype=np.float64)) if rows else None
        return {
            "places": len(self.full),
            "nats_per_char": full,
            "curve": rows,
            "reach": self.reach,
        }


def reading(characters: int, parameters: int, lengths: Sequence[int] = LENGTHS) -> int:
    """How many characters `curve` reads in a text of N."""
    fitting, places = _places(characters, parameters, lengths)
    return sum(fitting) * len(places)


def curve(
    model: CharacterModel,
    ids: Text,
    full: NDArray[np.float32],
    *,
    lengths: Sequence[int] = LENGTHS,
    escape: float = 0.0,
    rare: int | None = None,
    read: Callable[[int], object] = lambda _: None,
    workers: Workers | None = None,
) -> Curve:
    """The context curve on a text of which all losses were found with all the context, (N,).

    `escape` and `rare` are what they are at `evaluation.score`, but known characters pay for
    not being unknown whether the text has any or not: give 0 where it has none. `read` is
    told now and then how many characters were read. Workers, if given, share the places.
    Of lengths, those are left out that half the text has no room for.
    """
    fitting, places = _places(len(full), model.parameter_count, lengths)
    unknown = Unknown.of(model.vocabulary_size, escape, rare)
    each = [_losses(model, ids, places, length, unknown, read, workers) for length in fitting]
    shape = (len(fitting), len(places))
    return Curve(fitting, np.array(each, np.float32).reshape(shape), full[places])


def _places(
    characters: int, parameters: int, lengths: Sequence[int]
) -> tuple[tuple[int, ...], NDArray[np.int64]]:
    """The lengths, and where the characters stand that are predicted, ascending: (M,)."""
    fitting = tuple(sorted(length for length in lengths if 2 * length < characters))
    first = max(fitting, default=characters)  # it stands before every place
    affordable = int(_MULTIPLICATIONS / (parameters * max(1, sum(fitting))))
    count = min(max(affordable, _FEWEST), _MOST, characters - first)
    edges = first + np.arange(count + 1) * (characters - first) // max(1, count)
    found: NDArray[np.int64] = np.random.default_rng(_SEED).integers(edges[:-1], edges[1:])
    return fitting, found


def _losses(
    model: CharacterModel,
    ids: Text,
    places: NDArray[np.int64],
    length: int,
    unknown: Unknown,
    read: Callable[[int], object],
    workers: Workers | None,
) -> NDArray[np.float32]:
    """Each place's loss after its last `length` characters alone, (M,)."""
    device = model.get_parameter("output.bias").device
    rows = max(1, min(_ROWS, _LOGITS_AT_ONCE // model.vocabulary_size))
    steps = max(1, min(_STEPS, _LOGITS_AT_ONCE // (rows * model.vocabulary_size)))
    strips = Strips(ids, 0)
    found = np.empty(len(places), dtype=np.float32)

    def find(part: slice) -> NDArray[np.float32]:
        strip = torch.from_numpy(whole[:, part]).to(device)
        state = model.start(strip.shape[1])
        with torch.inference_mode():
            for first in range(0, length, steps):
                logits, state = model(strip[:-1][first : first + steps], state)
            last: NDArray[np.float32] = guesses(logits[-1:].float(), strip[-1:], unknown).losses[0]
            return last

    was_training = model.training
    model.eval()
    try:
        for first in range(0, len(places), rows):
            group = places[first : first + rows]
            whole = strips.read(group - length, length + 1)
            if workers and device.type == "cpu":
                several = workers.parts(len(group))
                parts = workers.map(find, several, weights=model.parameter_count)
            else:
                parts = [find(slice(0, len(group)))]
            found[first : first + rows] = np.concatenate(parts)
            read(length * len(group))
    finally:
        model.train(was_training)
    return found
