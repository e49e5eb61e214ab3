"""charrnn benchmark sampling, end to end: rows as they come, the table, what is left out."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from conftest import charrnn
from test_cli import assert_error
from test_train_command import signalled

from charrnn import cold_start, sampling_benchmark
from charrnn.benchmark import Measured
from charrnn.cold_start import FIRST, IMPORT_TORCH, THOUSAND
from charrnn.commands.benchmark_sampling import sampling
from charrnn.sampling_benchmark import Case, Place, places
from charrnn.sampling_contenders import BOUND, BY_HAND, MANY, ONE_STREAM, PROMPT, SINGLY, TORCH_NN

KEYS = [
    *("what", "contender", "model", "hidden_size", "layers", "embedding_size", "vocabulary_size"),
    *("characters_per_second", "baseline", "baseline_characters_per_second", "ratio"),
    *("peak_memory_bytes", "baseline_peak_memory_bytes", "threads", "baseline_threads"),
]


def test_json_is_an_object_for_each_baseline_and_start() -> None:
    done = charrnn(
        *("benchmark", "sampling", "--hidden-size", "8", "--layers", "1", "--model", "gru"),
        *("--embedding-size", "4", "--vocabulary-size", "9", "--threads", "1"),
        *("--quick", "--repetitions", "1", "--json"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["--quick: turns of 0.15 s, so figures scatter more"]
    *found, first, thousand = [json.loads(line) for line in done.stdout.splitlines()]
    compared = [(row["contender"], row["baseline"]) for row in found]
    assert compared == [
        *((ONE_STREAM, TORCH_NN), (ONE_STREAM, BY_HAND), (ONE_STREAM, BOUND)),
        *((MANY, ONE_STREAM), (PROMPT, SINGLY)),
    ]
    for row in found:
        assert list(row) == KEYS
        assert (row["what"], row["model"]) == ("sampling", "gru")
        shape = ("hidden_size", "layers", "embedding_size", "vocabulary_size", "threads")
        assert [row[name] for name in shape] == [8, 1, 4, 9, 1]
        assert row["ratio"] == pytest.approx(
            row["characters_per_second"] / row["baseline_characters_per_second"]
        )
        assert row["peak_memory_bytes"] > 1e7
    assert (first["what"], first["characters"], thousand["characters"]) == ("cold start", 1, 1000)
    assert first["ratio"] == pytest.approx(first["baseline_seconds"] / first["seconds"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "transformer"), "--model transformer: must be one of rnn, "),
        (("--hidden-size", "0"), "--hidden-size 0"),
        (("--vocabulary-size", "0"), "--vocabulary-size 0: must be"),
        (("--threads", "0"), "--threads 0: must be"),
        (("--repetitions", "0"), "--repetitions 0: must be"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(arguments: tuple[str, str], said: str) -> None:
    assert_error(charrnn("benchmark", "sampling", *arguments), 2, said, "sampling --help")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Case, dict[str, Any]]]:
    """The cases that the command has measured, and how; nothing is computed."""
    asked = []
    seconds = {
        Place(ONE_STREAM, 1): 0.0032,
        Place(ONE_STREAM, 2): 0.0064,
        Place(BOUND, 1): 0.0016,
        Place(BOUND, 2): 0.0024,
        Place(TORCH_NN, 1): 0.32,
        Place(TORCH_NN, 2): 0.64,
        Place(BY_HAND, 1): 0.0064,
        Place(BY_HAND, 2): 0.0048,
        Place(MANY, 1): 0.64,
        Place(MANY, 2): 0.64,
        Place(PROMPT, 1): 0.5,
        Place(PROMPT, 2): 0.5,
        Place(SINGLY, 1): 0.01,
    }

    def measure(case: Case, **effort: Any) -> dict[Place, Measured]:
        asked.append((case, effort))
        return {
            place: Measured(
                seconds[place], None, 2 if place.contender == TORCH_NN else effort["repetitions"]
            )
            for place in places(case)
        }

    def start(**effort: Any) -> dict[str | int, Measured]:
        return {
            IMPORT_TORCH: Measured(2.0, None, 7),
            FIRST: Measured(0.25, None, 7),
            THOUSAND: Measured(0.5, None, 7),
        }

    monkeypatch.setattr(sampling_benchmark, "measure", measure)
    monkeypatch.setattr(cold_start, "measure", start)
    return asked


def test_the_table_fits_a_terminal_of_80_columns(
    measured: list[tuple[Case, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    sampling(threads=2)
    shown, said = capsys.readouterr()
    lines = shown.splitlines()
    assert "2 threads, torch 2." in lines[0]
    assert max(map(len, lines[1:])) <= 80
    assert [line for line in lines if line.startswith("H=")] == [
        "H=128 L=2 E=64 V=65",
        "H=512 L=2 E=64 V=65",
    ]
    (gru, *_) = [line.split() for line in lines if line.startswith("gru ")]
    # The fastest of each: torch.nn with one thread, by hand with two, the bound with one.
    assert gru == ["gru", "10.0k", "100", "100.00", "6,667", "1.50", "50%", "50.0k", "5.00", "4.00"]
    assert lines[-3:] == [
        "import torch          2.00 s",
        "first character       0.25 s, 12% of that",
        "1,000 characters      0.50 s, 25% of that",
    ]
    assert "gru 2 x 128: torch.nn takes 0.3 s for 32 characters, so only 2 of 7" in said


def test_a_model_without_a_twin_is_beside_the_bound_alone(
    measured: list[tuple[Case, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    sampling(model=["product"], hidden_size=[128], threads=1)
    (line,) = [s for s in capsys.readouterr().out.splitlines() if s.startswith("product")]
    assert line.split() == ["product", "10.0k", "-", "-", "-", "-", "50%", "50.0k", "5.00", "4.00"]


def test_quick_measures_less_and_says_so(
    measured: list[tuple[Case, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    sampling(quick=True, json=True)
    asked = [(case.model.model, case.model.hidden_size) for case, _ in measured]
    assert asked == [("lstm", 512), ("gru", 512), ("rnn", 512)]
    assert {effort["repetitions"] for _, effort in measured} == {3}
    assert "left out: the size 128; " in capsys.readouterr().err


def test_what_a_cold_start_is_measured_with_is_gone_when_it_is_stopped(tmp_path: Path) -> None:
    done = signalled(
        [("charrnn.cold_start.interleave", 1, signal.SIGTERM)],
        *("benchmark", "sampling", "--hidden-size", "8", "--layers", "1", "--model", "gru"),
        *("--embedding-size", "4", "--vocabulary-size", "9", "--threads", "1"),
        *("--quick", "--repetitions", "1"),
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.splitlines()[-2:] == [
        "charrnn: stopped before it was done",
        "hint: run it again",
    ]
    assert list(tmp_path.iterdir()) == []
