"""One stream of characters, as fast as NumPy goes: `cells` restated for a vector in place.

What depends on the weights alone is done once: biases are added where the equations allow,
layer 0's input product is a table of one row a character, and the rows of logistic gates
are halved, since σ(a) = (1 + tanh(a / 2)) / 2. A step then reads each weight once and
allocates nothing.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charrnn.cells import State, states, step_of
from charrnn.settings import GATES, ModelSettings

Vector = NDArray[np.floating[Any]]
Layer = tuple[Any, Any, Any, Any]
"""W_ih (G·H, E or H), b_ih (G·H,) or 0, W_hh (G·H, H), b_hh (G·H,)."""


class _Cell(Protocol):
    state: State
    """each (H,), changed in place"""

    def step(self, x: Vector) -> None:
        """Take one step; x (G·H,) is W_ih · input with the biases that were added to it."""


class Prepared:
    """A model's weights, made ready for streams to share."""

    def __init__(
        self,
        settings: ModelSettings,
        embedding: Vector,
        layers: list[Layer],
        output: tuple[Vector, Vector],
    ) -> None:
        """`embedding` (V, E); `output` is a weight (V, H) and a bias (V,)."""
        self.layers = [_prepared(settings, layer) for layer in layers]
        _, w_ih, bias = self.layers[0]
        self.table: Vector = embedding @ w_ih.T + bias  # (V, G·H)
        self.output = output


class Stream:
    """A model's state, which characters are read into one after the other."""

    def __init__(self, prepared: Prepared) -> None:
        """The state before any character."""
        self._table = prepared.table
        self._cells = [cell() for cell, _, _ in prepared.layers]
        self._inputs = [(w_ih, bias, np.empty_like(bias)) for _, w_ih, bias in prepared.layers[1:]]
        self._output, self._bias = prepared.output
        self._logits = np.empty_like(self._bias)

    def load(self, state: list[State]) -> None:
        """Go on from a state, by layer, which stays as it is."""
        for cell, parts in zip(self._cells, state, strict=True):
            for own, part in zip(cell.state, parts, strict=True):
                own[...] = part

    def state(self) -> list[State]:
        """A copy of the state, by layer."""
        return [tuple(part.copy() for part in cell.state) for cell in self._cells]

    def read(self, character: int) -> None:
        """Read one more character, by its id."""
        below, *above = self._cells
        below.step(self._table[character])
        for cell, (w_ih, bias, x) in zip(above, self._inputs, strict=True):
            np.dot(w_ih, below.state[0], out=x)
            np.add(x, bias, out=x)
            cell.step(x)
            below = cell

    def logits(self) -> Vector:
        """The next character's logits, (V,), in a buffer that the next call writes to."""
        np.dot(self._output, self._cells[-1].state[0], out=self._logits)
        np.add(self._logits, self._bias, out=self._logits)
        return self._logits


def _prepared(settings: ModelSettings, layer: Layer) -> tuple[Callable[[], _Cell], Vector, Vector]:
    """How a layer's cell is made, the weight of its input, and the bias added to that."""
    w_ih, b_ih, w_hh, b_hh = layer
    size, gates, model = settings.hidden_size, GATES[settings.model], settings.model
    logistic = _LOGISTIC.get(model)
    if logistic is None:
        none_added = np.broadcast_to(b_ih, gates * size).astype(w_hh.dtype)
        return lambda: _AsDefined(settings, w_hh, b_hh), w_ih, none_added
    if settings.model == "rnn" and settings.nonlinearity == "sigmoid":
        logistic = (0,)
    half = np.ones(gates, w_hh.dtype)
    half[list(logistic)] = 0.5
    scale = np.repeat(half, size)
    w = w_hh * scale[:, None]
    added = b_hh.copy()
    if model == "gru":
        added[2 * size :] = 0.0  # b_hn is multiplied by the reset
    cells: dict[str, Callable[[], _Cell]] = {
        "rnn": lambda: _Rnn(w, settings.nonlinearity),
        "lstm": lambda: _Lstm(w),
        "gru": lambda: _Gru(w, b_hh[2 * size :]),
        "gru-reset-before": lambda: _GruResetBefore(w),
    }
    return cells[model], w_ih * scale[:, None], (b_ih + added) * scale


_LOGISTIC = {
    "rnn": (),
    "lstm": (0, 1, 3),
    "gru": (0, 1),
    "gru-reset-before": (0, 1),
}
"""By model the gates that are σ, but for the rnn's nonlinearity.

A model that is missing here runs as `cells` defines it.
"""


