"""How far a score can be trusted, and which differences between scores are real."""

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

from charrnn import console

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Scored(NamedTuple):
    """A checkpoint's score on a text, and what its differences from others follow from."""

    row: dict[str, Any]
    """by the names of `--json`"""
    text: str
    """the SHA-256 of the characters that were scored"""
    means: "NDArray[np.float64]"
    """the mean loss of each block of the text"""


def scored(row: dict[str, Any], text: str, characters: int, means: "NDArray[np.float64]") -> Scored:
    """A row with its interval; of the text its SHA-256, characters and blocks' mean losses."""
    from charrnn.intervals import block_length, interval

    limits = interval(means, row["nats_per_char"])
    more = {"interval": limits, "block_length": block_length(characters) if limits else None}
    return Scored(row | more, text, means)


def with_differences(results: list[Scored]) -> list[dict[str, Any]]:
    """The rows, each but the best of those on one text with its difference from that.

    Intervals are of 95% for all pairs on a text together (Bonferroni), because which is the
    best was not known before.
    """
    from charrnn.intervals import CONFIDENCE, interval

    rows = []
    for result in results:
        row, same = result.row, [other for other in results if other.text == result.text]
        best = min(same, key=lambda other: other.row["nats_per_char"])
        if result is not best:
            mean = row["nats_per_char"] - best.row["nats_per_char"]
            pairs = len(same) * (len(same) - 1) // 2
            limits = interval(result.means - best.means, mean, 1 - (1 - CONFIDENCE) / pairs)
            row = row | {
                "difference": {
                    "best": best.row["checkpoint"],
                    "nats_per_char": mean,
                    "interval": limits,
                    "real": None if limits is None else limits[0] > 0,
                }
            }
        rows.append(row)
    return rows


def from_best_baseline(
    result: Scored, baselines: list[dict[str, Any]], means: "dict[str, NDArray[np.float64]]"
) -> dict[str, Any] | None:
    """How a model differs from the best of its baselines; None where none was measured.

    `means` are of each baseline's blocks, where they can be told: then the interval is of the
    difference, of 95% for all baselines together (Bonferroni), since which is the best was
    not known before. Of the others it is how far the model's own interval lies from them.
    """
    from charrnn.intervals import CONFIDENCE, interval

    measured = [each for each in baselines if "nats_per_char" in each]
    if not measured:
        return None
    best = min(measured, key=lambda each: float(each["nats_per_char"]))
    mean = result.row["nats_per_char"] - best["nats_per_char"]
    own, limits = result.row["interval"], None
    paired = best["name"] in means
    if paired:
        confidence = 1 - (1 - CONFIDENCE) / len(measured)
        limits = interval(result.means - means[best["name"]], mean, confidence)
    elif own:
        limits = (own[0] - best["nats_per_char"], own[1] - best["nats_per_char"])
    return {
        "best": best["name"],
        "nats_per_char": mean,
        "interval": limits,
        "paired": paired,
        "real": None if limits is None else not limits[0] <= 0 <= limits[1],
    }


def margin(value: float, limits: tuple[float, float] | None) -> str:
    """A mean loss with half its interval's width, as 1.4520 ± 0.0230."""
    half = f" ± {console.figure((limits[1] - limits[0]) / 2, 4)}" if limits else ""
    return console.figure(value, 4) + half


def named(rows: list[dict[str, Any]]) -> dict[str, str]:
    """What to call each row's checkpoint: its run, and its step where a run has several."""
    several = len({row["run"] for row in rows}) < len(rows)
    return {
        row["checkpoint"]: row["run"] + (f" at step {row['step']:,}" if several else "")
        for row in rows
    }


def sentences(rows: list[dict[str, Any]]) -> list[str]:
    """What `with_differences` found, in plain words, for a person."""
    names = named(rows)
    behind = [row for row in rows if "difference" in row]
    behind.sort(key=lambda row: (row["difference"]["best"], row["nats_per_char"]))
    found = [f"Protocol: {how}." for how in dict.fromkeys(row["protocol"] for row in rows)]
    if any(row["interval"] for row in rows):
        found[-1] += " ± is half the width of a 95% interval."
    for best, group in itertools.groupby(behind, lambda row: str(row["difference"]["best"])):
        told = [(row["difference"], names[row["checkpoint"]]) for row in group]
        kinds: dict[bool | None, list[str]] = {True: [], False: [], None: []}
        for difference, name in told:
            by = margin(difference["nats_per_char"], difference["interval"])
            kinds[difference["real"]].append(f"{name} (by {by})")
        for real, listed in kinds.items():
            if listed:
                found.append(_WORDS[real].format(best=names[best], others=", ".join(listed)))
    if len(rows) - len(behind) > 1:
        found.append("These are scores on different texts: only those on one text compare.")
    return found


_WORDS = {
    True: "Really worse than {best} on this text, in nats/char: {others}.",
    False: "Worse than {best}, but it may be chance: {others}.",
    None: "Worse than {best}, on a text too short to say whether by chance: {others}.",
}
