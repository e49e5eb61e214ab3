"""Sampling, measured: the models and sizes, and the rows that compare the contenders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from charrnn import benchmark, sampling_contenders
from charrnn.benchmark import Entrant, Measured
from charrnn.errors import UsageError
from charrnn.sampling_contenders import (
    BOUND,
    BY_HAND,
    CHARACTERS,
    MANY,
    ONE_STREAM,
    PROMPT,
    SINGLY,
    TORCH_NN,
    TWINS,
)
from charrnn.settings import ModelSettings, to_json

SIZES = (128, 512)
MODELS = ("lstm", "gru", "rnn")

BASELINES = {ONE_STREAM: (TORCH_NN, BY_HAND, BOUND), MANY: (ONE_STREAM,), PROMPT: (SINGLY,)}
"""What is compared, and with what."""


@dataclass(frozen=True)
class Case:
    """One model at one size: what all contenders compute alike."""

    model: ModelSettings
    vocabulary_size: int
    """V"""
    threads: int
    """as many as a contender may use"""


class Place(NamedTuple):
    """A contender with so many threads."""

    contender: str
    threads: int


def cases(
    *,
    models: Sequence[str] = (),
    hidden_sizes: Sequence[int] = (),
    layers: int = 2,
    embedding_size: int = 64,
    vocabulary_size: int = 65,
    threads: int = 1,
) -> list[Case]:
    """Each model at each size; those of MODELS and SIZES where none is named.

    Raises UsageError for values no model can have.
    """
    if not 1 <= vocabulary_size <= 1_000_000:
        raise UsageError(f"--vocabulary-size {vocabulary_size}: must be from 1 to 1,000,000")
    if not 1 <= threads <= 4_096:
        raise UsageError(f"--threads {threads}: must be a whole number from 1 to 4096")
    return [
        Case(ModelSettings(name, "tanh", embedding_size, size, layers), vocabulary_size, threads)
        for size in dict.fromkeys(hidden_sizes or SIZES)
        for name in dict.fromkeys(models or MODELS)
    ]


def places(case: Case) -> list[Place]:
    """Who takes part: those that can have threads with one and with all of them."""
    rivals = [TORCH_NN, BY_HAND, BOUND] if case.model.model in TWINS else [BOUND]
    return [
        Place(ONE_STREAM, 1),
        *(Place(rival, n) for rival in rivals for n in sorted({1, case.threads})),
        *(Place(MANY, case.threads), Place(PROMPT, case.threads), Place(SINGLY, 1)),
    ]


def measure(
    case: Case,
    *,
    repetitions: int,
    turn_seconds: float,
    most_seconds: float,
    progressed: Callable[[int], object] = lambda _: None,
) -> dict[Place, Measured]:
    """Measure every contender that there is for a case, in one go; times as `interleave`.

    Raises CharrnnError where a contender's process ends.
    """
    return benchmark.compare(
        {place: entrant(place, case) for place in places(case)},
        repetitions=repetitions,
        turn_seconds=turn_seconds,
        most_seconds=most_seconds,
        progressed=progressed,
    )


def entrant(place: Place, case: Case) -> Entrant:
    """The contender of a place."""
    return Entrant(
        place.contender,
        sampling_contenders.__name__,
        {
            "contender": place.contender,
            "model": to_json(case.model),
            "vocabulary_size": case.vocabulary_size,
            "threads": place.threads,
        },
        # NumPy's products ask for it as they are loaded; torch's never look. charrnn has one
        # thread for each of them, so that they are always the same.
        {"OPENBLAS_NUM_THREADS": str(place.threads if place.contender == BOUND else 1)},
    )


def rows(case: Case, measured: Mapping[Place, Measured]) -> list[dict[str, Any]]:
    """What was measured by the names of `--json`: a row for each baseline with its threads."""

    def rate(place: Place) -> float:
        return CHARACTERS[place.contender] / measured[place].step_seconds

    return [
        {
            "what": "sampling",
            "contender": own.contender,
            "model": case.model.model,
            "hidden_size": case.model.hidden_size,
            "layers": case.model.layers,
            "embedding_size": case.model.embedding_size,
            "vocabulary_size": case.vocabulary_size,
            "characters_per_second": rate(own),
            "baseline": baseline.contender,
            "baseline_characters_per_second": rate(baseline),
            "ratio": rate(own) / rate(baseline),
            "peak_memory_bytes": measured[own].peak_memory_bytes,
            "baseline_peak_memory_bytes": measured[baseline].peak_memory_bytes,
            "threads": own.threads,
            "baseline_threads": baseline.threads,
        }
        for own in measured
        for baseline in measured
        if baseline.contender in BASELINES.get(own.contender, ())
    ]
