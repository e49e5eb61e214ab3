"""The live picture: also of a run that goes wrong."""

import io
import math
import re
from dataclasses import replace

import pytest
from rich.console import Console

from charrnn import dashboard
from charrnn.corpus import read_corpus
from charrnn.dashboard import Dashboard, sparkline
from charrnn.events import Evaluated, Progressed, Reported, WentBack
from charrnn.reading import Reading
from charrnn.schedule import Schedule
from charrnn.scores import Score
from charrnn.session import Session
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.tokenizer import ALL_BYTES, Vocabulary
from charrnn.training_state import fresh_state


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], ""),
        ([1.0], "▁"),
        ([2.0, 1.0], "█▁"),
        ([2.0, math.nan, 1.0, math.inf], "█×▁×"),
        ([math.nan] * 3, "×××"),
        ([1e300, 1.0, -1e300], "█▄▁"),
    ],
)
def test_a_sparkline_shows_numbers_by_height_and_the_rest_as_crosses(values, shown):
    assert sparkline(values, 6) in (shown, shown.replace("▄", "▅"))


def a_session(english, directory, vocabulary=None):
    (directory / "text").write_text(english[:300], encoding="utf-8")
    corpus, settings = read_corpus([directory / "text"]), TrainingSettings(seq_length=6)
    corpus = replace(corpus, vocabulary=vocabulary or corpus.vocabulary)
    state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 1), settings, len(corpus.vocabulary))
    return Session(directory, corpus, settings, Schedule(9, 1, 1, 1, 1), state)


@pytest.mark.parametrize(
    "vocabulary",
    [Vocabulary(ALL_BYTES, Reading(encoding="bytes")), Vocabulary("abc\n", unknown=True)],
)
def test_a_fresh_sample_is_text_that_the_model_may_write(vocabulary, english, tmp_path):
    sample = Dashboard(a_session(english, tmp_path, vocabulary))._fresh_sample()
    assert 200 < len(sample.encode()) <= 240
    assert vocabulary.of_bytes or set(sample) <= set("abc\n")


@pytest.mark.parametrize("loss", [1.5, 1e5, 1e30, math.inf, math.nan])
def test_any_loss_can_be_drawn(loss, english, tmp_path, monkeypatch):
    """A teacher wants to see it explode."""
    session = a_session(english, tmp_path)
    if not math.isfinite(loss):
        for parameter in session.state.model.parameters():
            parameter.detach().fill_(loss)
    screen = io.StringIO()
    drawn = Console(file=screen, force_terminal=True, width=100, height=40)
    monkeypatch.setattr(dashboard.console, "rich_console", lambda stream: drawn)
    with Dashboard(session) as shown:
        shown.show(Progressed(1, loss))
        shown.show(Reported(1, 0.1, loss, loss, 0.1, 1.0, 9.0))
        shown.show(Evaluated(1, 0.1, loss, Score(loss * 30, 30, 30, 3), 1.0))
        shown.show(WentBack("after step 1: so", 0, 0.1))
    text = re.sub(r"\x1b\[[?\d;]*\w", "", screen.getvalue())
    assert "a fresh sample" in text
    assert ("at step 1" in text) == math.isfinite(loss)
    assert ("no probabilities" in text) == (not math.isfinite(loss))
    assert "after step 1: so; again from step 0" in text
