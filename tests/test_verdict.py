"""A finished run in plain words, from numbers chosen so that the words are known."""

import json
import math
import shlex
from pathlib import Path

import numpy as np
import pytest

from charrnn import verdict
from charrnn.checkpoints import ModelRecord, expected_shapes, model_path, write_checkpoint
from charrnn.corpus import read_corpus
from charrnn.errors import CheckpointError, RunError
from charrnn.metrics import METRICS_FILE
from charrnn.run_record import RUN_FILE, RunRecord, write_record
from charrnn.schedule import Schedule
from charrnn.settings import ModelSettings, TrainingSettings

TINY = ModelSettings("lstm", "tanh", 1, 1, 1)


def evaluation(step, held_out, train):
    nats = {} if held_out is None else {"nats_per_char": held_out}
    line = {"kind": "evaluation", "step": step, "epoch": step / 10, "seconds": step / 2}
    return line | {"train_nats_per_char": train} | nats


def scores(held_out, train):
    found = {} if train is None else {"train": {"nats_per_char": train}}
    if held_out is not None:
        found["val"] = {
            "characters": 70,
            "nats_per_char": held_out,
            "bits_per_char": held_out / math.log(2),
            "bits_per_byte": 2.0,
            "perplexity": math.exp(held_out),
            "accuracy": 0.5625,
        }
    return found


@pytest.fixture
def finished(english, tmp_path):
    """Make a finished run of evaluations [(step, held out, train), ...]."""

    def make(*evaluations, name="hamlet-lstm", **held_out) -> Path:
        text = tmp_path / "hamlet.txt"
        text.write_text(english[:700], encoding="utf-8")
        corpus = read_corpus([text], **held_out)
        run = tmp_path / name
        run.mkdir()
        shapes = expected_shapes(TINY, len(corpus.vocabulary))
        weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        for step, val, train in evaluations:
            record = ModelRecord(
                TINY, corpus.vocabulary, step, scores(val, train), corpus.record(), ""
            )
            resume = {"a": np.zeros(1, np.float32)}
            write_checkpoint(model_path(run, step), record, weights, resume, {})
        lines = [{"kind": "report", "step": 1, "seconds": 0.5, "train_nats_per_char": 4.0}]
        lines += [evaluation(*each) for each in evaluations]
        (run / METRICS_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
        write_record(
            run,
            RunRecord(
                command="",
                created="",
                versions={},
                model=TINY,
                training=TrainingSettings(seq_length=10, batch_size=4, seed=3),
                schedule=Schedule(evaluations[-1][0], 1, 1, 1, 1),
                corpus=corpus.record(),
                paths=[str(text)],
                held_out_paths={s: str(t.path) for s, t in corpus.held_out.items()},
                val_fraction=held_out.get("val_fraction", 0.1),
                test_fraction=held_out.get("test_fraction", 0.0),
                budget={"steps": 1},
            ),
        )
        return run

    return make


# Overfitting


def since(*pairs):
    found = verdict.overfitting_since(
        [evaluation(step, *pair) for step, pair in enumerate(pairs, start=1)]
    )
    return found and found["step"]


def test_overfitting_begins_where_held_out_loss_was_lowest():
    assert since((2.0, 2.0), (1.5, 1.6), (1.6, 1.3), (1.7, 1.0)) == 2


def test_a_loss_that_still_falls_is_no_overfitting():
    assert since((2.0, 2.0), (1.5, 1.0), (1.4, 0.5)) is None


def test_a_rise_of_both_losses_is_no_overfitting():
    assert since((2.0, 2.0), (1.5, 1.5), (1.7, 1.7)) is None


def test_a_rise_within_the_noise_is_no_overfitting():
    assert since((2.0, 2.0), (1.5, 1.5), (1.507, 1.3)) is None
    assert since((2.0, 2.0), (1.5, 1.5), (1.508, 1.3)) == 2


def test_a_bump_on_the_way_is_no_overfitting():
    assert since((2.0, 2.0), (2.5, 1.8), (1.5, 1.6)) is None


@pytest.mark.parametrize("pairs", [[], [(1.5, 1.5)], [(None, 1.5), (None, 1.2)]])
def test_where_too_little_was_held_out_nothing_is_said(pairs):
    assert since(*pairs) is None


# The result


def test_the_result_is_that_of_the_best_checkpoint(finished):
    run = finished((10, 2.0, 2.1), (20, 1.5, 1.6), (30, 1.8, 1.2))
    found = verdict.result(run)
    assert found == {
        "run": "hamlet-lstm",
        "checkpoint": str(model_path(run, 20)),
        "step": 20,
        "steps": 30,
        "model": "lstm",
        "parameters": found["parameters"],
        "seed": 3,
        "seconds": 15.0,
        "characters_per_second": 30 * 10 * 4 / 15.0,
        "split": "val",
        "divergences": 0,
        "train_nats_per_char": 1.6,
        **scores(1.5, 1.6)["val"],
    }
    json.dumps(found)


def test_without_held_out_text_the_result_has_no_score(finished):
    run = finished((10, None, 2.1), (20, None, 1.6), val_fraction=0.0)
    found = verdict.result(run)
    assert found["split"] == "train"
    assert found["step"] == 20
    assert found["train_nats_per_char"] == 1.6
    assert "nats_per_char" not in found


def test_without_a_log_the_result_still_comes(finished):
    run = finished((10, 2.0, 2.1))
    (run / METRICS_FILE).unlink()
    assert verdict.result(run)["characters_per_second"] == 0.0


def test_files_that_are_missing_are_told(finished, tmp_path):
    run = finished((10, 2.0, 2.1))
    (run / RUN_FILE).unlink()
    with pytest.raises(RunError, match=r"no run\.json"):
        verdict.result(run)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError):
        verdict.result(tmp_path / "empty")


