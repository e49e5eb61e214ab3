"""The equations, against values worked out by hand and between NumPy and torch.

The derivatives, against what they are the limits of and against torch's autograd.
"""

import math

import numpy as np
import pytest
import torch

from charrnn import arrays, cells
from charrnn.quasi import qrnn_step
from charrnn.settings import GATES, NONLINEARITIES, RECURRENT

CELLS = [(m, n) for m in GATES for n in (NONLINEARITIES if m == "rnn" else ("tanh",))]

each_cell = pytest.mark.parametrize(("model", "nonlinearity"), CELLS)


def random_cell(model, shape, dtype=np.float64, seed=0):
    """x, state, w_hh and b_hh for a cell of shape (H,) or (B, H)."""
    random, hidden = np.random.default_rng(seed), shape[-1]
    rows = GATES[model] * hidden
    x = random.normal(size=(*shape[:-1], rows))
    state = [random.normal(size=shape) for _ in range(cells.states(model))]
    w_hh = random.normal(size=(RECURRENT[model] * hidden, hidden))
    b_hh = random.normal(size=rows)
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
        found = arrays.sigmoid(extreme)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, [0, 0, 0, 0.5, 1, 1, 1])
    np.testing.assert_array_equal(arrays.sigmoid(torch.from_numpy(extreme)).numpy(), found)


def test_sigmoid_is_the_logistic_function():
    a = np.linspace(-30, 30, 601)
    np.testing.assert_allclose(arrays.sigmoid(a), 1 / (1 + np.exp(-a)), rtol=0, atol=1e-15)


def test_relu_of_every_kind_of_number():
    """Also of -inf, to which an exploding network comes: torch.nn's ReLU gives 0."""
    a = np.array([-math.inf, -2.0, -0.0, 0.0, 3.0, math.inf])
    np.testing.assert_array_equal(arrays.relu(a), [0, 0, 0, 0, 3, math.inf])
    np.testing.assert_array_equal(arrays.relu(torch.from_numpy(a)), [0, 0, 0, 0, 3, math.inf])


def test_sigmoid_rnn_by_hand():
    # x + W_hh h + b_hh = (-3 + 3 + ln 3, -2 + 2 + 0)
    (h,) = cells.sigmoid_rnn_step(
        np.array([-3.0, -2.0]), (np.array([1.0, 3.0]),), W_HH, np.array([LN3, 0.0])
    )
    np.testing.assert_allclose(h, [0.75, 0.5], atol=1e-15)


def test_gru_reset_before_by_hand():
    # r = 3/4 and z = 1/4; W_hn sees r ⊙ h = 6, and n = tanh(x_n + 0.375 · 6 + 1).
    h, w_hh, b_hh = np.array([8.0]), np.array([[0.5], [0.25], [0.375]]), np.array([-1.0, 2.0, 1.0])
    x = np.array([LN3 - 3.0, -LN3 - 4.0, LN3 / 2 - 3.25])
    (h,) = cells.gru_reset_before_step(x, (h,), w_hh, b_hh)
    np.testing.assert_allclose(h, [0.75 * 8.0 + 0.25 * 0.5], atol=1e-12)


def test_gru_reset_before_resets_each_unit_before_they_are_mixed():
    """W_hn sees unit 1 through its own reset gate; after the product it would be unit 0's."""
    w_hh = np.zeros((6, 2))
    w_hh[4, 1] = 1.0  # n of unit 0 is made of unit 1
    x = np.array([-1e4, 1e4, 1e4, 1e4, 0.0, 0.0])  # r = (0, 1), z = (1, 1)
    (h,) = cells.gru_reset_before_step(x, (np.array([0.3, LN3 / 2]),), w_hh, np.zeros(6))
    np.testing.assert_allclose(h, [0.5, 0.0], atol=1e-12)


def test_with_nothing_let_through_the_reset_before_leaves_the_bias():
    x = np.array([-1e4, 1e4, 0.0])
    (h,) = cells.gru_reset_before_step(
        x, (np.array([5.0]),), np.ones((3, 1)), np.array([0.0, 0.0, LN3 / 2])
    )
    np.testing.assert_allclose(h, [0.5], atol=1e-12)


