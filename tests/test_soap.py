"""SOAP: what it remembers, and that its steps are those of Adam along turned axes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from charrnn import machine, soap
from charrnn.soap import BETAS, KEPT, TAKEN, TURNED, YOUNG, Soap
from charrnn.workers import Workers

ROWS, COLUMNS = 7, 5


def gradients(count: int, *, turned: np.ndarray | None = None) -> list[torch.Tensor]:
    """Gradients that are far larger along some directions of what is read than along others."""
    generator = np.random.default_rng(1)
    lengths = np.array([4.0, 1.0, 0.5, 0.1, 0.01])
    plain = [generator.standard_normal((ROWS, COLUMNS)) * lengths for _ in range(count)]
    return [torch.tensor(g if turned is None else g @ turned, dtype=torch.float32) for g in plain]


def moved(steps: list[torch.Tensor], rate: float = 0.1) -> tuple[list[torch.Tensor], Soap]:
    """How a matrix of zeros moves, step by step, and what did it."""
    weight = nn.Parameter(torch.zeros(ROWS, COLUMNS))
    optimizer, found = Soap({"w": weight}), []
    for gradient in steps:
        before, weight.grad = weight.detach().clone(), gradient.clone()
        optimizer.step(rate, 0.0, None)
        found.append(weight.detach() - before)
    return found, optimizer


def test_it_takes_the_steps_of_its_equations() -> None:
    """Beside the same in NumPy, in double precision and with nothing in place."""
    steps = gradients(25)
    mean, square = np.zeros((ROWS, COLUMNS)), np.zeros((ROWS, COLUMNS))
    products, axes = np.zeros((COLUMNS, COLUMNS)), np.eye(COLUMNS)
    found, _ = moved(steps)
    for number, (gradient, step) in enumerate(zip(steps, found, strict=True), 1):
        g = gradient.double().numpy()
        if number <= YOUNG:
            products += (g.T @ g - products) / number
        elif number % TAKEN == 0:
            products = KEPT * products + (1 - KEPT) * g.T @ g
        if number in (1, 2, 4) or number % TURNED == 0:
            turned = np.linalg.qr(products @ axes).Q
            mean, axes = mean @ axes.T @ turned, turned
        along = g @ axes
        mean = BETAS[0] * mean + (1 - BETAS[0]) * along
        square = BETAS[1] * square + (1 - BETAS[1]) * along**2
        corrected = np.sqrt(square / (1 - BETAS[1] ** number)) + 1e-8
        expected = -0.1 * (mean / (1 - BETAS[0] ** number) / corrected) @ axes.T
        np.testing.assert_allclose(step, expected, atol=2e-4)


def test_along_axes_that_never_turn_it_is_adam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soap, "YOUNG", 0)
    monkeypatch.setattr(soap, "TURNED", 10**9)
    steps = gradients(12)
    found, _ = moved(steps)
    weight = nn.Parameter(torch.zeros(ROWS, COLUMNS))
    adam = torch.optim.Adam([weight], lr=0.1, betas=BETAS)
    for gradient, step in zip(steps, found, strict=True):
        before, weight.grad = weight.detach().clone(), gradient.clone()
        adam.step()
        torch.testing.assert_close(step, weight.detach() - before, rtol=1e-3, atol=1e-5)


def test_the_axes_become_the_eigenvectors_and_stay_at_right_angles() -> None:
    generator = np.random.default_rng(3)
    rotation = np.linalg.qr(generator.standard_normal((COLUMNS, COLUMNS))).Q
    _, optimizer = moved(gradients(400, turned=rotation))
    axes = optimizer.remembered()["soap_axes.w"].double().numpy()
    np.testing.assert_allclose(axes.T @ axes, np.eye(COLUMNS), atol=1e-5)
    alike = np.abs(rotation @ axes)  # the lengths fall, and so do the eigenvalues
    assert (alike.diagonal() > 0.95).all()


def test_what_is_read_may_be_written_in_any_axes() -> None:
    """Rotated gradients give the same steps, rotated; Adam's would be others."""
    generator = np.random.default_rng(4)
    rotation = np.linalg.qr(generator.standard_normal((COLUMNS, COLUMNS))).Q
    plain, _ = moved(gradients(300))
    rotated, _ = moved(gradients(300, turned=rotation))
    for step, other in zip(plain[-20:], rotated[-20:], strict=True):
        np.testing.assert_allclose(step.double().numpy() @ rotation, other, atol=0.02)


