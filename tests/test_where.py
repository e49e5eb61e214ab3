"""All that is looked at of one text, and what is drawn of it."""

import json

import numpy as np
import pytest

from charrnn import where
from charrnn.commands import where as command
from charrnn.scores import Observed
from charrnn.tokenizer import Vocabulary
from charrnn.where import Where

TEXT = "To be, or not to be.\nThat is the question\x1b: 中\n" * 20
VOCABULARY = Vocabulary("".join(sorted(set(TEXT) - {"q"})))


def found(text=TEXT):
    ids = VOCABULARY.encode(text)
    random = np.random.default_rng(3)
    losses = random.exponential(2.0, len(ids)).astype(np.float32)
    confidence = random.random(len(ids)).astype(np.float32)
    right = random.random(len(ids)) < 0.5
    look = Where(ids, VOCABULARY)
    # As evaluation does: stretches side by side, some characters of each at a time.
    order = np.arange(len(ids)).reshape(-1, 4).T
    for places in np.array_split(order, 5, axis=1):
        at = places.ravel()
        look.observe(
            Observed(at, ids[at].astype(np.int64), losses[at], confidence[at], right[at], right[at])
        )
    return look.to_json(losses), losses


def test_every_table_is_of_all_characters():
    report, _ = found()
    assert report["characters"] == len(TEXT)
    for name in "kinds", "line", "word":
        assert sum(row["characters"] for row in report[name]) == len(TEXT)
    assert sum(row["characters"] for row in report["calibration"]["bins"]) == len(TEXT)
    kinds = {row["kind"]: row["characters"] for row in report["kinds"]}
    assert (kinds["Han"], kinds["unknown characters"], kinds["line ends"]) == (20, 20, 40)
    assert json.loads(json.dumps(report)) == report


def test_passages_are_where_they_say():
    report, losses = found()
    shown = TEXT.replace("q", "\ufffd")
    for passage in report["hardest"] + report["easiest"]:
        line, character = passage["line"], passage["character"]
        start = sum(map(len, shown.splitlines(keepends=True)[: line - 1])) + character - 1
        assert shown[start : start + 120] == passage["text"]
        assert passage["losses"] == pytest.approx(losses[start : start + 120], abs=1e-3)
        assert passage["nats_per_char"] == pytest.approx(np.mean(passage["losses"]), abs=1e-3)


def test_of_a_huge_text_the_first_characters_are_looked_at_in_everything(monkeypatch, capsys):
    monkeypatch.setattr(where, "MOST", 500)
    report, _ = found()
    assert report["characters"] == 500
    for rows in report["kinds"], report["line"], report["word"], report["calibration"]["bins"]:
        assert sum(row["characters"] for row in rows) == 500
    assert len(report["hardest"]) == 1
    command.show([{"characters": len(TEXT), "where": report}])
    assert "Of the text's first 500 characters" in capsys.readouterr().out


def drawn(capsys, *reports):
    command.show(
        [
            {"checkpoint": f"step-{i}", "characters": len(TEXT), "where": each}
            for i, each in enumerate(reports)
        ]
    )
    return capsys.readouterr().out


def test_what_is_drawn_fits_into_80_columns_and_moves_no_cursor(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = drawn(capsys, found()[0])
    assert max(map(command.console.cells, out.splitlines())) <= 80
    assert "\x1b" not in out
    assert "\\x1b" in out
    for words in ("Han", "1st letter", "17-32", "90% to 100%", "calibration error", "hardest"):
        assert words in out
    assert "step-0" not in out
    out = drawn(capsys, found()[0], found()[0])
    assert "step-0" in out
    assert "step-1" in out


def test_a_short_text_has_tables_but_no_passages(capsys):
    report = found("To be, or not to be.\n...")[0]
    assert report["hardest"] == report["easiest"] == []
    assert "passages" not in drawn(capsys, report)


def test_marks_stand_under_what_had_little_chance():
    shown = command.marked("a中\nb", [0.1, 2.4, 4.7, 0.0], 80)
    assert shown == ["a中\\nb", " ..^^ "]
    assert command.marked("abc", [5.0, 0.0, 2.4], 2) == ["ab", "^ ", "c", "."]


@pytest.mark.parametrize(
    ("right", "said", "shown"),
    [(0.5, 0.5, "█" * 10 + "│" + "·" * 9), (0.0, 1.0, "·" * 19 + "│"), (1.0, 0.0, "│" + "█" * 19)],
)
def test_a_bar_ends_where_it_is_right_and_the_line_stands_where_it_said(right, said, shown):
    assert command.bar(right, said) == shown
