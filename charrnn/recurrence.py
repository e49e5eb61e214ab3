"""A whole sequence through one recurrent layer, forward and back through time.

Pure: inputs, state and weights in; hidden states out. On a processor the work is done by
the cells of `unrolled`; on a GPU by torch.nn's kernels, for the cells they have. A cell
that is in neither goes step by step.

What depends on no earlier step is one product for all steps: W_ih · input + b before the
walk forward, and the gradients of W_ih, W_hh and the inputs after the walk back. Layer 0
reads characters, of which there are only V; where that is cheaper, their V products are
computed once and looked up, and the gradients of equal characters summed before the
products back.
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from charrnn.buffers import Buffers, Memory
from charrnn.cells import step_of
from charrnn.compiled import CELLS, compiled
from charrnn.products import affine_rows, left_plain, packs, ready, weight_gradient
from charrnn.window import Arriving, Window, flat

State = tuple[Tensor, ...]
"""(h,), or (h, c); each (B, H)."""


class LayerWeights(NamedTuple):
    """One layer's weights under torch.nn's names; I is what the layer reads (E or H)."""

    w_ih: Tensor
    """(G·H, I)"""
    w_hh: Tensor
    """(G·H, H), or (0, H) for a cell that has none"""
    b_ih: Tensor | None
    """(G·H,), or None for a cell that torch.nn lacks"""
    b_hh: Tensor
    """(G·H,)"""


class Characters(NamedTuple):
    """What layer 0 reads: for every step of every stream, a row of the embedding."""

    ids: Tensor
    """(T, B)"""
    embedding: Tensor
    """(V, E)"""


class LayerMemory(NamedTuple):
    """What a layer computes in, window after window."""

    windows: Memory
    """the layer's own: forward's values, until backward has used them"""
    scratch: Memory
    """backward's; layers may share it"""


def run(
    cell: str,
    nonlinearity: str,
    inputs: Tensor | Characters,
    state: State,
    weights: LayerWeights,
    *,
    precision: str = "fp32",
    memory: LayerMemory | None = None,
) -> tuple[Tensor, State]:
    """Hidden states (T, B, H) and the last state, from inputs (T, B, I) and a first state.

    `cell` is one of GATES, and the rnn's φ a `nonlinearity`. `precision` is that of the
    matrix products. `memory` is computed in and may be used again as soon as the gradient is
    taken; what is returned is never in it. Raises RuntimeError where a gradient is asked for
    after its memory was used again.
    """
    w_ih, w_hh, b_ih, b_hh = weights
    name = f"rnn-{nonlinearity}" if cell == "rnn" else cell
    if w_hh.device.type != "cpu" and b_ih is not None and name != "rnn-sigmoid":
        return _on_gpu(cell, nonlinearity, inputs, state, weights)
    if name not in CELLS:
        return _step_by_step(cell, nonlinearity, inputs, state, weights)
    size = w_hh.shape[1]
    # The biases are summed beforehand where the equations allow.
    inside = b_hh[:0]
    if cell == "gru":
        assert b_ih is not None
        bias = b_ih + torch.cat([b_hh[: 2 * size], torch.zeros_like(b_hh[2 * size :])])
        inside = b_hh[2 * size :]
    elif b_ih is not None:
        bias = b_ih + b_hh
    else:
        bias = b_hh
        if cell == "product":
            inside = b_hh[:size]
    # Under autocast a layer below gives torch.nn's kernels' own precision.
    ids, source = inputs if isinstance(inputs, Characters) else (None, inputs.to(w_ih.dtype))
    memory = memory or LayerMemory(Memory(), Memory())
    with torch.autocast(w_hh.device.type, enabled=False):  # precisions are chosen here
        hidden, *last = cast(
            "tuple[Tensor, ...]",
            _Layer.apply(  # type: ignore[no-untyped-call]
                name, precision, memory, ids, source, w_ih, bias, w_hh, inside, *state
            ),
        )
    return hidden, tuple(last)


