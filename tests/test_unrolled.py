"""The unrolled cells, held to each cell's definition in `cells`, step by step and back."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import cells, compiled, unrolled, unrolled_quasi
from charrnn.products import left_plain, packing_works, ready
from charrnn.settings import GATES, RECURRENT
from charrnn.window import Arriving, Window

pytestmark = pytest.mark.usefixtures("small_products_are_packed")

CELLS = list(compiled.CELLS)

each_cell = pytest.mark.parametrize("cell", CELLS)


def named(cell):
    """The cell's name in GATES, and a nonlinearity."""
    return ("rnn", cell.removeprefix("rnn-")) if cell.startswith("rnn") else (cell, "tanh")


class Case:
    """A window's input, and what arrives from above and beyond, at random, in float64."""

    def __init__(self, cell, time, batch, hidden, seed=0, scale=1.0):
        self.cell, self.time, self.batch, self.hidden = cell, time, batch, hidden
        self.model, self.nonlinearity = named(cell)
        random, rows = np.random.default_rng(seed), GATES[self.model] * hidden

        def drawn(*shape):
            return torch.from_numpy(scale * random.normal(size=shape))

        states = range(cells.states(self.model))
        self.x = drawn(time, batch, rows)
        self.first = [drawn(batch, hidden) for _ in states]
        self.w_hh = drawn(RECURRENT[self.model] * hidden, hidden) / hidden**0.5
        self.b_hh = drawn(rows)
        self.dy = drawn(time, batch, hidden)
        self.d_last = [drawn(batch, hidden) for _ in states]

    def by_the_definition(self):
        """Forward by `cells.step_of`, back by `cells.derivative_of`, a step at a time."""
        step = cells.step_of(self.model, self.nonlinearity)
        derivative = cells.derivative_of(self.model, self.nonlinearity)
        states = [tuple(self.first)]
        for x in self.x:
            states.append(step(x, states[-1], self.w_hh, self.b_hh))
        d_state, found = tuple(self.d_last), []
        for t in range(self.time - 1, -1, -1):
            d_next = (d_state[0] + self.dy[t], *d_state[1:])
            found.insert(0, derivative(self.x[t], states[t], self.w_hh, self.b_hh, d_next))
            d_state = found[0].state
        d_x = torch.stack([each.x for each in found])
        d_b = sum(each.b_hh for each in found)
        return {
            "states": [torch.stack(part) for part in zip(*states, strict=True)],
            "d_x": d_x,
            "d_first": list(d_state),
            "d_w_hh": sum(each.w_hh for each in found),
            "d_b": self.within(d_b, d_x),
        }

    def inside(self):
        """The bias that stands inside the recurrence, and the one that is added to x."""
        h, none = self.hidden, self.b_hh[:0]
        if self.model == "gru":  # n's is multiplied by r
            return self.b_hh[2 * h :], torch.cat(
                [self.b_hh[: 2 * h], torch.zeros_like(self.b_hh[:h])]
            )
        if self.model == "product":  # a's is read a second time
            return self.b_hh[:h], self.b_hh
        return none, self.b_hh

    def within(self, d_b, d_x):
        """Of the gradient of b_hh the part that does not come by way of x."""
        if self.model == "gru":
            return d_b[2 * self.hidden :]
        if self.model == "product":
            return d_b[: self.hidden] - d_x[:, :, : self.hidden].sum((0, 1))
        return d_b[:0]

    def unrolled(self, functions, dtype=torch.float64, precision="fp32", packed=False):
        """The same by an unrolled cell's functions; memory holds no numbers beforehand."""
        cell = compiled.CELLS[self.cell]

        def empty(*shape):
            return torch.full(shape, torch.nan, dtype=dtype)

        time, batch, hidden = self.time, self.batch, self.hidden
        inside, outside = self.inside()
        states = [empty(time + 1, batch, hidden) for _ in self.first]
        for rest, first in zip(states, self.first, strict=True):
            rest[0] = first
        w_hh = self.w_hh.to(dtype)
        whole = not cell.pieces_back and not left_plain(w_hh, batch, precision, packed)
        sizes = [sum(cell.pieces)] if whole else cell.pieces
        pieces = torch.split(w_hh, [hidden * n for n in sizes])
        back = pieces if cell.pieces_back else [w_hh]
        window = Window(
            (self.x + outside).to(dtype),
            states,
            [empty(time, batch, hidden) for _ in range(cell.kept)],
            [ready(piece, batch, precision, packed) for piece in pieces],
            inside.to(dtype),
        )
        functions.forward(window)
        arriving = Arriving(
            self.dy.to(dtype),
            [part.to(dtype) for part in self.d_last],
            empty(*self.x.shape),
            [empty(time + 1, batch, hidden) for _ in range(cell.scratch)],
        )
        weights = [ready(piece.t(), batch, precision, packed) for piece in back]
        given = [window.x, *window.states, *window.kept, arriving.dy, *arriving.d_last]
        before = [each.clone() for each in given]
        leaving = functions.backward(window._replace(weights=weights), arriving)
        for now, then in zip(given, before, strict=True):
            assert torch.equal(now, then), "backward changed what forward left, or what arrived"
        return {
            "states": states,
            "d_x": arriving.d_x,
            "d_first": leaving.d_first,
            "d_w_hh": leaving.d_w_hh,
            "d_b": leaving.d_b,
        }


