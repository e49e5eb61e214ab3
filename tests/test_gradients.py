"""A window's gradient: the same however many workers compute it, and nothing left over."""

import gc
import math
import os
import resource
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from charrnn.gradients import take_gradient
from charrnn.machine import STREAMS_A_WORKER as STREAMS
from charrnn.model import CharacterModel
from charrnn.settings import MODELS, NONLINEARITIES, ModelSettings, TrainingSettings
from charrnn.step import batches_of, take_step
from charrnn.training_state import fresh_state
from charrnn.workers import Workers

V = 7
CELLS = [(m, n) for m in MODELS for n in (NONLINEARITIES if m == "rnn" else ("tanh",))]

each_cell = pytest.mark.parametrize(("model", "nonlinearity"), CELLS)


@pytest.fixture(autouse=True)
def _settings_restored():
    """Workers set these for the thread that calls them too."""
    threads = torch.get_num_threads()
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def some_workers():
    """Workers by their number, closed at the end."""
    made = {number: Workers(number) for number in (1, 2, 3, 4)}
    yield made
    for workers in made.values():
        workers.close()


def small(model="lstm", nonlinearity="tanh", *, hidden=6, layers=2, vocabulary=V, seed=0):
    """A model with every weight, biases included, drawn at random."""
    network = CharacterModel(ModelSettings(model, nonlinearity, 5, hidden, layers), vocabulary)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.5, generator=generator)
    return network


def some_ids(time, batch, vocabulary=V, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, vocabulary, size=(time, batch)))


def some_state(network, batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        tuple(torch.empty_like(part).normal_(generator=generator) for part in layer)
        for layer in network.start(batch)
    ]


def seeded(stream):
    return torch.Generator().manual_seed(1000 + stream)


def taken(network, inputs, targets, before, *, dropout=0.0, generator=seeded, **options):
    """The loss, the state after in one list, and copies of all gradients."""
    options = {"weight_masks": None, "precision": "fp32", "workers": None} | options
    loss, after = take_gradient(
        network, inputs, targets, before, dropout=dropout, generator=generator, **options
    )
    gradients = {name: weight.grad.clone() for name, weight in network.named_parameters()}
    return loss, [part for layer in after for part in layer], gradients


def assert_close(found, wanted, error, least=0.0):
    """No tensor is off, in norm, by more than `error` of its own, or of `least`."""
    (loss, after, gradients), (their_loss, their_after, theirs) = found, wanted
    assert float(loss) == pytest.approx(float(their_loss), rel=error, abs=1e-9)
    assert gradients.keys() == theirs.keys()
    pairs = [*zip(after, their_after, strict=True)]
    pairs += [(gradient, theirs[name]) for name, gradient in gradients.items()]
    for ours, other in pairs:
        assert ours.shape == other.shape
        assert (ours - other).norm() <= error * other.norm().clamp(min=least) + 1e-30


def assert_equal(found, wanted):
    assert torch.equal(found[0], wanted[0])
    for ours, theirs in zip(found[1], wanted[1], strict=True):
        assert torch.equal(ours, theirs)
    for name, gradient in found[2].items():
        assert torch.equal(gradient, wanted[2][name]), name


def by_backward(network, inputs, targets, before, **options):
    """The same in the one obvious way, of all streams at once."""
    network.zero_grad()
    logits, after = network(inputs, before, **options)
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    gradients = {name: weight.grad.clone() for name, weight in network.named_parameters()}
    return loss.detach(), [part.detach() for layer in after for part in layer], gradients


@each_cell
def test_alone_it_is_what_backward_finds(model, nonlinearity):
    network, ids = small(model, nonlinearity), some_ids(9, 5)
    given = network, ids, some_ids(9, 5, seed=1), some_state(network, 5)
    wanted = by_backward(*given)
    assert_close(taken(*given), wanted, 1e-6)


