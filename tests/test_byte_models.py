"""Models of bytes: whatever their weights, what they write is whole characters of UTF-8."""

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from saves import CORPUS
from test_utf8 import REST, decodes

from charrnn.bookmark import read_bookmark, write_bookmark
from charrnn.checkpoints import ModelRecord, expected_shapes, model_path, write_checkpoint
from charrnn.commands.keyboard import Session
from charrnn.commands.sample import sample
from charrnn.concordance import concordance
from charrnn.console import use_utf8
from charrnn.continuation import Place, Text
from charrnn.copies import Limit
from charrnn.distribution import allowed, draw, probabilities, uniforms
from charrnn.errors import UnknownCharacterError, UsageError
from charrnn.original import Original
from charrnn.reading import Reading
from charrnn.sampling import Request, Sampler, Weights
from charrnn.seeds import derive
from charrnn.settings import ModelSettings, SamplingSettings
from charrnn.tokenizer import ALL_BYTES, Vocabulary

BYTES = Vocabulary(ALL_BYTES, Reading(encoding="bytes"))
SETTINGS = ModelSettings("gru", "tanh", 4, 6, 1)
HALVES = {"caf\udcc3": 1, "\udce2\udc82": 2, "x\udced": 1, "é\udcf0\udc9f\udc98": 3, "café": 0}
"""Prompts, and how many bytes of a character each ends in."""


def weights(seed: int = 0) -> Weights:
    """Random ones, under which lead bytes of every kind are likely."""
    source = np.random.default_rng(seed)
    shapes = expected_shapes(SETTINGS, 256)
    found = {name: source.normal(0, 0.7, shape) for name, shape in shapes.items()}
    found["output.bias"][0xC2:0xF5] += 2.0
    return {name: array.astype(np.float32) for name, array in found.items()}


def a_sampler(seed: int = 0, *, raw: bool = False) -> Sampler:
    return Sampler(SETTINGS, BYTES, weights(seed), raw=raw)


SAMPLER, RAW = a_sampler(), a_sampler(raw=True)


def written(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def by_definition(
    prompt: str, length: int, number: int = 0, *, raw: bool = False, **chosen: Any
) -> bytes:
    """The bytes of sample `number` of seed 3, each drawn from the softmax of those that fit.

    They fit where Python decodes what then stands there, with some rest that there is room for.
    """
    steering, state = SamplingSettings(**chosen), SAMPLER.read_prompt(prompt)
    unfinished, drawn = written(prompt)[len(written(prompt)) - HALVES.get(prompt, 0) :], b""
    for left, uniform in zip(
        range(length - 1, -1, -1), uniforms(derive(3, "sample", number)), strict=False
    ):
        rests = [rest for rest in REST if len(rest) <= left]
        fits = [
            raw or any(decodes(unfinished + bytes([byte]) + rest) for rest in rests)
            for byte in range(256)
        ]
        logits = SAMPLER.logits(state)
        byte = int(draw(probabilities(allowed(logits, ~np.array(fits)), steering), uniform))
        state = SAMPLER.read(byte, state)
        drawn += bytes([byte])
        unfinished = b"" if decodes(unfinished + bytes([byte])) else unfinished + bytes([byte])
    return drawn


def one(prompt: str = "", number: int = 0, *, sampler: Sampler = SAMPLER, **chosen: Any) -> str:
    steering = SamplingSettings(**chosen)
    return "".join(sampler.go_on(sampler.begin(prompt, 3, number), steering))


def many(*prompts: str, sampler: Sampler = SAMPLER, **chosen: Any) -> list[str]:
    """Sample n of seed 3 for each prompt."""
    requests = [Request(prompt, 3, number) for number, prompt in enumerate(prompts)]
    return [each.text for each in sampler.sample_many(requests, SamplingSettings(**chosen))]


steering = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0.0, 0.3, 1.0, 5.0]),
        "top_k": st.sampled_from([0, 1, 3]),
        "top_p": st.sampled_from([0.3, 0.9]),
        "min_p": st.sampled_from([0.0, 0.1, 1.0]),
    },
)
quickly = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# What is drawn


@given(length=st.integers(0, 10), chosen=steering, seed=st.integers(0, 9))
@quickly
def test_every_sample_is_whole_characters_of_exactly_the_length(
    length: int, chosen: dict[str, Any], seed: int
) -> None:
    sampler = a_sampler(seed)
    texts = many(*[""] * 64, sampler=sampler, length=length, **chosen)
    assert texts[:3] == [one("", n, sampler=sampler, length=length, **chosen) for n in range(3)]
    assert {len(text.encode()) for text in texts} == {length}


