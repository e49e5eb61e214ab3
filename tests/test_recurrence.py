"""Every restatement of a cell, held to its definition in `cells`; and memory used again."""

import contextlib
import gc
import threading
import weakref

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from charrnn import cells, compiled, recurrence
from charrnn.buffers import Memory
from charrnn.products import packing_works
from charrnn.recurrence import Characters, LayerMemory, LayerWeights
from charrnn.sampling import Sampler
from charrnn.settings import BIASES, GATES, NONLINEARITIES, RECURRENT, ModelSettings
from charrnn.tokenizer import Vocabulary

pytestmark = pytest.mark.usefixtures("small_products_are_packed")

CELLS = [(m, n) for m in GATES for n in (NONLINEARITIES if m == "rnn" else ("tanh",))]

IN_TORCH_NN = [("rnn", "tanh"), ("rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")]


UNREAD = {"allow_unused": True, "materialize_grads": True}
"""For what a cell does not read of its state the gradient is zero."""


def by_the_definition(model, nonlinearity, inputs, states, layers):
    """Hidden states (T, B, H) and each layer's last state, one step of `cells` at a time."""
    step = cells.step_of(model, nonlinearity)
    after = []
    for weights, state in zip(layers, states, strict=True):
        hidden = []
        for moment in inputs:
            x = moment @ weights.w_ih.T
            x = x if weights.b_ih is None else x + weights.b_ih
            state = step(x, state, weights.w_hh, weights.b_hh)
            hidden.append(state[0])
        inputs = np.stack(hidden) if isinstance(hidden[0], np.ndarray) else torch.stack(hidden)
        after.append(state)
    return inputs, after


def as_tensors(weights, requires_grad=False):
    return LayerWeights(
        *(w if w is None else torch.tensor(w, requires_grad=requires_grad) for w in weights)
    )


def by_recurrence_run(model, nonlinearity, inputs, states, layers):
    x, after = torch.from_numpy(inputs), []
    with torch.inference_mode():
        for weights, state in zip(layers, states, strict=True):
            tensors = as_tensors(weights)
            first = tuple(map(torch.from_numpy, state))
            x, last = recurrence.run(model, nonlinearity, x, first, tensors)
            after.append(tuple(part.numpy() for part in last))
    return x.numpy(), after


def by_recurrence_run_for_training(model, nonlinearity, inputs, states, layers):
    """The same where a gradient is wanted: another kernel, on some processors."""
    leaves = [as_tensors(weights, requires_grad=True) for weights in layers]
    x, after = torch.from_numpy(inputs), []
    for weights, state in zip(leaves, states, strict=True):
        first = tuple(map(torch.from_numpy, state))
        x, last = recurrence.run(model, nonlinearity, x, first, weights)
        after.append(tuple(part.detach().numpy() for part in last))
    assert x.requires_grad
    return x.detach().numpy(), after


def by_sampler_read(model, nonlinearity, inputs, states, layers):
    """Each input vector is made the embedding of a character of its own."""
    time, batch, embedding = inputs.shape
    hidden = layers[0].w_hh.shape[1]
    weights = {"embedding.weight": inputs.reshape(time * batch, embedding)}
    for number, layer in enumerate(layers):
        weights |= {
            f"recurrent.weight_ih_l{number}": layer.w_ih,
            f"recurrent.weight_hh_l{number}": layer.w_hh,
            f"recurrent.bias_hh_l{number}": layer.b_hh,
        }
        if layer.b_ih is not None:
            weights[f"recurrent.bias_ih_l{number}"] = layer.b_ih
    weights["output.weight"] = np.zeros((time * batch, hidden), dtype=inputs.dtype)
    weights["output.bias"] = np.zeros(time * batch, dtype=inputs.dtype)
    vocabulary = Vocabulary("".join(chr(0x4E00 + i) for i in range(time * batch)))
    settings = ModelSettings(model, nonlinearity, embedding, hidden, len(layers))
    sampler = Sampler(settings, vocabulary, weights)
    outputs = np.empty((time, batch, hidden), dtype=inputs.dtype)
    last = []
    for stream in range(batch):
        state = [tuple(part[stream] for part in layer) for layer in states]
        for moment in range(time):
            state = sampler.read(moment * batch + stream, state)
            outputs[moment, stream] = state[-1][0]
        last.append(state)
    after = [
        tuple(np.stack([state[layer][part] for state in last]) for part in range(len(states[0])))
        for layer in range(len(layers))
    ]
    return outputs, after


