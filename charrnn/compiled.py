"""The unrolled cells by name, run by TorchScript where it can be.

TorchScript needs none of Python's global lock, so that workers side by side each keep a
processor busy. Where there is none, the same functions run as Python, with the same
results.
"""

import functools
import threading
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch

from charrnn import unrolled, unrolled_quasi
from charrnn.window import Arriving, Leaving, Window


class Unrolled(NamedTuple):
    """A cell, unrolled."""

    forward: Callable[[Window], None]
    backward: Callable[[Window, Arriving], Leaving]
    kept: int
    """how many (T, B, H) forward keeps besides its gates"""
    scratch: int
    """how many (T+1, B, H) backward needs"""
    pieces: tuple[int, ...]
    """the rows of W_hh, in H, of each piece that forward multiplies by itself"""
    pieces_back: bool
    """whether backward multiplies them by themselves too"""


CELLS = {
    "rnn-tanh": Unrolled(unrolled.tanh_forward, unrolled.tanh_backward, 0, 0, (1,), False),
    "rnn-relu": Unrolled(unrolled.relu_forward, unrolled.relu_backward, 0, 0, (1,), False),
    "rnn-sigmoid": Unrolled(unrolled.sigmoid_forward, unrolled.sigmoid_backward, 0, 0, (1,), False),
    "lstm": Unrolled(unrolled.lstm_forward, unrolled.lstm_backward, 0, 0, (4,), False),
    "gru": Unrolled(unrolled.gru_forward, unrolled.gru_backward, 1, 2, (2, 1), False),
    "gru-reset-before": Unrolled(
        unrolled.reset_before_forward, unrolled.reset_before_backward, 1, 0, (2, 1), True
    ),
    "qrnn": Unrolled(unrolled_quasi.qrnn_forward, unrolled_quasi.qrnn_backward, 0, 1, (), True),
    "product": Unrolled(unrolled.product_forward, unrolled.product_backward, 0, 2, (2,), False),
}
"""As in GATES; the rnn's with their nonlinearity."""

_compiling = threading.Lock()


def compiled(cell: str, device: str) -> Unrolled:
    """A cell as TorchScript, but as Python on a GPU, which computes while Python goes on."""
    if device != "cpu":
        return CELLS[cell]
    with _compiling:
        return _compiled(CELLS[cell])


@functools.cache
def _compiled(found: Unrolled) -> Unrolled:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            forward, backward = torch.jit.script(found.forward), torch.jit.script(found.backward)
        except (RuntimeError, OSError):  # a Python or a PyTorch without TorchScript; no sources
            return found
    return found._replace(forward=forward, backward=backward)
