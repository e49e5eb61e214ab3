"""A window of T steps, as the unrolled cells see it: what they read, and what they fill."""

from typing import NamedTuple

import torch
from torch import Tensor


class Window(NamedTuple):
    """What a cell computes from and into, over T steps."""

    x: Tensor
    """(T, B, G·H) the input's part of every gate; forward leaves the gates' values there"""
    states: list[Tensor]
    """(T+1, B, H) each: h, or h and c; row 0 is given, row t+1 is what step t computes"""
    kept: list[Tensor]
    """(T, B, H) each: what else backward needs of forward"""
    weights: list[Tensor]
    """W_hh, in pieces where its gates meet different vectors, made ready for `affine`:
    as it is for forward, transposed for backward; empty for a cell that has none"""
    b: Tensor
    """(H,) the bias that stands inside the recurrence; empty where none does"""


class Arriving(NamedTuple):
    """What backward starts from, and memory for it to compute in."""

    dy: Tensor
    """(T, B, H) the gradient of every h', from the layers above"""
    d_last: list[Tensor]
    """(B, H) each: that of the last states, from beyond the window"""
    d_x: Tensor
    """(T, B, G·H) becomes the gradient of x"""
    scratch: list[Tensor]
    """(T+1, B, H) each; row t+1 belongs to step t, row 0 to what comes before the window"""


class Leaving(NamedTuple):
    """What backward finds, besides d_x."""

    d_first: list[Tensor]
    """(B, H) each: the gradient of the first states"""
    d_w_hh: Tensor
    """as W_hh"""
    d_b: Tensor
    """as b"""


def steps_at_once(h: Tensor) -> int:
    """How many steps' factors, like h (B, H), are computed at once: what stays in cache."""
    return max(1, 262144 // max(1, h.numel()))


def flat(steps: Tensor) -> Tensor:
    """(T, B, n) as (T·B, n)."""
    return steps.reshape(steps.size(0) * steps.size(1), steps.size(2))


def slope(value: Tensor, function: str, out: Tensor) -> None:
    """The derivative of σ or tanh, from its value: σ' = σ (1 - σ), tanh' = 1 - tanh²."""
    if function == "sigmoid":
        torch.addcmul(value, value, value, value=-1.0, out=out)
    else:
        one = torch.ones([1], dtype=value.dtype, device=value.device)
        torch.addcmul(one, value, value, value=-1.0, out=out)