RESTATEMENTS = [
    by_recurrence_run,
    by_recurrence_run_for_training,
    by_sampler_read,
]


def random_layers(model, embedding, hidden, layers, random, dtype):
    rows = GATES[model] * hidden
    found = []
    for number in range(layers):
        inputs = hidden if number else embedding
        drawn = LayerWeights(
            *(
                (random.normal(size=shape) / np.sqrt(shape[-1])).astype(dtype)
                for shape in ((rows, inputs), (RECURRENT[model] * hidden, hidden), (rows,), (rows,))
            )
        )
        found.append(drawn if BIASES[model] == 2 else drawn._replace(b_ih=None))
    return found


def random_states(model, batch, hidden, layers, random, dtype):
    return [
        tuple(random.normal(size=(batch, hidden)).astype(dtype) for _ in range(cells.states(model)))
        for _ in range(layers)
    ]


@pytest.mark.parametrize("restatement", RESTATEMENTS)
@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
@given(
    time=st.integers(1, 6),
    batch=st.integers(1, 4),
    embedding=st.integers(1, 5),
    hidden=st.integers(1, 9),
    layers=st.integers(1, 3),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=25)
def test_every_restatement_is_the_cell(
    restatement, model, nonlinearity, time, batch, embedding, hidden, layers, dtype, seed
):
    random = np.random.default_rng(seed)
    weights = random_layers(model, embedding, hidden, layers, random, dtype)
    states = random_states(model, batch, hidden, layers, random, dtype)
    inputs = random.normal(size=(time, batch, embedding)).astype(dtype)
    wanted, wanted_after = by_the_definition(model, nonlinearity, inputs, states, weights)
    found, found_after = restatement(model, nonlinearity, inputs, states, weights)

    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-9, "atol": 1e-10}
    assert found.shape == (time, batch, hidden)
    np.testing.assert_allclose(found, wanted, **close)
    for ours, theirs in zip(found_after, wanted_after, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == dtype
            np.testing.assert_allclose(a, b, **close)


@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
@pytest.mark.parametrize(("time", "batch", "hidden"), [(1, 1, 1), (7, 3, 4)])
def test_gradients_are_those_of_the_cell(model, nonlinearity, time, batch, hidden):
    """With respect to inputs, first state and weights, through hidden and last states."""
    random = np.random.default_rng(1)
    (weights,) = random_layers(model, 3, hidden, 1, random, np.float64)
    (state,) = random_states(model, batch, hidden, 1, random, np.float64)
    inputs = random.normal(size=(time, batch, 3))
    pull_hidden = torch.from_numpy(random.normal(size=(time, batch, hidden)))
    pull_state = [torch.from_numpy(random.normal(size=(batch, hidden))) for _ in state]

    def gradients(run):
        x, *first = (torch.tensor(a, requires_grad=True) for a in (inputs, *state))
        layer = as_tensors(weights, requires_grad=True)
        leaves = [x, *first, *(w for w in layer if w is not None and w.numel())]
        hidden_states, last = run(model, nonlinearity, x, tuple(first), layer)
        value = (hidden_states * pull_hidden).sum()
        value = value + sum(
            (part * pull).sum() for part, pull in zip(last, pull_state, strict=True)
        )
        return torch.autograd.grad(value, leaves, **UNREAD)

    def definition(model, nonlinearity, x, first, layer):
        found, (last,) = by_the_definition(model, nonlinearity, x, [first], [layer])
        return found, last

    both = zip(gradients(recurrence.run), gradients(definition), strict=True)
    for number, (ours, theirs) in enumerate(both):
        assert theirs.abs().max() > 0 or (model == "qrnn" and number == 1)  # it reads no h
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
def test_gradients_are_those_of_the_cell_where_all_is_zero(model, nonlinearity):
    """Where relu has its kink: both take 0 there, as torch.nn does."""
    rows = GATES[model] * 2
    layer = LayerWeights(
        torch.zeros(rows, 3), torch.zeros(2 * RECURRENT[model], 2), *torch.zeros(2, rows)
    )
    layer = layer if BIASES[model] == 2 else layer._replace(b_ih=None)
    state = tuple(torch.zeros(1, 2) for _ in range(cells.states(model)))
    step, found = cells.step_of(model, nonlinearity), []
    for by_definition in False, True:
        x = torch.zeros(1, 1, 3)
        weights = LayerWeights(*(w if w is None else w.clone().requires_grad_() for w in layer))
        if by_definition:
            read = nn.functional.linear(x[0], weights.w_ih, weights.b_ih)
            hidden = step(read, state, weights.w_hh, weights.b_hh)[0]
        else:
            hidden, _ = recurrence.run(model, nonlinearity, x, state, weights)
        found.append(torch.autograd.grad(hidden.sum(), weights.b_hh)[0])
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
def test_the_state_carries_a_sequence_over_a_cut(model, nonlinearity):
    random = np.random.default_rng(2)
    (weights,) = random_layers(model, 3, 4, 1, random, np.float64)
    layer = as_tensors(weights)
    state = tuple(map(torch.from_numpy, random_states(model, 2, 4, 1, random, np.float64)[0]))
    inputs = torch.from_numpy(random.normal(size=(9, 2, 3)))
    whole, last = recurrence.run(model, nonlinearity, inputs, state, layer)
    first, between = recurrence.run(model, nonlinearity, inputs[:4], state, layer)
    second, end = recurrence.run(model, nonlinearity, inputs[4:], between, layer)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-12)


