"""charrnn corpus fetch: the field's standard texts, and how the field scores them."""

import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn import console
from charrnn.commands.options import CORPORA, Directory, Json
from charrnn.errors import StoppedError

if TYPE_CHECKING:
    from charrnn.catalogue import StandardText
    from charrnn.fetch import Fetched


def fetch(
    name: Annotated[
        str | None, typer.Argument(help="Which one (default: list them).", show_default=False)
    ] = None,
    directory: Directory = CORPORA,
    json: Json = False,
) -> None:
    """Download one of the field's standard texts to corpora/, or list them.

    \b
    Examples:
      charrnn corpus fetch
      charrnn corpus fetch tinyshakespeare
      charrnn corpus fetch enwik8 --directory /data/texts --json

    What is downloaded is held to a SHA-256; a text that is there already is not downloaded
    again. Then it is said how the field splits it, and what has been published on it.
    """
    from charrnn.catalogue import CATALOGUE, find

    if name is None:
        _list(CATALOGUE, directory, json)
        return
    text = find(name)
    fetched = _fetched(text, directory)
    if json:
        console.say_json(_row(text, directory) | _found(fetched))
        return
    for line in _lines(text, fetched):
        console.notice(line)
    console.say(str(fetched.path))


def _fetched(text: "StandardText", directory: Path) -> "Fetched":
    from charrnn import fetch
    from charrnn.signals import unwinding

    with console.progress(text.download_size, "B") as bar:

        def told(line: str) -> None:
            bar.clear()
            console.notice(line)

        try:
            with unwinding():
                return fetch.fetch(text, directory, received=bar.update, told=told)
        except KeyboardInterrupt:
            raise StoppedError(
                signal.SIGINT, "stopped before it was done", "nothing of it is kept: run it again"
            ) from None


def _list(texts: "tuple[StandardText, ...]", directory: Path, json: bool) -> None:
    rows = [_row(text, directory) for text in texts]
    if json:
        for row in rows:
            console.say_json(row)
        return
    console.show_table(
        ["text", "bytes", "here", "licence", "what it is"],
        [
            [
                text.name,
                console.number(text.size),
                "yes" if row["here"] else "no",
                text.licence,
                text.title,
            ]
            for text, row in zip(texts, rows, strict=True)
        ],
    )


def _row(text: "StandardText", directory: Path) -> dict[str, Any]:
    """What is known of a text, for `--json`."""
    from charrnn.fetch import text_path

    path, protocol = text_path(text, directory), text.protocol
    return {
        "name": text.name,
        "title": text.title,
        "address": text.address,
        "licence": text.licence,
        "bytes": text.size,
        "sha256": text.sha256,
        "path": str(path),
        "here": path.exists(),
        "protocol": protocol
        and {
            "encoding": protocol.encoding,
            "val_fraction": protocol.val_fraction,
            "test_fraction": protocol.test_fraction,
            "scored": protocol.scored,
            "unit": protocol.unit,
            "published": [each._asdict() for each in protocol.published],
        },
        "commands": _commands(text, path),
    }


def _found(fetched: "Fetched") -> dict[str, Any]:
    return {
        "bytes": fetched.bytes,
        "sha256": fetched.sha256,
        "held_to": fetched.proof,
        "downloaded": fetched.downloaded,
        "here": True,
    }


def _commands(text: "StandardText", path: Path) -> list[str]:
    """What makes a model of a text, and scores it, as the field does."""
    if text.protocol is None:
        return [shlex.join(["charrnn", "train", str(path)])]
    scored, published = text.protocol.scored, text.protocol.published
    window = published[-1].window if published else None
    return [
        shlex.join(["charrnn", "train", str(path), *text.protocol.flags]),
        "charrnn evaluate"
        + ("" if scored == "val" else f" --split {scored}")
        + ("" if window is None else f" --cold-windows {window}"),
    ]


def _lines(text: "StandardText", fetched: "Fetched") -> Iterator[str]:
    """What to tell of a text that is there."""
    from charrnn.fetch import record_path

    record = record_path(text, fetched.path.parent)
    proof = {
        "catalogue": "its SHA-256 is the right one",
        "record": "the text that was downloaded first",
        "none": f"its right SHA-256 is not known for certain; that of this download is kept in "
        f"{record}, and later ones are held to it",
    }[fetched.proof]
    here = "downloaded" if fetched.downloaded else "here already"
    yield f"{text.title}: {fetched.bytes:,} bytes, {text.licence}, {here}, {proof}"
    if text.protocol is None:
        yield f"the field has no split of its own for it: {_commands(text, fetched.path)[0]}"
        return
    yield "as the field splits and scores it:"
    for command in _commands(text, fetched.path):
        yield f"  {command}"
    for each in text.protocol.published:
        where = each.source + (f", cold windows of {each.window}" if each.window else "")
        score = f"{each.score:g} {text.protocol.unit}"
        yield f"  {score}  {each.model} ({each.who}, {where})"
