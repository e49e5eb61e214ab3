"""Training, measured: the models and sizes, and the rows that compare the contenders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from charrnn import benchmark, planning, training_contenders
from charrnn.benchmark import Entrant, Measured
from charrnn.errors import UsageError
from charrnn.settings import MODELS, ModelSettings, TrainingSettings, to_json
from charrnn.training_contenders import BF16, CEILING, CHARRNN, FP32
from charrnn.twins import TWINS

SIZES = {128: (50, 50), 256: (64, 64), 512: (128, 64)}
"""The sizes that are measured: by H, the T and B of it."""

OWN_SIZE = (64, 64)
"""T and B of any other H."""


@dataclass(frozen=True)
class Case:
    """One model at one size: what all contenders compute alike."""

    model: ModelSettings
    training: TrainingSettings
    vocabulary_size: int
    """V"""


def cases(
    *,
    models: Sequence[str] = (),
    hidden_sizes: Sequence[int] = (),
    layers: int = 2,
    embedding_size: int = 64,
    seq_length: int | None = None,
    batch_size: int | None = None,
    vocabulary_size: int = 65,
    precision: str = "fp32",
    threads: int = 1,
) -> list[Case]:
    """Each model at each size; all of them where none is named, and T and B by H.

    `precision` is auto where the processor multiplies bf16 and it may be what pays.

    Raises UsageError for values no model or training can have.
    """
    if not 1 <= vocabulary_size <= 1_000_000:
        raise UsageError(f"--vocabulary-size {vocabulary_size}: must be from 1 to 1,000,000")
    found = []
    for size in dict.fromkeys(hidden_sizes or SIZES):
        length, streams = SIZES.get(size, OWN_SIZE)
        training = TrainingSettings(
            seq_length=length if seq_length is None else seq_length,
            batch_size=streams if batch_size is None else batch_size,
            precision="fp32" if precision == "auto" else precision,
            threads=threads,
        )
        for name in dict.fromkeys(models or MODELS):
            model = ModelSettings(
                model=name, embedding_size=embedding_size, hidden_size=size, layers=layers
            )
            if precision == "auto":
                training = replace(training, precision=planning.precision(model, training))
            found.append(Case(model, training, vocabulary_size))
    return found


def measure(
    case: Case,
    *,
    repetitions: int,
    turn_seconds: float,
    most_seconds: float,
    progressed: Callable[[int], object] = lambda _: None,
) -> dict[str, Measured]:
    """Measure every contender that there is for a case, in one go; times as `interleave`.

    Raises CharrnnError where a contender's process ends.
    """
    names = [CHARRNN, *([FP32, BF16] if case.model.model in TWINS else []), CEILING]
    return benchmark.compare(
        {name: entrant(name, case) for name in names},
        repetitions=repetitions,
        turn_seconds=turn_seconds,
        most_seconds=most_seconds,
        progressed=progressed,
    )


def entrant(name: str, case: Case) -> Entrant:
    """A contender by its name."""
    return Entrant(
        name,
        training_contenders.__name__,
        {
            "contender": name,
            "model": to_json(case.model),
            "training": to_json(case.training),
            "vocabulary_size": case.vocabulary_size,
        },
        hint="if memory ran out, try a smaller --batch-size or --hidden-size",
    )


def rows(case: Case, measured: Mapping[str, Measured]) -> list[dict[str, Any]]:
    """What was measured by the names of `--json`, a row for each baseline.

    Where there is no baseline, one row in which it is null.
    """
    characters = case.training.seq_length * case.training.batch_size
    own = measured[CHARRNN]
    baselines: list[str | None] = [name for name in (FP32, BF16) if name in measured]
    found = []
    for name in baselines or [None]:
        baseline = measured[name] if name else None
        found.append(
            {
                "what": "training",
                "model": case.model.model,
                "hidden_size": case.model.hidden_size,
                "layers": case.model.layers,
                "embedding_size": case.model.embedding_size,
                "seq_length": case.training.seq_length,
                "batch_size": case.training.batch_size,
                "precision": case.training.precision,
                "characters_per_second": characters / own.step_seconds,
                "baseline": name,
                "baseline_characters_per_second": baseline and characters / baseline.step_seconds,
                "ratio": baseline and baseline.step_seconds / own.step_seconds,
                "ceiling_fraction": measured[CEILING].step_seconds / own.step_seconds,
                "peak_memory_bytes": own.peak_memory_bytes,
                "baseline_peak_memory_bytes": baseline and baseline.peak_memory_bytes,
                "threads": case.training.threads,
            }
        )
    return found
