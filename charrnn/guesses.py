"""What a model expected, and what came instead: losses and first guesses, from logits."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charrnn.tokenizer import CODE_POINTS

FIRST = 5
"""How many first guesses count as near."""


class Unknown(NamedTuple):
    """How characters are scored that a vocabulary lacks."""

    first: int
    """ids from here on are such characters; the model never guesses one"""
    escape: float
    """how likely one is, where the model does not say so itself"""
    which: float
    """what it costs to say which one, in nats"""

    @staticmethod
    def of(vocabulary_size: int, escape: float, rare: int | None) -> "Unknown":
        """For V outputs of a model, the last of which may be `rare`: any unknown one."""
        first = vocabulary_size if rare is None else rare
        which = math.log(max(1, CODE_POINTS - first))
        return Unknown(first, escape if rare is None else 0.0, which)


class Guesses(NamedTuple):
    """How T characters of B streams were predicted, (T, B) each."""

    losses: NDArray[np.float32]
    """nats"""
    confidence: NDArray[np.float32]
    """the probability of the first guess"""
    right: NDArray[np.bool_]
    """whether it was right"""
    near: NDArray[np.bool_]
    """whether one of the first five was"""


def guesses(logits: Tensor, targets: Tensor, unknown: Unknown) -> Guesses:
    """What logits (T, B, V) say of targets (T, B).

    Many that are equally likely are not all among the first five.
    """
    vocabulary_size = logits.shape[-1]
    known = targets.clamp(max=vocabulary_size - 1)[..., None]
    losses = -torch.log_softmax(logits, -1).gather(-1, known)[..., 0]
    own, shown = logits.gather(-1, known), logits[..., : unknown.first]
    first = shown.amax(-1)
    confidence = (first - own[..., 0] - losses).exp_()
    # What is compared is summed where it is: as numbers, which is several times as fast.
    above = torch.ge(shown, own, out=torch.empty_like(shown)).sum(-1)
    is_known = targets < unknown.first
    near = (above <= FIRST) & is_known
    right = (above == 1) & is_known
    tied = (above > 1) & (own[..., 0] == first)
    if tied.any():
        right[tied] = shown[tied].argmax(-1) == targets[tied]
        near |= right
    if unknown.escape:
        losses = losses - math.log1p(-unknown.escape)
        confidence = confidence * (1 - unknown.escape)
    if unknown.first < vocabulary_size:
        losses = losses.where(is_known, losses + unknown.which)
    elif unknown.escape:
        losses = losses.where(is_known, unknown.which - math.log(unknown.escape))
    return Guesses(*(each.cpu().numpy() for each in (losses, confidence, right, near)))