# The words


def test_the_words_say_how_good_it_is(finished):
    run = finished((10, 2.0, 2.1), (20, 1.5, 1.6))
    how_good, measured_on, _, _ = verdict.sentences(run)
    assert "right 56% of the time" in how_good
    assert "between 4.5 letters" in how_good  # exp 1.5
    assert "1.500 nats" in how_good
    assert "2.164 bits" in how_good
    assert "the last 10% of the corpus (70 characters)" in measured_on


def test_the_words_name_what_was_held_out(finished, english, tmp_path):
    own = tmp_path / "macbeth.txt"
    own.write_text(english[:50], encoding="utf-8")
    run = finished((10, 2.0, 2.1), name="own", val_file=own)
    assert "macbeth.txt (50 characters)" in verdict.sentences(run)[1]
    run = finished((10, 2.0, 2.1), name="both", val_fraction=0.25, test_fraction=0.25)
    assert "25% of the corpus near its end (175 characters)" in verdict.sentences(run)[1]


def test_the_words_tell_overfitting_and_since_when(finished):
    run = finished((10, 2.0, 2.1), (20, 1.5, 1.6), (30, 1.8, 1.2))
    told = verdict.sentences(run)[2]
    assert "overfitting since step 20 (epoch 2.0)" in told
    assert "--dropout" in told


def test_the_words_tell_that_it_is_not_overfitting(finished):
    run = finished((10, 2.0, 2.1), (20, 1.5, 1.6))
    told = verdict.sentences(run)[2]
    assert "not overfitting" in told
    assert "1.500 nats on held-out text" in told
    assert "1.600" in told


def test_more_text_is_advised_where_it_was_read_often(finished):
    """As `remedy` does: the fixture's ten steps are an epoch."""
    often = verdict.sentences(finished((10, 2.0, 2.1), (100, 1.9, 1.9)))[2]
    assert "the text was read 10 times): more text may bring it further" in often
    less = verdict.sentences(finished((10, 2.0, 2.1), (90, 1.9, 1.9), name="less"))[2]
    assert less.endswith("while training for it): a longer run may bring it further.")


def test_the_words_tell_of_divergences(finished):
    run = finished((10, 2.0, 2.1), (20, 1.5, 1.6))
    log = run / METRICS_FILE
    line = '{"kind": "divergence", "step": 5, "back_to": 0}\n'
    log.write_text(line + log.read_text())
    assert verdict.result(run)["divergences"] == 1
    assert "diverged once" in verdict.sentences(run)[3]
    log.write_text(log.read_text() + line)  # last, where there is no time in it
    told = verdict.sentences(run)[3]
    assert "diverged 2 times" in told
    assert "0.00078 in the end, and not 0.007" in told


