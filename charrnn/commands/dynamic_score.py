"""`charrnn evaluate --dynamic`: how well a model does that goes on learning as it reads."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn import console
from charrnn.commands.differences import margin, named

if TYPE_CHECKING:
    from charrnn.checkpoints import ModelRecord
    from charrnn.heldout import HeldOut
    from charrnn.model import CharacterModel


def measured(
    checkpoint: Path,
    record: "ModelRecord",
    model: "CharacterModel",
    held_out: "HeldOut",
    escape: float,
    corpus: Sequence[Path] | None,
    quiet: bool,
) -> dict[str, Any]:
    """The dynamic score of a text, by the names of `--json`.

    `escape` is as in `dynamic.score`. Where there is no score, the `reason` is there.
    """
    import numpy as np

    from charrnn import dynamic, heldout
    from charrnn.errors import CharrnnError
    from charrnn.intervals import block_length, block_means, interval
    from charrnn.tuning import tune
    from charrnn.workers import prepare

    vocabulary = record.vocabulary
    prepare(1)  # a window of one stream is too small for more
    try:
        training = heldout.split_text(checkpoint, record, "train", corpus).ids
        if not quiet:
            console.notice("choosing how to go on learning, on the end of the training part")
        with console.progress(0, "char", quiet=quiet) as bar:
            tuned = tune(model, training, start=vocabulary.start, read=bar.update)
    except CharrnnError as error:
        return {"reason": f"it needs the training part: {error.message}"}
    ids, losses = held_out.ids, np.zeros(len(held_out.ids), dtype=np.float32)
    with console.progress(len(ids), "char", quiet=quiet) as bar:
        score = dynamic.score(
            model,
            ids,
            tuned.sizes,
            tuned.learning,
            start=vocabulary.start,
            byte_count=held_out.bytes,
            escape=escape,
            rare=vocabulary.rare,
            losses=losses,
            scored=bar.update,
        )
    if not math.isfinite(score.nats):
        return {"reason": "it learned too fast for this text: a loss is no number"}
    limits = interval(block_means(losses), score.nats_per_char)
    return {
        **score.to_json(),
        "interval": limits,
        "block_length": block_length(len(ids)) if limits else None,
        "settings": vars(tuned.learning),
        "chosen_on": {"split": "train", "last_characters": tuned.characters},
    }


def facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    """A row's dynamic score for a person; nothing where none was asked for."""
    found = row.get("dynamic")
    if found is None:
        return []
    if "reason" in found:
        return [("dynamic", f"not measured: {found['reason']}")]
    settings = found["settings"]
    return [
        ("dynamic", f"{_margin(found)}  (it goes on learning as it reads: no static score)"),
        (
            "learning",
            f"rate {settings['rate']:g}, decay {settings['decay']:g}, windows of "
            f"{settings['window']}, chosen on the training part",
        ),
    ]


def sentences(rows: list[dict[str, Any]]) -> list[str]:
    """The same of several rows, in plain words."""
    names = named(rows)
    found = [(names[row["checkpoint"]], row["dynamic"]) for row in rows if "dynamic" in row]
    scores = [f"{name} {_margin(each)}" for name, each in found if "reason" not in each]
    told = []
    if scores:
        told.append(
            "Dynamic, in nats/char, of models that go on learning as they read (no static "
            f"scores): {', '.join(scores)}."
        )
    for name, each in found:
        if "reason" in each:
            told.append(f"No dynamic score of {name}: {each['reason']}.")
    return told


def _margin(found: dict[str, Any]) -> str:
    return margin(found["nats_per_char"], found["interval"])