@pytest.mark.parametrize(("z", "gru", "reset_before"), [(1e4, 5.0, 0.5), (-1e4, 0.5, 5.0)])
def test_the_two_grus_mean_the_opposite_by_z(z, gru, reset_before):
    """At z = 1 the gru keeps its state and gru-reset-before replaces it."""
    x, h, w_hh, b_hh = np.array([0.0, z, LN3 / 2]), np.array([5.0]), np.zeros((3, 1)), np.zeros(3)
    np.testing.assert_allclose(cells.gru_step(x, (h,), w_hh, b_hh)[0], [gru], atol=1e-12)
    found = cells.gru_reset_before_step(x, (h,), w_hh, b_hh)[0]
    np.testing.assert_allclose(found, [reset_before], atol=1e-12)


def test_product_by_hand():
    # a = 3/4 and c = 1/4: a part of each from x, from U h and from b. b_a is read once more.
    h, w_hh, b_hh = np.array([2.0]), np.array([[0.5], [-1.5]]), np.array([0.3, 0.7])
    x = np.array([LN3 - 1.0 - 0.3, -LN3 + 3.0 - 0.7])
    (h,) = cells.product_step(x, (h,), w_hh, b_hh)
    np.testing.assert_allclose(h, [math.tanh(0.75 * 0.25 + 0.3)], atol=1e-12)


def test_qrnn_by_hand():
    # tanh(u) = 1/2, σ(f) = 3/4, σ(o) = 1/4: a part of each from x and from b. h is not read.
    x, b_hh = np.array([LN3 / 2 - 1.0, LN3 + 2.0, -LN3]), np.array([1.0, -2.0, 0.0])
    h, c = qrnn_step(x, (np.array([9.0]), np.array([6.0])), np.empty((0, 1)), b_hh)
    np.testing.assert_allclose(c, [0.75 * 6.0 + 0.25 * 0.5], atol=1e-12)
    np.testing.assert_allclose(h, c / 4, atol=1e-12)


def test_each_name_has_its_own_cell():
    for named in cells.step_of, cells.derivative_of:
        assert len({named(model, nonlinearity) for model, nonlinearity in CELLS}) == len(CELLS)


@each_cell
def test_a_nonlinearity_changes_nothing_but_the_rnn(model, nonlinearity):
    if model != "rnn":
        for other in NONLINEARITIES:
            assert cells.step_of(model, other) is cells.step_of(model, nonlinearity)
            assert cells.derivative_of(model, other) is cells.derivative_of(model, nonlinearity)


@each_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("extreme", [-1.0, 1.0])
def test_extreme_input_overflows_nowhere(model, nonlinearity, dtype, extreme):
    """Gates far into either end; a quarter, since a sum of four parts must be a number."""
    x, state, w_hh, b_hh = random_cell(model, (3, 5), dtype)
    x = np.full_like(x, extreme * float(np.finfo(dtype).max) / 4)
    x[:, ::2] *= -1
    pull = tuple(np.ones_like(part) for part in state)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        after = cells.step_of(model, nonlinearity)(x, state, w_hh, b_hh)
        found = cells.derivative_of(model, nonlinearity)(x, state, w_hh, b_hh, pull)
    for array in (*after, found.x, *found.state, found.w_hh, found.b_hh):
        assert np.isfinite(array).all()


# Derivatives

SHAPES = pytest.mark.parametrize("shape", [(1,), (4,), (1, 1), (3, 4)])


def some_pull(state):
    """A gradient with respect to the next state, another one for each of its parts."""
    random = np.random.default_rng(9)
    return tuple(random.normal(size=part.shape) for part in state)


def listed(derivative):
    """Its arrays in the order in which a step is given what they belong to."""
    return [derivative.x, *derivative.state, derivative.w_hh, derivative.b_hh]


