"""Scores: each character once, from all that stands before it and from nothing after."""

import math
import random
import tracemalloc

import numpy as np
import pytest
import torch
from conftest import Slices
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import cells, evaluation
from charrnn.batches import Batches
from charrnn.evaluation import escape_probability, protocol, score
from charrnn.model import CharacterModel
from charrnn.settings import MODELS, ModelSettings, TrainingSettings
from charrnn.step import batches_of, take_step
from charrnn.tokenizer import CODE_POINTS, Vocabulary, count_characters
from charrnn.training_state import fresh_state
from charrnn.workers import Workers

V = 6


def small(model="gru", *, hidden=5, seed=0):
    """A model of random weights, so strong that every loss differs from every other."""
    network = CharacterModel(ModelSettings(model, "tanh", 4, hidden, 2), V)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.8, generator=generator)
    return network


def some_ids(count, seed=0, largest=V - 1):
    return np.random.default_rng(seed).integers(0, largest + 1, size=count).astype(np.uint8)


def all_losses(network, ids, **options):
    """The score and each character's loss, which begins as not a number."""
    losses = np.full(len(ids), np.nan, dtype=np.float32)
    found = score(network, ids, start=0, byte_count=len(ids), losses=losses, **options)
    return found, losses


@pytest.fixture(scope="module")
def long_text(english):
    """Real sentences in many orders, long enough to be cut into 32 stretches."""
    sentences = [s for s in english.replace("\n", " ").split(". ") if s]
    shuffle = random.Random(0)
    parts: list[str] = []
    while sum(map(len, parts)) < 21_000:
        shuffle.shuffle(sentences)
        parts += [sentence + ". " for sentence in sentences]
    return "".join(parts)


@pytest.fixture(scope="module")
def learned(long_text):
    """A model that was trained on that text for a moment, its vocabulary and the ids."""
    vocabulary = Vocabulary("".join(c for c, _ in count_characters(long_text)))
    ids = vocabulary.encode(long_text)
    chosen = TrainingSettings(seq_length=24, batch_size=32, learning_rate=1e-2)
    state = fresh_state(ModelSettings("gru", "tanh", 16, 48, 1), chosen, len(vocabulary))
    for _ in range(60):
        take_step(state, batches_of(ids, chosen), chosen, chosen.learning_rate)
    return state.model, vocabulary, ids


# The sum


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("exact", [False, True])
def test_uniform_logits_score_ln_v(model, exact):
    network = small(model)
    with torch.no_grad():
        network.get_parameter("output.weight").zero_()
        network.get_parameter("output.bias").fill_(0.3)
    found = score(network, some_ids(1_500), start=0, byte_count=1, exact=exact)
    assert found.nats_per_char == pytest.approx(math.log(V), rel=1e-6)


def naive_losses(network, ids, start):
    """Each character's loss after all before it, in float64 and one step at a time."""
    weights = {name: array.astype(np.float64) for name, array in network.arrays().items()}
    settings = network.settings
    kinds = [settings.cell(layer) for layer in range(settings.layers)]
    steps = [cells.step_of(kind, settings.nonlinearity) for kind in kinds]
    zero = np.zeros(settings.hidden_size)
    state = [(zero,) * cells.states(kind) for kind in kinds]
    before, found = start, []
    for character in map(int, ids):
        x = weights["embedding.weight"][before]
        for layer, step in enumerate(steps):
            w_ih, b_ih, w_hh, b_hh = (
                weights.get(f"recurrent.{kind}_l{layer}", 0.0)
                for kind in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
            )
            state[layer] = step(w_ih @ x + b_ih, state[layer], w_hh, b_hh)
            x = state[layer][0]
        logits = weights["output.weight"] @ x + weights["output.bias"]
        found.append(math.log(np.exp(logits).sum()) - logits[character])
        before = character
    return np.array(found)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("start", [0, 3])
