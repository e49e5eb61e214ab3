"""charrnn evaluate --verbatim: what is said of a text that the training part has."""

import json
import math

import numpy as np
import pytest
from conftest import charrnn

from charrnn.commands.verbatim import Copied, show
from charrnn.scores import Observed
from charrnn.tokenizer import Vocabulary

VOCABULARY = Vocabulary("abcdefghij\n")
SOURCE = np.random.default_rng(0).integers(0, 11, size=900).astype(np.uint8)


def observed(places, losses):
    count = len(places)
    places, losses = np.array(places, dtype=np.int64), np.array(losses, dtype=np.float32)
    flags = np.zeros(count, dtype=bool)
    return Observed(places, np.zeros(count, np.int64), losses, losses, flags, flags)


def said(text, capsys):
    """What is said of a text whose characters lose as many nats as their places' numbers."""
    copied = Copied(text, SOURCE, VOCABULARY, quiet=True)
    order = np.random.default_rng(1).permutation(len(text))
    for places in np.array_split(order, 3):
        copied.observe(observed(places, places))
    found = copied.to_json()
    show([{"run": "name", "verbatim": found}])
    return found, " ".join(capsys.readouterr().out.split())


def test_share_place_and_the_score_on_the_rest(capsys):
    text = np.random.default_rng(2).integers(0, 11, size=400).astype(np.uint8)
    text[100:220] = SOURCE[300:420]
    text[220] = (SOURCE[420] + 1) % 11
    found, sentence = said(text, capsys)
    rest = [*range(100), *range(220, 400)]
    assert found == {
        "least": 50,
        "share": 0.3,
        "characters": 120,
        "runs": 1,
        "longest": {
            "characters": 120,
            "character": 100,
            "training_character": 300,
            "begins": VOCABULARY.decode(text[100:140]) + "…",
        },
        "rest": {"characters": 280, "nats_per_char": pytest.approx(np.mean(rest))},
    }
    for part in (
        "name: 30.0% of the text, in runs of 50 characters or more, stands word for word in",
        "the longest, 120 characters, at character 101 of the text and 301 of the training part",
        f"Without them {np.mean(rest):.4f} nats/char.",
    ):
        assert part in sentence


def test_a_text_that_has_nothing_and_one_that_has_all(capsys):
    other = np.random.default_rng(2).integers(0, 11, size=300).astype(np.uint8)
    found, sentence = said(other, capsys)
    assert (found["longest"], found["share"], found["rest"]["characters"]) == (None, 0.0, 300)
    assert sentence == (
        "name: no 50 characters of the text on end stand word for word in the training part."
    )
    found, sentence = said(SOURCE[200:500], capsys)
    assert (found["share"], found["rest"]["nats_per_char"]) == (1.0, None)
    assert sentence.startswith("name: All of the text")
    assert "Without" not in sentence


def test_it_is_found_beside_the_score_and_so_is_what_bf16_changes(trained, english, tmp_path):
    """The training part's last characters and some of the held-out ones."""
    (tmp_path / "own.txt").write_text(english[int(0.9 * len(english)) - 300 :], encoding="utf-8")
    done = charrnn(
        *("evaluate", "cafe", "--checkpoint-dir", trained, "--text", tmp_path / "own.txt"),
        *("--verbatim", "--precision", "bf16", "--no-baselines", "--threads", 1, "--json"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    score = json.loads(done.stdout)
    found = score["verbatim"]
    assert 299 <= found["characters"] <= 301 + 50
    assert found["longest"]["characters"] >= 299
    assert found["rest"]["characters"] == score["characters"] - found["characters"]
    assert math.isfinite(found["rest"]["nats_per_char"])
    assert score["precision"] == "bf16"
    assert 0 < abs(score["precision_difference"]) < 0.05
