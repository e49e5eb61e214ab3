"""A model's state and the characters that are read into it, as fast as NumPy goes.

Layer 0's input product is a table of one row a character; the steps are those of `inplace`.
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.arrays import State
from charrnn.inplace import Vector, as_columns, ready
from charrnn.settings import ModelSettings

Layer = tuple[Any, Any, Any, Any]
"""W_ih (G·H, E or H), b_ih (G·H,) or 0, W_hh (G·H, H) or (0, H), b_hh (G·H,)."""


UNIT = 16
"""Columns come in multiples of so many: NumPy then computes each as if it stood alone."""

_SMALL, _DEEP = 1_000_000, 400


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
        self.layers = [
            ready(settings.cell(number), settings.nonlinearity, *layer)
            for number, layer in enumerate(layers)
        ]
        below = self.layers[0]
        self.table: Vector = embedding @ below.w_ih.T + below.bias  # (V, G·H)
        self.output = output

    @cached_property
    def table_by_column(self) -> Vector:
        """The table as (G·H, V)."""
        return np.ascontiguousarray(self.table.T)

    @cached_property
    def output_for_columns(self) -> tuple[Vector, Vector]:
        """The output with rows of zeros below, (V or more, H) and (V or more,).

        Where there is less to multiply than `_SMALL`, OpenBLAS does it in another way, whose
        sums, if they are of more than `_DEEP` numbers, end in other bits; all products are to
        be above that, or all below.
        """
        weight, bias = self.output
        size = weight.shape[1]
        absent = max(0, _SMALL // (UNIT * size) + 1 - len(weight)) if size > _DEEP else 0
        rows = np.zeros((absent, size), weight.dtype)
        return np.concatenate([weight, rows]), np.concatenate([bias, rows[:, 0]])


class _Layers:
    """The cells of all layers, of one stream, or of B as columns."""

    def __init__(
        self, prepared: Prepared, output: tuple[Vector, Vector], streams: tuple[int, ...] = ()
    ) -> None:
        self._cells = [layer.cell(streams) for layer in prepared.layers]
        self._inputs = [
            (layer.w_ih, as_columns(layer.bias, streams), _buffer(layer.bias, streams))
            for layer in prepared.layers[1:]
        ]
        self._output, bias = output
        self._bias, self._logits = as_columns(bias, streams), _buffer(bias, streams)

    def _step(self, x: Vector) -> None:
        below, *above = self._cells
        below.step(x)
        for cell, (w_ih, bias, x) in zip(above, self._inputs, strict=True):
            np.dot(w_ih, below.state[0], out=x)
            np.add(x, bias, out=x)
            cell.step(x)
            below = cell

    def logits(self) -> Vector:
        """The next characters' logits, (V,) or (V, B), in a buffer the next call writes to."""
        np.dot(self._output, self._cells[-1].state[0], out=self._logits)
        np.add(self._logits, self._bias, out=self._logits)
        return self._logits


class Stream(_Layers):
    """A model's state, which characters are read into one after the other."""

    def __init__(self, prepared: Prepared) -> None:
        """The state before any character."""
        super().__init__(prepared, prepared.output)
        self._table = prepared.table

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
        self._step(self._table[character])


class Columns(_Layers):
    """The states of B streams, one a column, which read side by side.

    What becomes of a column does not depend on the others, to the last bit, wherever the
    machine's products have it so: see `streams.alike`.
    """

    def __init__(self, prepared: Prepared, streams: int) -> None:
        """B = `streams` times the state before any character."""
        super().__init__(prepared, prepared.output_for_columns, (streams,))
        self.streams = streams
        self._table, self._x = prepared.table_by_column, _buffer(prepared.table[0], (streams,))
        self._characters = len(prepared.output[1])

    @property
    def states(self) -> list[State]:
        """The states themselves, by layer, each (H, B), to be read and written in place."""
        return [cell.state for cell in self._cells]

    def read(self, characters: NDArray[np.integer[Any]]) -> None:
        """Read one more character in every stream, by ids (B,)."""
        np.take(self._table, characters, axis=1, out=self._x, mode="clip")
        self._step(self._x)

    def logits(self) -> Vector:
        """The same without the rows that `output_for_columns` adds."""
        return super().logits()[: self._characters]


def _buffer(bias: Vector, streams: tuple[int, ...]) -> Vector:
    return np.empty((len(bias), *streams), bias.dtype)
