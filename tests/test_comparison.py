"""What stands beside a model, end to end and in plain words."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import charrnn
from test_baselines import held_out
from test_heldout import Trained
from test_proof import POLICIES, Policed

from charrnn import baselines
from charrnn.baseline_cache import BASELINES_FILE
from charrnn.baselines import NAMES
from charrnn.commands import comparison
from charrnn.evaluation import escape_probability
from charrnn.files import sha256
from charrnn.heldout import own_text, split_text
from charrnn.proof import training_text
from charrnn.run_record import read_run, write_record

HEADERS = ["best first", "nats/char", "bits/char", "bits/byte", "learned from"]


def evaluate(*arguments, **options):
    return charrnn("evaluate", "--threads", 1, *arguments, **options)


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the fixture's run, to write in."""
    return Path(shutil.copytree(trained / "cafe", tmp_path / "cafe"))


def by_name(done):
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    best = min(each["nats_per_char"] for each in row["baselines"] if "reason" not in each)
    difference = row["difference_from_baseline"]["nats_per_char"]
    assert difference == pytest.approx(row["nats_per_char"] - best)
    return {each["name"]: each for each in row["baselines"]}


# End to end.


def test_baselines_stand_beside_the_model_and_are_kept(run, english):
    (run / BASELINES_FILE).unlink(missing_ok=True)
    first = evaluate(run, "--json")
    made = by_name(first)
    assert list(made) == list(NAMES)
    assert first.stderr == ""
    assert made["uniform"]["nats_per_char"] == pytest.approx(math.log(len(set(english))))
    for name in set(NAMES) - {"uniform"}:
        if "reason" not in made[name]:
            assert 0 < made[name]["bits_per_byte"] < made["uniform"]["bits_per_byte"] + 1
            assert made[name]["read_bytes"] == made[name]["training_bytes"] > 2000

    # The second time nothing is measured: every figure is as it was, seconds too.
    whole = (run / BASELINES_FILE).read_bytes()
    assert evaluate(run, "--json").stdout == first.stdout
    assert (run / BASELINES_FILE).read_bytes() == whole


def test_without_baselines_there_is_no_word_of_them(run):
    (run / BASELINES_FILE).unlink(missing_ok=True)
    done = evaluate(run, "--no-baselines", "--json")
    assert "baselines" not in json.loads(done.stdout)
    assert not (run / BASELINES_FILE).exists()
    assert "xz" not in evaluate(run, "--no-baselines").stdout


def test_a_person_gets_one_table_best_first_and_a_verdict(run):
    done = evaluate(run)
    told = done.stdout.split("\n\n", 1)[1].splitlines()
    assert re.split("  +", told[0].strip()) == HEADERS
    assert max(map(len, told)) <= 80
    rows = dict(re.findall(r"^ (\S+).*? (\d+\.\d{4}) ", "\n".join(told), re.MULTILINE))
    assert set(rows) >= {"cafe", "xz", "bz2", "unigram", "uniform"}
    assert len(rows) >= 6
    assert list(rows.values()) == sorted(rows.values(), key=float)
    assert "predicts this text better than" in done.stdout


def test_two_checkpoints_of_a_run_share_one_table(run):
    first, second = sorted(run.glob("step-????????.safetensors"))
    done = evaluate(first, second)
    assert done.stdout.count("best first") == 1
    assert done.stdout.count("unigram") == 1
    for step in 30, 40:
        assert f"cafe at {step}" in done.stdout


def test_a_text_of_ones_own_is_compared_by_the_training_part(run, tmp_path):
    text = tmp_path / "own.txt"
    text.write_text("The old waiter and the café.\n☃", encoding="utf-8")
    made = by_name(evaluate(run, "--text", text, "--json", "-q"))
    assert made["ngram"]["read_bytes"] > 2000
    assert made["ngram"]["nats_per_char"] < made["uniform"]["nats_per_char"]


def test_a_model_file_alone_is_scored_and_says_what_is_missing(run, tmp_path):
    mailed = tmp_path / "mail" / "x.safetensors"
    mailed.parent.mkdir()
    shutil.copy(max(run.glob("step-????????.safetensors")), mailed)
    text = tmp_path / "own.txt"
    text.write_text("The old waiter.\n", encoding="utf-8")
    done = evaluate(mailed, "--text", text, "--json")
    made = by_name(done)
    assert [name for name in NAMES if "reason" not in made[name]] == ["uniform"]
    assert "needs the training part" in made["ngram"]["reason"]
    shown = evaluate(mailed, "--text", text)
    assert "Not measured: unigram, n-gram, xz, bz2, PPMd: needs the" in shown.stdout
    assert [path.name for path in mailed.parent.iterdir()] == ["x.safetensors"]