@pytest.mark.parametrize(("divisible", "threads"), [(True, 2), (False, 1)])
def test_a_few_streams_of_a_large_model_are_many_threads_work(
    some_workers, divisible, threads, monkeypatch
):
    network, ids, used = small(), some_ids(9, 5), []
    parameters = network.settings.parameters(V)
    monkeypatch.setattr("charrnn.machine.DIVISIBLE", parameters + (not divisible))
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    hook = network.register_forward_hook(lambda *_: used.append(torch.get_num_threads()))
    taken(network, ids, ids, network.start(5), workers=some_workers[2])
    hook.remove()
    assert used == [threads]


@each_cell
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 2 * STREAMS, 3 * STREAMS + 5])
def test_workers_find_what_one_finds(some_workers, model, nonlinearity, number, batch):
    """In fp32, to 1e-6 of each tensor: sums are in another order."""
    network, ids = small(model, nonlinearity), some_ids(8, batch)
    given = network, ids, some_ids(8, batch, seed=1), some_state(network, batch)
    assert_close(taken(*given, workers=some_workers[number]), taken(*given), 1e-6)


@given(
    cell=st.sampled_from(CELLS),
    time=st.integers(1, 6),
    batch=st.integers(1, 40),
    hidden=st.integers(1, 5),
    layers=st.integers(1, 3),
    vocabulary=st.sampled_from([1, 2, 5, 200]),
    number=st.integers(1, 4),
)
@settings(deadline=None, max_examples=60)
def test_whatever_the_shape(some_workers, cell, time, batch, hidden, layers, vocabulary, number):
    network = small(*cell, hidden=hidden, layers=layers, vocabulary=vocabulary).double()
    ids = some_ids(time, batch, vocabulary)
    given = network, ids, ids.flip(0), some_state(network, batch)
    wanted = by_backward(*given)
    # The loss is taken in float32, of whatever the logits are.
    assert_close(taken(*given, workers=some_workers[number]), wanted, 1e-4, least=0.01)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@each_cell
def test_with_as_many_workers_it_is_the_same_to_the_bit(
    some_workers, model, nonlinearity, precision, dropout
):
    network, batch = small(model, nonlinearity), 3 * STREAMS + 1
    inputs, targets = some_ids(6, batch), some_ids(6, batch, seed=1)
    options = {"precision": precision, "dropout": dropout, "workers": some_workers[3]}
    given = network, inputs, targets, some_state(network, batch)
    first = taken(*given, **options)
    for _ in range(3):
        assert_equal(taken(*given, **options), first)
        other = some_ids(11, 30)  # other windows in the same memory
        taken(network, other, other, network.start(30), workers=some_workers[2])


@each_cell
@pytest.mark.parametrize("number", [1, 2])
def test_bf16_s_gradient_is_near_fp32_s_and_is_kept_in_fp32(
    some_workers, model, nonlinearity, number
):
    """A rounding to bfloat16 is up to 2⁻⁸; there are some in each of two layers and the output.

    Next to relu's kink a rounding turns a unit's whole gradient on or off.
    """
    allowed = (40 if nonlinearity == "relu" else 12) * 2.0**-8
    network, ids = small(model, nonlinearity), some_ids(8, 16)
    given = network, ids, some_ids(8, 16, seed=1), some_state(network, 16)
    wanted = taken(*given)
    loss, after, gradients = taken(*given, precision="bf16", workers=some_workers[number])
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(wanted[0]), rel=2.0**-8)
    assert not torch.equal(loss, wanted[0])
    assert {part.dtype for part in after} == {torch.float32}
    for name, gradient in gradients.items():
        assert gradient.dtype == torch.float32
        off = (gradient - wanted[2][name]).norm() / wanted[2][name].norm()
        assert off < allowed, f"{name}: {float(off)}"


@each_cell
@pytest.mark.parametrize("batch", [4, 2 * STREAMS])
def test_a_gradient_is_set_and_not_added_to_what_was_there(
    some_workers, model, nonlinearity, batch
):
    network, ids = small(model, nonlinearity), some_ids(5, batch)
    given = network, ids, ids, network.start(batch)
    first = taken(*given, workers=some_workers[2])
    for weight in network.parameters():
        weight.grad.fill_(100.0)
    assert_equal(taken(*given, workers=some_workers[2]), first)