def _logistic(a: Vector) -> None:
    """σ(2a), in place."""
    np.tanh(a, out=a)
    np.multiply(a, 0.5, out=a)
    np.add(a, 0.5, out=a)


class _Rnn:
    def __init__(self, w: Vector, nonlinearity: str) -> None:
        self._w, self._nonlinearity = w, nonlinearity
        self._h, self._a = np.zeros((2, len(w)), w.dtype)
        self.state: State = (self._h,)

    def step(self, x: Vector) -> None:
        h, a = self._h, self._a
        np.dot(self._w, h, out=a)
        np.add(a, x, out=h)
        if self._nonlinearity == "relu":
            np.maximum(h, 0.0, out=h)
        elif self._nonlinearity == "sigmoid":
            _logistic(h)
        else:
            np.tanh(h, out=h)


class _Lstm:
    def __init__(self, w: Vector) -> None:
        size = w.shape[1]
        self._w, self._a = w, np.zeros(4 * size, w.dtype)
        self._h, self._c = np.zeros((2, size), w.dtype)
        self.state: State = (self._h, self._c)
        self._if, self._o = self._a[: 2 * size], self._a[3 * size :]
        self._i, self._f = self._a[:size], self._a[size : 2 * size]
        self._g = self._a[2 * size : 3 * size]

    def step(self, x: Vector) -> None:
        a, c, h = self._a, self._c, self._h
        np.dot(self._w, h, out=a)
        np.add(a, x, out=a)
        np.tanh(a, out=a)
        for logistic in self._if, self._o:
            np.multiply(logistic, 0.5, out=logistic)
            np.add(logistic, 0.5, out=logistic)
        np.multiply(c, self._f, out=c)
        np.multiply(self._g, self._i, out=self._g)
        np.add(c, self._g, out=c)
        np.tanh(c, out=h)
        np.multiply(h, self._o, out=h)


class _Gru:
    def __init__(self, w: Vector, b_n: Vector) -> None:
        size = w.shape[1]
        self._w, self._b_n, self._gates = w, b_n, 2 * size
        self._a, self._h = np.zeros(3 * size, w.dtype), np.zeros(size, w.dtype)
        self.state: State = (self._h,)
        self._rz, self._n = self._a[: 2 * size], self._a[2 * size :]
        self._r, self._z = self._a[:size], self._a[size : 2 * size]

    def step(self, x: Vector) -> None:
        rz, n, h = self._rz, self._n, self._h
        np.dot(self._w, h, out=self._a)
        np.add(rz, x[: self._gates], out=rz)
        _logistic(rz)
        np.add(n, self._b_n, out=n)
        np.multiply(n, self._r, out=n)
        np.add(n, x[self._gates :], out=n)
        np.tanh(n, out=n)
        np.subtract(h, n, out=h)
        np.multiply(h, self._z, out=h)
        np.add(h, n, out=h)


class _GruResetBefore:
    def __init__(self, w: Vector) -> None:
        size = w.shape[1]
        self._w_rz, self._w_n, self._gates = w[: 2 * size], w[2 * size :], 2 * size
        self._rz = np.zeros(2 * size, w.dtype)
        self._n, self._h = np.zeros((2, size), w.dtype)
        self.state: State = (self._h,)
        self._r, self._z = self._rz[:size], self._rz[size:]

    def step(self, x: Vector) -> None:
        rz, n, h = self._rz, self._n, self._h
        np.dot(self._w_rz, h, out=rz)
        np.add(rz, x[: self._gates], out=rz)
        _logistic(rz)
        np.multiply(self._r, h, out=self._r)
        np.dot(self._w_n, self._r, out=n)
        np.add(n, x[self._gates :], out=n)
        np.tanh(n, out=n)
        np.subtract(n, h, out=n)
        np.multiply(n, self._z, out=n)
        np.add(h, n, out=h)


class _AsDefined:
    """A cell that has no restatement here."""

    def __init__(self, settings: ModelSettings, w_hh: Vector, b_hh: Vector) -> None:
        self._step = step_of(settings.model, settings.nonlinearity)
        self._w_hh, self._b_hh = w_hh, b_hh
        size = settings.hidden_size
        self.state: State = tuple(np.zeros((states(settings.model), size), w_hh.dtype))

    def step(self, x: Vector) -> None:
        after = self._step(x, self.state, self._w_hh, self._b_hh)
        for own, part in zip(self.state, after, strict=True):
            own[...] = part
