"""Training, measured: cases, who is measured, and rows."""

from collections.abc import Mapping
from typing import Any

import pytest

from charrnn import benchmark, training_benchmark
from charrnn.benchmark import Entrant, Measured
from charrnn.errors import UsageError
from charrnn.settings import MODELS, ModelSettings, TrainingSettings
from charrnn.training_benchmark import Case, cases, rows
from charrnn.training_contenders import BF16, CEILING, CHARRNN, FP32

TINY = Case(
    ModelSettings(model="gru", embedding_size=3, hidden_size=4, layers=2),
    TrainingSettings(seq_length=5, batch_size=2),
    vocabulary_size=7,
)


def test_rows_are_measurements_by_their_names() -> None:
    measured = {
        CHARRNN: Measured(0.001, 500, 3),
        FP32: Measured(0.002, 600, 3),
        BF16: Measured(0.004, 700, 3),
        CEILING: Measured(0.00025, 800, 3),
    }
    first, second = rows(TINY, measured)
    shared = {
        "what": "training",
        "model": "gru",
        "hidden_size": 4,
        "layers": 2,
        "embedding_size": 3,
        "seq_length": 5,
        "batch_size": 2,
        "precision": "fp32",
        "characters_per_second": pytest.approx(10_000),
        "ceiling_fraction": 0.25,
        "peak_memory_bytes": 500,
        "threads": 1,
    }
    assert first == shared | {
        "baseline": "torch.nn fp32",
        "baseline_characters_per_second": pytest.approx(5_000),
        "ratio": 2.0,
        "baseline_peak_memory_bytes": 600,
    }
    assert second == shared | {
        "baseline": "torch.nn bf16 autocast",
        "ratio": 4.0,
        "baseline_characters_per_second": pytest.approx(2_500),
        "baseline_peak_memory_bytes": 700,
    }


def test_a_model_without_a_twin_has_a_row_without_a_baseline() -> None:
    measured = {CHARRNN: Measured(0.001, 500, 3), CEILING: Measured(0.00025, None, 3)}
    (row,) = rows(TINY, measured)
    assert row["ceiling_fraction"] == 0.25
    assert [name for name, value in row.items() if value is None] == [
        *("baseline", "baseline_characters_per_second", "ratio", "baseline_peak_memory_bytes")
    ]


def test_every_model_is_measured_at_every_size() -> None:
    found = cases(threads=2)
    sizes = [
        (case.model.hidden_size, case.training.seq_length, case.training.batch_size)
        for case in found
        if case.model.model == "gru"
    ]
    assert sizes == [(128, 50, 50), (256, 64, 64), (512, 128, 64)]
    assert [case.model.model for case in found] == [*MODELS] * 3
    assert {(c.model.layers, c.model.embedding_size, c.vocabulary_size) for c in found} == {
        (2, 64, 65)
    }


def test_shapes_of_ones_own_leave_the_others_as_they_are() -> None:
    (case,) = cases(models=["rnn", "rnn"], hidden_sizes=[128], seq_length=9, layers=1)
    assert (case.training.seq_length, case.training.batch_size, case.model.layers) == (9, 50, 1)
    (case,) = cases(models=["rnn"], hidden_sizes=[384], batch_size=3, vocabulary_size=8_000)
    assert (case.training.seq_length, case.training.batch_size) == (64, 3)
    assert case.vocabulary_size == 8_000


@pytest.mark.parametrize(
    ("flag", "given"),
    [
        ("--model", {"models": ["transformer"]}),
        ("--hidden-size", {"hidden_sizes": [0]}),
        ("--layers", {"layers": 0}),
        ("--seq-length", {"seq_length": 0}),
        ("--batch-size", {"batch_size": -1}),
        ("--vocabulary-size", {"vocabulary_size": 0}),
        ("--precision", {"precision": "fp8"}),
        ("--threads", {"threads": 0}),
    ],
)
def test_what_cannot_be_measured_is_wrong_usage(flag: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=flag):
        cases(**given)


def test_contenders_of_a_case_are_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def compare(entrants: Mapping[str, Entrant], **effort: Any) -> dict[str, Measured]:
        assert all(who.task["contender"] == name for name, who in entrants.items())
        return {name: Measured(0.1, None, effort["repetitions"]) for name in entrants}

    monkeypatch.setattr(benchmark, "compare", compare)
    effort: dict[str, Any] = {"repetitions": 2, "turn_seconds": 0.1, "most_seconds": 1.0}
    measured = training_benchmark.measure(TINY, **effort)
    assert [*measured] == [CHARRNN, FP32, BF16, CEILING]
    assert {each.repetitions for each in measured.values()} == {2}
    monkeypatch.setattr(training_benchmark, "TWINS", {})
    assert [*training_benchmark.measure(TINY, **effort)] == [CHARRNN, CEILING]
