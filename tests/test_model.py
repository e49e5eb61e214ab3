"""The model: interchangeable with torch.nn, and a function of its seed alone."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from charrnn.cells import states
from charrnn.model import CharacterModel
from charrnn.settings import GATES, MODELS, NONLINEARITIES, RECURRENT, ModelSettings

V = 7
CELLS = [(m, n) for m in MODELS for n in (NONLINEARITIES if m == "rnn" else ("tanh",))]

IN_TORCH_NN = [("rnn", "tanh"), ("rnn", "relu"), ("lstm", "tanh"), ("gru", "tanh")]

each_model = pytest.mark.parametrize("model", MODELS)


def small(model="gru", nonlinearity="tanh", *, embedding=5, hidden=6, layers=2, seed=0):
    """A model with every weight, biases included, drawn at random."""
    network = CharacterModel(ModelSettings(model, nonlinearity, embedding, hidden, layers), V)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.5, generator=generator)
    return network


def some_ids(time, batch, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, V, size=(time, batch)))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("model", "nonlinearity"), IN_TORCH_NN)
def test_exported_weights_give_the_same_logits_in_torch_nn(model, nonlinearity, layers):
    ours = small(model, nonlinearity, layers=layers)
    exported = {name: torch.from_numpy(array) for name, array in ours.arrays().items()}

    def part(prefix):
        return {n.removeprefix(prefix): w for n, w in exported.items() if n.startswith(prefix)}

    kind = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[model]
    options = {"nonlinearity": nonlinearity} if model == "rnn" else {}
    embedding, recurrent = nn.Embedding(V, 5), kind(5, 6, num_layers=layers, **options)
    output = nn.Linear(6, V)
    for module, prefix in (embedding, "embedding."), (recurrent, "recurrent."), (output, "output."):
        module.load_state_dict(part(prefix))  # strict: no name missing, none left over

    ids = some_ids(20, 3)
    with torch.inference_mode():
        logits, after = ours(ids, ours.start(3))
        hidden, last = recurrent(embedding(ids))
        torch.testing.assert_close(logits, output(hidden), rtol=1e-5, atol=1e-5)
    last = last if model == "lstm" else (last,)
    for number, layer in enumerate(after):
        for found, wanted in zip(layer, last, strict=True):
            torch.testing.assert_close(found, wanted[number], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
def test_logits_do_not_depend_on_where_a_text_is_cut(model, nonlinearity):
    network, ids = small(model, nonlinearity), some_ids(20, 3)
    with torch.inference_mode():
        whole, _ = network(ids, network.start(3))
        first, state = network(ids[:7], network.start(3))
        second, _ = network(ids[7:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-6)


@given(
    model=st.sampled_from(MODELS),
    embedding=st.integers(1, 9),
    hidden=st.integers(1, 9),
    layers=st.integers(1, 4),
    vocabulary=st.integers(1, 9),
)
@settings(deadline=None, max_examples=40)
def test_a_model_has_as_many_parameters_as_its_settings_say(
    model, embedding, hidden, layers, vocabulary
):
    chosen = ModelSettings(model, "tanh", embedding, hidden, layers)
    network = CharacterModel(chosen, vocabulary)
    assert sum(p.numel() for p in network.parameters()) == chosen.parameters(vocabulary)


@each_model
def test_the_state_before_any_character_is_zero(model):
    state = small(model, layers=3).start(4)
    assert len(state) == 3
    for number, layer in enumerate(state):
        assert len(layer) == states(ModelSettings(model).cell(number))
        for part in layer:
            assert part.shape == (4, 6)
            assert not part.any()


@each_model
def test_load_takes_what_arrays_gave(model):
    ours, other = small(model, seed=0), small(model, seed=1)
    other.load(ours.arrays())
    for (_, a), (_, b) in zip(ours.named_parameters(), other.named_parameters(), strict=True):
        assert torch.equal(a, b)


def test_arrays_are_float32_copies():
    network = small()
    for array in network.arrays().values():
        array.fill(0.0)
    assert all(parameter.any() for parameter in network.parameters())
    assert {a.dtype for a in network.double().arrays().values()} == {np.dtype(np.float32)}


# Initialisation


def initialised(model="lstm", weight_init="orthogonal", *, forget_bias=1.0, seed=3, hidden=48):
    network = CharacterModel(ModelSettings(model, "tanh", 20, hidden, 2), V)
    network.initialise(weight_init, forget_bias, seed)
    return network


@each_model
@pytest.mark.parametrize("weight_init", ["orthogonal", "xavier", "he", "normal"])
def test_first_weights_are_a_function_of_the_seed(model, weight_init):
    torch.manual_seed(1)
    first = initialised(model, weight_init, seed=3, hidden=8).arrays()
    torch.manual_seed(2)
    before = torch.get_rng_state()
    again = initialised(model, weight_init, seed=3, hidden=8).arrays()
    assert torch.equal(torch.get_rng_state(), before)
    other = initialised(model, weight_init, seed=4, hidden=8).arrays()
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
        assert "bias" in name or not np.array_equal(array, other[name])


@each_model
def test_recurrent_matrices_begin_orthogonal_gate_by_gate(model):
    network = initialised(model)
    for number in range(2):
        w_hh, count = network.layer(number).w_hh.detach(), RECURRENT[network.settings.cell(number)]
        assert w_hh.shape == (count * 48, 48)
        gates = w_hh.chunk(count) if count else ()
        for gate in gates:
            torch.testing.assert_close(gate @ gate.T, torch.eye(48), rtol=0, atol=1e-5)
        for gate in gates[1:]:
            assert not torch.equal(gate, gates[0])


def matrices(network):
    """Recurrent and input matrices, gate by gate."""
    gates = GATES[network.settings.model]
    layers = [network.layer(number) for number in range(2)]
    return [
        gate.detach().double()
        for layer in layers
        for whole in (layer.w_ih, layer.w_hh)
        for gate in whole.chunk(gates)
    ]


def test_xavier_fills_up_to_its_bound():
    for gate in matrices(initialised("gru", "xavier")):
        bound = math.sqrt(6.0 / sum(gate.shape))
        assert 0.98 * bound < gate.abs().max() <= bound


def test_he_has_its_spread():
    for gate in matrices(initialised("gru", "he")):
        assert float(gate.std()) == pytest.approx(math.sqrt(2.0 / gate.shape[1]), rel=0.1)


def test_normal_has_its_spread():
    for gate in matrices(initialised("gru", "normal")):
        assert float(gate.std()) == pytest.approx(0.02, rel=0.1)


def test_orthogonal_leaves_input_matrices_to_xavier():
    gate = initialised("lstm").layer(0).w_ih.chunk(4)[2]  # (48, 20)
    bound = math.sqrt(6.0 / (48 + 20))
    assert 0.98 * bound < gate.abs().max() <= bound


@each_model
@pytest.mark.parametrize("forget_bias", [0.0, 1.0, -2.5])
def test_biases_begin_at_zero_but_for_the_forget_gates(model, forget_bias):
    network = initialised(model, forget_bias=forget_bias, hidden=4)
    for number in range(2):
        layer = network.layer(number)
        wanted = torch.zeros(GATES[network.settings.cell(number)] * 4)
        if model == "lstm":
            wanted[4:8] = forget_bias
        # torch.nn has two biases a gate, which are added: only their sum must be right.
        found = layer.b_hh if layer.b_ih is None else layer.b_ih + layer.b_hh
        assert torch.equal(found, wanted)
    assert not network.get_parameter("output.bias").any()


# Dropout


@each_model
def test_dropout_depends_only_on_its_generator(model):
    network, ids = small(model).train(), some_ids(8, 3)

    def logits(seed):
        generator = torch.Generator().manual_seed(seed)
        return network(ids, network.start(3), 0.4, generator)[0]

    torch.manual_seed(1)
    first = logits(5)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(logits(5), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(logits(6), first)


def test_without_dropout_nothing_is_drawn():
    network, generator = small().train(), torch.Generator().manual_seed(5)
    before = generator.get_state()
    network(some_ids(4, 2), network.start(2), 0.0, generator)
    assert torch.equal(generator.get_state(), before)


def test_dropout_zeroes_its_share_and_scales_up_the_rest():
    """With output weights of 1 the logits are the last layer's outputs themselves."""
    network = small(hidden=V, layers=1)
    with torch.no_grad():
        network.get_parameter("output.weight").copy_(torch.eye(V))
        network.get_parameter("output.bias").zero_()
    ids = some_ids(50, 20)
    with torch.inference_mode():
        whole, state = network(ids, network.start(20))
        dropped, state_after = network(
            ids, network.start(20), 0.25, torch.Generator().manual_seed(0)
        )
    kept = dropped != 0
    assert float(kept.float().mean()) == pytest.approx(0.75, abs=0.02)
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.75)
    assert torch.equal(state[0][0], state_after[0][0])  # what is carried on in time is whole