@pytest.mark.parametrize("prompt", HALVES)
@given(length=st.integers(4, 20), chosen=steering, number=st.integers(0, 99))
@quickly
def test_each_byte_is_drawn_from_the_softmax_of_those_that_fit(
    prompt: str, length: int, chosen: dict[str, Any], number: int
) -> None:
    """A character that the prompt ends in is completed, and then written whole."""
    begun = written(prompt)[len(written(prompt)) - HALVES[prompt] :]
    wanted = begun + by_definition(prompt, length, number, **chosen)
    assert one(prompt, number, length=length, **chosen) == wanted.decode()


def test_many_are_drawn_as_each_alone_whatever_their_prompts_end_in() -> None:
    prompts = [*HALVES, *[""] * 60]
    for length in 1, 2, 3, 4, 50:
        texts = many(*prompts, length=length)
        assert texts == [one(prompt, n, length=length) for n, prompt in enumerate(prompts)]
        for prompt, text in zip(prompts, texts, strict=True):
            if length > 3:
                assert len(text.encode()) == length + HALVES.get(prompt, 0)


def test_what_a_prompt_ends_in_is_not_shown_twice() -> None:
    shown = {"caf\udcc3": "caf", "\udce2\udc82": "", "x\udced": "x", "é\udcf0\udc9f\udc98": "é"}
    for prompt, beginning in shown.items():
        assert SAMPLER.shown(prompt) == beginning
        assert RAW.shown(prompt) == prompt
        assert one(prompt, length=9).encode().startswith(written(prompt[len(beginning) :]))


def test_a_character_that_cannot_be_completed_is_not_written() -> None:
    assert one("é\udcf0", length=2) == many("é\udcf0", length=2)[0] == ""


def test_pieces_are_whole_characters() -> None:
    text = SAMPLER.sample(SAMPLER.start(), SamplingSettings(length=300), seed=1)
    pieces = list(text)
    assert {len(piece) for piece in pieces} == {1}
    assert len("".join(pieces).encode()) == 300
    assert max(len(piece.encode()) for piece in pieces) == 4


# Stop texts


@given(st.data())
@quickly
def test_a_text_ends_before_a_stop_text_between_characters(data: st.DataObject) -> None:
    whole = one(length=60)
    at = data.draw(st.integers(0, len(whole) - 1))
    stops = (whole[at : at + data.draw(st.integers(1, 3))], "\udcc3", "☂\udcff")
    wanted = whole[: whole.index(stops[0])]
    assert one(length=60, stop=stops) == many("", length=60, stop=stops)[0] == wanted


def test_a_stop_text_may_be_the_character_that_the_prompt_ends_in() -> None:
    first = one("caf\udcc3", length=9)[0]
    assert first.encode()[0] == 0xC3
    assert one("caf\udcc3", length=9, stop=(first,)) == ""
    assert many("caf\udcc3", length=9, stop=(first,)) == [""]


# Going on


@given(lengths=st.lists(st.integers(0, 9), max_size=8), last=st.integers(3, 9), chosen=steering)
@quickly
def test_a_text_in_parts_is_the_text_in_one(
    lengths: list[int], last: int, chosen: dict[str, Any], tmp_path: Path
) -> None:
    """What a part ends in of a character, the next one writes; the last one ends it."""
    path = tmp_path / "here"
    record = ModelRecord(SETTINGS, BYTES, 7, {}, CORPUS, "", "1a" * 32)
    parts, place = [], SAMPLER.begin("caf\udcc3", 3)
    for length in lengths:
        text = SAMPLER.go_on(place, SamplingSettings(length=length, **chosen), ends=False)
        parts.append("".join(text))
        write_bookmark(path, text.place(), record, "bytes")
        place = read_bookmark(path, record, "bytes")
    whole = SamplingSettings(length=sum(lengths), **chosen)
    assert "".join(parts) == "".join(
        SAMPLER.go_on(SAMPLER.begin("caf\udcc3", 3), whole, ends=False)
    )
    assert 0 <= 1 + sum(lengths) - sum(len(part.encode()) for part in parts) < 4
    parts.append("".join(SAMPLER.go_on(place, SamplingSettings(length=last, **chosen))))
    assert "".join(parts) == one("caf\udcc3", length=sum(lengths) + last, **chosen)