# Gradients


def fresh():
    return LayerMemory(Memory(), Memory())


class Layer:
    """A layer's weights, state and input, each of which wants a gradient.

    It reads vectors, or where `vocabulary` is given the rows of an embedding.
    """

    def __init__(
        self, model, nonlinearity, time, batch, inputs, hidden, *, vocabulary=0, seed=0, dtype=None
    ):
        random, dtype = np.random.default_rng(seed), dtype or torch.float64
        self.model, self.nonlinearity = model, nonlinearity
        self.dtype = {torch.float64: np.float64, torch.float32: np.float32}[dtype]
        (weights,) = random_layers(model, inputs, hidden, 1, random, np.float64)
        (state,) = random_states(model, batch, hidden, 1, random, np.float64)
        shape = (vocabulary, inputs) if vocabulary else (time, batch, inputs)
        self.source = random.normal(size=shape)
        self.weights, self.state = weights, state
        self.ids = torch.from_numpy(random.integers(0, max(1, vocabulary), size=(time, batch)))
        self.vocabulary = vocabulary
        self.pulls = [
            torch.from_numpy(random.normal(size=s)).to(dtype)
            for s in [(time, batch, hidden), *[(batch, hidden)] * len(state)]
        ]

    def leaves(self):
        """What a gradient is wanted of: input, state, then the weights there are."""
        weights = (w for w in self.weights if w is not None and w.size)
        arrays = [self.source, *self.state, *weights]
        return [torch.tensor(a.astype(self.dtype), requires_grad=True) for a in arrays]

    def arguments(self, source, *rest):
        """What `run` is called with, of such leaves."""
        state, weights = rest[: len(self.state)], list(rest[len(self.state) :])
        if not self.weights.w_hh.size:
            weights.insert(1, weights[0].new_empty(self.weights.w_hh.shape))
        if self.weights.b_ih is None:
            weights.insert(2, None)
        read = Characters(self.ids, source) if self.vocabulary else source
        return self.model, self.nonlinearity, read, state, LayerWeights(*weights)

    def values(self, *leaves, memory=None, precision="fp32"):
        """Hidden states and last states, in one tuple."""
        hidden, last = recurrence.run(*self.arguments(*leaves), memory=memory, precision=precision)
        return hidden, *last

    def defined(self, *leaves):
        """The same by the definition, for autograd to differentiate."""
        model, nonlinearity, read, state, weights = self.arguments(*leaves)
        if self.vocabulary:
            read = nn.functional.embedding(*read)
        hidden, (last,) = by_the_definition(model, nonlinearity, read, [state], [weights])
        return hidden, *last

    def gradients(self, values, leaves, **options):
        """Of a value that every result is pulled on by another weight."""
        pulls = [pull.to(v.dtype) for pull, v in zip(self.pulls, values, strict=True)]
        return torch.autograd.grad(values, leaves, pulls, **UNREAD, **options)

    def found(self, run=None, **options):
        """Values and gradients in one list."""
        leaves = self.leaves()
        values = (run or self.values)(*leaves, **options)
        gradients = self.gradients(values, leaves)
        return [*(v.detach() for v in values), *gradients]