def test_dropout_falls_between_layers():
    network, ids = small(layers=2), some_ids(8, 3)
    with torch.inference_mode():
        _, whole = network(ids, network.start(3))
        _, dropped = network(ids, network.start(3), 0.4, torch.Generator().manual_seed(0))
    assert torch.equal(whole[0][0], dropped[0][0])
    assert not torch.equal(whole[1][0], dropped[1][0])


# Weight-drop


each_with_w_hh = pytest.mark.parametrize("model", [m for m in MODELS if RECURRENT.get(m, 1)])


@each_with_w_hh
def test_weight_masks_are_drawn_from_their_generator_alone(model):
    network = small(model, hidden=40)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    masks = network.draw_weight_masks(0.25, torch.Generator().manual_seed(5))
    again = network.draw_weight_masks(0.25, torch.Generator().manual_seed(5))
    assert torch.equal(torch.get_rng_state(), before)
    assert len(masks) == 2
    assert not torch.equal(masks[0], masks[1])
    for number, mask in enumerate(masks):
        assert torch.equal(mask, again[number])
        assert mask.shape == network.layer(number).w_hh.shape
        assert not mask.requires_grad
        if not RECURRENT[network.settings.cell(number)]:
            continue
        torch.testing.assert_close(mask.unique(), torch.tensor([0.0, 1 / 0.75]))
        assert float((mask > 0).float().mean()) == pytest.approx(0.75, abs=0.05)


