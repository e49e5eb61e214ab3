"""Every restatement of a cell, held to its definition in `cells`."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from charrnn import cells, recurrence
from charrnn.recurrence import LayerWeights
from charrnn.sampling import Sampler
from charrnn.settings import BIASES, GATES, MODELS, NONLINEARITIES, ModelSettings
from charrnn.tokenizer import Vocabulary

CELLS = [(m, n) for m in MODELS for n in (NONLINEARITIES if m == "rnn" else ("tanh",))]


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
                for shape in ((rows, inputs), (rows, hidden), (rows,), (rows,))
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
        leaves = [x, *first, *(w for w in layer if w is not None)]
        hidden_states, last = run(model, nonlinearity, x, tuple(first), layer)
        value = (hidden_states * pull_hidden).sum()
        value = value + sum(
            (part * pull).sum() for part, pull in zip(last, pull_state, strict=True)
        )
        return torch.autograd.grad(value, leaves)

    def definition(model, nonlinearity, x, first, layer):
        found, (last,) = by_the_definition(model, nonlinearity, x, [first], [layer])
        return found, last

    for ours, theirs in zip(gradients(recurrence.run), gradients(definition), strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
def test_gradients_are_those_of_the_cell_where_all_is_zero(model, nonlinearity):
    """Where relu has its kink: both take 0 there, as torch.nn does."""
    rows = GATES[model] * 2
    layer = LayerWeights(torch.zeros(rows, 3), torch.zeros(rows, 2), *torch.zeros(2, rows))
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
