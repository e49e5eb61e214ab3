"""How well a model predicts a text: every character scored once, and what follows from it.

The text is cut into 32 contiguous stretches, scored side by side. Each is entered warm:
the 512 characters before it are read, unscored. The text's very first character follows
a newline (or the commonest character).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charrnn.corpus import Ids
from charrnn.model import CharacterModel, ModelState
from charrnn.tokenizer import CODE_POINTS

STRETCHES = 32
WARM = 512  # characters

_LOGITS_AT_ONCE = 2**21


@dataclass(frozen=True)
class Score:
    """What scoring a text found."""

    nats: float
    """summed over the characters"""
    characters: int
    bytes: int
    """of the text in UTF-8"""
    correct: int
    """characters that were the model's first guess"""
    unknown: int = 0
    """characters the vocabulary lacks"""

    @property
    def nats_per_char(self) -> float:
        """The cross-entropy, in nats per character."""
        return self.nats / self.characters

    @property
    def bits_per_char(self) -> float:
        """The same in bits."""
        return self.nats_per_char / math.log(2)

    @property
    def bits_per_byte(self) -> float:
        """Bits per UTF-8 byte, comparable between vocabularies."""
        return self.nats / math.log(2) / self.bytes

    @property
    def perplexity(self) -> float:
        """Between how many equally likely characters the model hesitates."""
        return math.exp(min(self.nats_per_char, 700.0))

    @property
    def accuracy(self) -> float:
        """The share of characters that were the model's first guess."""
        return self.correct / self.characters

    def to_json(self) -> dict[str, float]:
        """The score by the names that every `--json` uses."""
        return {
            "characters": self.characters,
            "nats_per_char": self.nats_per_char,
            "bits_per_char": self.bits_per_char,
            "bits_per_byte": self.bits_per_byte,
            "perplexity": self.perplexity,
            "accuracy": self.accuracy,
        }


def score(
    model: CharacterModel,
    ids: Ids,
    *,
    start: int,
    byte_count: int,
    escape: float = 0.0,
    exact: bool = False,
    chunk: int | None = None,
    losses: NDArray[np.float32] | None = None,
    scored: Callable[[int], object] = lambda _: None,
) -> Score:
    """Score a text of N characters, ids (N,); an id of V is a character not known.

    `start` is the id before the first character, `byte_count` the text's UTF-8 bytes.
    `exact` reads the text as one stream; `chunk` is how many steps are taken at once.
    `losses` (N,), if given, is filled with each character's loss in nats. `scored` is
    told after each chunk how many characters it was; what it raises ends the scoring.

    An unknown character costs what it takes to say that it is one (probability `escape`)
    and which (one of all the others in Unicode); where a text has any, the known ones pay
    for not being one: together they remain a probability distribution.
    """
    vocabulary_size = model.vocabulary_size
    count = len(ids)
    unknown = int(np.count_nonzero(ids >= vocabulary_size))
    streams = 1 if exact else max(1, min(STRETCHES, count // WARM))
    length = -(-count // streams)
    chunk = chunk or max(1, min(1024, _LOGITS_AT_ONCE // (streams * vocabulary_size)))
    device = model.get_parameter("output.bias").device
    shifted = np.concatenate([[start], ids[:-1]])  # what is read before each character
    begins = np.arange(streams) * length
    nats, correct = 0.0, 0
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            state = _warm(model, shifted, begins, chunk, device)
            for first in range(0, length, chunk):
                steps = np.arange(first, min(first + chunk, length))
                places = steps[:, None] + begins  # (T, B)
                inside = places < count
                places = np.minimum(places, count - 1)
                logits, state = model(_tensor(shifted[places], device), state)
                target = _tensor(ids[places], device)
                loss = _losses(logits, target, vocabulary_size, escape if unknown else 0.0)
                right = ((logits.argmax(-1) == target).cpu().numpy() & inside).sum()
                found = loss.cpu().numpy()
                if losses is not None:
                    losses[places[inside]] = found[inside]
                nats += float(found[inside].sum(dtype=np.float64))
                correct += int(right)
                scored(int(inside.sum()))
    finally:
        model.train(was_training)
    return Score(nats, count, byte_count, correct, unknown)


def escape_probability(vocabulary_size: int, training_characters: int) -> float:
    """How likely a character never seen is: V / (N + V) (Witten and Bell 1991, method C)."""
    return vocabulary_size / (training_characters + vocabulary_size)


def _warm(
    model: CharacterModel,
    shifted: NDArray[np.int64],
    begins: NDArray[np.int64],
    chunk: int,
    device: torch.device,
) -> ModelState:
    """The state in which each stretch is entered: the first cold, the others warm."""
    state = model.start(len(begins) - 1)
    for first in range(-WARM, 0, chunk):
        if len(begins) == 1:
            break
        steps = np.arange(first, min(first + chunk, 0))
        _, state = model(_tensor(shifted[steps[:, None] + begins[1:]], device), state)
    cold = model.start(1)
    return [
        tuple(torch.cat(pair) for pair in zip(zeros, warm, strict=True))
        for zeros, warm in zip(cold, state, strict=True)
    ]


def _losses(logits: Tensor, target: Tensor, vocabulary_size: int, escape: float) -> Tensor:
    """Each character's loss in nats, (T, B), of logits (T, B, V) and targets (T, B)."""
    log_probabilities = torch.log_softmax(logits.float(), -1)
    known = target.clamp(max=vocabulary_size - 1)
    losses = -log_probabilities.gather(-1, known[..., None])[..., 0]
    if escape:
        which = math.log(max(1, CODE_POINTS - vocabulary_size))
        losses = losses - math.log1p(-escape)
        losses = losses.where(target < vocabulary_size, which - math.log(escape))
    return losses


def _tensor(values: Ids, device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.int64)).to(device)
