"""charrnn benchmark training, end to end: rows as they come, the table, what is left out."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import COMMAND, charrnn
from test_cli import assert_error

from charrnn import machine, training_benchmark
from charrnn.benchmark import Measured
from charrnn.commands.benchmark_training import training
from charrnn.training_benchmark import Case
from charrnn.training_contenders import BF16, CEILING, CHARRNN, FP32
from charrnn.twins import TWINS

KEYS = [
    *("what", "model", "hidden_size", "layers", "embedding_size", "seq_length", "batch_size"),
    *("precision", "characters_per_second", "baseline", "baseline_characters_per_second"),
    *("ratio", "ceiling_fraction", "peak_memory_bytes", "baseline_peak_memory_bytes", "threads"),
]
TINY = (
    *("--hidden-size", "8", "--layers", "1", "--embedding-size", "4", "--seq-length", "6"),
    *("--batch-size", "3", "--threads", "1", "--quick", "--repetitions", "1"),
)


@pytest.fixture(scope="module")
def interrupted() -> Iterator[tuple[list[dict[str, Any]], int, str, str]]:
    """The rows of a first model, then, after Ctrl-C: exit code, the rest of stdout, stderr."""
    with subprocess.Popen(
        [COMMAND, "benchmark", "training", *TINY, "--model", "gru", "--model", "lstm", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            rows = [json.loads(process.stdout.readline()) for _ in range(2)]
            os.killpg(process.pid, signal.SIGINT)  # a terminal tells the whole group
            rest, said = process.communicate(timeout=60)
            yield rows, process.returncode, rest, said
        finally:
            process.kill()


def test_json_is_an_object_for_each_baseline(interrupted: Any) -> None:
    rows, *_ = interrupted
    for row in rows:
        assert list(row) == KEYS
        assert (row["what"], row["model"], row["precision"]) == (
            *("training", "gru"),
            "fp32",  # so small a product is not for bf16, whatever the processor
        )
        shape = ("hidden_size", "layers", "embedding_size", "seq_length", "batch_size", "threads")
        assert [row[name] for name in shape] == [8, 1, 4, 6, 3, 1]
        assert row["ratio"] == pytest.approx(
            row["characters_per_second"] / row["baseline_characters_per_second"]
        )
        assert 0 < row["ceiling_fraction"] < 1
        assert row["peak_memory_bytes"] > 1e8
        assert row["baseline_peak_memory_bytes"] > 1e8
    assert [row["baseline"] for row in rows] == ["torch.nn fp32", "torch.nn bf16 autocast"]
    assert rows[0]["characters_per_second"] == rows[1]["characters_per_second"]


def test_ctrl_c_ends_quietly_with_what_was_measured(interrupted: Any) -> None:
    _, code, rest, said = interrupted
    assert (code, rest) == (130, "")
    assert said.splitlines() == ["--quick: turns of 0.15 s, so figures scatter more"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "transformer"), "--model transformer: must be one of rnn, "),
        (("--hidden-size", "0"), "--hidden-size 0"),
        (("--repetitions", "0"), "--repetitions 0: must be"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(arguments: tuple[str, str], said: str) -> None:
    assert_error(charrnn("benchmark", "training", *arguments), 2, said, "training --help")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Case, dict[str, Any]]]:
    """The cases that the command has measured, and how; nothing is computed."""
    asked = []

    def measure(case: Case, **effort: Any) -> dict[str, Measured]:
        asked.append((case, effort))
        baselines = {
            FP32: Measured(0.123, 1_234_567_890, effort["repetitions"]),
            BF16: Measured(4.56, 2_345_678_901, 2),
        }
        return {
            CHARRNN: Measured(0.0123, 1_123_456_789, effort["repetitions"]),
            **(baselines if case.model.model in TWINS else {}),
            CEILING: Measured(0.012, 1, effort["repetitions"]),
        }

    monkeypatch.setattr(training_benchmark, "measure", measure)
    return asked


def test_the_table_fits_a_terminal_of_80_columns(
    measured: list[tuple[Case, dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "multiplies_bf16", lambda _: False)
    training(threads=2)
    shown, said = capsys.readouterr()
    lines = shown.splitlines()
    assert "2 threads, torch 2." in lines[0]
    assert "charrnn in " in lines[0]
    assert max(map(len, lines[1:])) <= 80
    assert [line for line in lines if line.startswith("H=")] == [
        "H=128 L=2 T=50 B=50 E=64 V=65 fp32",
        "H=256 L=2 T=64 B=64 E=64 V=65 fp32",
        "H=512 L=2 T=128 B=64 E=64 V=65 fp32",
    ]
    (gru, *_) = [line.split() for line in lines if line.startswith("gru ")]
    assert gru == ["gru", "203k", "20.3k", "10.00", "548", "370.73", "98%", "1123", "1235"]
    assert "torch.nn bf16 autocast takes 4.6 s a step, so only 2 of 7 repetitions" in said


def test_the_heading_says_which_precision_was_chosen(
    measured: list[tuple[Case, dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine with bf16 it is not the same for all models of a size."""
    monkeypatch.setattr(machine, "multiplies_bf16", lambda _: True)
    training(model=["rnn", "gru"], hidden_size=[256], threads=2)
    heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith("H=")]
    assert [head.split()[-1] for head in heads] == ["fp32", "bf16"]


def test_a_model_without_a_twin_stands_alone(
    measured: list[tuple[Case, dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(TWINS, "gru")
    training(model=["gru"], hidden_size=[128], threads=1)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.split() == ["gru", "203k", "-", "-", "-", "-", "98%", "1123", "-"]


def test_quick_measures_less_and_says_so(
    measured: list[tuple[Case, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    training(quick=True, json=True)
    asked = [(case.model.model, case.model.hidden_size) for case, _ in measured]
    assert asked == [(name, 256) for name in ("rnn", "lstm", "gru")]
    assert {effort["repetitions"] for _, effort in measured} == {3}
    shown, said = capsys.readouterr()
    assert len([json.loads(line) for line in shown.splitlines()]) == 6
    assert "the models that torch.nn lacks and the sizes 128 and 512" in said
