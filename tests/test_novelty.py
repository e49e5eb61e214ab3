"""charrnn sample --report-copies and --max-copy, end to end, held to brute force."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import SHIPPED, charrnn
from test_cli import assert_error, imports
from test_copies import brute, runs

WHOLE = SHIPPED.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def parrot(tmp_path_factory):
    """A run that has learnt the shipped text by heart, or most of it; returns its directory."""
    directory = tmp_path_factory.mktemp("parrot")
    done = charrnn(
        *("train", SHIPPED, "--name", "parrot", "--checkpoint-dir", directory, "--quiet"),
        *("--hidden-size", 96, "--layers", 1, "--embedding-size", 16, "--dropout", 0),
        *("--seq-length", 32, "--batch-size", 16, "--learning-rate", 0.02, "--seed", 1),
        *("--steps", 200, "--checkpoint-steps", 200, "--evaluation-steps", 200, "--threads", 1),
    )
    assert done.returncode == 0, done.stderr
    return directory / "parrot"


@pytest.fixture(scope="module")
def read(parrot):
    """The part of the text that it was trained on."""
    record = json.loads((parrot / "run.json").read_text())
    return WHOLE[: record["corpus"]["splits"]["train"]["end"]]


@pytest.fixture
def moved(parrot, tmp_path):
    """The same run with a text that is its own, to change; returns both."""
    shutil.copytree(parrot, tmp_path / "parrot")
    shutil.copy(SHIPPED, tmp_path / "two-scripts.txt")
    (tmp_path / "parrot" / "run.json").unlink()
    return tmp_path / "parrot", tmp_path / "two-scripts.txt"


def sample(run, *arguments, **options):
    return charrnn(
        *("sample", run, "--seed", 1, "--temperature", 0.5, "--length", 400, *arguments), **options
    )


def texts(run, *arguments):
    """What is drawn, by `--json`."""
    done = sample(run, "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


MANY = [(), ("--num-samples", 5)]


@pytest.mark.parametrize("many", MANY)
def test_a_report_is_what_brute_force_finds(many, parrot, read):
    copied = []
    for found in texts(parrot, "--report-copies", *many):
        share, longest = brute(found["text"], read)
        assert found["copied"] == pytest.approx(share)
        copied.append(longest)
        place = found["longest_copy"]
        assert place["characters"] == len(place["text"]) == longest
        assert Path(place["file"]) == SHIPPED
        assert read[place["character"] :].startswith(place["text"])
        assert read[: place["character"]].count("\n") + 1 == place["line"]
    assert min(copied) > 40  # so that there is something to keep out


@pytest.mark.parametrize("longest", [8, 20])
@pytest.mark.parametrize("many", MANY)
def test_no_run_is_longer_than_was_asked_for(many, longest, parrot, read):
    drawn = [found["text"] for found in texts(parrot, "--max-copy", longest, *many)]
    assert max(max(runs(text, read)) for text in drawn) == longest


def test_so_it_is_with_every_other_cut(parrot, read):
    cuts = ("--top-k", 5, "--top-p", 0.9, "--min-p", 0.01, "--temperature", 0)
    (found,) = texts(parrot, "--max-copy", 20, *cuts)
    assert max(runs(found["text"], read)) == 20


def test_what_copies_nothing_that_long_is_drawn_as_without(parrot):
    for many in MANY:
        plain = sample(parrot, *many)
        assert sample(parrot, *many, "--max-copy", 10_000).stdout == plain.stdout


def test_a_report_is_a_line_on_stderr_and_the_text_is_the_same(parrot, read):
    done = sample(parrot, "--report-copies", "--num-samples", 2, "--quiet")
    assert done.stdout == sample(parrot, "--num-samples", 2).stdout
    for number, line in enumerate(done.stderr.splitlines()):
        share, longest = brute(done.stdout[number * 401 :][:400], read)
        assert line.startswith(
            f"sample {number}: {share:.1%} copied in runs of 20 characters or more; the "
            f"longest, {longest} characters, stands in two-scripts.txt, line "
        )
    assert number == 1


def test_what_copies_nothing_says_so(parrot):
    done = sample(parrot, "--report-copies", "--max-copy", 12, "--length", 50)
    assert done.stderr == "sample 0: nothing copied in runs of 20 characters or more\n"
    (found,) = texts(parrot, "--report-copies", "--max-copy", 12)
    assert (found["copied"], found["longest_copy"]) == (0.0, None)


def test_a_report_is_of_what_is_written(parrot, read):
    """Neither what --stop leaves out nor the prompt."""
    (whole,) = texts(parrot, "--report-copies")
    stop = whole["longest_copy"]["text"][30:40]
    (found,) = texts(parrot, "--report-copies", "--stop", stop)
    assert len(found["text"]) < 400
    share, longest = brute(found["text"], read)
    assert found["copied"] == pytest.approx(share)
    assert (found["longest_copy"] or {"characters": 0})["characters"] == longest
    (found,) = texts(parrot, "--report-copies", "--prompt", read[:60], "--length", 10)
    assert (found["copied"], found["longest_copy"]) == (0.0, None)


def test_it_never_imports_torch_or_rich(parrot):
    loaded, done = imports(
        *("sample", parrot, "--length", 5, "--report-copies", "--max-copy", 9, "--seed", 1)
    )
    assert done.returncode == 0, done.stderr
    assert "charrnn.copies\n" in done.stderr
    assert not loaded & {"torch", "rich", "tqdm"}


def test_what_is_not_asked_for_is_not_loaded(parrot):
    _, done = imports("sample", parrot, "--length", 5, "--seed", 1)
    assert "charrnn.sampling\n" in done.stderr
    assert not re.search(r"charrnn\.(copies|concordance|order|original)\n", done.stderr)


# What cannot be done.


def test_a_run_too_short_to_forbid_is_refused(parrot):
    assert_error(sample(parrot, "--max-copy", 7), 2, "--max-copy 7", "ordinary language")


def test_a_corpus_is_for_copies_alone(parrot):
    done = sample(parrot, "--corpus", SHIPPED)
    assert_error(done, 2, "--corpus", "--report-copies", "--max-copy")


@pytest.mark.parametrize("flags", [("--report-copies",), ("--max-copy", 20)])
def test_a_checkpoint_alone_needs_to_be_told_where_its_text_is(flags, moved):
    run, text = moved
    assert_error(sample(run, *flags), 1, "run.json", "--corpus two-scripts.txt")
    assert sample(run, *flags, "--corpus", text).returncode == 0


def test_a_text_that_changed_is_refused(moved):
    run, text = moved
    text.write_text("#" + WHOLE, encoding="utf-8")
    done = sample(run, "--report-copies", "--corpus", text)
    assert_error(done, 1, "two-scripts.txt", "SHA-256", "--corpus")
    assert done.stdout == ""


def test_a_text_that_is_gone_is_named(moved):
    run, text = moved
    text.unlink()
    assert_error(sample(run, "--report-copies", "--corpus", text), 1, "no such file", "--corpus")


def test_what_was_held_out_may_be_copied(moved, parrot):
    """It is no part of what is compared: a text without it gives the same report."""
    run, text = moved
    wanted = texts(parrot, "--report-copies")[0]["copied"]
    end = json.loads((parrot / "run.json").read_text())["corpus"]["splits"]["train"]["end"]
    text.write_text(WHOLE[:end], encoding="utf-8")
    assert texts(run, "--report-copies", "--corpus", text)[0]["copied"] == wanted


def test_help_has_its_section():
    page = charrnn("sample", "--help").stdout
    assert re.search(r"Copies from the training text:\n\s+--max-copy", page)