@given(cut=st.integers(0, 40))
@quickly
def test_a_stop_text_may_begin_in_one_part_and_end_in_another(cut: int) -> None:
    whole = one(length=40)
    stop, start, end = whole[5:9], len(whole[:5].encode()), len(whole[:9].encode())
    assert whole.index(stop) == 5
    chosen = [SamplingSettings(length=length, stop=(stop,)) for length in (cut, 40 - cut)]
    first = SAMPLER.go_on(SAMPLER.begin("", 3), chosen[0], ends=False)
    text = "".join(first)
    if cut < end:
        text += "".join(SAMPLER.go_on(first.place(), chosen[1]))
    already = whole.encode()[:cut].decode(errors="ignore")
    assert text == (already if start < cut < end else whole[:5])


def test_raw_parts_hold_what_was_drawn_and_no_more() -> None:
    whole = by_definition("", 40, raw=True)
    for cut in range(41):
        first = RAW.go_on(RAW.begin("", 3), SamplingSettings(length=cut), ends=False)
        assert written("".join(first)) == whole[:cut]
        rest = RAW.go_on(first.place(), SamplingSettings(length=40 - cut))
        assert written("".join(rest)) == whole[cut:]


def test_what_was_left_raw_is_gone_on_with_as_text() -> None:
    lengths = set()
    for length in range(30):
        first = RAW.go_on(RAW.begin("", 3), SamplingSettings(length=length))
        "".join(first)
        rest = "".join(SAMPLER.go_on(first.place(), SamplingSettings(length=20)))
        lengths.add(len(rest.encode()))
    assert {20, 21} <= lengths <= {20, 21, 22, 23}, (
        "with the bytes of a character that was left unfinished"
    )


def test_answers_are_whole_and_more_goes_on_exactly() -> None:
    session = Session(SAMPLER, SamplingSettings(length=7), 3)

    def answer(line: str) -> str:
        text = session.respond(line)
        assert isinstance(text, Text)
        return "".join(text)

    for number, prompt in enumerate(HALVES):
        text = answer(prompt) + "".join(answer("/more") for _ in range(5))
        assert one(prompt, number, length=60).startswith(text)
        assert 0 <= 42 + HALVES[prompt] - len(text.encode()) < 4
        assert session.prompt == ""
    session.respond("x\udced")
    assert session.prompt == "x"


def test_an_answer_that_is_stopped_within_a_character_is_gone_on_with() -> None:
    whole = one(length=60)
    for pieces in range(20):
        text = SAMPLER.go_on(SAMPLER.begin("", 3), SamplingSettings(length=60), ends=False)
        begin = "".join(itertools.islice(text, pieces))
        text.end()
        begin += "".join(text)
        rest = SAMPLER.go_on(text.place(), SamplingSettings(length=60 - text.place().drawn))
        assert begin + "".join(rest) == whole


# Raw


@pytest.mark.parametrize("prompt", HALVES)
def test_raw_is_drawn_from_all_bytes(prompt: str) -> None:
    wanted = by_definition(prompt, 50, raw=True)
    assert not decodes(wanted)
    assert written(one(prompt, sampler=RAW, length=50)) == wanted
    assert written(many(prompt, sampler=RAW, length=50)[0]) == wanted


def test_raw_stops_at_any_bytes() -> None:
    wanted = by_definition("", 50, raw=True)
    at = next(n for n in range(5, 50) if not decodes(wanted[n : n + 2]))
    stop = wanted[at : at + 2].decode(errors="surrogateescape")
    cut = wanted[: wanted.index(wanted[at : at + 2])]
    assert written(one(sampler=RAW, length=50, stop=(stop,))) == cut
    assert written(many("", sampler=RAW, length=50, stop=(stop,))[0]) == cut


# Prompts


def test_line_ends_of_a_prompt_are_read_as_those_of_the_corpus() -> None:
    vocabulary = Vocabulary(ALL_BYTES, Reading(encoding="bytes", newlines="lf"))
    sampler = Sampler(SETTINGS, vocabulary, weights())
    for ours, theirs in zip(sampler.read_prompt("é\r\n"), SAMPLER.read_prompt("é\n"), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])


def test_half_a_surrogate_pair_is_no_prompt() -> None:
    with pytest.raises(UnknownCharacterError, match=r"U\+D800"):
        one("\ud800")


# Copies