def assert_equal(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)


def assert_close(found, wanted, error, least=0.0):
    """No number is off by more than `error` of the largest of its tensor, or of `least`."""
    for number, (ours, theirs) in enumerate(zip(found, wanted, strict=True)):
        assert ours.shape == theirs.shape
        off = (ours.double() - theirs.double()).abs().max()
        largest = theirs.double().abs().max().clamp(min=least)
        assert off <= error * largest + 1e-30, f"{number}: {float(off)} of {float(largest)}"


each_cell = pytest.mark.parametrize(("model", "nonlinearity"), CELLS)

READS = {  # T, B, I, H and V; where 2 V < T B, the products are looked up
    "vectors": (4, 3, 2, 3, 0),
    "the least": (1, 1, 1, 1, 0),
    "few characters": (5, 2, 3, 2, 4),
    "many characters": (3, 2, 2, 3, 9),
    "one character": (3, 2, 2, 3, 1),
}


@each_cell
@pytest.mark.parametrize("reads", READS)
@pytest.mark.parametrize("carried", [True, False])
def test_gradients_are_what_they_are_the_limits_of(model, nonlinearity, reads, carried):
    """With a first state that wants a gradient, and with one of zeros that does not."""
    time, batch, inputs, hidden, vocabulary = READS[reads]
    layer = Layer(model, nonlinearity, time, batch, inputs, hidden, vocabulary=vocabulary)
    leaves, memory = layer.leaves(), fresh()
    if not carried:
        for part in leaves[1 : 1 + len(layer.state)]:
            part.requires_grad_(False).zero_()
    assert torch.autograd.gradcheck(lambda *given: layer.values(*given, memory=memory), leaves)


@each_cell
@given(
    time=st.integers(1, 7),
    batch=st.integers(1, 4),
    inputs=st.integers(1, 4),
    hidden=st.integers(1, 6),
    vocabulary=st.sampled_from([0, 1, 2, 3, 8, 60]),
    seed=st.integers(0, 2**32 - 1),
)
@example(time=1, batch=1, inputs=1, hidden=1, vocabulary=2, seed=0)
@settings(deadline=None, max_examples=20)
def test_values_and_gradients_are_those_of_a_loop_of_steps(
    model, nonlinearity, time, batch, inputs, hidden, vocabulary, seed
):
    layer = Layer(
        model, nonlinearity, time, batch, inputs, hidden, vocabulary=vocabulary, seed=seed
    )
    assert_close(layer.found(), layer.found(layer.defined), 1e-9)


@pytest.mark.parametrize(("time", "batch"), [(4, 5), (3, 7)])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_looked_up_or_multiplied_a_character_is_its_vector(time, batch, more):
    """To either side of where looking up is cheaper."""
    vocabulary = time * batch // 2 + more
    layer = Layer("gru", "tanh", time, batch, 3, 4, vocabulary=vocabulary)
    assert_close(layer.found(), layer.found(layer.defined), 1e-10)


@each_cell
@pytest.mark.parametrize("vocabulary", [1, 2, 8_000])
@pytest.mark.parametrize(("time", "batch"), [(1, 1), (5, 1), (1, 5)])
def test_odd_vocabularies_and_short_batches(model, nonlinearity, vocabulary, time, batch):
    layer = Layer(model, nonlinearity, time, batch, 3, 4, vocabulary=vocabulary)
    assert_close(layer.found(), layer.found(layer.defined), 1e-10)


@pytest.mark.parametrize("vocabulary", [3, 40])
def test_a_character_that_is_none_is_refused(vocabulary):
    layer = Layer("gru", "tanh", 5, 4, 3, 4, vocabulary=vocabulary)
    layer.ids[3, 2] = vocabulary
    with pytest.raises(IndexError):
        layer.values(*layer.leaves())