def test_decay_is_decoupled_from_the_step() -> None:
    weight = nn.Parameter(torch.ones(ROWS, COLUMNS))
    weight.grad = torch.zeros(ROWS, COLUMNS)
    Soap({"w": weight}).step(0.1, 0.5, None)
    torch.testing.assert_close(weight.detach(), torch.full((ROWS, COLUMNS), 0.95))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_workers_share_it_and_change_nothing(threads: int) -> None:
    """Rows and axes of several matrices, some with fewer of them than there are parts."""
    workers = Workers(threads)
    try:
        ends = [end_of_three(shared) for shared in (None, workers)]
    finally:
        workers.close()
    for alone, shared in zip(*ends, strict=True):
        torch.testing.assert_close(alone, shared, rtol=0, atol=5e-3)


def end_of_three(workers: Workers | None) -> list[torch.Tensor]:
    shapes = {"wide": (3, 90), "tall": (200, 6), "column": (5, 1)}
    weights = {name: nn.Parameter(torch.ones(shape)) for name, shape in shapes.items()}
    optimizer, generator = Soap(weights), torch.Generator().manual_seed(0)
    for _ in range(25):
        for weight in weights.values():
            # Of a size at which what is rounded off, along axes that no gradient has, is nothing.
            weight.grad = 1e-3 * torch.randn(weight.shape, generator=generator)
        optimizer.step(0.01, 0.1, workers)
    return [weight.detach() for weight in weights.values()]


@pytest.mark.parametrize("steps", [1, 3, 10, 15])
def test_what_is_remembered_is_all_that_the_next_step_needs(steps: int) -> None:
    given = gradients(25)
    whole, _ = moved(given)
    weight = nn.Parameter(torch.zeros(ROWS, COLUMNS))
    first = Soap({"w": weight})
    for gradient in given[:steps]:
        weight.grad = gradient.clone()
        first.step(0.1, 0.0, None)
    second = Soap({"w": weight})
    for name, kept in second.remembered().items():
        kept.copy_(first.remembered()[name])
    second.steps = first.steps
    for gradient, step in zip(given[steps:], whole[steps:], strict=True):
        before, weight.grad = weight.detach().clone(), gradient.clone()
        second.step(0.1, 0.0, None)
        assert torch.equal(weight.detach() - before, step)


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e15, float("nan")])
def test_no_gradient_ends_it(value: float) -> None:
    """--on-divergence continue goes on with whatever there is."""
    steps = [torch.full((ROWS, COLUMNS), value)] * 12
    found, _ = moved(steps)
    assert all(torch.isfinite(step).all() for step in found) == np.isfinite(value)


@pytest.mark.parametrize(("precision", "gradients"), [("bf16", "bf16"), ("fp32", "ieee")])
def test_what_gradients_are_multiplied_in_is_the_precision_and_axes_turn_in_fp32(
    monkeypatch: pytest.MonkeyPatch, precision: str, gradients: str
) -> None:
    monkeypatch.setattr(machine, "has_matrix_units", lambda: True)
    seen = {}

    def seeing(name: str) -> None:
        kept = getattr(soap._Matrix, name)

        def see(matrix: object, *arguments: object) -> object:
            seen[name] = torch.backends.mkldnn.matmul.fp32_precision
            return kept(matrix, *arguments)

        monkeypatch.setattr(soap._Matrix, name, see)

    for name in "take_in", "turn", "move":
        seeing(name)
    weight = nn.Parameter(torch.ones(3, 2))
    weight.grad = torch.ones(3, 2)
    Soap({"w": weight}, precision).step(0.1, 0.0, None)
    assert seen == {"take_in": gradients, "turn": "ieee", "move": gradients}


class Products(TorchDispatchMode):
    """Watches for matrix products, and keeps what they are called with besides tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.made: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if "mm" in func.__name__:
            plain = [each for each in args if not isinstance(each, torch.Tensor)]
            self.made.add(f"{func} {plain} {kwargs}")
        return func(*args, **kwargs or {})


def test_its_products_have_the_same_factors_at_every_step() -> None:
    """oneDNN keeps each product that it makes, and with other factors it makes another one."""
    weight = nn.Parameter(torch.eye(3))
    found = Soap({"w": weight})
    with Products() as products:
        for step in range(1, 4 * TURNED):
            if step == 2 * TURNED:
                before = set(products.made)
            weight.grad = torch.randn(3, 3)
            found.step(0.01 / step, 0.1, None)
    assert len(before) > 2
    assert products.made == before
