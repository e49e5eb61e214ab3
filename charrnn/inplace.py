"""The cells' steps restated in place, for one stream or for many as columns.

What depends on the weights alone is done once: biases are added where the equations allow,
and the rows of logistic gates are halved, since σ(a) = (1 + tanh(a / 2)) / 2. A step then
reads each weight once and allocates nothing. Every array stands as (H,) for one stream and
as (H, B) for B of them, so that a gate is contiguous in both.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from charrnn.arrays import State, Step
from charrnn.cells import states, step_of
from charrnn.settings import GATES, RECURRENT

Vector = NDArray[np.floating[Any]]


class Cell(Protocol):
    """A layer's state, and the step that changes it."""

    state: State
    """each (H,) or (H, B), changed in place"""

    def step(self, x: Vector) -> None:
        """Take one step; x (G·H,) or (G·H, B) is W_ih · input with the biases added to it."""


class Layer(NamedTuple):
    """A layer's weights, made ready."""

    name: str
    """the cell's, one of GATES"""
    nonlinearity: str
    w_ih: Vector
    """(G·H, E or H)"""
    bias: Vector
    """(G·H,), added to the product of W_ih"""
    w_hh: Vector
    """(G·H, H), or (0, H)"""
    b_hh: Vector
    """(G·H,), as it was"""

    def cell(self, streams: tuple[int, ...] = ()) -> Cell:
        """A cell at the state before any character: of one stream, or of `streams` = (B,)."""
        b_n = self.b_hh[2 * self.w_hh.shape[1] :]
        match self.name:
            case "rnn":
                return _Rnn(self.w_hh, streams, self.nonlinearity)
            case "lstm":
                return _Lstm(self.w_hh, streams)
            case "gru":
                return _Gru(self.w_hh, streams, as_columns(b_n, streams))
            case "gru-reset-before":
                return _GruResetBefore(self.w_hh, streams)
            case "qrnn":
                return _Qrnn(self.w_hh, streams)
        return _AsDefined(
            self.w_hh, streams, self.b_hh, states(self.name), step_of(self.name, self.nonlinearity)
        )


def ready(
    cell: str, nonlinearity: str, w_ih: Vector, b_ih: Vector, w_hh: Vector, b_hh: Vector
) -> Layer:
    """The weights of a layer of cells made ready; b_ih is () where they have none."""
    size, gates = w_hh.shape[1], GATES[cell]
    logistic = _LOGISTIC.get(cell)
    if logistic is None:
        bias = np.broadcast_to(b_ih, gates * size).astype(w_hh.dtype)
        return Layer(cell, nonlinearity, w_ih, bias, w_hh, b_hh)
    if cell == "rnn" and nonlinearity == "sigmoid":
        logistic = (0,)
    half = np.ones(gates, w_hh.dtype)
    half[list(logistic)] = 0.5
    scale = np.repeat(half, size)
    added = b_hh.copy()
    if cell == "gru":
        added[2 * size :] = 0.0  # b_hn is multiplied by the reset
    if RECURRENT[cell]:
        w_hh = w_hh * scale[:, None]
    layer = Layer(cell, nonlinearity, w_ih * scale[:, None], (b_ih + added) * scale, w_hh, b_hh)
    if cell == "lstm":
        w_ih, bias, w_hh = _g_last(layer.w_ih), _g_last(layer.bias), _g_last(layer.w_hh)
        return layer._replace(w_ih=w_ih, bias=bias, w_hh=w_hh)
    return layer


def _g_last(gates: Vector) -> Vector:
    """The lstm's gates i, f, g, o as i, f, o, g: (4·H, ...)."""
    i, f, g, o = np.split(gates, 4)
    return np.concatenate([i, f, o, g])


_LOGISTIC = {
    "rnn": (),
    "lstm": (0, 1, 3),
    "gru": (0, 1),
    "gru-reset-before": (0, 1),
    "qrnn": (1, 2),
}
"""By cell the gates that are σ, but for the rnn's nonlinearity.

A cell that is missing here runs as `cells` defines it.
"""