@each_cell
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_inputs_in_less_precision_are_read_in_the_weights_own(model, nonlinearity, dtype):
    """As a layer of torch.nn's leaves them under autocast; their gradient goes back so, too."""
    layer = Layer(model, nonlinearity, 4, 3, 2, 5, dtype=torch.float32)
    source, *rest = layer.leaves()
    coarse = source.detach().to(dtype).requires_grad_()
    same = coarse.detach().float().requires_grad_()
    (hidden, *_), (wanted, *_) = layer.values(coarse, *rest), layer.values(same, *rest)
    assert torch.equal(hidden, wanted)
    (found,) = torch.autograd.grad(hidden.sum(), coarse)
    assert torch.equal(found, torch.autograd.grad(wanted.sum(), same)[0].to(dtype))


@each_cell
def test_strides_do_not_matter(model, nonlinearity):
    """Streams of a wider batch, and a gradient that is one number for all."""
    layer = Layer(model, nonlinearity, 5, 6, 3, 4)
    leaves = layer.leaves()

    def gradients(contiguous):
        source, *state = leaves[: 1 + len(layer.state)]
        source, state = source[:, 1:4], [part[1:4] for part in state]
        weights = leaves[1 + len(state) :]
        weights = [w.t().contiguous().t() if w.ndim == 2 else w for w in weights]
        if contiguous:
            source, *state = (each.contiguous() for each in (source, *state))
            weights = [w.contiguous() for w in weights]
        hidden, *last = layer.values(source, *state, *weights)
        pull = torch.tensor(0.7, dtype=torch.float64)
        pulls = [pull.expand(value.shape) for value in (hidden, *last)]
        return torch.autograd.grad((hidden, *last), leaves, pulls)

    assert_close(gradients(contiguous=False), gradients(contiguous=True), 1e-12)


@each_cell
def test_a_gradient_may_come_by_any_one_result_alone(model, nonlinearity):
    layer = Layer(model, nonlinearity, 4, 2, 3, 5)
    for number in range(1 + len(layer.state)):
        found = []
        for run in layer.values, layer.defined:
            leaves = layer.leaves()
            value = run(*leaves)[number]
            found.append(torch.autograd.grad(value, leaves, layer.pulls[number], **UNREAD))
        assert_close(*found, 1e-10)


