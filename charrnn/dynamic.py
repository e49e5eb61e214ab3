"""Dynamic evaluation: a model that goes on learning from the text that it is scored on.

(Krause, Kahembwe, Murray and Renals 2018; Mikolov et al. 2010 were first.) The text is read
as one stream, T characters at a time. A window is scored, and only then do the weights θ take
a step down its gradient g, each by its own measure, and back towards θ₀, what training left:

    θ ← θ − η g / (s + ε) + λ r (θ₀ − θ),    r = s / mean(s),    ε = mean(s) / 10

s is the root of the mean square of a weight's gradient over windows of the training text. So
every character is scored by weights that have read nothing but what stands before its window.
ε is larger than in the paper: s is next to 0 for the embedding of a character that is rare in
the training text, which must not leap when that character comes.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charrnn.guesses import Unknown, guesses
from charrnn.model import CharacterModel
from charrnn.scores import Observed, Score, Tally
from charrnn.strips import Strips, Text

_EPSILON = 0.1  # of the mean s


@dataclass(frozen=True)
class Learning:
    """How a model goes on learning."""

    window: int
    """T, the characters that are scored before they are learned from"""
    rate: float
    """η"""
    decay: float = 0.0
    """λ, how fast the weights go back to what training left"""


def score(
    model: CharacterModel,
    ids: Text,
    sizes: Sequence[Tensor],
    learning: Learning,
    *,
    start: int,
    byte_count: int | None = None,
    byte_lengths: NDArray[Any] | None = None,
    escape: float = 0.0,
    rare: int | None = None,
    losses: NDArray[np.float32] | None = None,
    scored: Callable[[int], object] = lambda _: None,
) -> Score:
    """Score a text of N characters, ids (N,), as `evaluation.score` does, and learn from it.

    The model is left as it is: a copy learns. `sizes` is s, as `gradient_sizes` gives it for
    windows of the same T. `losses` (N,), if given, is filled. `scored` is told after each
    window how many characters it was.

    An id of V is scored, but not learned. Where `escape` is not 0 all others pay for not
    being V, whether the text has any or not: give 0 where it has none.
    """
    unknown = Unknown.of(model.vocabulary_size, escape, rare)
    learner = copy.deepcopy(model).eval()
    reader, strips = _Reader(learner), Strips(ids, start)
    weights = list(learner.parameters())
    with torch.no_grad():
        origin = [weight.clone() for weight in weights]
        mean = _mean(sizes)
        steps = [learning.rate / (size + _EPSILON * mean) for size in sizes]
        returns = [(learning.decay * size / mean).clamp(max=1.0) for size in sizes]
    tally = Tally(unknown.first, byte_lengths)
    for first in range(0, len(ids), learning.window):
        # The last window is read in full, too, past the text's end: a loss's last digits
        # depend on how many are computed at once.
        strip = strips.read(np.array([first - 1]), learning.window + 1)
        logits, gradients = reader.read(strip)
        found = guesses(logits, torch.from_numpy(strip[1:]).to(logits.device), unknown)
        places = np.arange(first, min(first + learning.window, len(ids)))
        inside = (slice(0, len(places)), 0)
        observed = Observed(
            places,
            strip[1:][inside],
            found.losses[inside],
            found.confidence[inside],
            found.right[inside],
            found.near[inside],
        )
        tally.add(observed)
        if losses is not None:
            losses[places] = observed.losses
        with torch.no_grad():
            for weight, gradient, step, back, old in zip(
                weights, gradients, steps, returns, origin, strict=True
            ):
                if learning.decay:
                    weight.addcmul_(old - weight, back)
                weight.addcmul_(gradient, step, value=-1.0)
        scored(len(places))
    return tally.score(byte_count)


def gradient_sizes(
    model: CharacterModel,
    ids: Text,
    window: int,
    begins: Iterable[int],
    windows: int,
    *,
    start: int,
    read: Callable[[int], object] = lambda _: None,
) -> list[Tensor]:
    """s: the root mean square of each weight's gradient over windows of T characters.

    From each of some places in a text (N,), so many `windows` are read one after the
    other; the first of them is entered cold. `start` is the id before the text. `read` is
    told after each window how many characters it was.
    """
    reading = copy.deepcopy(model).eval()
    squares = [torch.zeros_like(weight) for weight in reading.parameters()]
    strips, count = Strips(ids, start), 0
    for begin in begins:
        reader = _Reader(reading)
        for first in range(begin, begin + windows * window, window):
            _, gradients = reader.read(strips.read(np.array([first - 1]), window + 1))
            for square, gradient in zip(squares, gradients, strict=True):
                square.addcmul_(gradient, gradient)
            count += 1
            read(window)
    return [square.div_(count).sqrt_() for square in squares]


class _Reader:
    """Reads one stream, window by window."""

    def __init__(self, model: CharacterModel) -> None:
        self._model = model
        self._weights = list(model.parameters())
        self._state = model.start(1)

    def read(self, strip: NDArray[np.int64]) -> tuple[Tensor, Sequence[Tensor]]:
        """The logits after all but the last of ids (T+1, 1): (T, 1, V).

        And the gradient of their mean loss by each weight; one that the vocabulary lacks,
        an id of V, adds none.
        """
        ids = torch.tensor(strip, device=self._weights[0].device)
        logits, after = self._model(ids[:-1], self._state)
        self._state = [tuple(part.detach() for part in layer) for layer in after]
        losses = nn.functional.cross_entropy(
            logits.flatten(0, 1),
            ids[1:].flatten(),
            ignore_index=self._model.vocabulary_size,
            reduction="sum",
        )
        gradients = torch.autograd.grad(losses / (len(strip) - 1), self._weights)
        return logits.detach(), gradients


def _mean(sizes: Sequence[Tensor]) -> Tensor:
    return torch.stack([size.sum() for size in sizes]).sum() / sum(map(Tensor.numel, sizes))
