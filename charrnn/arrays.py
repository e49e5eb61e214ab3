"""What the cells' equations are written with, on NumPy arrays and torch tensors alike."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = Any
"""A NumPy array or a torch tensor."""

State = tuple[Array, ...]
"""What a cell hands from one step to the next: (h,), or (h, c); each (B, H)."""


class Derivative(NamedTuple):
    """The gradient with respect to what a step reads; those of the weights are sums over B."""

    x: Array
    """(B, G·H)"""
    state: State
    """each (B, H)"""
    w_hh: Array
    """(G·H, H), or (0, H) for a cell that has none"""
    b_hh: Array
    """(G·H,)"""


Step = Callable[[Array, State, Array, Array], State]
"""x, state, W_hh and b_hh to the next state."""

StepDerivative = Callable[[Array, State, Array, Array, State], Derivative]
"""x, state, W_hh, b_hh and the gradient with respect to the next state to the others."""


def tanh(a: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(a) if isinstance(a, np.ndarray) else a.tanh()


def sigmoid(a: Array) -> Array:
    """The logistic function 1 / (1 + exp(-a)), written so that nothing overflows."""
    return 0.5 * tanh(0.5 * a) + 0.5


def relu(a: Array) -> Array:
    """max(a, 0)."""
    return np.maximum(a, 0) if isinstance(a, np.ndarray) else a.relu()


def blocks(a: Array, count: int) -> list[Array]:
    """The G = `count` blocks of H columns that a (B, G·H) is made of."""
    size = a.shape[-1] // count
    return [a[..., gate * size : (gate + 1) * size] for gate in range(count)]


def affine_gradient(da: Array, h: Array, w: Array) -> tuple[Array, Array, Array]:
    """dh = Wᵀ da, dW = Σ da hᵀ and db = Σ da   of a = W h + b, the sums over the streams.

    da (B, G·H), h (B, H), w (G·H, H).
    """
    dw = da.reshape(-1, da.shape[-1]).T @ h.reshape(-1, h.shape[-1])
    return da @ w, dw, over_streams(da)


def over_streams(da: Array) -> Array:
    """Σ da over the streams: (B, G·H) to (G·H,)."""
    return da.reshape(-1, da.shape[-1]).sum(0)


def joined(parts: list[Array], axis: int) -> Array:
    """Arrays one after the other along an axis, as np.concatenate has it."""
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis)
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    whole, end = parts[0].new_empty(shape), 0
    for part in parts:
        whole.narrow(axis, end, part.shape[axis]).copy_(part)
        end += part.shape[axis]
    return whole
