"""What the contenders of training compute."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from charrnn import training_contenders as contenders
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.step import batches_of, take_step
from charrnn.training_benchmark import Case
from charrnn.training_contenders import Product
from charrnn.training_state import fresh_state
from charrnn.twins import TWINS, Twin

TINY = Case(
    ModelSettings(model="gru", embedding_size=3, hidden_size=4, layers=2),
    TrainingSettings(seq_length=5, batch_size=2),
    vocabulary_size=7,
)


@pytest.mark.parametrize("model", list(TWINS))
def test_the_baseline_takes_the_step_that_charrnn_takes(model: str) -> None:
    settings = ModelSettings(model=model, embedding_size=3, hidden_size=8, layers=2)
    training = TrainingSettings(seq_length=5, batch_size=2, weight_decay=10.0, clip=0.1)
    ids = contenders.random_text(training, 7)
    state = fresh_state(settings, training, 7)
    twin = Twin(settings, 7)
    twin.load_state_dict(state.model.state_dict())
    step = contenders.torch_step(twin, training, ids, autocast=False)
    before = state.model.arrays()
    for _ in range(4):
        step()
        take_step(state, batches_of(ids, training), training, contenders.LEARNING_RATE)
    theirs = dict(twin.named_parameters())
    for name, ours in state.model.arrays().items():
        assert np.abs(ours - before[name]).max() > 1e-3
        np.testing.assert_allclose(theirs[name].detach(), ours, atol=2e-5, err_msg=name)


def test_under_autocast_the_baseline_multiplies_in_bf16() -> None:
    after = []
    for autocast in False, True:
        torch.manual_seed(0)
        twin = Twin(TINY.model, 7)
        ids = contenders.random_text(TINY.training, 7)
        contenders.torch_step(twin, TINY.training, ids, autocast=autocast)()
        after.append(twin.recurrent.get_parameter("weight_hh_l0").detach())
    assert after[0].dtype == after[1].dtype == torch.float32
    assert not torch.equal(*after)


def test_a_steps_products_are_those_of_the_equations() -> None:
    # T=5, B=2, E=3, H=4, L=2, G=3, V=7; layer 0 reads no more than 7 different vectors
    assert contenders.products(TINY.model, TINY.training, 7) == {
        Product(7, 3, 12): 1,
        Product(7, 12, 3): 1,
        Product(3, 7, 12): 1,
        Product(10, 4, 12): 1,
        Product(10, 12, 4): 1,
        Product(4, 10, 12): 1 + 2,  # of layer 1's W_ih and of both W_hh
        Product(2, 4, 12): 5 * 2,
        Product(2, 12, 4): 5 * 2,
        Product(10, 4, 7): 1,
        Product(10, 7, 4): 1,
        Product(4, 10, 7): 1,
    }


def test_a_layer_without_w_hh_multiplies_only_what_it_reads() -> None:
    model = replace(TINY.model, model="gru-qrnn")
    with_both = contenders.products(TINY.model, TINY.training, 7)
    with_one = contenders.products(model, TINY.training, 7)
    assert with_both - with_one == {
        Product(2, 4, 12): 5,
        Product(2, 12, 4): 5,
        Product(4, 10, 12): 1,
    }
    assert not with_one - with_both


def test_every_way_multiplies() -> None:
    a, b = torch.randn(4, 6), torch.randn(6, 5)
    for way in contenders.WAYS:
        product = way(a, b)()
        assert isinstance(product, torch.Tensor)
        torch.testing.assert_close(product, a @ b)


def test_the_ceiling_takes_the_fastest_way_as_often_as_the_step_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[str] = []

    def way(name: str, seconds: float) -> Callable[[Any, Any], Callable[[], None]]:
        def run() -> None:
            called.append(name)
            time.sleep(seconds)

        return lambda a, b: run

    monkeypatch.setattr(contenders, "WAYS", (way("slow", 0.03), way("fast", 0.0)))
    step = contenders.ceiling_step(
        contenders.Counter({Product(1, 1, 1): 3, Product(2, 2, 2): 2}), torch.float32
    )
    step()
    called.clear()
    step()
    assert called == ["fast"] * 5