def test_the_score_is_that_of_a_naive_computation(model, start):
    network, ids = small(model), some_ids(300)
    wanted = naive_losses(network, ids, start)
    losses = np.zeros(300, dtype=np.float32)
    found = score(network, ids, start=start, byte_count=300, losses=losses)
    np.testing.assert_allclose(losses, wanted, rtol=0, atol=1e-5)
    assert found.nats == pytest.approx(wanted.sum(), rel=1e-6)
    assert found.characters == 300


def test_stretches_are_scored_as_naively_entered_after_512_characters():
    network, ids = small(), some_ids(1_600)  # three stretches of 534
    _, losses = all_losses(network, ids)
    wanted = naive_losses(network, ids[:534], 0)
    np.testing.assert_allclose(losses[:534], wanted, rtol=0, atol=1e-5)
    for begin, end in (534, 1_068), (1_068, 1_600):
        # A loss is that of the character after the one read: so reading begins one earlier.
        read = naive_losses(network, ids[begin - 512 : end], int(ids[begin - 513]))
        np.testing.assert_allclose(losses[begin:end], read[512:], rtol=0, atol=1e-5)


TWO_STRETCHES, TWO_STRETCH_NATS = some_ids(1_201), {}


@given(chunk=st.integers(1, 1_300), exact=st.booleans())
@settings(deadline=None, max_examples=15)
def test_any_chunking_gives_the_same_sum(chunk, exact):
    network = small("lstm")
    if exact not in TWO_STRETCH_NATS:
        TWO_STRETCH_NATS[exact] = score(
            network, TWO_STRETCHES, start=0, byte_count=1, exact=exact
        ).nats
    found = score(network, TWO_STRETCHES, start=0, byte_count=1, exact=exact, chunk=chunk)
    assert found.nats == pytest.approx(TWO_STRETCH_NATS[exact], rel=1e-6)


def test_exact_and_stretched_agree_on_a_trained_model(learned):
    network, vocabulary, ids = learned
    assert len(ids) > evaluation.STRETCHES * evaluation.WARM
    options = {"start": vocabulary.start, "byte_count": 1}
    stretched = score(network, ids, **options)
    exact = score(network, ids, exact=True, **options)
    assert exact.nats_per_char < 2.5  # it has learned something that could be cut off
    assert stretched.nats != exact.nats
    # What is promised is 1e-3; stretches entered cold would cost this small model 8e-4.
    assert stretched.nats_per_char == pytest.approx(exact.nats_per_char, abs=1e-4)


@pytest.mark.parametrize("exact", [False, True])
def test_permuting_the_future_changes_no_earlier_loss(learned, exact):
    network, _, ids = learned
    ids = ids[:3_000] if exact else ids
    _, before = all_losses(network, ids, exact=exact)
    for cut in 1, len(ids) // 2:
        permuted = ids.copy()
        np.random.default_rng(cut).shuffle(permuted[cut:])
        _, after = all_losses(network, permuted, exact=exact)
        np.testing.assert_allclose(after[:cut], before[:cut], rtol=0, atol=1e-6)
        assert not np.allclose(after[cut:], before[cut:], rtol=0, atol=1e-3)


WARM, FULL = evaluation.WARM, evaluation.STRETCHES * evaluation.WARM


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    "count",
    [1, 2, WARM - 1, 2 * WARM - 1, 2 * WARM, 2 * WARM + 1, FULL - 1, FULL, FULL + 1],
)
def test_every_character_is_counted_once(count, exact):
    network, told = small("rnn"), []
    found, losses = all_losses(network, some_ids(count), exact=exact, scored=told.append)
    assert found.characters == sum(told) == count
    assert np.isfinite(losses).all()
    assert found.nats == pytest.approx(float(losses.sum(dtype=np.float64)), rel=1e-6)


@given(count=st.integers(1, 5_000), chunk=st.integers(1, 700))
@settings(deadline=None, max_examples=15)
def test_every_character_is_counted_once_at_any_length(count, chunk):
    network, told = small("rnn"), []
    found, losses = all_losses(network, some_ids(count), chunk=chunk, scored=told.append)
    assert found.characters == sum(told) == count
    assert np.isfinite(losses).all()
    assert found.nats == pytest.approx(float(losses.sum(dtype=np.float64)), rel=1e-6)


