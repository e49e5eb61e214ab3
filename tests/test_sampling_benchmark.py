"""Sampling, measured: cases, who is measured, and rows."""

from collections.abc import Mapping
from typing import Any

import pytest

from charrnn import benchmark, sampling_benchmark
from charrnn.benchmark import Entrant, Measured
from charrnn.errors import UsageError
from charrnn.sampling_benchmark import Case, Place, cases, places, rows
from charrnn.sampling_contenders import BOUND, BY_HAND, MANY, ONE_STREAM, PROMPT, SINGLY, TORCH_NN
from charrnn.settings import ModelSettings

TINY = Case(ModelSettings("gru", embedding_size=3, hidden_size=4, layers=2), 7, threads=2)


def test_three_models_are_measured_at_two_sizes() -> None:
    found = cases(threads=2)
    assert [(case.model.model, case.model.hidden_size) for case in found] == [
        *(("lstm", 128), ("gru", 128), ("rnn", 128)),
        *(("lstm", 512), ("gru", 512), ("rnn", 512)),
    ]
    assert {(c.model.layers, c.model.embedding_size, c.vocabulary_size) for c in found} == {
        (2, 64, 65)
    }


def test_shapes_of_ones_own() -> None:
    (case,) = cases(
        models=["product", "product"],
        hidden_sizes=[9],
        layers=3,
        embedding_size=5,
        vocabulary_size=8,
    )
    assert case == Case(ModelSettings("product", "tanh", 5, 9, 3), 8, 1)


@pytest.mark.parametrize(
    ("flag", "given"),
    [
        ("--model", {"models": ["transformer"]}),
        ("--hidden-size", {"hidden_sizes": [0]}),
        ("--layers", {"layers": 0}),
        ("--embedding-size", {"embedding_size": 0}),
        ("--vocabulary-size", {"vocabulary_size": 0}),
        ("--threads", {"threads": 0}),
    ],
)
def test_what_cannot_be_measured_is_wrong_usage(flag: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=flag):
        cases(**given)


def test_rivals_take_part_with_one_thread_and_with_all() -> None:
    assert places(TINY) == [
        *(Place(ONE_STREAM, 1), Place(TORCH_NN, 1), Place(TORCH_NN, 2)),
        *(Place(BY_HAND, 1), Place(BY_HAND, 2), Place(BOUND, 1), Place(BOUND, 2)),
        *(Place(MANY, 2), Place(PROMPT, 2), Place(SINGLY, 1)),
    ]
    assert len(places(Case(TINY.model, 7, threads=1))) == 7
    alone = Case(ModelSettings("product"), 7, threads=1)
    found = [ONE_STREAM, BOUND, MANY, PROMPT, SINGLY]
    assert places(alone) == [Place(name, 1) for name in found]


def test_each_is_told_what_to_be_and_numpy_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[Place, Entrant] = {}

    def compare(entrants: Mapping[Place, Entrant], **effort: Any) -> dict[Place, Measured]:
        asked.update(entrants)
        return {place: Measured(0.1, None, effort["repetitions"]) for place in entrants}

    monkeypatch.setattr(benchmark, "compare", compare)
    effort: dict[str, Any] = {"repetitions": 2, "turn_seconds": 0.1, "most_seconds": 1.0}
    assert [*sampling_benchmark.measure(TINY, **effort)] == places(TINY) == [*asked]
    for place, entrant in asked.items():
        assert entrant.task["contender"] == entrant.name == place.contender
        assert entrant.task["threads"] == place.threads
        products = str(place.threads) if place.contender == BOUND else "1"
        assert entrant.environment == {"OPENBLAS_NUM_THREADS": products}


def test_rows_are_measurements_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sampling_benchmark,
        "CHARACTERS",
        {ONE_STREAM: 10, TORCH_NN: 5, BY_HAND: 10, BOUND: 10, MANY: 500},
    )
    measured = {
        Place(ONE_STREAM, 1): Measured(0.001, 500, 3),
        Place(TORCH_NN, 1): Measured(0.002, 600, 3),
        Place(TORCH_NN, 2): Measured(0.004, 700, 3),
        Place(BOUND, 2): Measured(0.0005, 800, 3),
        Place(MANY, 2): Measured(0.01, 900, 3),
    }
    first, second, third, many = rows(TINY, measured)
    shared = {
        "what": "sampling",
        "contender": "charrnn",
        "model": "gru",
        "hidden_size": 4,
        "layers": 2,
        "embedding_size": 3,
        "vocabulary_size": 7,
        "characters_per_second": pytest.approx(10_000),
        "peak_memory_bytes": 500,
        "threads": 1,
    }
    assert first == shared | {
        "baseline": "torch.nn",
        "baseline_characters_per_second": pytest.approx(2_500),
        "ratio": pytest.approx(4.0),
        "baseline_peak_memory_bytes": 600,
        "baseline_threads": 1,
    }
    assert (second["baseline_threads"], second["ratio"]) == (2, pytest.approx(8.0))
    assert (third["baseline"], third["ratio"]) == ("bound", pytest.approx(0.5))
    assert (many["contender"], many["baseline"]) == ("charrnn, 64 streams", "charrnn")
    assert (many["threads"], many["ratio"]) == (2, pytest.approx(5.0))
