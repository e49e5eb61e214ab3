"""The matrix products of training: plain, packed by oneDNN, in float32 or in bfloat16.

A weight is made ready once a window and then multiplied at every step. What it was made
into says how: an opaque oneDNN tensor is a packed one; one of bfloat16 has its other
operand rounded to bfloat16 too, sums in float32 and rounds once more. Sums, gates and
states stay in the precision of the model's weights.

Processors with matrix units for bfloat16 (AMX) read plain float32 operands as bfloat16,
too, where `rounding` allows it: slower than what is packed, and without the passes over
memory that rounding takes by itself.
"""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from charrnn import machine

LEAST_PACKED = 2**21
"""Multiplications for which oneDNN's fp32 product is worth its preparations."""

LEAST_ROUNDED = 2**18
"""Weights for which, matrix units or not, bfloat16 is worth a pass over what it multiplies."""

MOST_ROUNDED = 512
"""And the rows of that up to which it is."""


def ready(weight: Tensor, rows: int, precision: str, packed: bool) -> Tensor:
    """A weight (N, K), made ready for `product` with many v of (rows, K).

    `precision` is fp32 (the weight's own) or bf16. In fp32 a small product is left plain:
    what oneDNN does before it multiplies would take longer than that. What is made ready
    for a window's rows may be a view of the weight.
    """
    if left_plain(weight, rows, precision, packed):
        as_it_is = precision == "bf16" and rows > MOST_ROUNDED
        return weight.t() if as_it_is else weight.t().contiguous()
    if precision == "bf16":
        weight = weight.bfloat16()
    return _pack(weight, rows) if packed else weight.t().contiguous()


def left_plain(weight: Tensor, rows: int, precision: str, packed: bool) -> bool:
    """Whether `ready` leaves a weight in its own precision, unpacked."""
    if precision == "bf16":
        return _rounding() and (weight.numel() < LEAST_ROUNDED or rows > MOST_ROUNDED)
    return not packed or rows * weight.numel() < LEAST_PACKED


@contextlib.contextmanager
def rounding(precision: str, device: str) -> Iterator[None]:
    """In bf16, matrix units read what is float32 as bfloat16; else not. For all threads alike."""
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    rounded = precision == "bf16" and device == "cpu" and machine.has_matrix_units()
    before, matmul.fp32_precision = matmul.fp32_precision, "bf16" if rounded else "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def _rounding() -> bool:
    found: bool = torch.backends.mkldnn.matmul.fp32_precision == "bf16"  # type: ignore[attr-defined]
    return found


def _pack(weight: Tensor, rows: int) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), rows)
    return packed


@functools.cache
def packs(precision: str, device: str) -> bool:
    """Whether weights are packed by oneDNN here: found out by doing it, not by name.

    In fp32 not on Intel's processors, where MKL is at its best. It is a rule and no
    measurement, so that a run does not change with the weather.
    """
    if device != "cpu" or (precision == "fp32" and _made_by_intel()):
        return False
    return packing_works(precision)


@functools.cache
def packing_works(precision: str) -> bool:
    """Whether the installed PyTorch packs weights and multiplies rightly with them."""
    weight = torch.arange(48.0).view(3, 16) / 16 - 1
    v = torch.arange(32.0).view(2, 16) / 16 - 1
    try:
        found = product(v, _pack(weight.bfloat16() if precision == "bf16" else weight, 2))
        if precision == "fp32":
            found = (found + _packed_product(v, weight)) / 2  # as `weight_gradient` calls it
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(found.float(), v @ weight.t(), rtol=1e-2, atol=1e-2)


def _made_by_intel() -> bool:
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


# What follows is read by TorchScript as well (see `unrolled`).

if hasattr(torch.ops.mkldnn, "_linear_pointwise"):

    def _packed_product(v: Tensor, weight: Tensor) -> Tensor:
        found: Tensor = torch.ops.mkldnn._linear_pointwise(v, weight, None, "none", [], "")
        return found
else:

    def _packed_product(v: Tensor, weight: Tensor) -> Tensor:
        return torch.mm(v, weight)


def product(v: Tensor, weight: Tensor) -> Tensor:
    """v Wᵀ (R, N), of v (R, K) and a weight W (N, K) made ready."""
    v = v.to(weight.dtype)
    if weight.is_mkldnn:
        return _packed_product(v, weight)
    return torch.mm(v, weight)


def affine(base: Tensor, v: Tensor, weight: Tensor, out: Tensor) -> None:
    """out (R, N) = base + v Wᵀ, for a base of (R, N), (N,) or (); out may be the base."""
    if weight.is_mkldnn or weight.dtype != out.dtype:
        torch.add(base, product(v, weight), out=out)
    else:
        torch.addmm(base, v, weight, out=out)


def affine_rows(base: Tensor, v: Tensor, weight: Tensor, out: Tensor) -> None:
    """The same for a whole window's rows and a base of (N,) or ()."""
    if not (weight.is_mkldnn or weight.dtype != out.dtype):
        affine(base, v, weight, out)
        return
    for first in range(0, v.size(0), 512):
        affine(base, v[first : first + 512], weight, out[first : first + 512])


def weight_gradient(d: Tensor, v: Tensor, weight: Tensor) -> Tensor:
    """dᵀ v (N, K): the gradient of a weight W from that of v Wᵀ, d (R, N), and v (R, K).

    It is done in the manner that `weight`, which is W made ready, was made for.
    """
    if not (weight.is_mkldnn or weight.dtype != d.dtype):
        return torch.mm(d.t(), v)
    found = torch.zeros([d.size(1), v.size(1)], dtype=d.dtype, device=d.device)
    for first in range(0, d.size(0), 1024):  # what is rounded or turned round stays small
        dt, vt = d[first : first + 1024].t(), v[first : first + 1024].t()
        if weight.dtype != d.dtype:
            found.add_(torch.mm(dt.to(weight.dtype), vt.to(weight.dtype).t()))
        else:
            found.add_(_packed_product(dt.contiguous(), vt.contiguous()))
    return found
