"""The optimizers by their flag: what each remembers, and that it goes on from there."""

import pytest
import torch

from charrnn import optimizer
from charrnn.model import CharacterModel
from charrnn.optimizer import Optimizer
from charrnn.settings import OPTIMIZERS, ModelSettings, TrainingSettings

SHAPE = ModelSettings("gru", "tanh", 3, 4, 2)


def fresh(name: str) -> tuple[CharacterModel, Optimizer]:
    model = CharacterModel(SHAPE, 9)
    model.initialise("orthogonal", 1.0, 0)
    return model, Optimizer(model, TrainingSettings(optimizer=name))


def step(model: CharacterModel, optimizer: Optimizer, number: int) -> None:
    generator = torch.Generator().manual_seed(number)
    for weight in model.parameters():
        weight.grad = torch.randn(weight.shape, generator=generator)
    optimizer.step(0.01)


def test_each_remembers_what_its_method_needs() -> None:
    weights = dict(fresh("sgd")[0].named_parameters())
    matrices = {name for name, weight in weights.items() if weight.ndim > 1}
    adam = {f"{kind}.{name}" for name in weights for kind in ("exp_avg", "exp_avg_sq")}
    assert set(fresh("sgd")[1].remembered()) == set()
    assert set(fresh("adamw")[1].remembered()) == adam
    assert set(fresh("soap")[1].remembered()) == {
        name for name in adam if name.split(".", 1)[1] not in matrices
    } | {
        f"soap_{kind}.{name}"
        for name in matrices
        for kind in ("mean", "square", "products", "axes")
    }


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_one_that_is_told_goes_on_as_the_one_that_remembers(optimizer: str) -> None:
    model, first = fresh(optimizer)
    for number in range(9):
        step(model, first, number)
    told, second = fresh(optimizer)
    told.load_state_dict(model.state_dict())
    for name, kept in second.remembered().items():
        kept.copy_(first.remembered()[name])
    second.go_on(9)
    for number in range(9, 14):
        step(model, first, number)
        step(told, second, number)
    for a, b in zip(model.parameters(), told.parameters(), strict=True):
        assert torch.equal(a, b)


def test_what_is_too_wide_for_axes_is_left_to_adam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some matrices, then all of them."""
    for widest, kept in (3, {"embedding.weight", "recurrent.weight_ih_l0"}), (2, set()):
        monkeypatch.setattr(optimizer, "WIDEST", widest)
        model, made = fresh("soap")
        assert {n[10:] for n in made.remembered() if n.startswith("soap_axes.")} == kept
        made.go_on(3)
        before = [weight.detach().clone() for weight in model.parameters()]
        step(model, made, 0)
        for old, new in zip(before, model.parameters(), strict=True):
            assert not torch.equal(old, new)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_moves_every_weight_and_a_rate_of_0_none(optimizer: str) -> None:
    model, made = fresh(optimizer)
    before = [weight.detach().clone() for weight in model.parameters()]
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    made.step(0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    made.step(0.1)
    assert all((a != b).all() for a, b in zip(before, model.parameters(), strict=True))
