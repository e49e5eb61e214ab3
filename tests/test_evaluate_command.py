"""charrnn evaluate, end to end: which checkpoint, which text, and what is said of it."""

import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import charrnn
from test_cli import assert_error

from charrnn import losses as losses_module
from charrnn.checkpoints import read_record
from charrnn.commands import evaluate as command
from charrnn.commands.evaluate import evaluate as evaluate_here
from charrnn.errors import UsageError
from charrnn.intervals import block_means, interval
from charrnn.run_record import read_run, write_record

NAMES = {
    *("run", "checkpoint", "step", "characters", "nats_per_char", "bits_per_char"),
    *("bits_per_byte", "perplexity", "accuracy", "split"),
}


def evaluate(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Without baselines, which would be kept in the run that other tests look at."""
    return charrnn("evaluate", "--no-baselines", "--threads", 1, *arguments, **options)


@pytest.fixture(scope="module")
def by_name(
    trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path, subprocess.CompletedProcess[str]]:
    """The fixture's run scored on its validation text: the object, the losses, the process."""
    losses = tmp_path_factory.mktemp("losses") / "each.npy"
    done = evaluate("cafe", "--checkpoint-dir", trained, "--json", "--losses", losses, "--where")
    return json.loads(done.stdout), losses, done


@pytest.fixture(scope="module")
def mailed(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file away from its run."""
    best = json.loads(charrnn("checkpoints", "show", trained / "cafe", "--json").stdout)
    return Path(shutil.copy(best["checkpoint"], tmp_path_factory.mktemp("mail") / "x.safetensors"))


def test_a_run_is_scored_on_its_held_out_text_as_json(
    by_name: tuple[dict[str, Any], Path, subprocess.CompletedProcess[str]], english: str
) -> None:
    score, _, done = by_name
    assert (done.returncode, done.stderr) == (0, "")
    assert set(score) >= NAMES
    assert (score["run"], score["split"]) == ("cafe", "val")
    assert score["characters"] == len(english) - int(0.9 * len(english))
    held_out = read_record(Path(score["checkpoint"])).scores["val"]
    for name in "nats_per_char", "bits_per_char", "bits_per_byte", "perplexity", "accuracy":
        assert score[name] == pytest.approx(held_out[name], rel=1e-5), "as training scored it"
    assert score["bits_per_char"] == pytest.approx(score["nats_per_char"] / math.log(2))
    assert score["perplexity"] == pytest.approx(math.exp(score["nats_per_char"]))


def test_losses_are_one_number_a_character_whose_mean_is_the_score(
    by_name: tuple[dict[str, Any], Path, subprocess.CompletedProcess[str]],
) -> None:
    score, losses, _ = by_name
    each = np.load(losses, allow_pickle=False)
    assert each.shape == (score["characters"],)
    assert each.mean(dtype=np.float64) == pytest.approx(score["nats_per_char"], rel=1e-6)
    assert [path.name for path in losses.parent.iterdir()] == ["each.npy"]


def test_where_it_fails_is_of_the_same_characters(
    by_name: tuple[dict[str, Any], Path, subprocess.CompletedProcess[str]], english: str
) -> None:
    score, losses, _ = by_name
    where, each = score["where"], np.load(losses)
    text = english[int(0.9 * len(english)) :]
    assert where["characters"] == len(text)
    for rows in where["kinds"], where["line"], where["word"]:
        nats = sum(row["characters"] * row["nats_per_char"] for row in rows)
        assert nats / len(text) == pytest.approx(score["nats_per_char"])
        right = sum(row["characters"] * row["accuracy"] for row in rows)
        assert right / len(text) == pytest.approx(score["accuracy"])
    spaces = np.array([character == " " for character in text])
    (row,) = (row for row in where["kinds"] if row["kind"] == "spaces")
    assert row["characters"] == spaces.sum()
    assert row["nats_per_char"] == pytest.approx(each[spaces].mean(), rel=1e-5)
    too_sure = sum(
        bin["share"] * (bin["confidence"] - bin["accuracy"]) for bin in where["calibration"]["bins"]
    )
    assert too_sure == pytest.approx(where["calibration"]["too_sure"])


def test_a_text_of_ones_own_is_scored_with_what_was_never_seen(
    mailed: Path, tmp_path: Path
) -> None:
    text = tmp_path / "own.txt"
    text.write_text("the café\n☃☃ and soup\n", encoding="utf-8")
    done = evaluate(mailed, "--text", text, "--json")
    score = json.loads(done.stdout)
    assert (score["characters"], score["unknown"]) == (21, 2)
    assert "2 of 21 characters are ones training never saw" in done.stderr
    assert score["split"] == str(text)
    assert score["nats_per_char"] > 2 * 13 / 21, "each pays for which one it was"


def test_two_checkpoints_are_a_table_with_a_row_each(trained: Path, english_file: Path) -> None:
    """Scored on a text it was trained on, which is said."""
    first, second = sorted(trained.glob("cafe/step-????????.safetensors"))
    done = evaluate(first, second, "--text", english_file)
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert lines[0] == [
        *("run", "step", "on", "nats/char", "bits/char", "perplexity", "accuracy", "in", "five")
    ]
    assert [line[:2] for line in lines[2:4]] == [["cafe", "30"], ["cafe", "40"]]
    assert "text this model was trained on" in done.stderr


def test_exact_agrees_with_stretches_and_the_run_left_out_is_told(trained: Path) -> None:
    """The training text is long enough for several stretches."""
    arguments = ("--split", "train", "--checkpoint-dir", trained, "--json")
    stretches, exact = evaluate(*arguments), evaluate(*arguments, "--exact")
    told = re.fullmatch(r"checkpoint (\S+)\n", stretches.stderr)
    scores = [json.loads(done.stdout) for done in (stretches, exact)]
    assert told and told[1] == scores[0]["checkpoint"]
    assert [score["exact"] for score in scores] == [False, True]
    nats = [score["nats_per_char"] for score in scores]
    assert nats[0] == pytest.approx(nats[1], rel=1e-3)
    assert nats[0] != nats[1]


# What a score is worth.


def test_the_interval_is_that_of_the_losses(
    by_name: tuple[dict[str, Any], Path, subprocess.CompletedProcess[str]],
) -> None:
    score, losses, _ = by_name
    limits = interval(block_means(np.load(losses)), score["nats_per_char"])
    assert limits == pytest.approx(score["interval"])
    assert limits is not None
    assert limits[0] < score["nats_per_char"] < limits[1]
    assert score["block_length"] == score["characters"] // 10
    assert score["accuracy"] <= score["accuracy_top5"] <= 1


def test_a_text_too_short_for_an_interval_is_scored_without(mailed: Path, tmp_path: Path) -> None:
    text = tmp_path / "short.txt"
    text.write_text("the cafe is shut", encoding="utf-8")
    score = json.loads(evaluate(mailed, "--text", text, "--json").stdout)
    assert (score["characters"], score["interval"], score["block_length"]) == (16, None, None)


def test_cold_windows_cost_something_and_are_named(
    trained: Path, by_name: tuple[dict[str, Any], Path, subprocess.CompletedProcess[str]]
) -> None:
    done = evaluate("cafe", "--checkpoint-dir", trained, "--cold-windows", 3, "--json")
    cold, whole = json.loads(done.stdout), by_name[0]
    assert (whole["protocol"], cold["protocol"]) == ("one stream", "cold windows of 3")
    assert cold["nats_per_char"] > whole["nats_per_char"] + 0.01
    assert cold["characters"] == whole["characters"]


def test_windows_larger_than_the_text_are_refused(trained: Path) -> None:
    done = evaluate("cafe", "--checkpoint-dir", trained, "--cold-windows", 10**30)
    assert_error(done, 2, "--cold-windows 1000", "characters", "--exact")


def test_of_two_checkpoints_it_is_said_whether_they_differ(trained: Path) -> None:
    """Of one run on the text it was trained on: they do; a checkpoint and itself do not."""
    first, *_, last = sorted(trained.glob("cafe/step-????????.safetensors"))
    done = evaluate(first, last, last, "--split", "train", "--json")
    worse, best, same = map(json.loads, done.stdout.splitlines())
    assert "difference" not in best
    assert worse["difference"]["best"] == same["difference"]["best"] == str(last)
    difference = worse["difference"]["nats_per_char"]
    assert difference == pytest.approx(worse["nats_per_char"] - best["nats_per_char"])
    low, high = worse["difference"]["interval"]
    assert 0 < low < difference < high
    assert worse["difference"]["real"] is True
    assert (same["difference"]["interval"], same["difference"]["real"]) == ([0.0, 0.0], False)


def test_what_was_scored_before_a_failure_is_told(trained: Path) -> None:
    done = evaluate("cafe", "hamlet", "--checkpoint-dir", trained, "--json")
    assert done.returncode == 1
    assert "hamlet" in done.stderr
    assert json.loads(done.stdout)["run"] == "cafe"


# Other formats, in this process.


def test_a_table_for_a_paper_has_the_score(
    trained: Path,
    by_name: tuple[dict[str, Any], Path, subprocess.CompletedProcess[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    command.evaluate([str(trained / "cafe")], format="markdown", baselines=False, threads=1)
    line = capsys.readouterr().out.splitlines()[2]
    assert line.startswith(f"| cafe | one stream | {by_name[0]['nats_per_char']:.4f} ± ")
    command.evaluate([str(trained / "cafe")], format="latex", baselines=False, threads=1)
    assert f"cafe & {by_name[0]['nats_per_char']:.4f} $\\pm$ " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "pdf"}, "--format pdf: must be one of table, json, latex, markdown"),
        ({"format": "latex", "json": True}, "--json and --format latex"),
        ({"format": "markdown", "where": True}, "--where: is not in --format markdown"),
    ],
)
def test_formats_that_cannot_be_meant_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        command.evaluate(["cafe"], **options)


# Texts that have moved or changed.


def test_a_checkpoint_away_from_its_run_asks_where_its_text_is(
    mailed: Path, english_file: Path
) -> None:
    done = evaluate(mailed)
    assert_error(done, 1, "--corpus", english_file.name)


def test_a_moved_corpus_is_scored_the_same_and_a_person_is_told_every_measure(
    mailed: Path,
    english_file: Path,
    tmp_path: Path,
    by_name: tuple[dict[str, Any], Path, subprocess.CompletedProcess[str]],
) -> None:
    moved = Path(shutil.copy(english_file, tmp_path / "elsewhere.txt"))
    done = evaluate(mailed, "--corpus", moved, "--where")
    assert (done.returncode, done.stderr) == (0, "")
    score, shown = by_name[0], dict(re.findall(r"^(\S+) +(.*)", done.stdout, re.MULTILINE))
    for name in "nats/char", "bits/char", "bits/byte":
        assert shown[name].split(" ")[0] == f"{score[name.replace('/', '_per_')]:.4f}"
    half = (score["interval"][1] - score["interval"][0]) / 2
    assert f" ± {half:.4f}  (95%, by blocks of {score['block_length']} char" in shown["nats/char"]
    assert shown["protocol"] == score["protocol"] == "one stream"
    assert f"{score['accuracy_top5']:.1%}" in done.stdout
    assert shown["perplexity"].startswith(f"{score['perplexity']:.3f}")
    assert shown["accuracy"].startswith(f"{score['accuracy']:.1%}")
    for row in score["where"]["kinds"]:
        share = re.escape(f"{row['share']:.1%}")
        assert re.search(rf" {row['kind']} +{share}", done.stdout)
    assert "expected calibration error" in re.sub(r"\s+", " ", done.stdout)


def rewritten(trained: Path, tmp_path: Path, corpus: Path) -> Path:
    """A copy of the fixture's run whose run.json names another file."""
    run = tmp_path / "cafe"
    shutil.copytree(trained / "cafe", run)
    record = read_run(run)
    assert record is not None
    write_record(run, replace(record, paths=[str(corpus)]))
    return run


def test_a_corpus_that_is_gone_is_named_with_the_ways_out(trained: Path, tmp_path: Path) -> None:
    done = evaluate(rewritten(trained, tmp_path, tmp_path / "gone.txt"))
    assert_error(done, 1, "gone.txt: no such file", "--corpus", "--text")


def test_a_changed_corpus_is_refused_and_named(trained: Path, english: str, tmp_path: Path) -> None:
    corpus = tmp_path / "cafe.txt"
    corpus.write_text(english[:-1] + "!", encoding="utf-8")
    done = evaluate(rewritten(trained, tmp_path, corpus))
    assert_error(done, 1, str(corpus), "--corpus", "--text")


# What cannot be scored.


def test_a_split_that_was_not_held_out_is_refused(trained: Path) -> None:
    done = evaluate("cafe", "--checkpoint-dir", trained, "--split", "test")
    assert_error(done, 2, "--split test", "--text")


def test_an_unknown_run_is_an_error_that_names_what_there_is(trained: Path) -> None:
    assert_error(evaluate("hamlet", "--checkpoint-dir", trained), 1, "hamlet", "cafe")


def test_a_long_text_comes_to_the_same_as_a_short_one(trained, tmp_path, monkeypatch, capsys):
    """Whose losses are in a file, or not kept."""

    def told(path=None):
        evaluate_here([str(trained / "cafe")], losses=path, threads=1, json=True, baselines=False)
        return json.loads(capsys.readouterr().out)

    short, path = told(tmp_path / "short.npy"), tmp_path / "long.npy"
    assert short["interval"]
    monkeypatch.setattr(losses_module, "MOST_IN_MEMORY", 100)
    assert told(path) == told() == short
    assert path.read_bytes() == (tmp_path / "short.npy").read_bytes()
    assert len(np.load(path)) > 200
