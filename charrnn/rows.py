"""What the rows of `charrnn evaluate --json` are called where a person reads them."""

from collections.abc import Iterable, Sequence
from typing import Any

_PARTS = {"val": "the held-out part", "test": "the test part", "train": "the training part"}


def by_text(rows: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The rows, those of models that were scored on one text together."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        text = repr([row["split"], row["characters"], row.get("baselines")])
        groups.setdefault(text, []).append(row)
    return list(groups.values())


def scored_on(row: dict[str, Any]) -> str:
    """The text of a row, and how long it is."""
    what = _PARTS.get(row["split"], row["split"])
    return f"{what}, {row['characters']:,.0f} characters"


def model(row: dict[str, Any], others: Sequence[dict[str, Any]]) -> str:
    """A model's name among those of other rows; with the step where its run has several."""
    same = sum(other["run"] == row["run"] for other in others)
    return f"{row['run']} at {row['step']:,}" if same > 1 else str(row["run"])


def baseline(row: dict[str, Any]) -> str:
    """A baseline's name in a table."""
    titles = {
        "ngram": f"{row.get('order')}-gram, Kneser-Ney",
        "ppmd": f"PPMd, order {row.get('order')}",
        "xz": "xz -9e",
        "bz2": "bz2 -9",
    }
    return titles.get(row["name"], str(row["name"]))


def learned_from(row: dict[str, Any]) -> str:
    """How much of the training part a baseline learned from that was cut."""
    training = f"{row['training_bytes']:,} bytes of the training part"
    read = row["read_bytes"]
    return f"the last {read:,} of {training}" if read else f"none of the {training}"
