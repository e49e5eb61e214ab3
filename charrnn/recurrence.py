"""A whole sequence through one recurrent layer, forward and back through time.

Pure: inputs, state and weights in; hidden states out. The work is done by torch.nn's
own kernels, which restate the steps of `cells`, or, where it has none, by those steps.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from charrnn.cells import Step, step_of

State = tuple[Tensor, ...]
"""(h,), or (h, c) for the lstm; each (B, H)."""


class LayerWeights(NamedTuple):
    """One layer's weights under torch.nn's names; I is what the layer reads (E or H)."""

    w_ih: Tensor
    """(G·H, I)"""
    w_hh: Tensor
    """(G·H, H)"""
    b_ih: Tensor | None
    """(G·H,), or None for a model that torch.nn lacks"""
    b_hh: Tensor
    """(G·H,)"""


def run(
    model: str, nonlinearity: str, inputs: Tensor, state: State, weights: LayerWeights
) -> tuple[Tensor, State]:
    """Hidden states (T, B, H) and the last state, from inputs (T, B, I) and a first state."""
    if weights.b_ih is None or (model == "rnn" and nonlinearity == "sigmoid"):
        return _by_steps(step_of(model, nonlinearity), inputs, state, weights)
    four = [weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh]
    # has biases, one layer, no dropout, training (keeps what a gradient needs), one direction,
    # time-major
    options = (True, 1, 0.0, torch.is_grad_enabled(), False, False)
    first = tuple(part.unsqueeze(0) for part in state)
    last: tuple[Tensor, ...]
    if model == "lstm":
        hidden, *parts = torch.lstm(inputs, first, four, *options)
        last = tuple(parts)
    else:
        rnn = torch.rnn_relu if nonlinearity == "relu" else torch.rnn_tanh
        layer = {"gru": torch.gru, "rnn": rnn}[model]
        hidden, part = layer(inputs, first[0], four, *options)
        last = (part,)
    return hidden, tuple(part.squeeze(0) for part in last)


def _by_steps(
    step: Step, inputs: Tensor, state: State, weights: LayerWeights
) -> tuple[Tensor, State]:
    hidden = []
    for x in nn.functional.linear(inputs, weights.w_ih, weights.b_ih):
        state = step(x, state, weights.w_hh, weights.b_hh)
        hidden.append(state[0])
    return torch.stack(hidden), state
