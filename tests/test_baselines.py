"""What any model must beat: the right text, the right price, and no look at what is held out."""

import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import Slices

from charrnn import baselines, compressors, prices
from charrnn.baselines import NAMES, Baseline, measure, tail
from charrnn.compressors import BZ2, PPMD, XZ, added_bits, is_installed
from charrnn.evaluation import escape_probability, score
from charrnn.heldout import HeldOut
from charrnn.intervals import block_edges
from charrnn.model import CharacterModel
from charrnn.ngram import choose_order
from charrnn.reading import Reading
from charrnn.settings import ModelSettings
from charrnn.tokenizer import ALL_BYTES, CODE_POINTS, Vocabulary


class Part:
    """A training part, and what was read of it."""

    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self.size = len(self.data)
        self.slices: list[tuple[int, int]] = []

    def slice(self, start: int, end: int) -> bytes:
        self.slices.append((start, end))
        return self.data[start:end]


def held_out(text, vocabulary):
    """A text to be scored, whose ids lie elsewhere."""
    data = vocabulary.reading.utf8_of(text)
    return HeldOut(Slices(vocabulary.encode(text)), "", len(data), lambda: iter(text))


def found(text, training, vocabulary, escape=0.01, **options):
    training = Part(training) if isinstance(training, str) else training
    if isinstance(vocabulary, str):
        vocabulary = Vocabulary(vocabulary)
    text = held_out(text, vocabulary)
    made = measure(text, training, vocabulary, escape=escape, **options)
    assert [baseline.name for baseline in made] == list(NAMES)
    return {baseline.name: baseline for baseline in made}


def test_hand_computed_on_a_tiny_text():
    made = found("aab", "aabab", "ab")
    assert made["uniform"].nats == pytest.approx(3 * math.log(2))
    a, b = 3.5 / 6, 2.5 / 6
    assert made["unigram"].nats == pytest.approx(-math.log(a * a * b))
    a, b = ((n - 0.75) / 5 + 0.75 * 2 / 5 * 0.5 for n in (3, 2))
    assert made["ngram"].order == 1, "there is no last tenth to choose it by"
    assert made["ngram"].nats == pytest.approx(-math.log(a * a * b))
    bits = [added_bits(compressor, b"aabab", b"aab") for compressor in (XZ, BZ2)]
    assert bits == [0, 8]
    assert made["xz"].nats is None, "no text costs nothing"
    assert made["bz2"].nats == pytest.approx(8 * math.log(2))


def test_scores_are_by_the_text_s_own_characters_and_bytes():
    row = found("éa", "éaéa", "éa")["uniform"].to_json(2, 3)
    assert row["nats_per_char"] == pytest.approx(math.log(2))
    assert row["bits_per_char"] == pytest.approx(1)
    assert row["bits_per_byte"] == pytest.approx(2 / 3)


def test_each_learns_from_the_training_part_alone_and_from_all_of_it(english):
    """All but uniform gain by it; what stands there is told in bytes."""
    text, training = english[2000:2400], english[:2000]
    vocabulary = "".join(sorted(set(english)))
    made, empty = found(text, training, vocabulary), found(text, ".", vocabulary)
    for name in set(NAMES) - {"uniform"}:
        if made[name].nats is not None:
            assert made[name].nats < empty[name].nats
            assert (made[name].read, made[name].cut) == (len(training.encode()), "")
            assert made[name].available == len(training.encode())
    assert made["ngram"].nats < made["unigram"].nats < made["uniform"].nats


# A character that training lacks.


def test_an_unknown_character_pays_as_it_does_in_the_model():
    """A model of zeros is uniform."""
    vocabulary = Vocabulary("abc")
    model = CharacterModel(ModelSettings(hidden_size=4, embedding_size=2, layers=1), 3)
    for parameter in model.parameters():
        parameter.data.zero_()
    text, escape = "ab☃c☃", escape_probability(3, 100)
    wanted = score(model, vocabulary.encode(text), start=0, byte_count=9, escape=escape)
    made = found(text, "abc", "abc", escape)
    assert made["uniform"].nats == pytest.approx(wanted.nats, rel=1e-6)


@pytest.mark.parametrize("name", ["uniform", "unigram", "ngram"])
def test_all_characters_there_are_sum_to_1(name):
    """Known ones by what they cost, unknown ones all alike; the text has one of each kind."""

    def probability(character):
        both = found(character + "☃", "abbb", "ab")[name].nats
        return math.exp(alone - both)

    alone = found("☃", "abbb", "ab")[name].nats
    others = math.exp(-alone) * (CODE_POINTS - 2)
    assert sum(map(probability, "ab")) + others == pytest.approx(1)


@pytest.mark.parametrize("name", ["uniform", "unigram", "ngram"])
def test_with_a_trained_unknown_all_characters_there_are_sum_to_1_too(name):
    """Rare ones are one id among the others, and pay for which one they are, as in the model."""
    vocabulary = Vocabulary("ab", unknown=True)
    nats = {c: found(c, "abbb☂a☂b", vocabulary)[name].nats for c in "ab☃"}
    rare = math.exp(-nats["☃"]) * (CODE_POINTS - 2)
    assert math.exp(-nats["a"]) + math.exp(-nats["b"]) + rare == pytest.approx(1)
    wanted = {"uniform": 1 / 3, "unigram": 2.5 / 9.5}
    assert rare == pytest.approx(wanted.get(name, rare))


