"""What the benchmarks' commands share: how long they measure, and the lines they write."""

from collections.abc import Sequence
from typing import Any

from charrnn import console
from charrnn.errors import UsageError

REPETITIONS, TURN_SECONDS, MOST_SECONDS = 7, 0.5, 10.0
QUICK_REPETITIONS, QUICK_TURN_SECONDS, QUICK_MOST_SECONDS = 3, 0.15, 1.5

WHAT, SHAPE, HOW = "What is measured", "Shapes of your own", "How"
"""The sections of their help pages."""


def check_repetitions(repetitions: int | None) -> None:
    """Raise UsageError for so many as nobody can mean."""
    if repetitions is not None and not 1 <= repetitions <= 1_000:
        raise UsageError(f"--repetitions {repetitions}: must be a whole number from 1 to 1000")


def effort(repetitions: int | None, *, quick: bool) -> dict[str, Any]:
    """What `benchmark.compare` is to be told, by its names."""
    return {
        "repetitions": repetitions or (QUICK_REPETITIONS if quick else REPETITIONS),
        "turn_seconds": QUICK_TURN_SECONDS if quick else TURN_SECONDS,
        "most_seconds": QUICK_MOST_SECONDS if quick else MOST_SECONDS,
    }


def tell_quick(left_out: Sequence[str]) -> None:
    """Say what --quick leaves out, and what it costs."""
    left = f"left out: {' and '.join(left_out)}; " if left_out else ""
    console.notice(f"--quick: {left}turns of {QUICK_TURN_SECONDS} s, so figures scatter more")


def say_machine(threads: int, *more: str) -> None:
    """Write the line that says what all was measured on."""
    from importlib.metadata import version

    from charrnn import machine

    plural = "s" if threads > 1 else ""
    parts = [machine.processor_name(), f"{threads} thread{plural}", f"torch {version('torch')}"]
    console.say(", ".join([*parts, *more]))


def say_cells(cells: Sequence[str], columns: Sequence[tuple[str, int]]) -> None:
    """Write a line of a table: the first cell left, the others right, in columns so wide."""
    (first, *rest), ((_, width), *widths) = cells, columns
    console.say(
        first.ljust(width) + "".join(c.rjust(w) for c, (_, w) in zip(rest, widths, strict=True))
    )


def tell_slow(
    where: str, name: str, seconds: float, unit: str, repetitions: int, wanted: int
) -> None:
    """Say so where a contender was too slow for all its turns."""
    if repetitions < wanted:
        console.notice(
            f"{where}: {name} takes {seconds:.1f} s {unit}, "
            f"so only {repetitions} of {wanted} repetitions"
        )