def test_copies_are_counted_in_bytes_and_kept_out_without_breaking_a_character(
    tmp_path: Path,
) -> None:
    """Drawn from a few characters, so that copies come by themselves."""
    text = "éà" * 50
    (tmp_path / "text").write_text(text, encoding="utf-8")
    index = concordance(Original([tmp_path / "text"]), 9)
    likely = weights()
    likely["output.weight"][:] = 0.0
    likely["output.bias"][:] = -40.0
    likely["output.bias"][list(set(text.encode()))] = 0.0
    sampler = Sampler(SETTINGS, BYTES, likely)

    def watch() -> Limit:
        return Limit(index, 9, BYTES)

    chosen = SamplingSettings(length=1_500)
    free = "".join(sampler.go_on(sampler.begin("", 3), chosen)).encode()
    kept = "".join(sampler.go_on(sampler.begin("", 3), chosen, watch())).encode()
    (also,) = sampler.sample_many([Request("", 3)], chosen, watch=watch)
    assert also.text.encode() == kept
    found = [
        max(n for n in range(40) for at in range(1_500 - n) if data[at : at + n] in text.encode())
        for data in (free, kept)
    ]
    assert found[0] > 9
    assert found[1] == 9
    assert len(kept.decode().encode()) == 1_500


# The command


def saved(directory: Path, vocabulary: Vocabulary) -> str:
    """A model file; of fewer characters than bytes it has some rows of the same weights."""
    directory.mkdir()
    shapes = expected_shapes(SETTINGS, len(vocabulary))
    some = {n: w[tuple(map(slice, shapes[n]))].copy() for n, w in weights().items()}
    record, path = ModelRecord(SETTINGS, vocabulary, 7, {}, CORPUS, ""), model_path(directory, 7)
    write_checkpoint(path, record, some, {"a": np.zeros(1, np.float32)}, {})
    return str(path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(tmp_path_factory.mktemp("checkpoints") / "bytes", BYTES)


@pytest.fixture
def command(
    checkpoint: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> Iterator[Callable[..., bytes]]:
    """What `charrnn sample` writes to stdout, with a few choices."""

    def run(**choices: Any) -> bytes:
        use_utf8()
        sample(checkpoint, seed=3, separator="", **choices)
        sys.stdout.flush()
        return capsysbinary.readouterr().out

    yield run


def test_the_command_writes_text_or_raw_bytes(
    command: Callable[..., bytes], tmp_path: Path
) -> None:
    assert command(length=50).decode() == one(length=50)
    raw = by_definition("", 50, raw=True)
    assert command(length=50, raw=True) == raw
    assert command(length=50, raw=True, num_samples=2)[:50] == raw
    assert command(length=50, raw=True, output=tmp_path / "out") == b""
    assert (tmp_path / "out").read_bytes() == raw


def test_the_command_shows_a_prompt_that_ends_in_half_a_character(
    command: Callable[..., bytes],
) -> None:
    for many in 1, 2:
        shown = command(prompt="caf\udcc3", length=9, echo=True, num_samples=many)
        text = one("caf\udcc3", length=9)
        assert shown.decode().startswith("caf" + text)
    raw = command(prompt="caf\udcc3", length=9, echo=True, raw=True)
    assert raw == b"caf\xc3" + by_definition("caf\udcc3", 9, raw=True)
    assert b'"prompt": "caf", ' in command(prompt="caf\udcc3", length=9, json=True)


def test_a_state_that_is_saved_goes_on_to_the_same_text(
    command: Callable[..., bytes], checkpoint: str, tmp_path: Path, capsysbinary: Any
) -> None:
    for cut in range(1, 12):
        first = command(length=cut, save_state=tmp_path / "here")
        use_utf8()
        sample(checkpoint, load_state=tmp_path / "here", length=30 - cut, separator="")
        sys.stdout.flush()
        assert (first + capsysbinary.readouterr().out).decode() == one(length=30)


def test_raw_is_for_bytes_and_not_for_json(command: Callable[..., bytes], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--raw and --json"):
        command(raw=True, json=True)
    with pytest.raises(UsageError, match="--raw: this model writes characters"):
        sample(saved(tmp_path / "letters", Vocabulary("\nabc")), raw=True)


def test_half_a_character_as_a_stop_text_is_warned_of(
    checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    use_utf8()
    sample(checkpoint, seed=3, length=5, stop=["\udcc3"])
    assert "the model never writes half a character without --raw" in capsys.readouterr().err
    sample(checkpoint, seed=3, length=0, stop=["\udcc3"], raw=True)
    assert capsys.readouterr().err == ""


def test_a_place_of_a_prompt_remembers_what_it_ends_in() -> None:
    place = SAMPLER.begin("caf\udcc3", 3, 4)
    assert isinstance(place, Place)
    assert (place.seed, place.number, place.drawn, place.tail) == (3, 4, 0, "\xc3")
    after = SAMPLER.prompted(place._replace(drawn=5), "e")
    assert (after.drawn, after.tail) == (5, "")