@pytest.mark.parametrize("chunk", [1, 2_000])
def test_sums_are_taken_in_float64(chunk):
    """In float32 a sum of 2^24 nats has a spacing of 2 and swallows every later loss."""
    network = small()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        biases = [2.0**24, 0.0, 2.0**24 - 1.0, 0.0, 0.0, 0.0]
        network.get_parameter("output.bias").copy_(torch.tensor(biases))
    ids = np.array([1] + [2] * 1_000, dtype=np.uint8)
    found = score(network, ids, start=0, byte_count=1, exact=True, chunk=chunk)
    likeliest = math.log(1.0 + math.exp(-1.0))
    assert found.nats == pytest.approx(2.0**24 + 1_000 * (1.0 + likeliest), abs=1.0)


@pytest.mark.parametrize("exact", [False, True])
def test_first_guesses_are_counted(exact):
    network, ids = small(), some_ids(1_300)
    with torch.inference_mode():
        read = torch.from_numpy(np.concatenate([[0], ids[:-1]]))[:, None]
        guesses = network.eval()(read, network.start(1))[0].argmax(-1)[:, 0].numpy()
    found = score(network, ids, start=0, byte_count=1, exact=exact)
    assert found.correct == pytest.approx(int((guesses == ids).sum()), abs=0 if exact else 2)
    assert found.accuracy == found.correct / 1_300


@pytest.mark.parametrize("count", [1, 700, 1_025, FULL + 1])
def test_a_model_that_is_always_right_is_right_as_often_as_there_are_characters(count):
    network = small()
    with torch.no_grad():
        network.get_parameter("output.bias")[3] = 1e4
    found = score(network, np.full(count, 3, dtype=np.uint8), start=0, byte_count=1)
    assert found.correct == count


def test_guesses_are_counted_that_were_among_the_first_five():
    """Of six characters, all but the one that is the least likely."""
    network, ids = small(), some_ids(1_300)
    with torch.inference_mode():
        read = torch.from_numpy(np.concatenate([[0], ids[:-1]]))[:, None]
        last = network.eval()(read, network.start(1))[0].argmin(-1)[:, 0].numpy()
    found = score(network, ids, start=0, byte_count=1, exact=True)
    assert found.correct_top5 == int((last != ids).sum()) < 1_300
    assert found.accuracy_top5 == found.correct_top5 / 1_300 > found.accuracy


def test_characters_that_are_all_as_likely_are_not_all_among_the_first_five():
    network = small()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    found = score(network, some_ids(300), start=0, byte_count=1)
    assert found.correct_top5 == found.correct < 100


def test_an_alphabet_of_five_is_guessed_in_five():
    network = CharacterModel(ModelSettings("rnn", "tanh", 2, 3, 1), 5)
    network.initialise("xavier", 0.0, seed=0)
    ids = np.array([0, 1, 2, 3, 4, 5], dtype=np.uint8)  # and one that is unknown
    assert score(network, ids, start=0, byte_count=1, escape=0.1).correct_top5 == 5


# Windows entered cold


def cold_losses(network, ids, window):
    """Each character's loss in windows entered cold, naively; ids follow a 0."""
    before = np.concatenate([[0], ids])
    cuts = range(0, len(ids), window)
    return np.concatenate([naive_losses(network, ids[c : c + window], before[c]) for c in cuts])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("window", [1, 7, 50, 300])
def test_cold_windows_are_scored_as_naively_each_for_itself(model, window):
    """50 divides the text, 7 leaves a part of a window, 300 is the text."""
    network, ids = small(model), some_ids(300)
    found, losses = all_losses(network, ids, window=window)
    np.testing.assert_allclose(losses, cold_losses(network, ids, window), rtol=0, atol=1e-5)
    assert found.characters == 300
    assert found.nats == pytest.approx(float(losses.sum(dtype=np.float64)), rel=1e-6)