def test_a_rare_character_pays_as_it_does_in_the_model():
    """A model of zeros is uniform over its ids."""
    vocabulary = Vocabulary("ab", unknown=True)
    model = CharacterModel(ModelSettings(hidden_size=4, embedding_size=2, layers=1), 3)
    for parameter in model.parameters():
        parameter.data.zero_()
    wanted = score(model, vocabulary.encode("ab☃a☂"), start=0, byte_count=9, rare=2)
    made = found("ab☃a☂", "abc", vocabulary)
    assert made["uniform"].nats == pytest.approx(wanted.nats, rel=1e-6)


BYTES = Vocabulary(ALL_BYTES, Reading("bytes"))


@pytest.mark.parametrize("name", ["unigram", "ngram"])
def test_of_a_model_of_bytes_all_256_sum_to_1(name):
    class Raw(Part):
        def __init__(self):
            super().__init__("")
            self.data = bytes([0x80, 0xBF, 0xFF, 0x80, 0x80, 10])
            self.size = len(self.data)

    others = {each: Baseline(each, 0.0) for each in NAMES if each != name}
    nats = [found(chr(byte), Raw(), BYTES, known=others)[name].nats for byte in range(256)]
    assert math.fsum(math.exp(-each) for each in nats) == pytest.approx(1)
    assert min(range(256), key=nats.__getitem__) == 0x80
    assert tail(Raw(), 5, BYTES) == Raw().data[1:], "a byte is no half of a character"


def test_of_a_model_of_bytes_what_is_scored_is_bytes():
    training = Part("")
    training.data, training.size = "茶é".encode() * 50, 250
    text = ("茶" * 20).encode().decode("latin-1")
    made = found(text, training, BYTES)
    assert made["uniform"].nats == pytest.approx(60 * math.log(256))
    bits = added_bits(XZ, training.data, ("茶" * 20).encode())
    assert made["xz"].nats == pytest.approx(bits * math.log(2)) or not bits
    assert made["ngram"].nats < made["unigram"].nats < made["uniform"].nats


def test_a_text_too_long_is_never_held_as_a_whole(monkeypatch):
    monkeypatch.setattr(baselines, "_MOST_SCORED", 100)
    monkeypatch.setattr(prices, "_AT_ONCE", 16)
    vocabulary = Vocabulary("ab")
    text = held_out("ab" * 60, vocabulary)
    text = replace(text, pieces=None)
    made = measure(text, Part("abab" * 50), vocabulary, escape=0.1)
    measured = {each.name for each in made if each.nats is not None}
    assert measured == {"uniform", "unigram"}
    assert text.ids.longest == 16


def test_a_character_of_the_vocabulary_that_training_lacks_is_possible():
    made = found("c", "abab", "abc")
    assert made["unigram"].nats == pytest.approx(-math.log(0.5 / 5.5))
    assert math.isfinite(made["ngram"].nats)


# The order.


def test_the_order_is_chosen_without_the_held_out_text(english):
    text, training = english[2000:], english[:2000]
    vocabulary = "".join(sorted(set(english)))
    wanted = choose_order(Vocabulary(vocabulary).encode(training), len(vocabulary))
    assert wanted > 2
    shuffled = "".join(np.random.default_rng(0).permutation(list(text)))
    made = [found(t, training, vocabulary)["ngram"] for t in (text, shuffled, "a")]
    assert [baseline.order for baseline in made] == [wanted] * 3
    assert made[0].nats < made[1].nats


def test_a_long_text_is_scored_in_pieces_as_it_is_at_once(monkeypatch, english):
    text, training = english[1500:], english[:1500]
    vocabulary = "".join(sorted(set(english)))
    at_once = found(text, training, vocabulary)["ngram"].nats
    monkeypatch.setattr(prices, "_AT_ONCE", 7)
    assert found(text, training, vocabulary)["ngram"].nats == pytest.approx(at_once, rel=1e-12)


# What is cut.


