"""The survey: what is in a text, and what may be wrong with it, said before training."""

import json
import re
from pathlib import Path

import pytest

from charrnn import calibration, machine, planning
from charrnn.batches import windows_per_epoch
from charrnn.corpus import read_corpus
from charrnn.errors import TextError
from charrnn.files import sha256
from charrnn.survey import Survey, epoch_seconds, facts, survey, to_json
from charrnn.tokenizer import count_characters


@pytest.fixture
def examined(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Survey a text: pass it, get what is found."""

    def examine(text: str | bytes) -> Survey:
        path = tmp_path / "text.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return survey(path)

    return examine


# Counts


def test_a_text_is_counted(examined, tmp_path: Path) -> None:
    text = "naïve\ncafé\n\nnaïve"
    found = examined(text)
    assert found.path == str(tmp_path / "text.txt")
    assert found.bytes == len(text.encode()) == len(text) + 3
    assert found.sha256 == sha256(text.encode())
    assert found.characters == len(text)
    assert found.distinct == len(set(text)) == 9
    assert found.lines == 4
    assert found.longest_line == 5
    assert found.once == 3  # c, f, é


@pytest.mark.parametrize(
    ("text", "lines", "longest"),
    [("a", 1, 1), ("a\n", 1, 1), ("\n", 1, 0), ("a\nbcd", 2, 3), ("\n\na\n", 3, 1)],
)
def test_a_last_line_counts_with_and_without_its_end(
    text: str, lines: int, longest: int, examined
) -> None:
    found = examined(text)
    assert (found.lines, found.longest_line) == (lines, longest)


def test_the_commonest_and_the_rarest_come_in_their_order(examined, english: str) -> None:
    found, counts = examined(english), count_characters(english)
    assert found.commonest == counts[: len(found.commonest)]
    assert found.rarest == counts[::-1][: len(found.rarest)]
    assert 10 <= len(found.commonest) == len(found.rarest) < len(counts)
    assert found.commonest[0][0] == " "
    assert found.rarest[0][1] == 1


def test_a_text_of_few_characters_lists_them_all(examined) -> None:
    found = examined("aab")
    assert found.commonest == [("a", 2), ("b", 1)]
    assert found.rarest == [("b", 1), ("a", 2)]


def test_look_alikes_are_found(examined) -> None:
    assert examined("it's, it’s\n").look_alikes == ["'’"]
    assert examined("it's\n").look_alikes == []


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"missing\.txt"):
        survey(tmp_path / "missing.txt")


# Problems


def test_a_sound_text_has_no_problems(examined, english: str) -> None:
    assert examined(english).problems == []
    assert ("problems", "none found") in facts(examined(english))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("\ufeffplain\n", "byte-order mark"),
        ("one\r\ntwo\r\n", "2 carriage returns, Windows"),
        ("one\rtwo\r", "2 carriage returns, old Macintosh"),
        ("caf\ufffd, na\ufffdve\n", "2 replacement characters"),
        ("a line\0\n" * 3, "3 NUL"),
        ("one\n\ufefftwo\n", "joined"),
        ("".join(chr(0x4E00 + number) for number in range(10_001)), "10,001 distinct"),
        (("“Café”, naïve—“voilà”\n" * 20).encode().decode("cp1252", "ignore"), "Windows-1252"),
    ],
)
def test_a_problem_is_told_and_only_it(text: str, words: str, examined) -> None:
    (problem,) = examined(text).problems
    assert words in problem


def test_several_problems_are_all_told(examined) -> None:
    assert len(examined("\ufeffone\r\ntwo\ufffd\0").problems) == 4


@pytest.mark.parametrize(
    "text",
    [
        "«Où êtes-vous, Âme pâle ?» 3 € — château, bâtiment\n",
        "NÃO SEI, IRMÃO: A MANHÃ E O CORAÇÃO. São 5 €.\n",
        "“It’s a naïve façade,” said Zoë—“œuvre™”.\n",
    ],
    ids=["french", "portuguese", "english"],
)
def test_accents_are_no_sign_of_a_wrong_decoding(text: str, examined) -> None:
    assert examined(text * 60).problems == []


# For people and for programs


def test_facts_are_told_in_words(examined, tmp_path: Path) -> None:
    told = facts(examined("\ufeffit's, it’s\n" + "x" * 1_234 + "\n"))
    assert ("text", str(tmp_path / "text.txt")) in told
    by_name = dict(told)
    assert by_name["size"] == "1,251 bytes, 1,246 characters"
    assert by_name["lines"] == "2, the longest 1,234 characters"
    assert by_name["distinct"].startswith("9 characters, 4 ")
    assert by_name["commonest"].startswith("'x' 1,234  ")
    assert "U+2019 right single quotation mark" in by_name["look-alikes"]
    assert "byte-order mark" in by_name["problem"]
    assert "problems" not in by_name


def test_no_fact_holds_a_control_character(examined) -> None:
    """The rarest characters of a text are shown on a terminal, escapes among them."""
    odd = "\x1b[31m\0\a\b\r\x7f\x9b\u202e\u2066\u200b\ufeff\ue000"
    for _, value in facts(examined(f"plain text\n{odd}")):
        assert value.isprintable(), value


def test_a_survey_goes_to_json(examined) -> None:
    found = examined("it's “odd”\r\n\ufffd\0")
    data = json.loads(json.dumps(to_json(found)))
    assert data["characters"] == found.characters
    assert data["problems"] == found.problems
    assert [tuple(pair) for pair in data["commonest"]] == found.commonest
    assert set(data) == set(vars(found))


# How long an epoch takes


def test_an_epoch_takes_its_steps_times_what_one_was_measured_to_take(
    english_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def fake(corpus, model, training):  # type: ignore[no-untyped-def]
        measured.append((len(corpus.ids["train"]), model, training))
        return calibration.Timing(step_seconds=0.25, evaluation_seconds=9.0)

    monkeypatch.setattr(machine, "processors", lambda: 1)
    monkeypatch.setattr(calibration, "measure", fake)
    seconds = epoch_seconds(english_file)
    ((characters, model, training),) = measured
    assert characters == len(read_corpus([english_file]).ids["train"])
    default = planning.plan(characters=characters, budget=None, model={}, training={"threads": 1})
    assert model == default.model
    assert (training.seq_length, training.batch_size) == (
        default.training.seq_length,
        default.training.batch_size,
    )
    steps = windows_per_epoch(characters, training.seq_length, training.batch_size)
    assert seconds == steps * 0.25


@pytest.mark.parametrize("text", ["a", "ab"])
def test_a_text_too_short_to_train_on_has_no_epoch(text: str, tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text(text)
    assert epoch_seconds(path) is None


def test_a_problem_is_one_line(examined) -> None:
    for problem in examined("\ufeffone\r\ntwo\ufffd\0").problems:
        assert re.fullmatch(r"[^\n]+[^.\n]", problem)