def test_a_cold_window_is_what_nanogpt_takes():
    """Its inputs and targets: data[i : i + T] and data[i + 1 : i + 1 + T], the state 0."""
    network, ids, window = small("lstm"), some_ids(1_000), 20
    _, losses = all_losses(network, ids, window=window)
    for begin in range(window - 1, 1_000 - window, window):
        x, y = (ids[i : i + window].astype(np.int64) for i in (begin, begin + 1))
        with torch.inference_mode():
            logits, _ = network.eval()(torch.from_numpy(x)[:, None], network.start(1))
            wanted = torch.nn.functional.cross_entropy(logits[:, 0], torch.from_numpy(y))
        assert losses[begin + 1 : begin + 1 + window].mean() == pytest.approx(
            float(wanted), rel=1e-4
        )


@given(
    count=st.integers(1, 900),
    window=st.integers(1, 900),
    chunk=st.integers(1, 100),
    at_once=st.integers(1, 2_000),
)
@settings(deadline=None, max_examples=25)
def test_cold_windows_count_every_character_once_however_they_are_grouped(
    count, window, chunk, at_once
):
    network, told = small("rnn"), []
    ids = some_ids(count)
    _, wanted = all_losses(network, ids, window=window)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_COLD_AT_ONCE", at_once)
        found, losses = all_losses(network, ids, window=window, chunk=chunk, scored=told.append)
    np.testing.assert_allclose(losses, wanted, rtol=0, atol=1e-5)
    assert found.characters == sum(told) == count


def test_a_window_forgets_what_was_before_it_and_no_stretch_does():
    network, ids = small(), some_ids(2_000)
    other = ids.copy()
    other[125:150] = (other[125:150] + 1) % V
    changed = {}
    for window in None, 40:
        pair = [all_losses(network, each, window=window)[1] for each in (ids, other)]
        changed[window] = np.flatnonzero(pair[0] != pair[1])
    assert changed[40].min() >= 125
    assert changed[40].max() == 159, "the window of 120 to 160"
    assert changed[None].max() > 160


def test_the_shorter_the_windows_the_worse_the_score(learned):
    network, vocabulary, ids = learned
    options = {"start": vocabulary.start, "byte_count": 1}
    nats = [score(network, ids, window=window, **options).nats for window in (1, 4, 16, 64, 256)]
    assert nats == sorted(nats, reverse=True)
    assert nats[-1] > score(network, ids, **options).nats


def test_every_way_of_reading_has_its_name():
    assert protocol(20_000) == "carried state, 32 stretches"
    assert protocol(1_600) == "carried state, 3 stretches"
    assert protocol(600) == protocol(20_000, exact=True) == "one stream"
    assert protocol(20_000, window=256) == "cold windows of 256"


# Characters the vocabulary lacks


def test_known_and_unknown_characters_share_one_probability():
    """After any beginning: the known ones and every other of Unicode add up to 1."""
    network, escape = small(), 0.01
    for beginning in ([], [2, 3], [V, 1]):
        total = 0.0
        for character in range(V + 1):
            ids = np.array([*beginning, character, V], dtype=np.uint8)
            _, losses = all_losses(network, ids, escape=escape)
            probability = math.exp(-losses[len(beginning)])
            total += probability * (1 if character < V else CODE_POINTS - V)
        assert total == pytest.approx(1.0, abs=1e-5)


def test_an_unknown_character_pays_for_being_unknown_and_for_which():
    size = 100_000  # so many that it matters that a known one cannot be meant
    network = CharacterModel(ModelSettings("rnn", "tanh", 1, 1, 1), size)
    network.initialise("xavier", 0.0, seed=0)
    ids = np.array([1, size, 2, size], dtype=np.uint32)
    _, known = all_losses(network, ids[:1])
    found, losses = all_losses(network, ids, escape=0.02)
    cost = -math.log(0.02) + math.log(CODE_POINTS - size)
    np.testing.assert_allclose(losses[[1, 3]], cost, rtol=1e-6)
    assert losses[0] == pytest.approx(known[0] - math.log(0.98), abs=1e-5)
    assert found.unknown == 2