class Clock:
    """A second passes at every look."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


def test_a_large_part_is_read_from_its_end_as_far_as_time_allows(monkeypatch):
    """A probe takes a second by this clock, and each of a larger part half as much more."""
    monkeypatch.setattr(baselines, "_PROBE", 100)
    training = Part("x" * 700 + "ab" * 150)
    made = found("ab" + 50 * "bax", training, "abx", seconds=4.5, clock=Clock())
    for name in {"unigram", "ngram", "xz", "bz2"}:
        assert (made[name].read, made[name].available) == (300, 1000)
        assert made[name].cut == "time"
    nats = 102 * math.log(301.5 / 150.5) + 50 * math.log(301.5 / 0.5)
    assert made["unigram"].nats == pytest.approx(nats)
    assert {end for _, end in training.slices} == {1000}
    made = found("ab", training, "abx", seconds=15, clock=Clock())
    assert (made["unigram"].read, made["unigram"].cut) == (1000, "")


def test_too_little_time_still_reads_a_probe(monkeypatch):
    monkeypatch.setattr(baselines, "_PROBE", 100)
    made = found("a", "ab" * 500, "ab", seconds=0.001, clock=Clock())
    assert (made["ngram"].read, made["ngram"].cut) == (100, "time")


def test_bz2_reads_what_its_block_has_room_for(monkeypatch):
    small = BZ2._replace(window=50)
    monkeypatch.setattr(baselines, "BZ2", small)
    made = found("ab" * 10, "ab" * 100, "ab")["bz2"]
    assert (made.read, made.available, made.cut) == (30, 200, "window")
    wanted = added_bits(small, b"ab" * 15, b"ab" * 10)
    assert made.nats == pytest.approx(wanted * math.log(2))
    assert found("ab" * 30, "ab" * 100, "ab")["bz2"].read == 0


def test_the_n_gram_s_counts_have_a_limit(monkeypatch):
    monkeypatch.setattr(baselines, "_MOST_COUNTED", 40)
    made = found("ab", "ab" * 100, "ab")
    assert (made["ngram"].read, made["ngram"].cut) == (40, "memory")
    assert made["unigram"].read == 200


def test_a_cut_goes_between_characters():
    training = Part("é茶a")
    assert [tail(training, size, Vocabulary("a")).decode() for size in range(7)] == [
        *("", "a", "a", "a", "茶a", "茶a", "é茶a")
    ]


# In blocks, and of a text that is too long.


def test_blocks_are_of_the_text_that_is_scored(english):
    """Those of losses sum to the whole; PPMd's, told as it goes, all but do."""
    text, training = english[1000:] + "☃", english[:1000]
    made = found(text, training, "".join(sorted(set(english))))
    sizes = np.diff(block_edges(len(text)))
    for name in "uniform", "unigram", "ngram", "ppmd":
        if made[name].nats is not None:
            spent = float(sizes @ np.array(made[name].blocks))
            assert spent == pytest.approx(made[name].nats, rel=0.04 if name == "ppmd" else 1e-9)
    assert made["xz"].blocks == made["bz2"].blocks == ()
    assert len(set(made["unigram"].blocks)) == len(sizes)
    assert {each.blocks for each in found("ab", "abab", "ab").values()} == {()}


def test_a_text_that_is_too_long_has_the_two_that_are_quick(monkeypatch):
    monkeypatch.setattr(baselines, "_MOST_SCORED", 5)
    made = found("ababab", "abab", "ab")
    assert [name for name in NAMES if made[name].nats is not None] == ["uniform", "unigram"]
    assert made["xz"].reason == "a text of more than 5 bytes would take too long"
    assert found("ababa", "abab", "ab")["ngram"].nats is not None


# What cannot be measured.


def test_without_a_training_part_only_uniform_is_measured():
    made = measure(held_out("ab", Vocabulary("ab")), "no such file", Vocabulary("ab"), escape=0.1)
    assert [baseline.nats is None for baseline in made] == [False, *[True] * 5]
    assert made[3].to_json(2, 2) == {"name": "xz", "reason": "no such file"}


def test_a_missing_pyppmd_is_told_with_the_way_to_get_it(monkeypatch):
    find = compressors.importlib.util.find_spec
    monkeypatch.setattr(
        compressors.importlib.util, "find_spec", lambda n: None if n == "pyppmd" else find(n)
    )
    made = found("abba" * 9, "abab", "ab")
    assert made["ppmd"].nats is None
    assert "pip install pyppmd" in made["ppmd"].reason
    assert all(made[name].nats is not None for name in NAMES if name != "ppmd")


@pytest.mark.parametrize("compressor", [XZ, BZ2, PPMD], ids=lambda c: c.name)
def test_a_compressor_is_measured_where_it_is_installed(compressor, english):
    if not is_installed(compressor):
        pytest.skip(f"{compressor.module} is not installed")
    made = found(english[2000:], english[:2000], "".join(set(english)))[compressor.name]
    bits = added_bits(compressor, english[:2000].encode(), english[2000:].encode())
    assert made.nats == pytest.approx(bits * math.log(2))
    assert made.order == (6 if compressor is PPMD else 0)


@pytest.mark.parametrize("grows", [0, -1])
def test_a_text_that_makes_the_whole_no_larger_has_no_price(grows, monkeypatch):
    monkeypatch.setattr(baselines, "BZ2", BZ2._replace(size=lambda data: 99 + grows * len(data)))
    made = found("ab", "abab", "ab")["bz2"]
    assert made.nats is None
    assert "too short" in made.reason


def test_what_is_known_is_not_measured_again():
    known = {"xz": Baseline("xz", 7.0), "ngram": Baseline("ngram", 5.0, order=3)}
    told = []
    made = measure(
        held_out("ab", Vocabulary("ab")),
        "gone",
        Vocabulary("ab"),
        escape=0.1,
        known=known,
        measured=told.append,
    )
    assert [b.nats for b in made if b.name in known] == [5.0, 7.0]
    assert made[1].nats is None
    assert told == [1] * 6