@each_with_w_hh
def test_a_masked_model_is_the_one_with_those_recurrent_weights(model):
    network, masked, ids = small(model), small(model), some_ids(8, 3)
    masks = network.draw_weight_masks(0.4, torch.Generator().manual_seed(5))
    with torch.no_grad():
        for number, mask in enumerate(masks):
            masked.layer(number).w_hh.mul_(mask)
    with torch.inference_mode():
        found, _ = network(ids, network.start(3), weight_masks=masks)
        wanted, _ = masked(ids, masked.start(3))
        whole, _ = network(ids, network.start(3))
    assert torch.equal(found, wanted)
    assert not torch.equal(found, whole)


# Characters the vocabulary lacks


@each_model
def test_an_unknown_character_is_read_as_zeros(model):
    network, zeroed = small(model).eval(), small(model).eval()
    with torch.no_grad():
        zeroed.get_parameter("embedding.weight")[2].zero_()
    unknown, stand_in = torch.tensor([[1], [V], [3]]), torch.tensor([[1], [2], [3]])
    with torch.inference_mode():
        found, _ = network(unknown, network.start(1))
        wanted, _ = zeroed(stand_in, zeroed.start(1))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)


def test_training_knows_no_unknown_character():
    network = small().train()
    with pytest.raises(IndexError):
        network(torch.tensor([[V]]), network.start(1))


# Gradients


@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("time", "batch"), [(1, 1), (4, 1), (4, 5)])  # the last looks up
def test_gradients_are_what_they_are_the_limits_of(model, nonlinearity, layers, time, batch):
    """In float64, with respect to every weight and the first state, through logits and states."""
    network = small(model, nonlinearity, embedding=2, hidden=3, layers=layers).double()
    ids, random = some_ids(time, batch), torch.Generator().manual_seed(1)
    first = [
        torch.randn(batch, 3, dtype=torch.float64, generator=random, requires_grad=True)
        for layer in range(layers)
        for _ in range(states(network.settings.cell(layer)))
    ]

    def run(*given):  # the weights are changed where they are
        parts = iter(given[: len(first)])
        cells = [network.settings.cell(layer) for layer in range(layers)]
        state = [tuple(next(parts) for _ in range(states(cell))) for cell in cells]
        logits, after = network(ids, state)
        return logits, *(part for layer in after for part in layer)

    assert torch.autograd.gradcheck(run, (*first, *network.parameters()), fast_mode=True)


@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
def test_gradients_pass_through_masks_and_dropout(model, nonlinearity):
    """What is dropped being the same at every call."""
    network = small(model, nonlinearity, embedding=2, hidden=3).double()
    masks = network.draw_weight_masks(0.3, torch.Generator().manual_seed(1))
    ids = some_ids(4, 2)

    def run(*_):
        return network(ids, network.start(2), 0.3, torch.Generator().manual_seed(2), masks)[0]

    assert torch.autograd.gradcheck(run, tuple(network.parameters()), fast_mode=True)


def test_a_copy_computes_in_memory_of_its_own():
    """And a graph of the one outlives a forward of the other."""
    network, ids = small(), some_ids(5, 3)
    logits, _ = network(ids, network.start(3))
    wanted = torch.autograd.grad(logits.sum(), list(network.parameters()), retain_graph=True)
    copied = copy.deepcopy(network)
    with torch.inference_mode():
        copied(ids, copied.start(3))
    found = torch.autograd.grad(logits.sum(), list(network.parameters()))
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)
    logits, _ = copied(ids, copied.start(3))
    found = torch.autograd.grad(logits.sum(), list(copied.parameters()))
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)