def test_a_text_without_unknown_characters_pays_nothing_for_them():
    network, ids = small(), some_ids(50)
    assert all_losses(network, ids, escape=0.1)[0] == all_losses(network, ids)[0]


def test_an_unknown_character_is_never_guessed_right():
    network = small()
    assert all_losses(network, np.full(40, V, dtype=np.uint8), escape=0.1)[0].correct == 0


def test_the_escape_probability_is_that_of_witten_and_bell():
    assert escape_probability(65, 1_000_000) == pytest.approx(65 / 1_000_065)


# How much of the text is in memory, and what is kept of it


@pytest.mark.parametrize("reading", [{}, {"exact": True}, {"window": 30}, {"window": 400}])
@pytest.mark.parametrize("escape", [0.0, 0.01])
def test_a_text_that_only_gives_slices_scores_the_same(monkeypatch, reading, escape):
    monkeypatch.setattr(evaluation, "_COLD_AT_ONCE", 1_000)
    network, ids = small(), some_ids(1_500 if "exact" in reading else 40_000, largest=V)
    wanted, wanted_losses = all_losses(network, ids, escape=escape, **reading)
    text = Slices(ids)
    found, losses = all_losses(network, text, escape=escape, **reading)
    assert found == wanted
    np.testing.assert_array_equal(losses, wanted_losses)
    if not escape:  # else it is looked through for unknown characters, by large blocks
        assert text.longest <= 1_001


