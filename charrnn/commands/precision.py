"""The precision of the products that `charrnn evaluate` scores with, and what it changes."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from charrnn.errors import UsageError

if TYPE_CHECKING:
    from charrnn.scores import Score
    from charrnn.settings import ModelSettings

COMPARED = 2**16
"""About how many characters are scored both ways, spread over the text."""


def check(wanted: str) -> None:
    """Raise UsageError for what is no precision."""
    from charrnn.settings import PRECISIONS

    if wanted not in ("auto", *PRECISIONS):
        known = ", ".join(("auto", *PRECISIONS))
        raise UsageError(f"--precision {wanted}: must be one of {known}")


def choose(wanted: str, model: "ModelSettings", threads: int) -> str:
    """What `--precision` means for a model here: auto is bf16 where that is faster."""
    from charrnn import machine, planning
    from charrnn.evaluation import STRETCHES
    from charrnn.settings import TrainingSettings

    if wanted != "auto":
        return wanted
    if not machine.multiplies_bf16("cpu"):
        return "fp32"
    return planning.precision(model, TrainingSettings(batch_size=STRETCHES, threads=threads))


def difference(precision: str, scored: "Callable[..., Score]") -> dict[str, Any]:
    """What a precision changes in nats per character, by the names of `--json`.

    `scored` gives the score of a part of the text; None where there is nothing to compare.
    """
    changed = None
    if precision != "fp32":
        pair = [scored(precision=each, most=COMPARED) for each in (precision, "fp32")]
        changed = pair[0].nats_per_char - pair[1].nats_per_char
    return {"precision": precision, "precision_difference": changed}


def words(row: dict[str, Any]) -> str:
    """The same for a person."""
    if row["precision_difference"] is None:
        return str(row["precision"])
    return (
        f"{row['precision']}  ({row['precision_difference']:+.5f} nats/char against fp32, on "
        "a part of the text)"
    )
