"""How well a model predicts a text: every character scored once, and what follows from it.

The text is cut into 32 contiguous stretches, scored side by side. Each is entered warm:
the 512 characters before it are read, unscored. The text's very first character follows
a newline (or the commonest character).

Or it is cut into windows entered cold, as nanoGPT's `estimate_loss` takes them (Karpathy 2022,
train.py): in a window of T the state begins at zero and T characters are read; predicted is
what follows each, so the i-th is predicted from i characters and the first one read is not
predicted there. nanoGPT draws its windows at random; here they follow one another, each
beginning with the last character of the one before, and the last may be shorter, so that
every character is scored once and each place in a window counts alike.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charrnn.guesses import Guesses, Unknown, guesses
from charrnn.model import CharacterModel, ModelState
from charrnn.scores import Observed, Score, Tally
from charrnn.strips import Strips, Text, blocks
from charrnn.workers import Workers

STRETCHES = 32
WARM = 512  # characters

_LOGITS_AT_ONCE = 2**21
_STEPS_AT_ONCE = 128  # more would only take memory
_COLD_AT_ONCE = 2**14  # characters, of windows side by side

Result = TypeVar("Result")


def score(
    model: CharacterModel,
    ids: Text,
    *,
    start: int,
    byte_count: int | None = None,
    byte_lengths: NDArray[Any] | None = None,
    escape: float = 0.0,
    rare: int | None = None,
    exact: bool = False,
    window: int | None = None,
    most: int | None = None,
    chunk: int | None = None,
    precision: str = "fp32",
    losses: NDArray[np.float32] | None = None,
    observe: Callable[[Observed], object] | None = None,
    scored: Callable[[int], object] = lambda _: None,
    workers: Workers | None = None,
) -> Score:
    """Score a text of N characters, ids (N,); an id of V is a character not known.

    `start` is the id before the first character. The UTF-8 bytes are `byte_count`, the
    whole text's, or the sum of `byte_lengths` (V,), or (V+1,) with an unknown character's.
    `exact` reads the text as one stream, `window` in windows of so many characters, each
    entered cold; `most` scores about so many characters, here and there all over the text.
    `chunk` is how many steps are taken at once, `precision` that of the matrix products.
    `losses`, if given, is filled with each character's loss in nats, as far as it reaches
    into the text. `observe` is shown all characters, some at a time. `scored` is told
    after each chunk how many characters it was; what it raises ends the scoring.
    Workers, if given, share the stretches.

    An unknown character costs what it takes to say that it is one (probability `escape`)
    and which (one of all the others in Unicode); where a text has any, the known ones pay
    for not being one: together they remain a probability distribution. A model trained to
    expect unknown characters says itself how likely one is: it is the id `rare`, V-1, and
    there is no `escape`.
    """
    unknown = Unknown.of(model.vocabulary_size, escape, rare)
    if unknown.escape and not any((block >= unknown.first).any() for block in blocks(ids)):
        unknown = unknown._replace(escape=0.0)
    cuts, length = _cuts(len(ids), exact, window, most)
    # Stretches are read all at once; windows, of which there may be any number, by the group.
    streams = max(1, _COLD_AT_ONCE // min(length, _STEPS_AT_ONCE)) if window else len(cuts)
    groups = [cuts[first : first + streams] for first in range(0, len(cuts), streams)]
    numbers = min(streams, len(cuts)) * model.vocabulary_size
    chunk = chunk or max(1, min(_STEPS_AT_ONCE, _LOGITS_AT_ONCE // numbers))
    device = model.get_parameter("output.bias").device
    strips = Strips(ids, start)
    states: dict[int, ModelState] = {}

    def read(inputs: NDArray[np.int64], part: slice) -> Tensor:
        """The logits after each character of some streams, (T, B, V)."""
        of_part = torch.from_numpy(inputs[:, part]).to(device)
        logits: Tensor
        logits, states[part.start] = model(of_part, states[part.start], precision=precision)
        return logits.float()

    def warm(part: slice) -> None:
        with torch.inference_mode():
            read(strip, part)

    def find(part: slice) -> Guesses:
        with torch.inference_mode():
            targets = torch.from_numpy(strip[1:, part]).to(device)
            return guesses(read(strip[:-1], part), targets, unknown)

    tally = Tally(unknown.first, byte_lengths)
    was_training = model.training
    model.eval()
    try:
        for begins in groups:
            parts, share = [slice(0, len(begins))], _alone
            if workers and device.type == "cpu":
                parts = workers.parts(len(begins))
                share = functools.partial(workers.map, weights=model.parameter_count)
            states = {part.start: model.start(part.stop - part.start) for part in parts}
            if len(begins) > 1 and not window:
                for first in range(-WARM, 0, chunk):
                    strip = strips.read(begins + first - 1, min(chunk, -first))
                    share(warm, parts)
                with torch.inference_mode():  # nothing stands before the first stretch
                    for state in itertools.chain.from_iterable(states[0]):
                        state[0] = 0.0
            for first in range(0, length, chunk):
                steps = np.arange(first, min(first + chunk, length))
                strip = strips.read(begins + first - 1, len(steps) + 1)
                found = zip(*share(find, parts), strict=True)
                places = steps[:, None] + begins  # (T, B)
                inside = places < len(ids)
                flat = (np.concatenate(each, 1)[inside] for each in found)
                observed = Observed(places[inside], strip[1:][inside], *flat)
                tally.add(observed)
                if losses is not None:
                    kept = observed.places < len(losses)
                    losses[observed.places[kept]] = observed.losses[kept]
                if observe is not None:
                    observe(observed)
                scored(len(observed.places))
    finally:
        model.train(was_training)
    if byte_count is not None:
        byte_count = round(byte_count * tally.characters / len(ids))
    return tally.score(byte_count)


def protocol(count: int, *, exact: bool = False, window: int | None = None) -> str:
    """How `score` reads a text of N characters, in words."""
    if window:
        return f"cold windows of {window}"
    stretches = _stretches(count, exact)
    return f"carried state, {stretches} stretches" if stretches > 1 else "one stream"


def escape_probability(vocabulary_size: int, training_characters: int) -> float:
    """How likely a character never seen is: V / (N + V) (Witten and Bell 1991, method C)."""
    return vocabulary_size / (training_characters + vocabulary_size)


def _alone(function: Callable[[slice], Result], parts: list[slice]) -> list[Result]:
    return [function(part) for part in parts]


def _stretches(count: int, exact: bool) -> int:
    return 1 if exact else max(1, min(STRETCHES, count // WARM))


def _cuts(
    count: int, exact: bool, window: int | None, most: int | None
) -> tuple[NDArray[np.int64], int]:
    """Where the streams begin that are scored of a text of N characters, and their length."""
    length = window or max(1, -(-count // _stretches(count, exact)))
    cuts = np.arange(0, count, length)
    if most is not None and window:
        wanted = min(len(cuts), -(-most // length))
        cuts = cuts[np.arange(wanted) * len(cuts) // wanted]
    elif most is not None:
        length = min(length, -(-most // len(cuts)))
    return cuts, length