def test_a_score_needs_no_more_memory_for_a_longer_text():
    """Of 3 MB of ids and the strips read from them, hardly anything is ever there."""

    class Endless:
        def __init__(self, count):
            self.count = count

        def __len__(self):
            return self.count

        def __getitem__(self, part):
            return np.arange(part.start, part.stop, dtype=np.uint32) % V

    network = CharacterModel(ModelSettings("rnn", "tanh", 1, 1, 1), V)
    network.initialise("xavier", 0.0, seed=0)
    peaks = []
    for count in 100_000, 1_500_000:
        tracemalloc.start()
        score(network, Endless(count), start=0, byte_count=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000


@pytest.mark.parametrize("kept", [0, 1, 700, 1_999])
def test_losses_are_kept_as_far_as_there_is_room_for_them(kept):
    network, ids = small(), some_ids(2_000)
    wanted, all_of_them = all_losses(network, ids)
    losses = np.full(kept, np.nan, dtype=np.float32)
    assert score(network, ids, start=0, byte_count=2_000, losses=losses) == wanted
    np.testing.assert_array_equal(losses, all_of_them[:kept])


@pytest.mark.parametrize("reading", [{}, {"exact": True}, {"window": 30}])
def test_who_looks_on_sees_every_character_once(reading):
    network, ids = small(), some_ids(1_700, largest=V)
    seen = []
    found, losses = all_losses(network, ids, escape=0.01, observe=seen.append, **reading)
    places, targets, nats, confidence, right, rank5 = map(np.concatenate, zip(*seen, strict=True))
    np.testing.assert_array_equal(np.sort(places), np.arange(1_700))
    np.testing.assert_array_equal(targets, ids[places])
    np.testing.assert_array_equal(nats, losses[places])
    assert (right.sum(), rank5.sum()) == (found.correct, found.correct_top5)
    np.testing.assert_allclose(confidence[right], np.exp(-nats[right]), rtol=1e-5)
    assert (confidence <= 1).all()
    assert (np.exp(-nats[~right]) <= confidence[~right]).all()


@pytest.mark.parametrize("most", [1, 33, 1_600, 19_999, 20_000, 50_000])
@pytest.mark.parametrize("reading", [{}, {"window": 50}])
def test_a_sample_is_spread_over_the_text_and_scored_as_in_the_whole(most, reading):
    network, ids = small(), some_ids(20_000)
    lengths = np.arange(1, V + 1)
    _, wanted = all_losses(network, ids, **reading)
    losses, told, seen = np.full(20_000, np.nan, dtype=np.float32), [], []
    found = score(
        *(network, ids),
        start=0,
        byte_lengths=lengths,
        most=most,
        losses=losses,
        **{"scored": told.append, "observe": seen.append, **reading},
    )
    here = np.isfinite(losses)
    np.testing.assert_allclose(losses[here], wanted[here], rtol=0, atol=1e-5)
    assert found.characters == sum(told) == here.sum()
    assert min(most, 20_000) <= here.sum() < most + 50
    assert found.bytes == lengths[ids[here]].sum()
    assert found.nats == pytest.approx(float(losses[here].sum(dtype=np.float64)), rel=1e-6)
    if most >= 1_600:
        assert all(tenth.any() for tenth in np.split(here, 10))


def test_a_sample_enters_its_stretches_warm():
    """A stretch whose warming is another one scores otherwise."""
    network, ids = small(), some_ids(20_000)
    other = ids.copy()
    other[624:625] = (other[624:625] + 1) % V  # the character before the second stretch
    pair = [np.full(20_000, np.nan, dtype=np.float32) for _ in range(2)]
    for each, losses in zip((ids, other), pair, strict=True):
        score(network, each, start=0, byte_count=1, most=32, losses=losses)
    assert np.flatnonzero(np.isfinite(pair[0])).tolist() == list(range(0, 20_000, 625))
    assert np.flatnonzero(np.nan_to_num(pair[0]) != np.nan_to_num(pair[1])).tolist() == [625]


def test_bytes_are_those_of_the_text_or_of_its_characters():
    network, ids = small(), some_ids(900, largest=V)
    lengths = np.array([1, 2, 3, 4, 1, 2, 2.5])
    known = ids[ids < V]
    options = {"start": 0, "escape": 0.1}
    assert score(network, ids, byte_count=77, **options).bytes == 77
    assert score(network, ids, byte_lengths=lengths, **options).bytes == round(lengths[ids].sum())
    found = score(network, ids, byte_lengths=lengths[:V], **options)
    assert found.bytes == lengths[known].sum() < lengths[ids].sum()
    assert score(network, ids, byte_count=1_800, most=90, **options).bytes == pytest.approx(
        180, 0.1
    )


def test_a_trained_unknown_is_scored_as_its_own_probability_and_which():
    network, ids = small(), some_ids(1_000)
    plain, losses = all_losses(network, ids)
    found, rare_losses = all_losses(network, ids, rare=V - 1, escape=0.5)
    rare = ids == V - 1
    np.testing.assert_array_equal(rare_losses[~rare], losses[~rare])
    which = math.log(CODE_POINTS - (V - 1))
    np.testing.assert_allclose(rare_losses[rare], losses[rare] + which, rtol=1e-6)
    assert found.unknown == rare.sum() > plain.unknown == 0


# What it leaves alone


@pytest.mark.parametrize("training", [False, True])
def test_scoring_leaves_mode_and_randomness_as_they_were(training):
    network = small().train(training)
    torch.manual_seed(91)
    torch.rand(3)
    before, weights = torch.get_rng_state(), network.arrays()
    score(network, some_ids(1_100), start=0, byte_count=1)
    assert network.training is training
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()
    for name, array in network.arrays().items():
        np.testing.assert_array_equal(array, weights[name])


def test_scoring_can_be_ended_from_outside_and_leaves_the_mode():
    class EnoughError(Exception):
        pass

    def stop(_):
        raise EnoughError

    network = small().train()
    with pytest.raises(EnoughError):
        score(network, some_ids(100), start=0, byte_count=1, scored=stop)
    assert network.training


def test_training_goes_on_the_same_after_a_score(learned):
    """A score between two steps changes nothing that the second one does."""
    chosen = TrainingSettings(seq_length=8, batch_size=4, dropout=0.3)
    _, vocabulary, ids = learned
    ends = []
    for scores in False, True:
        state = fresh_state(ModelSettings("lstm", "tanh", 4, 6, 2), chosen, len(vocabulary))
        for _ in range(3):
            take_step(state, batches_of(ids, chosen), chosen, 1e-2)
            if scores:
                score(state.model, ids[:1_200], start=0, byte_count=1)
        ends.append(state.model.arrays())
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][name])