def test_a_gradient_s_gradient_is_refused():
    layer = Layer("gru", "tanh", 3, 2, 3, 4)
    leaves = layer.leaves()
    value = (layer.values(*leaves)[0] ** 2).sum()
    gradients = torch.autograd.grad(value, leaves, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradients[0].sum().backward()


# torch.nn


@pytest.mark.parametrize(("model", "nonlinearity"), IN_TORCH_NN)
@given(
    time=st.integers(1, 20),
    batch=st.integers(1, 9),
    inputs=st.integers(1, 12),
    hidden=st.integers(1, 24),
    layers=st.integers(1, 3),
    seed=st.integers(0, 2**16),
)
@example(time=1, batch=1, inputs=1, hidden=1, layers=1, seed=0)
@example(time=30, batch=16, inputs=24, hidden=40, layers=3, seed=1)
@settings(deadline=None, max_examples=20)
def test_in_fp32_values_and_gradients_are_those_of_torch_nn(
    model, nonlinearity, time, batch, inputs, hidden, layers, seed
):
    """To 1e-5 of the largest number of each tensor.

    Or of 1, as what is summed is of about 1: where it cancels, its roundings stay.
    """
    torch.manual_seed(seed)
    kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[model]
    options = {"nonlinearity": nonlinearity} if model == "rnn" else {}
    theirs = kind(inputs, hidden, layers, **options)
    x = torch.randn(time, batch, inputs, requires_grad=True)
    first = [
        torch.randn(layers, batch, hidden, requires_grad=True) for _ in range(cells.states(model))
    ]
    y, last = theirs(x, tuple(first) if model == "lstm" else first[0])
    wanted = [y, *(last if model == "lstm" else (last,))]

    z, after = x, []
    for number in range(layers):
        weights = LayerWeights(*(getattr(theirs, f"{name}_l{number}") for name in NAMES))
        state = tuple(part[number] for part in first)
        z, last = recurrence.run(model, nonlinearity, z, state, weights)
        after.append(last)
    found = [z, *map(torch.stack, zip(*after, strict=True))]
    assert_close(found, wanted, 1e-5, least=1.0)
    leaves = [x, *first, *theirs.parameters()]
    pulls = [torch.randn_like(value) for value in wanted]
    theirs = torch.autograd.grad(wanted, leaves, pulls)
    assert_close(torch.autograd.grad(found, leaves, pulls), theirs, 1e-5, least=1.0)


NAMES = "weight_ih", "weight_hh", "bias_ih", "bias_hh"


# Lower precisions, against float64

# Where V < T B / 2 an embedding's products are looked up; T B of more than 512 is done in parts.
LOWER = [(1, 1, 1, 1, 0), (6, 3, 5, 7, 0), (6, 4, 3, 9, 5), (6, 4, 3, 9, 30), (20, 27, 3, 4, 0)]


@pytest.fixture
def packing(monkeypatch, request):
    """Packs weights or does not, whatever the rule of this machine says."""
    precision, packed = request.param
    if packed and not packing_works(precision):
        pytest.skip(f"this PyTorch packs no {precision} weights")
    monkeypatch.setattr(recurrence, "packs", lambda *_: packed)
    return precision


def of_packing(*choices):
    names = [f"{p}{' packed' if packed else ''}" for p, packed in choices]
    return pytest.mark.parametrize("packing", choices, indirect=True, ids=names)


@each_cell
@pytest.mark.parametrize("shape", LOWER)
@of_packing(("fp32", False), ("fp32", True))
def test_in_fp32_it_is_the_cell_up_to_rounding(model, nonlinearity, shape, packing):
    """A rounding is 6e-8; sums are over H and T · B, whose roundings mostly cancel."""
    wide = Layer(model, nonlinearity, *shape[:4], vocabulary=shape[4])
    narrow = Layer(model, nonlinearity, *shape[:4], vocabulary=shape[4], dtype=torch.float32)
    found = narrow.found(memory=fresh())
    assert {each.dtype for each in found} == {torch.float32}
    assert_close(found, wide.found(wide.defined), 4e-6)


@each_cell
@pytest.mark.parametrize("shape", LOWER)
@of_packing(("bf16", False), ("bf16", True))
def test_in_bf16_it_is_the_cell_up_to_bf16_s_rounding(model, nonlinearity, shape, packing):
    """A rounding is up to 2⁻⁸, each product makes three, and a step passes some of it on.

    Of a tensor's norm, as relu turns a gradient on or off by a rounding next to its kink.
    """
    wide = Layer(model, nonlinearity, *shape[:4], vocabulary=shape[4])
    narrow = Layer(model, nonlinearity, *shape[:4], vocabulary=shape[4], dtype=torch.float32)
    found = narrow.found(memory=fresh(), precision="bf16")
    assert {each.dtype for each in found} == {torch.float32}
    errors = [
        float((ours - theirs).norm() / theirs.norm().clamp(min=1e-30))
        for ours, theirs in zip(found, wide.found(wide.defined), strict=True)
    ]
    assert 2.0**-14 < max(errors) < 10 * 2.0**-8, errors  # no less either: bf16 it was


@of_packing(("fp32", True), ("bf16", True))
def test_float64_is_never_packed(packing):
    """oneDNN has no such products: what is called packed there is as unpacked."""
    layer = Layer("gru", "tanh", 4, 3, 2, 5)
    found = layer.found(precision=packing)
    assert {each.dtype for each in found} == {torch.float64}
    assert_close(found, layer.found(layer.defined), 1e-10 if packing == "fp32" else 16 * 2.0**-8)


# TorchScript


@each_cell
def test_without_torchscript_the_same_is_computed(monkeypatch, model, nonlinearity):
    layer = Layer(model, nonlinearity, 5, 3, 2, 4, dtype=torch.float32)
    wanted = layer.found()

    def refuse(_):
        raise RuntimeError("no TorchScript")

    compiled._compiled.cache_clear()
    monkeypatch.setattr(torch.jit, "script", refuse)
    try:
        cell = f"rnn-{nonlinearity}" if model == "rnn" else model
        assert compiled.compiled(cell, "cpu") is compiled.CELLS[cell]
        assert_equal(layer.found(), wanted)
    finally:
        compiled._compiled.cache_clear()


def test_a_gpu_s_cells_are_left_as_python():
    assert compiled.compiled("gru", "cuda") is compiled.CELLS["gru"]


@each_cell
def test_a_cell_that_is_only_defined_goes_step_by_step(monkeypatch, model, nonlinearity):
    layer = Layer(model, nonlinearity, 5, 3, 2, 4, dtype=torch.float64)
    wanted = layer.found()
    monkeypatch.setattr(recurrence, "CELLS", {})
    assert_close(layer.found(), wanted, 1e-12)


# Memory that is used again


def count(memory):
    return len(memory.windows._all), len(memory.scratch._all)


def two_layers(model="lstm", nonlinearity="tanh", **options):
    return [Layer(model, nonlinearity, 5, 3, 2, 4, seed=seed, **options) for seed in (1, 2)]


@pytest.fixture
def _uncollected():
    """What is let go must be so without the collector's help."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@each_cell
@pytest.mark.parametrize("first", [0, 1])
def test_two_forwards_alive_have_a_right_gradient_each(model, nonlinearity, first):
    layers, memory = two_layers(model, nonlinearity), fresh()
    leaves = [layer.leaves() for layer in layers]
    values = [
        layer.values(*each, memory=memory) for layer, each in zip(layers, leaves, strict=True)
    ]
    for number in (first, 1 - first):
        found = layers[number].gradients(values[number], leaves[number])
        wanted = layers[number].found()[len(values[number]) :]
        assert_equal(found, wanted)
    assert count(memory) == (2, 1)


@each_cell
def test_a_second_gradient_with_nothing_between_is_the_first(model, nonlinearity):
    layer, memory = two_layers(model, nonlinearity)[0], fresh()
    leaves = layer.leaves()
    values = layer.values(*leaves, memory=memory)
    first = layer.gradients(values, leaves, retain_graph=True)
    assert_equal(layer.gradients(values, leaves, retain_graph=True), first)
    assert_equal(layer.gradients(values, leaves), first)
    assert count(memory) == (1, 1)


@each_cell
@pytest.mark.parametrize("between", ["forward", "forward and backward", "evaluation"])
def test_a_gradient_after_the_memory_was_used_again_is_refused(model, nonlinearity, between):
    (layer, other), memory = two_layers(model, nonlinearity), fresh()
    leaves, others = layer.leaves(), other.leaves()
    values = layer.values(*leaves, memory=memory)
    layer.gradients(values, leaves, retain_graph=True)
    with torch.inference_mode() if between == "evaluation" else contextlib.nullcontext():
        more = other.values(*others, memory=memory)
    wanted = other.found()[len(more) :]
    if between == "forward and backward":
        assert_equal(other.gradients(more, others), wanted)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="used again"):
            layer.gradients(values, leaves, retain_graph=True)
    if between == "forward":
        assert_equal(other.gradients(more, others), wanted)  # the refused one did no harm
    assert_equal(layer.found(memory=memory), layer.found())  # nor is the memory spoilt


@each_cell
def test_an_evaluation_between_a_forward_and_its_gradient_does_no_harm(model, nonlinearity):
    (layer, other), memory = two_layers(model, nonlinearity, dtype=torch.float32), fresh()
    wanted, leaves = layer.found(), layer.leaves()
    with torch.inference_mode():
        other.values(*other.leaves(), memory=memory)
    values = layer.values(*leaves, memory=memory)
    for _ in range(3):
        with torch.inference_mode():
            evaluated = other.values(*other.leaves(), memory=memory)
        with torch.no_grad():
            other.values(*other.leaves(), memory=memory)
    assert_equal([*values, *layer.gradients(values, leaves)], wanted)
    assert_equal(evaluated, other.found()[: len(evaluated)])
    assert count(memory) == (2, 1)


@pytest.mark.usefixtures("_uncollected")
@each_cell
def test_graphs_dropped_without_a_gradient_pile_nothing_up(model, nonlinearity):
    layer, memory = two_layers(model, nonlinearity)[0], fresh()
    leaves = layer.leaves()
    for _ in range(5):
        values = layer.values(*leaves, memory=memory)
        gone = weakref.ref(values[0].grad_fn)
        del values
        assert gone() is None
    assert count(memory) == (1, 0)
    assert_equal(layer.found(memory=memory), layer.found())
    assert count(memory) == (1, 1)


@pytest.mark.usefixtures("_uncollected")
def test_a_forward_or_backward_that_fails_lets_its_memory_go():
    layer, memory = Layer("gru", "tanh", 3, 2, 3, 4, vocabulary=3), fresh()
    for _ in range(3):
        layer.ids[1, 1] = 3
        with pytest.raises(IndexError):
            layer.values(*layer.leaves(), memory=memory)
        layer.ids[1, 1] = 0
        leaves = layer.leaves()
        values = layer.values(*leaves, memory=memory)
        with pytest.raises(RuntimeError), torch.no_grad():
            leaves[-1].add_(1)
            layer.gradients(values, leaves)
        del values
    assert count(memory)[0] <= 2
    assert_equal(layer.found(memory=memory), layer.found())


@each_cell
def test_one_memory_serves_changing_shapes_and_types(model, nonlinearity):
    memory = fresh()
    shapes = [(5, 3, 0), (2, 1, 0), (1, 7, 9), (9, 4, 3), (1, 1, 1), (5, 3, 0)]
    for number, (time, batch, vocabulary) in enumerate(shapes * 2):
        for dtype in torch.float32, torch.float64:
            options = {"vocabulary": vocabulary, "seed": number, "dtype": dtype}
            layer = Layer(model, nonlinearity, time, batch, 3, 4, **options)
            assert_equal(layer.found(memory=memory), layer.found())
    assert count(memory) == (1, 1)


@each_cell
def test_what_is_returned_outlives_later_forwards(model, nonlinearity):
    (layer, other), memory = two_layers(model, nonlinearity), fresh()
    values = layer.found(memory=memory)
    before = [value.clone() for value in values]
    for _ in range(2):
        other.found(memory=memory)
        with torch.inference_mode():
            other.values(*other.leaves(), memory=memory)
    assert_equal(values, before)


def test_no_two_results_share_their_memory():
    """They are scaled in place, each by itself, when a gradient is clipped."""
    for model, nonlinearity in CELLS:
        found = two_layers(model, nonlinearity)[0].found()
        assert len({each.untyped_storage().data_ptr() for each in found}) == len(found)


@pytest.mark.parametrize("changed", ["source", "w_ih", "w_hh"])
@each_cell
def test_a_gradient_after_an_optimizer_s_step_is_refused(model, nonlinearity, changed):
    layer = two_layers(model, nonlinearity)[0]
    leaves = layer.leaves()
    values = layer.values(*leaves)
    place = {"source": 0, "w_ih": 1 + len(layer.state), "w_hh": 2 + len(layer.state)}[changed]
    with torch.no_grad():
        leaves[place].mul_(0.9)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        layer.gradients(values, leaves)


@each_cell
def test_a_gradient_of_states_that_were_changed_is_refused(model, nonlinearity):
    """Backward reads them."""
    layer = two_layers(model, nonlinearity)[0]
    leaves = layer.leaves()
    with pytest.raises(RuntimeError):
        values = layer.values(*leaves)
        values[0].mul_(2.0)
        layer.gradients(values, leaves)


@each_cell
def test_threads_that_share_a_memory_do_one_another_no_harm(model, nonlinearity):
    memory, wrong = fresh(), []
    layers = [
        Layer(model, nonlinearity, 6, 2 + seed, 3, 5, seed=seed, dtype=torch.float32)
        for seed in range(3)
    ]
    wanted = [layer.found() for layer in layers]

    def work(number):
        for _ in range(20):
            found = layers[number].found(memory=memory)
            wrong.extend(
                number for a, b in zip(found, wanted[number], strict=True) if not torch.equal(a, b)
            )

    threads = [threading.Thread(target=work, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert max(count(memory)) <= 3


@each_cell
def test_autocast_around_it_changes_nothing(model, nonlinearity):
    layer = Layer(model, nonlinearity, 5, 3, 2, 4, dtype=torch.float32)
    wanted = layer.found()
    with torch.autocast("cpu", torch.bfloat16):
        assert_equal(layer.found(), wanted)