@pytest.mark.parametrize(
    "line", ["{}", '{"kind": 5}', '{"kind": "report", "seconds": "x"}', '{"kind": "evaluation"}']
)
def test_a_log_that_was_edited_stops_no_verdict(line, finished):
    run = finished((10, 2.0, 2.1), (20, 1.5, 1.6))
    log = run / METRICS_FILE
    log.write_text(f"{line}\n{log.read_text()}{line}\n")
    assert "not overfitting" in verdict.sentences(run)[2]


def test_a_loss_that_is_no_number_is_told(finished):
    """As of a run that was told to continue all the same; its checkpoint has no score."""
    run = finished((10, None, None))
    told = verdict.sentences(run)
    assert "is no number" in told[0]
    assert "charrnn sample" in told[-1]


def test_a_training_loss_that_was_no_number_stops_no_verdict(finished):
    run = finished((10, 2.0, None), (20, 1.5, None))
    assert "1.500 nats on held-out text" in verdict.sentences(run)[2]


def test_one_score_is_too_few_to_tell(finished):
    assert "cannot be told" in verdict.sentences(finished((10, 2.0, 2.1)))[2]


def test_without_held_out_text_the_words_promise_nothing(finished):
    run = finished((10, None, math.log(3)), val_fraction=0.0)
    told = verdict.sentences(run)
    assert "Nothing was held out" in told[0]
    assert "3.0 letters" in told[0]
    assert not any("overfitting" in sentence for sentence in told)


@pytest.mark.parametrize("name", ["hamlet-lstm", "a night's work"])
def test_the_words_end_with_the_command_to_try_next(name, finished):
    last = verdict.sentences(finished((10, 2.0, 2.1), name=name))[-1]
    command = shlex.split(last.removeprefix("Next: "))
    assert command[:2] == ["charrnn", "sample"]
    assert Path(command[2]).name == name


def test_a_run_whose_loss_became_no_number_is_told_by_its_best(finished):
    run = finished((10, 2.0, 2.1), (20, 1.9, 1.8))
    log = [evaluation(10, 2.0, 2.1), evaluation(20, 1.9, 1.8), evaluation(30, math.nan, math.nan)]
    text = json.dumps(log).replace("NaN", "null")
    (run / METRICS_FILE).write_text("".join(json.dumps(e) + "\n" for e in json.loads(text)))
    assert "not overfitting" in " ".join(verdict.sentences(run))


def test_a_run_whose_loss_never_was_a_number_is_not_said_to_have_held_nothing_out(finished):
    run = finished((10, None, 2.1))
    told = " ".join(verdict.sentences(run))
    assert "is no number" in told
    assert "--learning-rate" in told


# What would make it better.


def test_a_run_that_had_little_time_is_told_of_a_longer_one(finished):
    run = finished((10, 2.0, 2.1), (20, 1.9, 1.9))
    assert verdict.remedy(run, "m") == (
        "m read its training part 2.0 times in 10 seconds: --minutes 1 may bring it further."
    )
    run = finished((10, 2.0, 2.1), (80, 1.9, 1.9), name="longer")
    assert "8.0 times in 40 seconds: --minutes 10 may" in verdict.remedy(run, "m")


def test_where_no_longer_run_has_a_number_it_is_told_without(finished):
    run = finished((10, 2.0, 2.1))
    with (run / METRICS_FILE).open("a", encoding="utf-8") as log:
        log.write(json.dumps(evaluation(20, 1.9, 1.9) | {"seconds": 5e4}) + "\n")
        log.write(json.dumps(evaluation(30, 1.9, 1.9) | {"seconds": None}) + "\n")
    assert verdict.remedy(run, "m") == (
        "m read its training part 2.0 times in 833.3 minutes: a longer run may bring it further."
    )


def test_a_text_that_was_read_often_is_too_short(finished):
    run = finished((10, 2.0, 2.1), (250, 1.9, 1.9))
    assert verdict.remedy(run, "m") == (
        "m has read its training part 25 times: more text may help most."
    )


def test_a_run_that_overfits_is_told_what_helps_against_it(finished):
    run = finished((10, 1.9, 2.1), (20, 2.2, 1.9))
    assert verdict.remedy(run, "m").startswith("m has been overfitting since step 10: more text or")


def test_a_run_that_says_nothing_gets_no_advice(finished, tmp_path):
    assert verdict.remedy(tmp_path / "nowhere", "m") == ""
    run = finished((10, 2.0, 2.1))
    (run / METRICS_FILE).unlink()
    assert verdict.remedy(run, "m") == ""