def plain(cell):
    return compiled.CELLS[cell]


def scripted(cell):
    found = compiled.compiled(cell, "cpu")
    if found is compiled.CELLS[cell]:
        pytest.skip("TorchScript reads no cell here")
    return found


def each_number(found):
    for name, value in found.items():
        for number, tensor in enumerate(value if isinstance(value, list) else [value]):
            yield f"{name} {number}", tensor


def assert_same(found, wanted, **close):
    for (name, ours), (_, theirs) in zip(each_number(found), each_number(wanted), strict=True):
        torch.testing.assert_close(ours, theirs, msg=lambda m, name=name: f"{name}: {m}", **close)


def relative(found, wanted):
    """For each number's name the largest error, relative to the largest of that name."""
    return {
        name: float((ours.double() - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30))
        for (name, ours), (_, theirs) in zip(each_number(found), each_number(wanted), strict=True)
        if theirs.numel()
    }


@each_cell
@given(
    time=st.integers(1, 9),
    batch=st.integers(1, 5),
    hidden=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([0.1, 1.0, 8.0]),
)
@settings(deadline=None, max_examples=25)
def test_an_unrolled_cell_is_the_cell(cell, time, batch, hidden, seed, scale):
    case = Case(cell, time, batch, hidden, seed, scale)
    wanted = case.by_the_definition()
    assert_same(case.unrolled(scripted(cell)), wanted, rtol=1e-9, atol=1e-10 * max(1, scale**2))


@each_cell
def test_as_plain_python_too(cell):
    case = Case(cell, 6, 3, 5)
    assert_same(case.unrolled(plain(cell)), case.by_the_definition(), rtol=1e-9, atol=1e-10)


@each_cell
@pytest.mark.parametrize(("time", "many"), [(1, 1), (5, 1), (5, 2), (6, 3), (7, 3), (4, 4), (4, 9)])
def test_factors_of_some_steps_at_once_are_those_of_all(monkeypatch, cell, time, many):
    """T is a multiple of what is done at once, or not, or less."""
    case = Case(cell, time, 2, 3)
    for module in unrolled, unrolled_quasi:
        monkeypatch.setattr(module, "steps_at_once", lambda h: many)
    assert_same(case.unrolled(plain(cell)), case.by_the_definition(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("cell", ["lstm", "gru", "qrnn"])
def test_a_batch_so_large_that_two_steps_are_done_at_once(cell):
    """As TorchScript has it: 5 steps of 2¹⁷ numbers."""
    case = Case(cell, 5, 2**16, 2)
    assert unrolled.steps_at_once(case.first[0]) == 2
    found, wanted = case.unrolled(scripted(cell)), case.by_the_definition()
    assert max(relative(found, wanted).values()) < 1e-11  # sums of 2¹⁶ and more


@each_cell
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_torchscript_and_python_agree_to_the_bit(cell, dtype):
    """Every time: what TorchScript makes of a function changes with its first few calls."""
    for number, (time, batch, hidden) in enumerate([(4, 3, 6)] * 4 + [(1, 1, 1), (6, 2, 17)] * 2):
        case = Case(cell, time, batch, hidden, seed=number)
        assert_same(
            case.unrolled(scripted(cell), dtype), case.unrolled(plain(cell), dtype), rtol=0, atol=0
        )


# Lower precisions. The cells' functions are no steeper than 1, and W_hh's numbers are of
# about 1 / √H, so that a step makes an error little larger: what T steps of H products each
# are off by is a small multiple of one rounding.

SHAPES = [(1, 1, 1), (6, 3, 5), (4, 2, 33)]


@each_cell
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_in_fp32_it_is_the_cell_up_to_rounding(cell, packed, shape):
    """A rounding is 6e-8."""
    if packed and not packing_works("fp32"):
        pytest.skip("this PyTorch packs no fp32 weights")
    case = Case(cell, *shape)
    found = case.unrolled(scripted(cell), torch.float32, "fp32", packed)
    errors = relative(found, case.by_the_definition())
    assert max(errors.values()) < 3e-6, errors


@each_cell
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_in_bf16_it_is_the_cell_up_to_bf16_s_rounding(cell, packed, shape):
    """A rounding is 2⁻⁹ to 2⁻⁸, of W, of h and of their product; sums are over H and T."""
    if packed and not packing_works("bf16"):
        pytest.skip("this PyTorch packs no bf16 weights")
    case = Case(cell, *shape)
    found = case.unrolled(scripted(cell), torch.float32, "bf16", packed)
    assert {tensor.dtype for _, tensor in each_number(found)} == {torch.float32}
    errors = relative(found, case.by_the_definition())
    assert max(errors.values()) < 12 * 2.0**-8, errors
    if cell != "qrnn":  # which multiplies nothing here
        assert max(errors.values()) > 2.0**-14  # bf16 it was