@each_cell
@SHAPES
def test_a_derivative_is_the_limit_of_differences(model, nonlinearity, shape):
    """Each number that the step reads, moved a little to either side."""
    step, small = cells.step_of(model, nonlinearity), 1e-6
    x, state, w_hh, b_hh = random_cell(model, shape)
    pull = some_pull(state)

    def value():
        after = step(x, state, w_hh, b_hh)
        return sum((part * p).sum() for part, p in zip(after, pull, strict=True))

    found = cells.derivative_of(model, nonlinearity)(x, state, w_hh, b_hh, pull)
    for array, gradient in zip((x, *state, w_hh, b_hh), listed(found), strict=True):
        assert gradient.shape == array.shape
        wanted = np.empty_like(array)
        for place in np.ndindex(array.shape):
            middle = array[place]
            array[place] = middle + small
            above = value()
            array[place] = middle - small
            wanted[place] = (above - value()) / (2 * small)
            array[place] = middle
        np.testing.assert_allclose(gradient, wanted, rtol=1e-7, atol=1e-8)


@each_cell
@SHAPES
def test_a_derivative_is_autograd_s(model, nonlinearity, shape):
    x, state, w_hh, b_hh = random_cell(model, shape)
    pull = some_pull(state)
    leaves = [torch.tensor(array, requires_grad=True) for array in (x, *state, w_hh, b_hh)]
    after = cells.step_of(model, nonlinearity)(leaves[0], tuple(leaves[1:-2]), *leaves[-2:])
    wanted = torch.autograd.grad(
        after, leaves, list(map(torch.from_numpy, pull)), allow_unused=True, materialize_grads=True
    )
    found = cells.derivative_of(model, nonlinearity)(x, state, w_hh, b_hh, pull)
    for ours, theirs in zip(listed(found), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-10, atol=1e-12)


@each_cell
@SHAPES
def test_numpy_and_torch_give_the_same_derivative(model, nonlinearity, shape):
    derivative = cells.derivative_of(model, nonlinearity)
    x, state, w_hh, b_hh = random_cell(model, shape)
    pull, tensor = some_pull(state), torch.from_numpy
    ours = derivative(x, state, w_hh, b_hh, pull)
    theirs = derivative(
        tensor(x), tuple(map(tensor, state)), tensor(w_hh), tensor(b_hh), tuple(map(tensor, pull))
    )
    for a, b in zip(listed(ours), listed(theirs), strict=True):
        assert isinstance(a, np.ndarray)
        assert isinstance(b, torch.Tensor)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b.numpy(), rtol=0, atol=1e-12)


@each_cell
def test_the_weights_gradient_is_the_sum_over_streams(model, nonlinearity):
    derivative = cells.derivative_of(model, nonlinearity)
    x, state, w_hh, b_hh = random_cell(model, (3, 5))
    pull = some_pull(state)
    together = derivative(x, state, w_hh, b_hh, pull)
    alone = [
        derivative(x[i], tuple(s[i] for s in state), w_hh, b_hh, tuple(p[i] for p in pull))
        for i in range(3)
    ]
    close = {"rtol": 0, "atol": 1e-12}
    for i, one in enumerate(alone):
        np.testing.assert_allclose(one.x, together.x[i], **close)
        for a, b in zip(one.state, together.state, strict=True):
            np.testing.assert_allclose(a, b[i], **close)
    np.testing.assert_allclose(sum(one.w_hh for one in alone), together.w_hh, **close)
    np.testing.assert_allclose(sum(one.b_hh for one in alone), together.b_hh, **close)


@each_cell
@pytest.mark.parametrize("kind", [np.asarray, torch.tensor])
def test_a_derivative_keeps_float32_and_changes_nothing_it_was_given(kind, model, nonlinearity):
    def given():
        x, state, w_hh, b_hh = random_cell(model, (2, 4), np.float32)
        pull = tuple(kind(p.astype(np.float32)) for p in some_pull(state))
        return kind(x), tuple(map(kind, state)), kind(w_hh), kind(b_hh), pull

    ours, before = given(), given()
    found = cells.derivative_of(model, nonlinearity)(*ours)
    assert {array.dtype for array in listed(found)} == {before[0].dtype}
    for now, then in zip(ours, before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_relu_is_flat_at_its_kink():
    """As torch has it."""
    zero, one = np.zeros(1), np.ones(1)
    found = cells.relu_rnn_derivative(zero, (zero,), np.ones((1, 1)), zero, (one,))
    assert [array.item() for array in listed(found)] == [0.0] * 4
