"""The equations of the recurrent cells: the one place where each cell is defined.

A cell's step is told the part of its input that depends on no earlier step,

    x = W_ih · input + b_ih        (B, G·H)

and its state, and gives the next state. The rows of x, W_hh and b_hh are the cell's
gates, one block of H rows after the other, in torch.nn's order. Everything here runs
on NumPy arrays and on torch tensors alike, for one stream (H,) or many (B, H).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
"""A NumPy array or a torch tensor."""

State = tuple[Array, ...]
"""What a cell hands from one step to the next: (h,), or (h, c) for the lstm; each (B, H)."""

Step = Callable[[Array, State, Array, Array], State]


def tanh(a: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(a) if isinstance(a, np.ndarray) else a.tanh()


def sigmoid(a: Array) -> Array:
    """The logistic function 1 / (1 + exp(-a)), written so that nothing overflows."""
    return 0.5 * tanh(0.5 * a) + 0.5


def relu(a: Array) -> Array:
    """max(a, 0)."""
    return np.maximum(a, 0) if isinstance(a, np.ndarray) else a.relu()


def rnn_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """h' = tanh(x + W_hh h + b_hh)   (Elman 1990)

    x (B, H), state (h,), w_hh (H, H), b_hh (H,).
    """
    (h,) = state
    return (tanh(x + h @ w_hh.T + b_hh),)


def relu_rnn_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """h' = max(0, x + W_hh h + b_hh)   (Le, Jaitly and Hinton 2015)

    x (B, H), state (h,), w_hh (H, H), b_hh (H,).
    """
    (h,) = state
    return (relu(x + h @ w_hh.T + b_hh),)


def lstm_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """i, f, g, o = x + W_hh h + b_hh
    c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)
    h' = σ(o) ⊙ tanh(c')   (Hochreiter and Schmidhuber 1997; Gers et al. 2000)

    x (B, 4H), state (h, c), w_hh (4H, H), b_hh (4H,).
    """
    h, c = state
    size = h.shape[-1]
    a = x + h @ w_hh.T + b_hh
    i, f = sigmoid(a[..., :size]), sigmoid(a[..., size : 2 * size])
    g, o = tanh(a[..., 2 * size : 3 * size]), sigmoid(a[..., 3 * size :])
    c = f * c + i * g
    return (o * tanh(c), c)


def gru_step(x: Array, state: State, w_hh: Array, b_hh: Array) -> State:
    """r = σ(x_r + W_hr h + b_hr)
    z = σ(x_z + W_hz h + b_hz)
    n = tanh(x_n + r ⊙ (W_hn h + b_hn))
    h' = (1 - z) ⊙ n + z ⊙ h   (Cho et al. 2014, with the reset after the product, as cuDNN)

    x (B, 3H), state (h,), w_hh (3H, H), b_hh (3H,).
    """
    (h,) = state
    size = h.shape[-1]
    a = h @ w_hh.T + b_hh
    r = sigmoid(x[..., :size] + a[..., :size])
    z = sigmoid(x[..., size : 2 * size] + a[..., size : 2 * size])
    n = tanh(x[..., 2 * size :] + r * a[..., 2 * size :])
    return (n + z * (h - n),)


def step_of(model: str, nonlinearity: str) -> Step:
    """The step of the cell that `--model` and `--nonlinearity` name."""
    rnn_steps = {"tanh": rnn_step, "relu": relu_rnn_step}
    steps = {"rnn": rnn_steps[nonlinearity], "lstm": lstm_step, "gru": gru_step}
    return steps[model]


def states(model: str) -> int:
    """How many arrays a cell's state holds."""
    return 2 if model == "lstm" else 1