@each_cell
@pytest.mark.parametrize("number", [1, 2])
def test_each_weight_has_a_gradient_of_its_own(some_workers, model, nonlinearity, number):
    """Clipping scales them in place: one that served two weights would be scaled twice."""
    network, ids = small(model, nonlinearity), some_ids(5, 16)
    _, _, before = taken(network, ids, ids, network.start(16), workers=some_workers[number])
    gradients = [weight.grad for weight in network.parameters()]
    assert len({each.untyped_storage().data_ptr() for each in gradients}) == len(gradients)
    assert not any(each.requires_grad for each in gradients)
    norm = float(nn.utils.clip_grad_norm_(network.parameters(), 1e-3))
    for name, weight in network.named_parameters():
        torch.testing.assert_close(weight.grad, before[name] * (1e-3 / norm), rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("number", [1, 2])
def test_the_state_after_has_every_stream_in_its_place_and_no_gradient(some_workers, number):
    network, batch = small("lstm"), 2 * STREAMS + 3
    ids, before = some_ids(4, batch), some_state(small("lstm"), batch)
    _, after = take_gradient(
        network,
        ids,
        ids,
        before,
        dropout=0.0,
        generator=seeded,
        weight_masks=None,
        precision="fp32",
        workers=some_workers[number],
    )
    for stream in range(batch):
        alone = [tuple(part[stream : stream + 1] for part in layer) for layer in before]
        with torch.no_grad():
            _, wanted = network(ids[:, stream : stream + 1], alone)
        for layer, theirs in zip(after, wanted, strict=True):
            for part, their_part in zip(layer, theirs, strict=True):
                assert not part.requires_grad
                assert part.shape == (batch, 6)
                torch.testing.assert_close(part[stream], their_part[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("time", "batch"), [(1, 1), (1, 17), (6, 1), (7, 3)])
@pytest.mark.parametrize("vocabulary", [1, 2, 8_000])
@each_cell
def test_odd_windows(some_workers, model, nonlinearity, time, batch, vocabulary):
    network = small(model, nonlinearity, vocabulary=vocabulary)
    given = network, *(some_ids(time, batch, vocabulary, s) for s in (0, 1)), network.start(batch)
    found = taken(*given, workers=some_workers[2])
    assert_close(found, by_backward(*given), 2e-6)
    if vocabulary == 1:  # nothing is to be learned
        assert float(found[0]) == 0.0
        assert not any(gradient.any() for gradient in found[2].values())
    else:
        assert all(gradient.isfinite().all() for gradient in found[2].values())
        assert all(gradient.any() for name, gradient in found[2].items() if "_hh" not in name)


# Weight-drop and dropout


@each_cell
def test_weight_masks_are_the_same_for_all_workers(some_workers, model, nonlinearity):
    network, batch = small(model, nonlinearity), 2 * STREAMS
    masks = network.draw_weight_masks(0.5, torch.Generator().manual_seed(1))
    ids = some_ids(6, batch)
    given = network, ids, ids.flip(0), some_state(network, batch)
    wanted = by_backward(*given, weight_masks=masks)
    for number in 1, 2:
        found = taken(*given, weight_masks=masks, workers=some_workers[number])
        assert_close(found, wanted, 1e-6)
        for layer, mask in enumerate(masks):
            if not mask.numel():  # a layer without W_hh
                continue
            dropped = found[2][f"recurrent.weight_hh_l{layer}"][mask == 0]
            assert len(dropped)
            assert not dropped.any()
    if any(mask.numel() for mask in masks):
        assert abs(float(taken(*given)[0]) - float(wanted[0])) > 1e-6


def test_dropout_s_generators_are_asked_for_by_the_first_stream(some_workers):
    network, asked, lock = small(), [], threading.Lock()

    def generator(stream):
        with lock:
            asked.append(stream)
        return seeded(stream)

    ids = some_ids(3, 3 * STREAMS)
    given = network, ids, ids, network.start(3 * STREAMS)
    taken(*given, dropout=0.3, generator=generator, workers=some_workers[3])
    assert sorted(asked) == [0, STREAMS, 2 * STREAMS]
    asked.clear()
    taken(*given, dropout=0.3, generator=generator)
    assert asked == [0]
    asked.clear()
    taken(*given, generator=generator, workers=some_workers[3])
    assert asked == []  # without dropout nothing is drawn


def test_streams_of_other_workers_are_dropped_otherwise(some_workers):
    """All streams read the same; where dropout falls on the second layer's input, they part."""
    network, batch = small(layers=2), 2 * STREAMS
    ids = some_ids(6, 1).expand(6, batch)
    given = network, ids, ids, network.start(batch)
    _, after, _ = taken(*given, dropout=0.5, workers=some_workers[2])
    second = after[-2]
    assert torch.equal(after[0][0], after[0][STREAMS])  # the first layer's reads are whole
    first_halves, last_halves = second[:STREAMS], second[STREAMS:]
    for stream in range(STREAMS):
        assert not torch.equal(first_halves[stream], last_halves[stream])


def test_the_generator_alone_decides_what_is_dropped(some_workers):
    network, batch = small(), 2 * STREAMS
    ids = some_ids(6, batch)
    given = network, ids, ids, network.start(batch)

    def seeded_otherwise(stream):
        return torch.Generator().manual_seed(2000 + stream)

    torch.manual_seed(1)
    first = taken(*given, dropout=0.5, workers=some_workers[2])
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert_equal(taken(*given, dropout=0.5, workers=some_workers[2]), first)
    assert torch.equal(torch.get_rng_state(), before)
    other = taken(*given, dropout=0.5, workers=some_workers[2], generator=seeded_otherwise)
    assert not torch.equal(other[0], first[0])


def test_a_step_s_dropout_is_a_function_of_the_seed_and_the_step(some_workers):
    """And not of the steps before it: those of a run that goes on from step 2 are the same."""
    options = {"seq_length": 6, "batch_size": 16, "dropout": 0.4, "weight_drop": 0.2}
    ids = np.random.default_rng(0).integers(0, V, size=2_000).astype(np.uint8)

    def losses(number, begin=0, seed=5):
        chosen = TrainingSettings(**options, seed=seed, carry=False)
        state = fresh_state(ModelSettings("gru", "tanh", 5, 6, 2), chosen, V)
        state.model.initialise("orthogonal", 1.0, 0)
        state.step = begin
        torch.manual_seed(begin)
        return [
            take_step(state, batches_of(ids, chosen), chosen, 0.0, some_workers[number])[0]
            for _ in range(4)
        ]

    assert losses(2) == losses(2)
    assert losses(2, begin=2)[:2] == losses(2)[2:]
    assert losses(2, seed=6) != losses(2)
    assert losses(1) != losses(2)  # what is dropped depends on how many workers there are


# What goes wrong


def test_what_a_worker_raises_is_raised_and_changes_no_gradient(some_workers):
    network, batch = small(), 3 * STREAMS
    ids = some_ids(5, batch)
    given = network, ids, ids, network.start(batch)
    wanted = taken(*given, workers=some_workers[3])
    wrong = ids.clone()
    wrong[2, 2 * STREAMS] = V
    for _ in range(2):
        with pytest.raises(IndexError):
            taken(network, wrong, ids, network.start(batch), workers=some_workers[3])
        for name, weight in network.named_parameters():
            assert torch.equal(weight.grad, wanted[2][name])
    assert_equal(taken(*given, workers=some_workers[3]), wanted)


def test_a_loss_that_is_no_number_is_told(some_workers):
    network, ids = small(), some_ids(4, 16)
    with torch.no_grad():
        network.get_parameter("output.bias")[2] = math.nan
    loss, _, gradients = taken(network, ids, ids, network.start(16), workers=some_workers[2])
    assert math.isnan(float(loss))
    assert any(not gradient.isfinite().all() for gradient in gradients.values())


# Numbers near 0


@pytest.mark.parametrize("batch", [3, 2 * STREAMS])
def test_states_that_decay_into_denormal_numbers_train_no_differently(some_workers, batch):
    """h halves at each of 140 steps; from the 127th on it is denormal, and 0 where flushed.

    (relu would be no fair example: at its kink, which is at 0, its slope is another.)
    """
    network = small("rnn", "tanh", layers=1)
    with torch.no_grad():
        layer = network.layer(0)
        layer.w_hh.copy_(torch.eye(6) / 2)
        layer.b_ih.zero_()
        layer.b_hh.zero_()
        network.get_parameter("embedding.weight")[1:].zero_()
        network.get_parameter("embedding.weight")[0].abs_()
        layer.w_ih.abs_()
    ids = torch.ones(140, batch, dtype=torch.int64)
    ids[0] = 0
    given = network, ids, some_ids(140, batch), network.start(batch)
    wanted = taken(*given)
    last = wanted[1][0]
    assert 0 < last.max() < torch.finfo(torch.float32).tiny
    found = taken(*given, workers=some_workers[2])
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush")
    assert not (found[1][0].view(torch.int32) != 0).any()  # flushed they were
    assert float(found[0]) == pytest.approx(float(wanted[0]), rel=1e-6)
    for name, gradient in found[2].items():
        largest = wanted[2][name].abs().max()
        assert (gradient - wanted[2][name]).abs().max() <= 1e-5 * largest, name


# Memory


def buffers(network):
    """How many, and of how many bytes."""
    memories = {id(m): m for layer in network._memories for m in layer}
    every = [each for memory in memories.values() for each in memory._all]
    stores = [store for each in every for store in each._stores.values()]
    return len(every), sum(store.untyped_storage().nbytes() for store in stores)


def test_memory_is_that_of_as_many_windows_as_there_are_workers(some_workers):
    network, ids = small(layers=3), some_ids(6, 4 * STREAMS)
    for number in 1, 2, 4, 2, 1, 4:
        for _ in range(5):
            taken(network, ids, ids, network.start(4 * STREAMS), workers=some_workers[number])
    count, _ = buffers(network)
    assert count <= 4 * (3 + 1)  # each layer's, and what backward computes in


@pytest.mark.torture
@each_cell
def test_memory_does_not_grow_over_2000_steps(some_workers, model, nonlinearity):
    """Windows of two lengths, an evaluation now and then, a graph dropped without backward."""
    network = small(model, nonlinearity)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    ids, start = some_ids(12, 2 * STREAMS), network.start(2 * STREAMS)

    def tensors():
        gc.collect()
        return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())

    found = {}
    for step in range(1, 2_001):
        window = ids if step % 3 else ids[:5]
        take_gradient(
            network,
            window,
            window,
            start,
            dropout=0.1,
            generator=seeded,
            weight_masks=None,
            precision="fp32",
            workers=some_workers[2],
        )
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0:
            with torch.inference_mode():
                network(ids, start)
            network(ids, start)
        if step in (200, 2_000):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
            found[step] = tensors(), *buffers(network), peak
    assert found[2_000][:3] == found[200][:3]
    assert found[2_000][3] - found[200][3] < 8 * 1024


@pytest.mark.torture
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_the_first_windows_of_many_processes_agree():
    """Two first calls of a library's function at once differ in about one process of twenty."""
    script = """
import os
import torch
from charrnn.gradients import take_gradient
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.training_state import fresh_state
from charrnn.workers import Workers

torch.set_num_threads(1)
state = fresh_state(ModelSettings(hidden_size=32), TrainingSettings(batch_size=16), 60)
ids = torch.arange(24 * 16).reshape(24, 16) * 7 % 60
for _ in range(150):
    read, write = os.pipe()
    if not os.fork():
        options = {"dropout": 0, "generator": None, "weight_masks": None, "precision": "fp32"}
        take_gradient(state.model, ids, ids, state.carried, workers=Workers(2), **options)
        found = [weight.grad.double().sum().item().hex() for weight in state.model.parameters()]
        os.write(write, " ".join(found).encode())
        os._exit(0)
    os.wait()
    print(os.read(read, 4096).decode())
    os.close(read)
    os.close(write)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = ran.stdout.splitlines()
    assert len(found) == 150
    assert len(set(found)) == 1
