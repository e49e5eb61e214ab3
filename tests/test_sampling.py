"""Text from a checkpoint: the same for the same seed, cut where asked, and without torch."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import distribution, runs, sampling, streams
from charrnn.checkpoints import read_checkpoint
from charrnn.continuation import before_stop
from charrnn.errors import CheckpointError, UnknownCharacterError
from charrnn.model import CharacterModel
from charrnn.reading import Reading
from charrnn.sampling import Request, Sampler
from charrnn.settings import MODELS, NONLINEARITIES, ModelSettings, SamplingSettings
from charrnn.stream import Columns
from charrnn.tokenizer import Vocabulary

CELLS = [(m, n) for m in MODELS for n in (NONLINEARITIES if m == "rnn" else ("tanh",))]
VOCABULARY = Vocabulary("e ta\n'Z")


def a_model(model="gru", nonlinearity="tanh", *, layers=2, seed=0):
    network = CharacterModel(ModelSettings(model, nonlinearity, 5, 6, layers), len(VOCABULARY))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            # Weaker where nothing keeps the states small.
            parameter.normal_(std=0.25 if nonlinearity == "relu" else 0.5, generator=generator)
    return network


def a_sampler(*arguments, **options):
    network = a_model(*arguments, **options)
    return Sampler(network.settings, VOCABULARY, network.arrays())


def drawn(sampler, prompt="", *, seed=0, number=0, **chosen):
    chosen = SamplingSettings(**({"length": 200} | chosen))
    return "".join(sampler.sample(sampler.read_prompt(prompt), chosen, seed=seed, number=number))


# Agreement with torch


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
def test_logits_are_those_of_the_torch_model(model, nonlinearity, layers):
    network = a_model(model, nonlinearity, layers=layers)
    sampler = Sampler(network.settings, VOCABULARY, network.arrays())
    ids = np.random.default_rng(0).integers(0, len(VOCABULARY), size=60)
    with torch.inference_mode():
        wanted, _ = network(torch.from_numpy(ids)[:, None], network.start(1))
    state = sampler.start()
    for moment, character in enumerate(ids):
        state = sampler.read(int(character), state)
        logits = sampler.logits(state)
        assert logits.shape == (len(VOCABULARY),)
        np.testing.assert_allclose(logits, wanted[moment, 0], rtol=0, atol=1e-4)


def test_logits_of_a_trained_model_are_those_of_torch(trained, english):
    record, weights = read_checkpoint(runs.find("cafe", trained))
    network = CharacterModel(record.settings, len(record.vocabulary))
    network.load(weights)
    sampler = Sampler(record.settings, record.vocabulary, weights)
    ids = record.vocabulary.encode(english[:300]).astype(np.int64)
    with torch.inference_mode():
        wanted, _ = network(torch.from_numpy(ids)[:, None], network.start(1))
    found = sampler.logits(sampler.read_prompt(english[:300]))
    np.testing.assert_allclose(found, wanted[-1, 0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
def test_reading_a_prompt_is_stepping_through_it(model):
    sampler = a_sampler(model)
    state = sampler.start()
    for character in "tea at ten":
        if character in VOCABULARY:
            state = sampler.read(VOCABULARY.characters.index(character), state)
    read = sampler.read_prompt("tea at te")
    for ours, theirs in zip(state, read, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_without_a_prompt_a_text_begins_as_if_after_a_newline():
    sampler = a_sampler()
    for ours, theirs in zip(sampler.read_prompt(""), sampler.read_prompt("\n"), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
    network = a_model()
    without = Vocabulary("e taxyZ")
    sampler = Sampler(network.settings, without, network.arrays())
    for ours, theirs in zip(sampler.read_prompt(""), sampler.read_prompt("e"), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_a_sampler_keeps_no_state():
    sampler = a_sampler("lstm")
    state = sampler.read_prompt("tea")
    before = [tuple(part.copy() for part in layer) for layer in state]
    first = "".join(sampler.sample(state, SamplingSettings(length=50), seed=1))
    for ours, theirs in zip(state, before, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    assert "".join(sampler.sample(state, SamplingSettings(length=50), seed=1)) == first


# Seeds


def test_the_same_seed_gives_the_same_text():
    assert drawn(a_sampler(), "tea", seed=5) == drawn(a_sampler(), "tea", seed=5)
    assert drawn(a_sampler(), "tea", seed=5) != drawn(a_sampler(), "tea", seed=6)


def test_a_shorter_sample_is_the_beginning_of_a_longer_one():
    whole = drawn(a_sampler(), length=3_000)
    assert len(whole) == 3_000
    assert drawn(a_sampler(), length=1_100) == whole[:1_100]


def test_a_sample_does_not_depend_on_how_many_are_drawn():
    """Sample 2 of a seed is the same alone, after others, and side by side with them."""
    sampler, chosen = a_sampler(), SamplingSettings(length=100)
    alone = [drawn(sampler, seed=3, number=number, length=100) for number in range(4)]
    assert len(set(alone)) == 4
    state = sampler.read_prompt("")
    streams = [sampler.sample(state, chosen, seed=3, number=number) for number in range(4)]
    together = zip(*streams, strict=True)
    assert ["".join(characters) for characters in zip(*together, strict=True)] == alone


def test_sampling_touches_no_global_generator():
    before = np.random.get_state()[1].copy()
    drawn(a_sampler())
    assert (np.random.get_state()[1] == before).all()


# Many side by side


def many(sampler, requests, **chosen):
    samples = sampler.sample_many(requests, SamplingSettings(**({"length": 80} | chosen)))
    return [sample.text for sample in samples]


@pytest.mark.parametrize("chosen", [{}, {"temperature": 0.5, "top_k": 4}, {"stop": ("ta", "e ")}])
@pytest.mark.parametrize("model", MODELS)
def test_a_text_is_the_same_drawn_alone_or_beside_others(model, chosen):
    """But where characters are equally likely but for rounding, which these never are."""
    sampler = a_sampler(model)
    alone = [drawn(sampler, "tea", seed=3, number=n, length=80, **chosen) for n in range(20)]
    assert many(sampler, [Request("tea", 3, n) for n in range(20)], **chosen) == alone


def test_a_request_may_have_its_own_length_and_temperature():
    sampler = a_sampler()
    requests = [Request("", 1, 0, length=9), Request("Z", 1, 0, temperature=0.0)]
    assert many(sampler, requests) == [
        drawn(sampler, seed=1, length=9),
        drawn(sampler, "Z", seed=1, temperature=0.0, length=80),
    ]


def test_a_long_prompt_among_short_ones_is_read_whole(monkeypatch):
    monkeypatch.setattr(sampling, "LONG", 1_000)
    sampler = a_sampler(layers=1)
    prompt = "Z" + "tea eat " * 300
    found = many(sampler, [Request("tea", 5, 1), Request(prompt, 5, 0), Request(prompt, 5, 0)])
    assert found[1] == found[2] == drawn(sampler, prompt, seed=5, length=80)


@pytest.mark.parametrize("model", MODELS)
def test_a_prompt_that_comes_again_is_read_once_and_changes_nothing(model, monkeypatch):
    """To the last bit, which shows where the state itself is what is drawn from next."""
    sampler, prompt = a_sampler(model), "tea eat Z\n'" * 20
    requests = [Request(prompt, 5, n) for n in range(20)]
    apart = [request for each in requests for request in (each, Request("tea", 1))]
    states = []

    def noted(prepared, ids):
        states.append(streams.read_alike(prepared, ids))
        return states[-1]

    monkeypatch.setattr(sampling, "read_alike", noted)
    found = many(sampler, requests)
    assert found == many(sampler, apart)[::2]
    assert len(states) == 1
    columns = Columns(sampler._prepared, 48)
    for character in VOCABULARY.encode(prompt)[:-1].tolist():
        columns.read(np.full(48, character))
    for parts, own in zip(columns.states, states[0], strict=True):
        for part, own_part in zip(parts, own, strict=True):
            assert (part[:, 33] == own_part).all()


def test_a_prompt_that_cannot_be_read_is_told_after_those_before_it():
    sampler, found = a_sampler(), []
    with pytest.raises(UnknownCharacterError, match="x U"):
        for sample in sampler.sample_many(
            [Request("tea", 1), Request("tax", 1), Request("tea", 1)], SamplingSettings(length=5)
        ):
            found.append(sample.text)
    assert found == [drawn(sampler, "tea", seed=1, length=5)]


def test_many_from_weights_that_are_no_use_are_an_error():
    network = a_model()
    with torch.no_grad():
        network.get_parameter("output.bias")[2] = np.nan
    sampler = Sampler(network.settings, VOCABULARY, network.arrays())
    with pytest.raises(CheckpointError, match="not a number"):
        many(sampler, [Request("", 1)])


# How characters are drawn


def test_temperature_zero_takes_the_likeliest_character():
    sampler, wanted = a_sampler(), ""
    state = sampler.read_prompt("tea")
    for _ in range(60):
        likeliest = int(np.argmax(sampler.logits(state)))
        wanted += VOCABULARY.characters[likeliest]
        state = sampler.read(likeliest, state)
    assert {drawn(sampler, "tea", seed=s, temperature=0.0, length=60) for s in range(3)} == {wanted}


@pytest.mark.parametrize(
    "chosen", [{"top_k": 1}, {"top_p": 1e-9}, {"min_p": 1.0}, {"temperature": 1e-6}]
)
def test_each_filter_at_its_end_takes_the_likeliest_character(chosen):
    """So each of them reaches the distribution that characters are drawn from."""
    sampler = a_sampler()
    assert drawn(sampler, seed=1, **chosen) == drawn(sampler, temperature=0.0)
    assert drawn(sampler, seed=1) != drawn(sampler, temperature=0.0)


def test_characters_come_as_often_as_they_are_likely():
    """A model that remembers nothing draws from one distribution."""
    network = a_model("rnn")
    with torch.no_grad():
        network.get_parameter("output.weight").zero_()
    sampler = Sampler(network.settings, VOCABULARY, network.arrays())
    text = drawn(sampler, length=6_000)
    wanted = distribution.soften(sampler.logits(sampler.start()), 1.0)
    found = np.array([text.count(c) for c in VOCABULARY.characters]) / 6_000
    np.testing.assert_allclose(found, wanted, rtol=0, atol=0.025)


def test_a_length_of_zero_writes_nothing():
    assert drawn(a_sampler(), length=0) == ""


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_give_no_probabilities_are_an_error(bad):
    network = a_model()
    with torch.no_grad():
        network.get_parameter("output.bias")[2] = bad
    sampler = Sampler(network.settings, VOCABULARY, network.arrays())
    with pytest.raises(CheckpointError, match="not a number") as caught:
        drawn(sampler)
    assert "earlier checkpoint" in caught.value.hint


# Stop texts


ALPHABET = st.text("ab\n", max_size=40)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=5), max_size=3)


@given(text=ALPHABET, stops=STOPS)
@settings(deadline=None, max_examples=500)
def test_a_text_ends_before_the_first_stop_text(text, stops):
    """As `str.find` has it, of whichever stop text comes to its end first."""
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    first_end = min(ends, default=None)
    if first_end is None:
        wanted = text
    else:
        seen = text[:first_end]
        wanted = seen[: min(seen.find(stop) for stop in stops if stop in seen)]
    found = "".join(before_stop(iter(text), tuple(stops)))
    assert found == wanted
    assert not any(stop in found for stop in stops)


@given(text=ALPHABET, stops=STOPS)
@settings(deadline=None, max_examples=200)
def test_characters_are_written_as_soon_as_they_are_certain(text, stops):
    """All but what may still turn out to begin a stop text is out at once."""
    written = ""
    read = []

    def characters():
        for character in text:
            # What was read before this one and is not out yet begins some stop text.
            held = "".join(read)[len(written) :]
            assert held == "" or any(stop.startswith(held) for stop in stops)
            read.append(character)
            yield character

    for piece in before_stop(characters(), tuple(stops)):
        written += piece


def test_nothing_is_drawn_after_a_stop_text():
    characters = iter("abcdef")
    assert "".join(before_stop(characters, ("bc",))) == "a"
    assert "".join(characters) == "def"


def test_a_sample_stops_where_it_is_told(trained):
    record, weights = read_checkpoint(runs.find("cafe", trained))
    sampler = Sampler(record.settings, record.vocabulary, weights)
    whole = drawn(sampler, length=400)
    stop = whole[200:202]
    cut = drawn(sampler, length=400, stop=(stop, "no such text"))
    assert cut == whole[: whole.find(stop)]


# Prompts


def test_characters_the_model_never_saw_are_named_with_their_look_alikes():
    with pytest.raises(UnknownCharacterError) as caught:
        a_sampler().read_prompt("tea ’z\u00a0猫")
    message = caught.value.message
    assert "’ U+2019 right single quotation mark (it knows ' U+0027 apostrophe)" in message
    assert "z U+007A latin small letter z (it knows Z U+005A" in message
    assert "U+00A0 no-break space (it knows U+0020 space)" in message
    assert re.search(r"猫 U\+732B[^(]*$", message)
    assert "\n" not in message
    assert "--unknown skip" in caught.value.hint


def test_half_a_character_in_a_prompt_is_an_unknown_one():
    """As an argument that is no UTF-8 comes."""
    with pytest.raises(UnknownCharacterError, match=r"U\+DCE9") as caught:
        a_sampler().read_prompt("tea\udce9")
    caught.value.message.encode()  # it can be shown


# Rare characters


RARE = Vocabulary("e ta\n'", unknown=True)


def a_rare_sampler():
    """A model whose last character is all rare ones, and the likeliest by far."""
    network = a_model()
    with torch.no_grad():
        network.get_parameter("output.bias")[6] = 50.0
    return Sampler(network.settings, RARE, network.arrays()), network


def test_a_rare_character_is_read_as_the_last():
    sampler, _ = a_rare_sampler()
    read = sampler.read_prompt("t☂")
    stepped = sampler.read(6, sampler.read_prompt("t"))
    for ours, theirs in zip(read, stepped, strict=True):
        np.testing.assert_allclose(ours[0], theirs[0], rtol=0, atol=1e-6)
    with pytest.raises(UnknownCharacterError, match=r"U\+DCE9"):
        sampler.read_prompt("t\udce9")


def test_the_others_share_what_a_rare_character_would_have():
    sampler, network = a_rare_sampler()
    known = Sampler(network.settings, VOCABULARY, network.arrays())
    state = sampler.read_prompt("tea")
    np.testing.assert_array_equal(sampler.logits(state), known.logits(state)[:6])


@pytest.mark.parametrize(
    "chosen", [{}, {"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.5}, {"min_p": 0.5}]
)
def test_no_rare_character_is_ever_drawn(chosen):
    """As if there were none, to the last character, alone and among many, after any prompt."""
    sampler, network = a_rare_sampler()
    arrays = network.arrays()
    for name in "embedding.weight", "output.weight", "output.bias":
        arrays[name] = arrays[name][:6]
    without = Sampler(network.settings, Vocabulary(RARE.characters), arrays)
    wanted = [drawn(without, "tea", number=n, length=80, **chosen) for n in range(3)]
    assert [drawn(sampler, "tea", number=n, length=80, **chosen) for n in range(3)] == wanted
    assert many(sampler, [Request("tea", 0, n) for n in range(3)], **chosen) == wanted
    texts = many(sampler, [Request("t☂", 0, n) for n in range(20)], **chosen)
    texts.append(drawn(sampler, "猫", stop=("☂",), **chosen))
    assert set("".join(texts)) <= set(RARE.characters)


def test_nor_where_all_that_is_left_is_forbidden():
    class Forbidding:
        def read(self, character):
            pass

        def forbidden(self):
            return np.ones(6, dtype=bool)

    sampler, _ = a_rare_sampler()
    text = "".join(
        sampler.sample(sampler.start(), SamplingSettings(length=9), seed=0, watch=Forbidding())
    )
    assert text == drawn_after_nothing(sampler, temperature=0.0)


def drawn_after_nothing(sampler, **chosen):
    settings = SamplingSettings(length=9, **chosen)
    return "".join(sampler.sample(sampler.start(), settings, seed=0))


# How a corpus was read


def test_prompts_and_stop_texts_are_read_as_the_corpus_was():
    network = a_model()
    vocabulary = Vocabulary("e ta\n'z", Reading(lowercase=True, newlines="lf"))
    sampler = Sampler(network.settings, vocabulary, network.arrays())
    plain = Sampler(network.settings, Vocabulary("e ta\n'z"), network.arrays())
    wanted = drawn(plain, "tea\nz", stop=("z t",))
    assert len(wanted) < 200
    assert drawn(sampler, "TEA\r\nZ", stop=("Z T", "X")) == wanted
    assert many(sampler, [Request("TEA\rZ", 0)], stop=("Z T", "X"), length=200) == [wanted]


def test_a_stop_text_of_bytes_that_are_no_text_stops_nothing():
    """As an argument that is no UTF-8 comes."""
    sampler = a_sampler()
    assert many(sampler, [Request("", 0)], stop=("\udce9",)) == [drawn(sampler, length=80)]


# What is imported


HARNESS = """
import sys

