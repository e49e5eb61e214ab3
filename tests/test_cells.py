"""The equations, against values worked out by hand and between NumPy and torch."""

import math

import numpy as np
import pytest
import torch

from charrnn import cells
from charrnn.settings import GATES, MODELS, NONLINEARITIES

CELLS = [(m, n) for m in MODELS for n in (NONLINEARITIES if m == "rnn" else ("tanh",))]

each_cell = pytest.mark.parametrize(("model", "nonlinearity"), CELLS)


def random_cell(model, shape, dtype=np.float64, seed=0):
    """x, state, w_hh and b_hh for a cell of shape (H,) or (B, H)."""
    random, hidden = np.random.default_rng(seed), shape[-1]
    rows = GATES[model] * hidden
    x = random.normal(size=(*shape[:-1], rows))
    state = [random.normal(size=shape) for _ in range(cells.states(model))]
    w_hh, b_hh = random.normal(size=(rows, hidden)), random.normal(size=rows)
    x, w_hh, b_hh, *state = (a.astype(dtype) for a in (x, w_hh, b_hh, *state))
    return x, tuple(state), w_hh, b_hh


@each_cell
@pytest.mark.parametrize("shape", [(1,), (5,), (1, 1), (3, 5)])
def test_numpy_and_torch_give_the_same(model, nonlinearity, shape):
    step = cells.step_of(model, nonlinearity)
    x, state, w_hh, b_hh = random_cell(model, shape)
    numpy_after = step(x, state, w_hh, b_hh)
    tensor = torch.from_numpy
    torch_after = step(tensor(x), tuple(map(tensor, state)), tensor(w_hh), tensor(b_hh))
    assert len(numpy_after) == len(torch_after) == cells.states(model)
    for ours, theirs in zip(numpy_after, torch_after, strict=True):
        assert isinstance(ours, np.ndarray)
        assert isinstance(theirs, torch.Tensor)
        assert ours.shape == shape
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-14)


@each_cell
def test_one_stream_is_a_batch_of_one(model, nonlinearity):
    step = cells.step_of(model, nonlinearity)
    x, state, w_hh, b_hh = random_cell(model, (3, 5))
    together = step(x, state, w_hh, b_hh)
    for stream in range(3):
        alone = step(x[stream], tuple(part[stream] for part in state), w_hh, b_hh)
        for a, b in zip(alone, together, strict=True):
            np.testing.assert_allclose(a, b[stream], rtol=0, atol=1e-14)


@each_cell
def test_a_step_keeps_float32_and_changes_nothing_it_was_given(model, nonlinearity):
    given = random_cell(model, (2, 4), np.float32)
    before = random_cell(model, (2, 4), np.float32)
    after = cells.step_of(model, nonlinearity)(*given)
    assert {part.dtype for part in after} == {np.dtype(np.float32)}
    for now, then in zip(given, before, strict=True):
        np.testing.assert_array_equal(now, then)


W_HH = np.array([[0.0, 1.0], [2.0, 0.0]])
"""W_hh (1, 3) = (3, 2); its transpose would give (6, 1)."""


def test_rnn_by_hand():
    # x + W_hh h + b_hh = (-3 + 3 + 0.5, -2 + 2 + 0) = (0.5, 0)
    (h,) = cells.rnn_step(
        np.array([-3.0, -2.0]), (np.array([1.0, 3.0]),), W_HH, np.array([0.5, 0.0])
    )
    np.testing.assert_allclose(h, [0.46211715726000975, 0.0], atol=1e-15)


def test_relu_rnn_by_hand():
    # x + W_hh h + b_hh = (1 + 3 + 0.5, -4 + 2 + 0)
    (h,) = cells.relu_rnn_step(
        np.array([1.0, -4.0]), (np.array([1.0, 3.0]),), W_HH, np.array([0.5, 0.0])
    )
    np.testing.assert_array_equal(h, [4.5, 0.0])


LN3 = math.log(3.0)
"""σ(ln 3) = 3/4, σ(-ln 3) = 1/4, σ(0) = 1/2 and tanh((ln 3) / 2) = 1/2."""


def test_lstm_by_hand():
    # i = 3/4, f = 1/2, tanh(g) = 1/2, o = 1/4; the second unit has all gates at a half, g = 0.
    # Part of each comes from x, part from W_hh h, part from b_hh.
    gates = np.array([LN3, 0.0, 0.0, 0.0, LN3 / 2, 0.0, -LN3, 0.0])
    w_hh = np.arange(16.0).reshape(8, 2) / 10
    h, c, b_hh = np.array([0.3, -0.2]), np.array([2.0, -4.0]), np.arange(8.0)
    x = gates - w_hh @ h - b_hh
    h, c = cells.lstm_step(x, (h, c), w_hh, b_hh)
    # c' = 1/2 · 2 + 3/4 · 1/2 = 11/8 and 1/2 · -4 + 1/2 · 0 = -2
    np.testing.assert_allclose(c, [1.375, -2.0], atol=1e-12)
    np.testing.assert_allclose(h, [math.tanh(1.375) / 4, math.tanh(-2.0) / 2], atol=1e-12)


def test_gru_by_hand():
    # r = 3/4 and z = 1/4; n's recurrent part, W_hn h + b_hn, is 4, of which r lets 3 through.
    h, w_hh, b_hh = np.array([8.0]), np.array([[0.5], [0.25], [0.375]]), np.array([-1.0, 2.0, 1.0])
    x = np.array([LN3 - 3.0, -LN3 - 4.0, LN3 / 2 - 3.0])
    (h,) = cells.gru_step(x, (h,), w_hh, b_hh)
    np.testing.assert_allclose(h, [0.75 * 0.5 + 0.25 * 8.0], atol=1e-12)


def test_the_gru_resets_after_the_product():
    """With r at 0 nothing of W_hn h + b_hn is left, its bias included."""
    x = np.array([-1e4, -1e4, LN3 / 2])
    (h,) = cells.gru_step(x, (np.array([5.0]),), np.ones((3, 1)), np.array([0.0, 0.0, 7.0]))
    np.testing.assert_allclose(h, [0.5], atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_does_not_overflow(dtype):
    largest = float(np.finfo(dtype).max)
    extreme = np.array([-math.inf, -largest, -1e4, 0.0, 1e4, largest, math.inf], dtype=dtype)
    with np.errstate(all="raise"):
        found = cells.sigmoid(extreme)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, [0, 0, 0, 0.5, 1, 1, 1])
    np.testing.assert_array_equal(cells.sigmoid(torch.from_numpy(extreme)).numpy(), found)


def test_sigmoid_is_the_logistic_function():
    a = np.linspace(-30, 30, 601)
    np.testing.assert_allclose(cells.sigmoid(a), 1 / (1 + np.exp(-a)), rtol=0, atol=1e-15)


def test_relu_of_every_kind_of_number():
    """Also of -inf, to which an exploding network comes: torch.nn's ReLU gives 0."""
    a = np.array([-math.inf, -2.0, -0.0, 0.0, 3.0, math.inf])
    np.testing.assert_array_equal(cells.relu(a), [0, 0, 0, 0, 3, math.inf])
    np.testing.assert_array_equal(cells.relu(torch.from_numpy(a)), [0, 0, 0, 0, 3, math.inf])


def test_each_name_has_its_own_cell():
    steps = {cells.step_of(model, nonlinearity) for model, nonlinearity in CELLS}
    assert len(steps) == len(CELLS)