def as_columns(bias: Vector, streams: tuple[int, ...]) -> Vector:
    """A bias (N,) as it is added to (N,), or to (N, B) where there are `streams` = (B,)."""
    return bias[:, None] if streams else bias


_HALF = np.array(0.5, np.float32)
"""An array, for Python's own numbers take NumPy twice as long to begin with."""


def _logistic(a: Vector) -> None:
    """σ(2a), in place."""
    np.tanh(a, out=a)
    np.multiply(a, _HALF, out=a)
    np.add(a, _HALF, out=a)


class _Rnn:
    def __init__(self, w: Vector, streams: tuple[int, ...], nonlinearity: str) -> None:
        self._w, self._nonlinearity = w, nonlinearity
        self._h, self._a = np.zeros((2, len(w), *streams), w.dtype)
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
    """Its gates stand as i, f, o, g and then c, so that i⊙g and f⊙c are one product."""

    def __init__(self, w: Vector, streams: tuple[int, ...]) -> None:
        size = w.shape[1]
        self._w, self._h = w, np.zeros((size, *streams), w.dtype)
        all_five = np.zeros((5 * size, *streams), w.dtype)
        self._a, self._c = all_five[: 4 * size], all_five[4 * size :]
        self._ifo, self._o = self._a[: 3 * size], self._a[2 * size : 3 * size]
        self._if, self._gc = all_five[: 2 * size], all_five[3 * size :]
        self._ig, self._fc = self._a[:size], self._a[size : 2 * size]
        self.state: State = (self._h, self._c)

    def step(self, x: Vector) -> None:
        a, c, h = self._a, self._c, self._h
        np.dot(self._w, h, out=a)
        np.add(a, x, out=a)
        np.tanh(a, out=a)
        np.multiply(self._ifo, _HALF, out=self._ifo)
        np.add(self._ifo, _HALF, out=self._ifo)
        np.multiply(self._if, self._gc, out=self._if)
        np.add(self._ig, self._fc, out=c)
        np.tanh(c, out=h)
        np.multiply(h, self._o, out=h)


class _Gru:
    def __init__(self, w: Vector, streams: tuple[int, ...], b_n: Vector) -> None:
        size = w.shape[1]
        self._w, self._b_n, self._gates = w, b_n, 2 * size
        self._a = np.zeros((3 * size, *streams), w.dtype)
        self._h = np.zeros((size, *streams), w.dtype)
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
    def __init__(self, w: Vector, streams: tuple[int, ...]) -> None:
        size = w.shape[1]
        self._w_rz, self._w_n, self._gates = w[: 2 * size], w[2 * size :], 2 * size
        self._rz = np.zeros((2 * size, *streams), w.dtype)
        self._n, self._h = np.zeros((2, size, *streams), w.dtype)
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


class _Qrnn:
    def __init__(self, w: Vector, streams: tuple[int, ...]) -> None:
        size = w.shape[1]
        self._a = np.zeros((3 * size, *streams), w.dtype)
        self._h, self._c = np.zeros((2, size, *streams), w.dtype)
        self.state: State = (self._h, self._c)
        self._u, self._f, self._o = np.split(self._a, 3)
        self._fo = self._a[size:]

    def step(self, x: Vector) -> None:
        a, u, c = self._a, self._u, self._c
        np.tanh(x, out=a)
        np.multiply(self._fo, _HALF, out=self._fo)
        np.add(self._fo, _HALF, out=self._fo)
        np.subtract(c, u, out=c)
        np.multiply(c, self._f, out=c)
        np.add(c, u, out=c)
        np.multiply(c, self._o, out=self._h)


class _AsDefined:
    """A cell that has no restatement here."""

    def __init__(
        self, w: Vector, streams: tuple[int, ...], b_hh: Vector, count: int, step: Step
    ) -> None:
        """`count` is how many arrays its state holds."""
        self._step, self._w_hh, self._b_hh = step, w, b_hh
        self.state: State = tuple(np.zeros((count, w.shape[1], *streams), w.dtype))

    def step(self, x: Vector) -> None:
        before = tuple(part.T for part in self.state)
        after = self._step(x.T, before, self._w_hh, self._b_hh)
        for own, part in zip(self.state, after, strict=True):
            own[...] = part.T