def test_a_text_that_was_trained_on_has_none(run, english_file):
    assert json.loads(evaluate(run, "--split", "train", "--json").stdout)["baselines"] == []
    done = evaluate(run, "--text", english_file)
    assert "No baselines" in done.stdout
    assert "best first" not in done.stdout


def test_a_training_part_that_has_changed_is_not_learned_from(run, english, tmp_path):
    (run / BASELINES_FILE).unlink(missing_ok=True)
    corpus = tmp_path / "cafe.txt"
    corpus.write_text("#" + english[1:], encoding="utf-8")
    write_record(run, replace(read_run(run), paths=[str(corpus)]))
    made = by_name(evaluate(run, "--json"))
    assert "reason" not in made["uniform"]
    assert "not the text this checkpoint was trained on" in made["xz"]["reason"]


# In this process.


@pytest.fixture
def held(english, tmp_path):
    return Trained(tmp_path, english, val_fraction=0.25)


def beside(held, seen=None, text=None):
    data = (text or held.text()[0]).encode()
    scored = held_out(data.decode(), held.record.vocabulary)
    scored = replace(scored, sha256=sha256(data))
    return comparison.beside(
        held.checkpoint, held.record, scored, None, {} if seen is None else seen, True
    )


def test_the_figures_are_those_of_the_training_part(held):
    text, vocabulary = held.text()[0], held.record.vocabulary
    part = training_text(held.checkpoint, held.record)
    escape = escape_probability(len(vocabulary), 525)
    wanted = baselines.measure(held_out(text, vocabulary), part, vocabulary, escape=escape)
    assert part.size == len(held.text("train")[0].encode())
    for row, baseline in zip(beside(held), wanted, strict=True):
        assert replace(row, seconds=0.0) == replace(baseline, seconds=0.0)


@pytest.mark.parametrize("policy", POLICIES)
def test_whatever_the_text_is_baselines_learn_from_its_training_part(policy, tmp_path):
    run = Policed(tmp_path, policy)
    scored = split_text(run.checkpoint, run.record, "val", [run.folder])
    found = comparison.beside(run.checkpoint, run.record, scored, [run.folder], {}, True)
    size = len(run.reading.utf8_of(run.whole))
    by_name = {each.name: each for each in found}
    for name in "unigram", "ngram", "xz":
        assert by_name[name].read == by_name[name].available == size
    ngram, uniform = by_name["ngram"].nats, by_name["uniform"].nats
    assert 0 < ngram < min(by_name["unigram"].nats, uniform)
    each = uniform / len(scored.ids)
    if run.reading.encoding == "bytes":
        assert each == pytest.approx(math.log(256))


@pytest.mark.parametrize("policy", ["western", "bytes"])
def test_a_file_that_was_trained_on_has_none_whatever_its_bytes(policy, tmp_path):
    run = Policed(tmp_path, policy)
    scored = own_text([run.files[1]], run.record)
    assert comparison.beside(run.checkpoint, run.record, scored, [run.folder], {}, True) == []
    (tmp_path / "all").write_bytes(b"".join(path.read_bytes() for path in run.files))
    scored = own_text([tmp_path / "all"], run.record)
    assert comparison.beside(run.checkpoint, run.record, scored, [run.folder], {}, True) == []


def test_what_was_seen_or_kept_is_not_measured_again(held, monkeypatch):
    seen = {}
    first = beside(held, seen)

    def refused(*_):
        raise AssertionError("measured again")

    with monkeypatch.context() as patch:
        patch.setattr(baselines, "_ngram", refused)
        patch.setattr(baselines, "_unigram", refused)
        assert beside(held) == first, "from the run's directory"
        (held.run / BASELINES_FILE).unlink()
        assert beside(held, seen) == first, "from this very command"
        (held.run / BASELINES_FILE).write_text("{}")
        with pytest.raises(AssertionError, match="again"):
            beside(held)
        with pytest.raises(AssertionError, match="again"):
            beside(held, seen, "another text")
    assert beside(held, None, "another text") != first


def row(name, nats, **more):
    return {
        "name": name,
        "nats_per_char": nats,
        "bits_per_char": nats / math.log(2),
        "bits_per_byte": nats / math.log(2),
        "read_bytes": 300,
        "training_bytes": 300,
        "cut": "",
    } | more


MODEL = {"run": "m", "step": 7, "split": "val", "characters": 10, "checkpoint": "gone/m.s"}


def shown(capsys, nats, *found, models=1):
    one = MODEL | row("", nats) | {"baselines": list(found)}
    comparison.show([one | {"step": step} for step in range(models)])
    return " ".join(capsys.readouterr().out.split())


