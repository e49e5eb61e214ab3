"""`charrnn evaluate --context`: how far back a model looks, as a table."""

from typing import TYPE_CHECKING, Any

from charrnn import console
from charrnn.commands.differences import margin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from charrnn.model import CharacterModel
    from charrnn.stored import Ids


def measured(
    model: "CharacterModel",
    ids: "Ids",
    losses: "NDArray[np.float32]",
    escape: float,
    rare: int | None,
    threads: int,
    quiet: bool,
) -> dict[str, Any]:
    """The context curve of a text, ids (N,), by the names of `--json`.

    `losses` (N,) are those with all the context; `escape` and `rare` are as in `context.curve`.
    """
    import contextlib

    from charrnn import context
    from charrnn.workers import Workers

    count = context.reading(len(losses), model.parameter_count)
    with (
        contextlib.closing(Workers(threads)) as workers,
        console.progress(count, "char", quiet=quiet) as bar,
    ):
        curve = context.curve(
            model, ids, losses, escape=escape, rare=rare, read=bar.update, workers=workers
        )
    return curve.to_json()


def show(found: dict[str, Any], name: str) -> None:
    """Draw the context curve of a model of that name, and say what it means."""
    if not found["curve"]:
        console.say_wrapped(f"The text is too short to see how far back {name} looks.")
        return
    most = found["curve"][0]["cost"]
    rows = [
        [
            f"{each['characters']}",
            console.figure(each["nats_per_char"], 4),
            margin(each["cost"], each["interval"]),
            f"{1 - each['cost'] / most:.1%}" if most > 0 else "",
        ]
        for each in found["curve"]
    ]
    rows.append(["all", console.figure(found["nats_per_char"], 4), "", "100.0%"])
    console.show_table(["characters read", "nats/char", "more than with all", "of the way"], rows)
    console.say_wrapped(console.one_line(_sentence(found, name)))


def _sentence(found: dict[str, Any], name: str) -> str:
    from charrnn.context import LITTLE

    where = f"Measured at {found['places']:,} places in the text."
    if found["reach"] is None:
        farthest = found["curve"][-1]["characters"]
        return f"{name} uses more than the last {farthest} characters. {where}"
    return (
        f"{name} uses about the last {found['reach']} characters: reading what stands before "
        f"them gains less than {LITTLE:g} nats/char. {where}"
    )
