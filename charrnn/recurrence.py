"""A whole sequence through one recurrent layer, forward and back through time.

Pure: inputs, state and weights in; hidden states out. The work is done by torch.nn's
own kernels, which restate the steps of `cells`.
"""

from typing import NamedTuple

import torch
from torch import Tensor

State = tuple[Tensor, ...]
"""(h,), or (h, c) for the lstm; each (B, H)."""


class LayerWeights(NamedTuple):
    """One layer's weights under torch.nn's names; I is what the layer reads (E or H)."""

    w_ih: Tensor
    """(G·H, I)"""
    w_hh: Tensor
    """(G·H, H)"""
    b_ih: Tensor
    """(G·H,)"""
    b_hh: Tensor
    """(G·H,)"""


def run(
    model: str, nonlinearity: str, inputs: Tensor, state: State, weights: LayerWeights
) -> tuple[Tensor, State]:
    """Hidden states (T, B, H) and the last state, from inputs (T, B, I) and a first state."""
    # has biases, one layer, no dropout, training (keeps what a gradient needs), one direction,
    # time-major
    options = (True, 1, 0.0, torch.is_grad_enabled(), False, False)
    first = tuple(part.unsqueeze(0) for part in state)
    last: tuple[Tensor, ...]
    if model == "lstm":
        hidden, *parts = torch.lstm(inputs, first, list(weights), *options)
        last = tuple(parts)
    else:
        rnns = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}
        layer = {"gru": torch.gru, "rnn": rnns[nonlinearity]}[model]
        hidden, part = layer(inputs, first[0], list(weights), *options)
        last = (part,)
    return hidden, tuple(part.squeeze(0) for part in last)