def test_the_exact_reading_follows_training_through_a_window(learned):
    """A batch of one stream from the text's beginning has the loss its characters score."""
    network, _, ids = learned
    read = Batches(ids[:101], 100, 1, 0).at(0)
    with torch.inference_mode():
        logits, _ = network(torch.from_numpy(read.inputs), network.start(1))
        wanted = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), torch.from_numpy(read.targets).flatten(), reduction="sum"
        )
    found = score(network, ids[1:101], start=int(ids[0]), byte_count=1)
    assert found.nats == pytest.approx(float(wanted), rel=1e-6)


# Workers


@pytest.fixture
def two_workers():
    threads = torch.get_num_threads()
    workers = Workers(2)
    yield workers
    workers.close()
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("reading", [{}, {"exact": True}, {"window": 30}])
def test_workers_find_the_score_that_one_finds(two_workers, model, reading):
    # 17 stretches, one stream, or 300 windows; some characters are unknown.
    network, ids = small(model), some_ids(1_000 if "exact" in reading else 9_000, largest=V)
    wanted, wanted_losses = all_losses(network, ids, escape=0.01, **reading)
    for _ in range(2):
        found, losses = all_losses(network, ids, escape=0.01, workers=two_workers, **reading)
        np.testing.assert_allclose(losses, wanted_losses, rtol=1e-5, atol=1e-5)
        assert found.nats == pytest.approx(wanted.nats, rel=1e-6)
        assert found.unknown == wanted.unknown > 0
        assert found.correct == pytest.approx(wanted.correct, abs=1)  # a tie may fall otherwise
        assert found.characters == wanted.characters


def test_workers_are_told_how_many_weights_they_multiply_by(two_workers, monkeypatch):
    """By which they divide a product among the threads that are left, or do not."""
    network, asked, share = small(), [], two_workers.map

    def shared(function, parts, *, weights):
        asked.append(weights)
        return share(function, parts, weights=weights)

    monkeypatch.setattr(two_workers, "map", shared)
    all_losses(network, some_ids(9_000), workers=two_workers)
    assert set(asked) == {network.settings.parameters(network.vocabulary_size)}


def test_what_ends_a_scoring_by_workers_leaves_the_model_as_it_was(two_workers):
    class EnoughError(Exception):
        pass

    def enough(_):
        raise EnoughError

    network = small().train()
    with pytest.raises(EnoughError):
        all_losses(network, some_ids(9_000), scored=enough, workers=two_workers)
    assert network.training
    wanted, _ = all_losses(network, some_ids(9_000))
    found, _ = all_losses(network, some_ids(9_000), workers=two_workers)
    assert found.nats == pytest.approx(wanted.nats, rel=1e-6)


def test_a_score_between_a_forward_and_its_gradient_changes_neither(two_workers):
    network, ids = small().train(), torch.from_numpy(some_ids(60).astype(np.int64)).view(20, 3)
    wanted_score, _ = all_losses(network, some_ids(9_000))

    def gradient(between):
        logits, _ = network(ids, network.start(3))
        between()
        return torch.autograd.grad(logits.square().sum(), list(network.parameters()))

    scores = []
    wanted = gradient(lambda: None)
    found = gradient(
        lambda: scores.append(all_losses(network, some_ids(9_000), workers=two_workers)[0])
    )
    for ours, theirs in zip(found, wanted, strict=True):
        assert torch.equal(ours, theirs)
    assert scores[0].nats == pytest.approx(wanted_score.nats, rel=1e-6)