class _Layer(torch.autograd.Function):
    """A layer over a window, whose gradient is backpropagation through time (Werbos 1990)."""

    @staticmethod
    def forward(
        ctx: Any,
        cell: str,
        precision: str,
        memory: LayerMemory,
        ids: Tensor | None,
        source: Tensor,
        w_ih: Tensor,
        bias: Tensor,
        w_hh: Tensor,
        inside: Tensor,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        steps, batch = source.shape[:2] if ids is None else ids.shape
        size, rows = w_hh.shape[1], w_ih.shape[0]
        packed = w_hh.dtype == torch.float32 and packs(precision, w_hh.device.type)
        lease = memory.windows.lease()
        x = lease.buffers.take("x", (steps, batch, rows), w_hh)
        looked_up = ids is not None and 2 * len(source) < ids.numel()
        ready_w_ih = ready(w_ih, steps * batch, precision, packed)
        _input_products(x, ids, source, ready_w_ih, bias, looked_up)
        states = [w_hh.new_empty(steps + 1, batch, size) for _ in state]
        for rest, first in zip(states, state, strict=True):
            rest[0] = first
        pieces = CELLS[cell].pieces
        if not CELLS[cell].pieces_back and not left_plain(w_hh, batch, precision, packed):
            pieces = (sum(pieces),)
        window = Window(
            x,
            states,
            _take(lease.buffers, "kept", CELLS[cell].kept, (steps, batch, size), w_hh),
            [
                ready(piece, batch, precision, packed)
                for piece in torch.split(w_hh, [size * n for n in pieces])
            ],
            inside,
        )
        compiled(cell, w_hh.device.type).forward(window)
        ctx.save_for_backward(ids, source, w_ih, w_hh, inside, *states)
        ctx.cell, ctx.precision, ctx.packed, ctx.memory = cell, precision, packed, memory
        ctx.lease, ctx.x, ctx.kept, ctx.looked_up = lease, x, window.kept, looked_up
        return states[0][1:], *(rest[-1].clone() for rest in states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, *d_last: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(dy.device.type, enabled=False):
            return _go_back(ctx, dy, d_last)


def _go_back(ctx: Any, dy: Tensor, d_last: tuple[Tensor, ...]) -> tuple[Tensor | None, ...]:
    """The gradients of what the layer's forward was given, in its order."""
    ids, source, w_ih, w_hh, inside, *states = ctx.saved_tensors
    ctx.lease.renew()
    cell, (steps, batch, rows) = CELLS[ctx.cell], ctx.x.shape
    size = w_hh.shape[1]
    pieces = cell.pieces if cell.pieces_back else (sum(cell.pieces),)
    window = Window(
        ctx.x,
        states,
        ctx.kept,
        [
            ready(piece.t(), batch, ctx.precision, ctx.packed)
            for piece in torch.split(w_hh, [size * n for n in pieces])
        ],
        inside,
    )
    scratch = ctx.memory.scratch.lease()
    d_x = scratch.buffers.take("d_x", (steps, batch, rows), w_hh)
    room = _take(scratch.buffers, "room", cell.scratch, (steps + 1, batch, size), w_hh)
    arriving = Arriving(dy.contiguous(), list(d_last), d_x, room)
    leaving = compiled(ctx.cell, w_hh.device.type).backward(window, arriving)
    ctx.lease.release()
    ready_w_ih = ready(w_ih.t(), steps * batch, ctx.precision, ctx.packed)
    gradients = _input_gradients(d_x, ids, source, ready_w_ih, ctx.looked_up)
    scratch.release()
    return (
        *(None, None, None, None),
        *gradients,
        leaving.d_w_hh,
        leaving.d_b,
        *leaving.d_first,
    )


def _take(buffers: Buffers, name: str, count: int, shape: tuple[int, ...], like: Tensor) -> Any:
    return [buffers.take(f"{name}{number}", shape, like) for number in range(count)]


def _input_products(
    x: Tensor, ids: Tensor | None, source: Tensor, w_ih: Tensor, bias: Tensor, looked_up: bool
) -> None:
    """x = W_ih · input + bias for every step, w_ih being made ready."""
    rows = flat(x)
    if ids is None:
        affine_rows(bias, flat(source), w_ih, rows)
    elif looked_up:
        table = x.new_empty(len(source), x.shape[2])
        affine_rows(bias, source, w_ih, table)
        torch.index_select(table, 0, ids.flatten(), out=rows)
    else:
        affine_rows(bias, source.index_select(0, ids.flatten()), w_ih, rows)


def _input_gradients(
    d_x: Tensor, ids: Tensor | None, source: Tensor, w_ih: Tensor, looked_up: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the source, W_ih and the bias; w_ih, transposed, being made ready.

    x = W_ih v + b:  dv = dx W_ih,  dW_ih = dxᵀ v,  db = dx, summed over steps and streams.
    """
    d, v = flat(d_x), source
    if ids is None:
        v = flat(source)
    elif looked_up:
        d = d.new_zeros(len(source), d.shape[1]).index_add_(0, ids.flatten(), d)
    else:
        v = source.index_select(0, ids.flatten())
    d_v = torch.empty_like(v)
    affine_rows(d.new_zeros(()), d, w_ih, d_v)
    if ids is None:
        d_v = d_v.view_as(source)
    elif not looked_up:
        d_v = torch.zeros_like(source).index_add_(0, ids.flatten(), d_v)
    return d_v, weight_gradient(d, v, w_ih), d.sum(0)


def _on_gpu(
    cell: str, nonlinearity: str, inputs: Tensor | Characters, state: State, weights: LayerWeights
) -> tuple[Tensor, State]:
    """The same by torch.nn's kernels."""
    # has biases, one layer, no dropout, training (keeps what a gradient needs), one direction,
    # time-major
    options = (True, 1, 0.0, torch.is_grad_enabled(), False, False)
    parameters = [weight for weight in weights if weight is not None]
    first = tuple(part.unsqueeze(0) for part in state)
    last: tuple[Tensor, ...]
    if cell == "lstm":
        hidden, *parts = torch.lstm(_vectors(inputs), first, parameters, *options)
        last = tuple(parts)
    else:
        rnns = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}
        layer = torch.gru if cell == "gru" else rnns[nonlinearity]
        hidden, part = layer(_vectors(inputs), first[0], parameters, *options)
        last = (part,)
    return hidden, tuple(part.squeeze(0) for part in last)


def _step_by_step(
    cell: str, nonlinearity: str, inputs: Tensor | Characters, state: State, weights: LayerWeights
) -> tuple[Tensor, State]:
    """The same for a cell that has only been defined, by its steps and autograd."""
    step, hidden = step_of(cell, nonlinearity), []
    for x in torch.nn.functional.linear(_vectors(inputs), weights.w_ih, weights.b_ih):
        state = step(x, state, weights.w_hh, weights.b_hh)
        hidden.append(state[0])
    return torch.stack(hidden), state


def _vectors(inputs: Tensor | Characters) -> Tensor:
    return torch.nn.functional.embedding(*inputs) if isinstance(inputs, Characters) else inputs