{code}

heavy = ("torch", "rich", "tqdm")
sys.stderr.write("loaded:" + ",".join(name for name in heavy if name in sys.modules))
"""

SAMPLE = """
from charrnn import cli
try:
    cli.main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""


def heavy_modules(code, *arguments):
    """What the code wrote, and which heavy modules it loaded, in a process of its own."""
    environment = os.environ | {"NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", HARNESS.format(code=code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    loaded = done.stderr.rpartition("loaded:")[2]
    return done.stdout, set(filter(None, loaded.split(",")))


@pytest.mark.parametrize(
    "options", [[], ["--json"], ["--prompt", "The café", "--stop", "\n", "--top-k", "5"]]
)
def test_sampling_imports_neither_torch_nor_rich(options, trained):
    text, loaded = heavy_modules(
        SAMPLE, "sample", "cafe", "--checkpoint-dir", trained, "--length", 50, "--seed", 1, *options
    )
    assert text
    assert loaded == set()


def test_the_test_above_would_notice(trained):
    """The same harness, over code that does load torch, Rich and tqdm."""
    code = "import torch, rich, tqdm\n" + SAMPLE
    _, loaded = heavy_modules(
        code, "sample", "cafe", "--checkpoint-dir", trained, "--length", 5, "--seed", 1
    )
    assert loaded == {"torch", "rich", "tqdm"}


def test_the_sampling_module_alone_needs_no_more_than_numpy():
    _, loaded = heavy_modules(f"import {sampling.__name__}")
    assert loaded == set()
