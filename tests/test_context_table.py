"""evaluate --context: the curve in the result, as a table, and in a sentence."""

import json

import pytest

from charrnn.commands.context_table import show
from charrnn.commands.evaluate import evaluate
from charrnn.errors import UsageError


def row(characters, nats, cost, interval=None):
    return {
        "characters": characters,
        "nats_per_char": nats,
        "cost": cost,
        "interval": interval,
    }


def test_the_curve_is_in_the_result(trained, capsys):
    evaluate(["cafe"], checkpoint_dir=trained, baselines=False, threads=1, json=True, context=True)
    found = json.loads(capsys.readouterr().out)["context"]
    assert [each["characters"] for each in found["curve"]] == [1, 2, 5, 10, 20, 50, 100]
    one, *_, hundred = found["curve"]
    assert one["cost"] > abs(hundred["cost"])
    assert one["interval"][0] < one["cost"] < one["interval"][1]
    assert one["nats_per_char"] == pytest.approx(found["nats_per_char"] + one["cost"])
    assert 100 < found["places"] < 200


def test_it_stands_under_the_facts_as_a_table(trained, capsys):
    evaluate(["cafe"], checkpoint_dir=trained, baselines=False, threads=1, context=True)
    facts, table = capsys.readouterr().out.split("\n\n")
    assert facts.startswith("checkpoint")
    assert table.startswith(" characters read")
    assert "cafe uses" in table


def test_a_table_says_what_each_length_costs_and_how_far_along_it_is(capsys):
    curve = [row(1, 3.5, 2.0, (1.9, 2.1)), row(50, 1.505, 0.005)]
    show({"places": 2_000, "nats_per_char": 1.5, "curve": curve, "reach": 50}, "m")
    lines = capsys.readouterr().out.splitlines()
    cells = [line.split() for line in lines]
    assert cells[2] == ["1", "3.5000", "2.0000", "±", "0.1000", "0.0%"]
    assert cells[3] == ["50", "1.5050", "0.0050", "99.8%"]
    assert cells[4] == ["all", "1.5000", "100.0%"]
    sentence = " ".join(lines[5:])
    assert sentence.startswith("m uses about the last 50 characters: ")
    assert "gains less than 0.01 nats/char" in sentence
    assert sentence.endswith("at 2,000 places in the text.")
    assert max(map(len, lines)) <= 80


def test_who_looks_farther_back_than_was_measured_is_said_to(capsys):
    curve = [row(1, 3.0, 2.0), row(500, 1.2, 0.2)]
    show({"places": 9, "nats_per_char": 1.0, "curve": curve, "reach": None}, "m")
    assert "m uses more than the last 500 characters." in capsys.readouterr().out


def test_a_text_of_no_length_has_no_table(capsys):
    show({"places": 0, "nats_per_char": None, "curve": [], "reach": None}, "m")
    assert "too short to see how far back m looks" in capsys.readouterr().out


def test_cold_windows_have_no_full_context():
    with pytest.raises(UsageError, match="--context and --cold-windows"):
        evaluate(["cafe"], context=True, cold_windows=64)
