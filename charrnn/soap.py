"""SOAP: Adam in the axes in which the gradients of a matrix vary (Vyas et al. 2024).

For a matrix W (R, C), which multiplies vectors of C numbers, an average S of Gᵀ G is kept,
G being its gradients, and S's eigenvectors Q (C, C): the axes of what W reads. Along them a
gradient is G Q, and Adam (Kingma and Ba 2015) goes by that:

    M = β₁ M + (1 - β₁) G Q        V = β₂ V + (1 - β₂) (G Q)²        step = (M / √V) Qᵀ

both means corrected for having begun at zero. The axes turn slowly, so that it is enough
to bring them nearer to the eigenvectors every few steps, by orthogonal iteration: the Q of
S Q = Q R. M is turned along with them. Axes for what W gives, the other side of the full
method, cost more than they bring here: see tests/benchmarks/RESULTS.md.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from charrnn.products import rounding
from charrnn.workers import Workers

BETAS = (0.9, 0.95)
"""Of M and of V."""

KEPT = 0.95
"""Of S, from one gradient that goes into it to the next."""

TAKEN = 2
"""Steps from one of those to the next."""

TURNED = 10
"""Steps from one time that the axes are turned to the next."""

WIDEST = 2048
"""C for which axes are kept: what they take grows with its cube."""

YOUNG = 4
"""The first steps, in which S is the mean of Gᵀ G over all there were, and the axes turn at
steps 1, 2 and 4."""

_PARTS = 64
"""Into which the rows of a matrix are divided among workers."""


class Soap:
    """What SOAP remembers of some matrices, and the steps that it takes with them."""

    def __init__(self, matrices: Mapping[str, nn.Parameter], precision: str = "fp32") -> None:
        """The matrices by name, each (R, C); `precision` is that of products with gradients."""
        self._precision = precision
        self._matrices = [_Matrix(matrix) for matrix in matrices.values()]
        self._names = list(matrices)
        self.steps = 0
        """taken"""

    def remembered(self) -> dict[str, Tensor]:
        """All of it but the number of steps, by name; in place."""
        return {
            f"soap_{kind}.{name}": kept
            for name, matrix in zip(self._names, self._matrices, strict=True)
            for kind, kept in matrix.remembered().items()
        }

    def step(self, learning_rate: float, weight_decay: float, workers: Workers | None) -> None:
        """Take a step against the gradients; the decay is decoupled from it."""
        self.steps += 1
        step = self.steps
        young = step <= YOUNG
        turns = step % TURNED == 0 or (young and step.bit_count() == 1)

        def take_in(part: slice) -> None:
            for matrix in self._matrices:
                matrix.take_in(part, 1.0 - 1.0 / step if young else KEPT)

        def turn(which: slice) -> None:
            for matrix in self._matrices[which]:
                matrix.turn()

        def move(part: slice) -> None:
            for matrix in self._matrices:
                matrix.move(part, step, learning_rate, weight_decay)

        device = self._matrices[0].weight.device.type
        count = sum(matrix.weight.numel() for matrix in self._matrices)
        # S spans too many orders of magnitude for the axes to be turned in less than fp32.
        for due, function, things, precision in (
            (young or step % TAKEN == 0, take_in, _PARTS, self._precision),
            (turns, turn, len(self._matrices), "fp32"),
            (True, move, _PARTS, self._precision),
        ):
            if not due:
                continue
            with rounding(precision, device):
                if workers is None or device != "cpu":
                    function(slice(0, things))
                else:
                    workers.map(function, workers.shares(things), weights=count)


class _Matrix:
    """What is remembered of one matrix. A part is of its rows, or of the axes, in 64ths."""

    def __init__(self, weight: nn.Parameter) -> None:
        self._parameter, self.weight = weight, weight.detach()
        self._mean, self._square = torch.zeros_like(weight), torch.zeros_like(weight)
        self._products = weight.new_zeros(weight.shape[1], weight.shape[1])
        self._axes = torch.eye(weight.shape[1], device=weight.device)

    def remembered(self) -> dict[str, Tensor]:
        return {
            "mean": self._mean,
            "square": self._square,
            "products": self._products,
            "axes": self._axes,
        }

    def take_in(self, part: slice, kept: float) -> None:
        """Take the gradient into S."""
        g = self._gradient()
        rows = _of(part, g.shape[1])
        self._products[rows].addmm_(g[:, rows].t(), g, beta=kept, alpha=1.0 - kept)

    def turn(self) -> None:
        """Turn the axes a step nearer to S's eigenvectors."""
        turned = _orthogonal(self._products @ self._axes)
        self._mean.copy_(self._mean @ (self._axes.t() @ turned))
        self._axes.copy_(turned)

    def move(self, part: slice, step: int, learning_rate: float, weight_decay: float) -> None:
        """Take the step."""
        first, second = (1.0 - beta**step for beta in BETAS)
        rows = _of(part, len(self.weight))
        mean, square = self._mean[rows], self._square[rows]
        along = self._gradient()[rows] @ self._axes
        mean.lerp_(along, 1.0 - BETAS[0])
        square.lerp_(along.square_(), 1.0 - BETAS[1])
        # What corrects the means is left to the last factor: each pass over a matrix costs.
        torch.sqrt(square, out=along).add_(1e-8 * second**0.5)
        moved = torch.div(mean, along, out=along) @ self._axes.t()
        # Not as factors of the product: oneDNN makes and keeps another one for each factor.
        self.weight[rows].mul_(1.0 - learning_rate * weight_decay)
        self.weight[rows].sub_(moved, alpha=learning_rate * second**0.5 / first)

    def _gradient(self) -> Tensor:
        assert self._parameter.grad is not None
        return self._parameter.grad


def _orthogonal(vectors: Tensor) -> Tensor:
    """The Q of their QR factorisation, which MPS has none of."""
    if vectors.device.type == "mps":
        return _orthogonal(vectors.cpu()).to(vectors.device)
    axes: Tensor = torch.linalg.qr(vectors).Q
    return axes


def _of(part: slice, rows: int) -> slice:
    """The rows that a part in 64ths is."""
    return slice(part.start * rows // _PARTS, part.stop * rows // _PARTS)
