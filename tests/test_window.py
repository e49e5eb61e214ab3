"""What the unrolled cells' windows are looked at with."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charrnn.window import flat, slope, steps_at_once


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 2, 5), (4, 1, 2)])
def test_flat_has_a_row_for_each_stream_of_each_step(shape):
    steps = torch.arange(float(torch.tensor(shape).prod())).view(shape)
    found = flat(steps)
    assert found.shape == (shape[0] * shape[1], shape[2])
    assert torch.equal(found, torch.cat(list(steps)))
    found.zero_()
    assert not steps.any()  # a view: what is written there is written here


def test_flat_takes_some_of_the_columns_too():
    steps = torch.arange(24.0).view(2, 3, 4)
    assert torch.equal(flat(steps[:, :, 1:3]), torch.cat(list(steps))[:, 1:3])


@pytest.mark.parametrize("function", ["sigmoid", "tanh"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slope_is_the_derivative(function, dtype):
    a = torch.linspace(-40, 40, 81, dtype=dtype, requires_grad=True)
    value = getattr(torch, function)(a)
    (wanted,) = torch.autograd.grad(value.sum(), a)
    found = torch.empty_like(value)
    slope(value.detach(), function, found)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(found, wanted, rtol=eps, atol=2 * eps)


def test_slope_writes_among_a_wider_tensor_s_columns():
    value, wide = torch.tensor([[0.25], [0.5]]), torch.zeros(2, 3)
    slope(value, "sigmoid", wide[:, 1:2])
    assert wide.tolist() == [[0, 0.1875, 0], [0, 0.25, 0]]


@given(batch=st.integers(1, 2**20), hidden=st.integers(1, 8))
def test_at_least_one_step_and_never_more_than_stays_in_cache(batch, hidden):
    h = torch.zeros(()).expand(batch, hidden)  # takes no memory
    found = steps_at_once(h)
    assert found == 1 or 1 < found * batch * hidden <= 2**18 < (found + 1) * batch * hidden
