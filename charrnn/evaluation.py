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

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charrnn.corpus import Ids
from charrnn.model import CharacterModel, ModelState
from charrnn.tokenizer import CODE_POINTS
from charrnn.workers import Workers

STRETCHES = 32
WARM = 512  # characters

_LOGITS_AT_ONCE = 2**21
_STEPS_AT_ONCE = 128  # more would only take memory
_COLD_AT_ONCE = 2**14  # characters, of windows side by side
_FIRST_GUESSES = 5

Found = TypeVar("Found")


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
    correct_top5: int = 0
    """characters among the model's first five guesses"""

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

    @property
    def accuracy_top5(self) -> float:
        """The share of characters that were among the model's first five guesses."""
        return self.correct_top5 / self.characters

    def to_json(self) -> dict[str, float]:
        """The score by the names that every `--json` uses."""
        return {
            "characters": self.characters,
            "nats_per_char": self.nats_per_char,
            "bits_per_char": self.bits_per_char,
            "bits_per_byte": self.bits_per_byte,
            "perplexity": self.perplexity,
            "accuracy": self.accuracy,
            "accuracy_top5": self.accuracy_top5,
        }


def score(
    model: CharacterModel,
    ids: Ids,
    *,
    start: int,
    byte_count: int,
    escape: float = 0.0,
    exact: bool = False,
    window: int | None = None,
    chunk: int | None = None,
    losses: NDArray[np.float32] | None = None,
    scored: Callable[[int], object] = lambda _: None,
    workers: Workers | None = None,
) -> Score:
    """Score a text of N characters, ids (N,); an id of V is a character not known.

    `start` is the id before the first character, `byte_count` the text's UTF-8 bytes.
    `exact` reads the text as one stream, `window` in windows of so many characters, each
    entered cold; `chunk` is how many steps are taken at once.
    `losses` (N,), if given, is filled with each character's loss in nats. `scored` is
    told after each chunk how many characters it was; what it raises ends the scoring.
    Workers, if given, share the stretches.

    An unknown character costs what it takes to say that it is one (probability `escape`)
    and which (one of all the others in Unicode); where a text has any, the known ones pay
    for not being one: together they remain a probability distribution.
    """
    vocabulary_size = model.vocabulary_size
    count = len(ids)
    unknown = int(np.count_nonzero(ids >= vocabulary_size))
    length = window or max(1, -(-count // _stretches(count, exact)))
    cuts = np.arange(0, count, length)
    # Stretches are read all at once; windows, of which there may be any number, by the group.
    streams = max(1, _COLD_AT_ONCE // min(length, _STEPS_AT_ONCE)) if window else len(cuts)
    groups = [cuts[first : first + streams] for first in range(0, len(cuts), streams)]
    streams = min(streams, len(cuts))
    chunk = chunk or max(1, min(_STEPS_AT_ONCE, _LOGITS_AT_ONCE // (streams * vocabulary_size)))
    device = model.get_parameter("output.bias").device
    shifted = np.concatenate([[start], ids[:-1]])  # what is read before each character
    parts: list[slice] = []
    states: dict[int, ModelState] = {}

    def read(places: NDArray[np.int64], part: slice) -> Tensor:
        """The logits after reading what stands before each place, (T, B)."""
        inputs = _tensor(shifted[places[:, part]], device)
        logits: Tensor
        logits, states[part.start] = model(inputs, states[part.start])
        return logits

    def warm(part: slice) -> None:
        """Enter each stretch but the first with what stands before it read."""
        with torch.inference_mode():
            for first in range(-WARM, 0, chunk):
                steps = np.arange(first, min(first + chunk, 0))
                read(np.maximum(steps[:, None] + begins, 0), part)
            if part.start == 0:
                for layer in states[0]:
                    for state in layer:
                        state[0] = 0.0

    def find(part: slice) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Each character's loss, if it was the first guess, if among five; all (T, B)."""
        with torch.inference_mode():
            logits, target = read(places, part), _tensor(ids[places[:, part]], device)
            loss = _losses(logits, target, vocabulary_size, escape if unknown else 0.0)
            right = logits.argmax(-1) == target
            near = right | _among_first(logits, target, vocabulary_size)
            return loss.cpu().numpy(), right.cpu().numpy(), near.cpu().numpy()

    nats, correct, correct_top5 = 0.0, 0, 0
    was_training = model.training
    model.eval()
    try:
        for begins in groups:
            parts, share = [slice(0, len(begins))], _alone
            if workers and device.type == "cpu":
                parts, share = workers.parts(len(begins)), workers.map
            states = {part.start: model.start(part.stop - part.start) for part in parts}
            if len(begins) > 1 and not window:
                share(warm, parts)
            for first in range(0, length, chunk):
                steps = np.arange(first, min(first + chunk, length))
                places = steps[:, None] + begins  # (T, B)
                inside = places < count
                places = np.minimum(places, count - 1)
                loss, right, near = (
                    np.concatenate(found, 1) for found in zip(*share(find, parts), strict=True)
                )
                if losses is not None:
                    losses[places[inside]] = loss[inside]
                nats += float(loss[inside].sum(dtype=np.float64))
                correct += int((right & inside).sum())
                correct_top5 += int((near & inside).sum())
                scored(int(inside.sum()))
    finally:
        model.train(was_training)
    return Score(nats, count, byte_count, correct, unknown, correct_top5)


def protocol(count: int, *, exact: bool = False, window: int | None = None) -> str:
    """How `score` reads a text of N characters, in words."""
    if window:
        return f"cold windows of {window}"
    stretches = _stretches(count, exact)
    return f"carried state, {stretches} stretches" if stretches > 1 else "one stream"


def escape_probability(vocabulary_size: int, training_characters: int) -> float:
    """How likely a character never seen is: V / (N + V) (Witten and Bell 1991, method C)."""
    return vocabulary_size / (training_characters + vocabulary_size)


def _alone(function: Callable[[slice], Found], parts: list[slice]) -> list[Found]:
    return [function(part) for part in parts]


def _stretches(count: int, exact: bool) -> int:
    return 1 if exact else max(1, min(STRETCHES, count // WARM))


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


def _among_first(logits: Tensor, target: Tensor, vocabulary_size: int) -> Tensor:
    """Whether at most five characters, each target among them, are as likely as it: (T, B)."""
    own = logits.gather(-1, target.clamp(max=vocabulary_size - 1)[..., None])
    # Many that are equally likely are not all among the first.
    return ((logits >= own).sum(-1) <= _FIRST_GUESSES) & (target < vocabulary_size)


def _tensor(values: Ids, device: torch.device) -> Tensor:
    return torch.from_numpy(values.astype(np.int64)).to(device)
