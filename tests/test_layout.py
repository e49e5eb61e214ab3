"""Lines: their lengths, ends and repetitions, whatever the pieces a text comes in."""

import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import layout
from charrnn.layout import LONGEST, Layout, LayoutSurvey

texts = st.lists(st.sampled_from([*"ab é茶\t\r\n", "\r\n", "\n\n", "x" * 50 + "\n", "😀"])).map(
    "".join
)


def survey(text: str, size: int | None = None) -> Layout:
    found = LayoutSurvey()
    for start in range(0, len(text), size or max(1, len(text))):
        found.feed(text[start : start + (size or len(text))])
    return found.end()


@settings(deadline=None, max_examples=120)
@given(texts, st.integers(1, 9))
def test_pieces_of_any_size_are_the_whole(text: str, size: int) -> None:
    whole, parts = survey(text), survey(text, size)
    assert (whole.lengths == parts.lengths).all()
    for what in "lines", "longest", "paragraphs", "trailing", "crlf", "repeated", "blank":
        assert getattr(whole, what) == getattr(parts, what), what


@settings(deadline=None, max_examples=120)
@given(texts)
def test_lines_are_those_that_python_would_split(text: str) -> None:
    found = survey(text)
    lines = re.split("\r\n|\r|\n", text)
    lines = lines[: len(lines) - (lines[-1] == "")]
    assert found.lines == len(lines)
    assert found.longest == max(map(len, lines), default=0)
    assert found.blank == lines.count("")
    assert found.paragraphs == sum(
        bool(line) and not before for before, line in zip(["", *lines], lines, strict=False)
    )
    assert found.trailing == sum(line.endswith((" ", "\t")) for line in lines)
    assert found.crlf == text.count("\r\n")


def test_quantiles_are_of_the_lines_that_are_not_empty() -> None:
    found = survey("\n\n\na\nbb\nccc\ndddd\n")
    assert [found.quantile(share) for share in (0.25, 0.5, 1.0)] == [1, 2, 4]
    assert survey("\n").quantile(0.5) == 0


def test_a_line_that_is_longer_than_memory_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_HELD", 100)
    found = survey("x" * 5_000 + "\nshort\n", 64)
    assert (found.lines, found.longest) == (2, 5_000)
    assert found.lengths[LONGEST] == 1
    assert survey("y" * 5_000, 64).longest == 5_000


def lines(count: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [
        "".join(draw.choices("abcdefgh ", k=draw.randrange(45, 70))) + "\n" for _ in range(count)
    ]


def test_a_text_that_stands_there_twice_is_found() -> None:
    once = "".join(lines(200))
    assert survey(once).repeated == 0
    assert survey(once * 2).repeated == pytest.approx(0.5)
    assert survey(once * 10, 1_000).repeated == pytest.approx(0.9)


def test_short_lines_are_no_repetitions() -> None:
    assert survey("yes\nno\n" * 5_000).repeated is None


def test_repetitions_are_found_in_a_sample_that_memory_can_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(layout, "_DIFFERENT", 300)
    monkeypatch.setattr(layout, "_LOOKED_AT", 1_000)
    found = LayoutSurvey()
    every = lines(4_000)
    for line in [*every, *every[:1_000]]:
        found.feed(line)
    assert len(found._repeats._seen) <= 300
    assert found.end().repeated == pytest.approx(0.2, abs=0.06)


def test_lengths_hold_every_line() -> None:
    found = survey("a\n" * 7 + "b" * 3_000)
    assert np.flatnonzero(found.lengths).tolist() == [1, LONGEST]
    assert found.lines == 8
