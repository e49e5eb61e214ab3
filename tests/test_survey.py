"""The survey: what is in a text, told from pieces of any size."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import calibration, machine, planning
from charrnn.batches import windows_per_epoch
from charrnn.corpus import read_corpus
from charrnn.reading import Reading
from charrnn.survey import epoch_seconds, facts, survey, to_json
from charrnn.tokenizer import count_characters

any_text = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("ab \r\n"))


def pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


# Counts


def test_a_text_is_counted() -> None:
    text = "naïve\ncafé\n\nnaïve"
    found = survey([text])
    assert found.characters == len(text)
    assert len(found.counts) == len(set(text)) == 9
    assert found.layout.lines == 4
    assert found.layout.longest == 5
    assert found.passages == text
    assert found.number("af") == 4
    assert found.number("xy") == 0


@settings(deadline=None, max_examples=100)
@given(any_text, st.integers(1, 9))
def test_pieces_of_any_size_are_the_whole(text: str, size: int) -> None:
    whole = survey([text])
    assert to_json(survey(pieces(text, size))) == to_json(whole)
    assert whole.counts == count_characters(text) if text else not whole.counts
    assert whole.characters == len(text)


@settings(deadline=None, max_examples=60)
@given(any_text, st.integers(1, 20))
def test_what_rare_characters_leave(text: str, least: int) -> None:
    kept, share = survey([text]).left_by(least)
    common = [c for c in set(text) if text.count(c) >= least]
    assert kept == len(common)
    assert share == pytest.approx(sum(map(text.count, common)) / max(1, len(text)))


def test_memory_does_not_grow_with_the_text() -> None:
    """What is held of a text is bounded, whatever its pieces say."""
    one = survey(f"line {n} of some length and then some more of it\n" for n in range(9_000))
    assert len(one.passages) <= 1 << 20
    assert one.layout.lines == 9_000


# For people and for programs


def test_facts_are_told_in_words() -> None:
    told = dict(facts(survey(["it's, it’s\n\nжук 12\n" + "x" * 1_234 + "\n"])))
    assert told["lines"] == "4, the longest 1,234 characters, half of them 10 or fewer"
    assert told["layout"] == "2 paragraphs, 1 empty line"
    assert told["scripts"] == "Latin 99.8%, Cyrillic 0.2%"
    assert told["characters"].startswith("letters 99%, ")
    assert told["distinct"] == "14 characters, 8 of them only once"
    assert told["commonest"].startswith("'x' 1,234  ")
    assert "U+2019 right single quotation mark" in told["look-alikes"]
    assert "without rare" not in told


def test_one_of_a_thing_is_told_as_one() -> None:
    told = dict(facts(survey(["a\n"])))
    assert told["lines"] == "1, the longest 1 character"
    assert told["layout"] == "1 paragraph, no empty lines"
    assert told["distinct"] == "2 characters, 2 of them only once"


def test_bytes_are_told_as_bytes() -> None:
    found = survey(["".join(map(chr, range(256))) + "ab\x97\x97"])
    told = dict(facts(found, of_bytes=True))
    assert set(told) == {"lines", "layout", "distinct", "commonest", "rarest"}
    assert told["distinct"] == "256 bytes, 253 of them only once"
    assert told["commonest"].startswith("0x97 3  'a' 2  'b' 2  0x00 1  ")
    assert told["rarest"].startswith("0xFF 1  0xFE 1  ")
    assert "character" not in str(told)
    data = to_json(found, of_bytes=True)
    assert not any(data[name] for name in ("scripts", "kinds", "min_count", "look_alikes"))
    assert set(data) == set(to_json(found))


def test_many_characters_are_told_with_how_many_are_rare() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4F00))) + "茶" * 9_744
    told = dict(facts(survey([text])))
    assert told["without rare"].startswith("--min-count 2 keeps 1 (97% of the text); ")


def test_a_share_that_is_not_all_is_not_told_as_all() -> None:
    told = dict(facts(survey(["a" * 1_000_000 + "ж"])))
    assert told["scripts"] == "Latin >99.999%, Cyrillic <0.001%"
    assert dict(facts(survey(["abc"])))["scripts"] == "Latin 100%"


@pytest.mark.parametrize("text", ["", "\n", "1\n2\n", "😀", "\0" * 9])
def test_any_text_has_facts(text: str) -> None:
    assert all(value for _, value in facts(survey([text])))


def test_no_fact_holds_a_control_character() -> None:
    """The rarest characters of a text are shown on a terminal, escapes among them."""
    odd = "\x1b[31m\0\a\b\r\x7f\x9b\u202e\u2066\u200b\ufeff\ue000"
    for _, value in facts(survey([f"plain text\n{odd}"])):
        assert value.isprintable(), value


def test_a_survey_goes_to_json(english: str) -> None:
    found = survey([english])
    data = json.loads(json.dumps(to_json(found)))
    assert data["characters"] == len(english)
    assert data["distinct"] == len(set(english))
    counts = count_characters(english)
    assert [tuple(pair) for pair in data["commonest"]] == counts[:12]
    assert [tuple(pair) for pair in data["rarest"]] == counts[::-1][:12]
    assert data["min_count"]["2"] == [sum(c > 1 for _, c in counts), pytest.approx(0.99, abs=0.01)]


# How long an epoch takes


def test_an_epoch_takes_its_steps_times_what_one_was_measured_to_take(
    english_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def fake(corpus, model, training):  # type: ignore[no-untyped-def]
        measured.append((len(corpus.ids["train"]), model, training))
        return calibration.Timing(step_seconds=0.25, evaluation_seconds=9.0)

    monkeypatch.setattr(machine, "processors", lambda: 1)
    monkeypatch.setattr(calibration, "speed", lambda *_, **__: 1e11)
    monkeypatch.setattr(calibration, "measure", fake)
    seconds = epoch_seconds([english_file], Reading())
    ((characters, model, training),) = measured
    assert characters == len(read_corpus([english_file]).ids["train"])
    default = planning.plan(
        characters=characters,
        budget=None,
        model={},
        training={"threads": 1},
        operations_per_second=1e11,
    )
    assert model == default.model
    assert (training.seq_length, training.batch_size) == (
        default.training.seq_length,
        default.training.batch_size,
    )
    steps = windows_per_epoch(characters, training.seq_length, training.batch_size)
    assert seconds == steps * 0.25


@pytest.mark.parametrize("text", ["a", "ab"])
def test_a_text_too_short_to_train_on_has_no_epoch(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "speed", lambda *_, **__: 1e11)
    path = tmp_path / "short.txt"
    path.write_text(text)
    assert epoch_seconds([path], Reading()) is None
