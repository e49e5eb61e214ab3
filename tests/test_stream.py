"""One stream: the restated cells, their shared weights, and states of their own."""

import numpy as np
import pytest

from charrnn.cells import step_of
from charrnn.settings import GATES, NONLINEARITIES, RECURRENT, ModelSettings
from charrnn.stream import Columns, Prepared, Stream

CELLS = [("rnn", each) for each in NONLINEARITIES] + [(m, "tanh") for m in GATES if m != "rnn"]
E, H, V = 3, 5, 7


def weights(model, layers=2, seed=0):
    """Embedding, layers and output of a model, drawn at random."""
    draw = np.random.default_rng(seed).standard_normal
    rows = GATES[model] * H
    found = []
    for layer in range(layers):
        inputs = H if layer else E
        shapes = ((rows, inputs), (rows,), (RECURRENT[model] * H, H), (rows,))
        found.append(tuple(draw(shape).astype(np.float32) for shape in shapes))
    embedding, output = draw((V, E)), (draw((V, H)), draw(V))
    return embedding.astype(np.float32), found, tuple(o.astype(np.float32) for o in output)


def stream_of(model, nonlinearity="tanh", **options):
    return Stream(prepared(model, nonlinearity, **options))


def prepared(model, nonlinearity="tanh", **options):
    embedding, layers, output = weights(model, **options)
    return Prepared(
        ModelSettings(model, nonlinearity, E, H, len(layers)), embedding, layers, output
    )


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
def test_a_stream_is_the_cell_as_it_is_defined(model, nonlinearity, layers):
    embedding, of_layers, (weight, bias) = weights(model, layers)
    stream, step = stream_of(model, nonlinearity, layers=layers), step_of(model, nonlinearity)
    state = stream.state()
    assert not any(part.any() for parts in state for part in parts)
    for character in [0, 3, 3, 6, 1]:
        x = embedding[character]
        for layer, (w_ih, b_ih, w_hh, b_hh) in enumerate(of_layers):
            state[layer] = step(w_ih @ x + b_ih, state[layer], w_hh, b_hh)
            x = state[layer][0]
        stream.read(character)
        for ours, theirs in zip(stream.state(), state, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=2e-6, rtol=1e-5)
        np.testing.assert_allclose(stream.logits(), weight @ x + bias, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("model", GATES)
def test_streams_share_weights_and_nothing_else(model):
    shared = prepared(model)
    first, second = Stream(shared), Stream(shared)
    first.read(2)
    alone = [part.copy() for parts in first.state() for part in parts]
    second.read(5)
    second.read(1)
    for ours, theirs in zip((p for parts in first.state() for p in parts), alone, strict=True):
        assert (ours == theirs).all()


@pytest.mark.parametrize("model", GATES)
def test_a_state_is_taken_up_and_given_as_a_copy(model):
    stream = stream_of(model)
    stream.read(4)
    state = stream.state()
    kept = [part.copy() for parts in state for part in parts]
    stream.read(1)
    after = stream.logits().copy()
    again = stream_of(model)
    again.load(state)
    again.read(1)
    assert (again.logits() == after).all()
    assert all((a == b).all() for a, b in zip((p for s in state for p in s), kept, strict=True))


@pytest.mark.parametrize("streams", [1, 3, 16])
@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
def test_columns_are_so_many_streams(model, nonlinearity, streams):
    of = prepared(model, nonlinearity)
    alone, columns = [Stream(of) for _ in range(streams)], Columns(of, streams)
    for ids in np.random.default_rng(1).integers(V, size=(5, streams)):
        columns.read(ids)
        for stream, character in zip(alone, ids.tolist(), strict=True):
            stream.read(character)
        logits = columns.logits()
        for number, stream in enumerate(alone):
            np.testing.assert_allclose(logits[:, number], stream.logits(), atol=1e-5, rtol=1e-4)
            for parts, own in zip(columns.states, stream.state(), strict=True):
                for part, own_part in zip(parts, own, strict=True):
                    np.testing.assert_allclose(part[:, number], own_part, atol=1e-5, rtol=1e-4)