def test_a_model_that_loses_is_told_to_whom(capsys):
    ppmd, ngram, xz = row("ppmd", 1.4, order=6), row("ngram", 1.45, order=7), row("xz", 1.7)
    found = shown(capsys, 1.5, xz, ngram, ppmd)
    assert (
        "PPMd, a compressor, predicts this text better than m: 1.400 nats/char against 1.500; "
        "so does the 7-gram." in found
    )
    assert found.index("PPMd, order 6") < found.index("7-gram, K") < found.index(" m 1.5000")
    found = shown(capsys, 1.8, xz, ngram, row("bz2", 1.75), ppmd)
    assert "so do the 7-gram, xz and bz2." in found
    assert "The 7-gram predicts this text better than m" in shown(capsys, 1.5, ngram)


def test_a_model_that_loses_to_a_compressor_is_told_that_it_can_learn_as_that_does(capsys):
    ppmd, ngram = row("ppmd", 1.4, order=6), row("ngram", 1.45, order=7)
    told = "PPMd learns from this text, too, as m can: charrnn evaluate --dynamic."
    assert told in shown(capsys, 1.5, ppmd)
    assert "--dynamic" not in shown(capsys, 1.3, ppmd)
    assert "--dynamic" not in shown(capsys, 1.5, ngram)
    one = MODEL | row("", 1.5) | {"baselines": [ppmd]}
    comparison.show([one | {"dynamic": {"nats_per_char": 1.35}}])
    found = " ".join(capsys.readouterr().out.split())
    assert "Learning from this text, too, as PPMd does, m spends 1.350." in found
    comparison.show([one | {"dynamic": {"reason": "no training part"}}])
    assert "earn" not in capsys.readouterr().out.split("1.500")[-1]


def chance(capsys, nats, best, **difference):
    """What is said of a model's distance from the best of its baselines."""
    made = {"best": best["name"], "nats_per_char": nats - best["nats_per_char"]} | difference
    one = MODEL | row("", nats) | {"baselines": [best], "interval": [nats - 0.02, nats + 0.02]}
    comparison.show([one | {"difference_from_baseline": made}])
    return " ".join(capsys.readouterr().out.split())


def test_a_distance_is_said_to_be_more_than_chance_or_not(capsys):
    ppmd = row("ppmd", 1.4, order=6)
    found = chance(capsys, 1.5, ppmd, interval=[0.08, 0.12], paired=True, real=True)
    assert "The difference from PPMd, 0.1000 ± 0.0200, is more than chance." in found
    found = chance(capsys, 1.39, ppmd, interval=[-0.03, 0.01], paired=True, real=False)
    assert "The difference from PPMd, 0.0100 ± 0.0200, may be chance." in found
    found = chance(capsys, 1.5, ppmd, interval=None, paired=True, real=None)
    assert "too short to say whether that is chance" in found


def test_of_a_compressor_that_tells_no_parts_the_model_s_own_interval_is_named(capsys):
    xz = row("xz", 1.4)
    found = chance(capsys, 1.5, xz, interval=[0.08, 0.12], paired=False, real=True)
    assert "xz is outside m's own interval, 1.480 to 1.520; the difference itself has" in found
    found = chance(capsys, 1.41, xz, interval=[-0.01, 0.03], paired=False, real=False)
    assert "But xz is within m's own interval, 1.390 to 1.430: it may be chance." in found


def test_a_model_that_wins_is_told_by_how_much(capsys):
    found = shown(capsys, 1.3, row("ppmd", 1.4, order=6), row("uniform", 4.0))
    assert "m predicts this text better than all of these: by 0.100 nats/char than PPMd." in found
    assert "equally likely" in shown(capsys, 1.3, row("uniform", 4.0))


@pytest.mark.parametrize(
    ("cut", "words"),
    [("window", "window holds no more"), ("time", "10 seconds"), ("memory", "memory")],
)
def test_what_was_cut_is_told(cut, words, capsys):
    found = shown(capsys, 1.3, row("xz", 1.4, cut=cut, read_bytes=1200, training_bytes=3400))
    assert "xz learned from the last 1,200 of 3,400 bytes of the training part" in found
    assert words in found


def test_a_text_that_fills_a_window_is_told(capsys):
    found = shown(capsys, 1.3, row("bz2", 1.4, cut="window", read_bytes=0, training_bytes=3400))
    assert "none of the 3,400 bytes of the training part: this text fills its window." in found


def test_two_texts_are_two_tables(capsys):
    one = MODEL | row("", 1.5) | {"baselines": [row("xz", 2.0)]}
    other = MODEL | row("", 1.5) | {"baselines": [row("xz", 2.1)]}
    comparison.show([one, other, one | {"run": "n"}])
    assert capsys.readouterr().out.count("best first") == 2
