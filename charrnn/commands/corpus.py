"""charrnn corpus: texts to train on, looked at before anything is trained."""

from pathlib import Path
from typing import Annotated, Any

import typer

from charrnn import console
from charrnn.commands import train_options
from charrnn.commands.fetch import fetch
from charrnn.commands.options import CORPORA, Command, Directory, Json, help_alone, unescaped
from charrnn.errors import CharrnnError, UnreadableError

app = typer.Typer(rich_markup_mode=None)
app.command(cls=Command)(fetch)

COUNTED = 2**26
"""Bytes up to which the characters of a text are counted in a list."""

Files = Annotated[
    list[Path], typer.Argument(help="Files, also compressed ones; folders; patterns; - is stdin.")
]


@app.callback(invoke_without_command=True)
def corpus(context: typer.Context) -> None:
    """List, examine, build and download texts.

    \b
    Examples:
      charrnn corpus build python-reference
      charrnn corpus fetch tinyshakespeare
      charrnn corpus info hamlet.txt
    """
    help_alone(context)


@app.command("list", cls=Command)
def list_(directory: Directory = CORPORA, json: Json = False) -> None:
    """List the texts in corpora/, and those that can be built.

    \b
    Examples:
      charrnn corpus list
    """
    from charrnn.sources import SOURCES

    rows = [_row(path) for path in sorted(directory.glob("*")) if _is_listed(path)]
    missing = [name for name in SOURCES if not (directory / f"{name}.txt").exists()]
    if json:
        for row in rows:
            console.say_json(row)
        return
    if rows:
        console.show_table(
            ["text", "bytes", "characters", "distinct"],
            [
                [str(row["path"]), *(_figure(row.get(name)) for name in _COLUMNS)]
                if "problem" not in row
                else [str(row["problem"]), "", "", ""]
                for row in rows
            ],
        )
    for name in missing:
        console.notice(f"charrnn corpus build {name} makes {directory / name}.txt")
    console.notice("charrnn corpus fetch lists the standard texts that can be downloaded")


_COLUMNS = ("bytes", "characters", "distinct")


def _is_listed(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _row(path: Path) -> dict[str, Any]:
    """What is listed of a text: its size, and its characters where counting them is quick."""
    from charrnn.census import Counts
    from charrnn.texts import Pieces

    counts, pieces = Counts(), Pieces(path)
    try:
        size = path.stat().st_size
        for piece in pieces:
            if size > COUNTED or pieces.read > COUNTED:
                return {"path": str(path), "bytes": size}
            counts.add(piece)
    except CharrnnError as error:
        return {"path": str(path), "problem": error.message.partition("; ")[0]}
    text = pieces.text
    distinct = int((counts.table() > 0).sum())
    return {
        "path": str(path),
        "bytes": text.bytes,
        "characters": text.characters,
        "distinct": distinct,
    }


def _figure(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


@app.command(cls=Command)
def info(
    files: Files,
    encoding: train_options.Encoding = None,
    newlines: train_options.Newlines = None,
    normalize: train_options.Normalize = None,
    lowercase: train_options.Lowercase = None,
    separator: train_options.DocumentSeparator = None,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Measure how long an epoch takes.")
    ] = True,
    json: Json = False,
) -> None:
    """Say what is in a text, what may be wrong with it, and how long an epoch takes.

    \b
    Examples:
      charrnn corpus info hamlet.txt
      charrnn corpus info books/ --newlines lf --normalize nfc
      charrnn corpus info hamlet.txt --no-measure --json
    """
    from charrnn.commands import corpus_survey
    from charrnn.documents import spooled
    from charrnn.reading import Reading, canonical
    from charrnn.signals import unwinding

    reading = Reading(
        canonical(encoding or "utf-8"), newlines or "keep", normalize or "none", bool(lowercase)
    )
    with unwinding():
        names = [spooled(file) for file in files]
    try:
        found = corpus_survey.look(names, reading, unescaped(separator or ""), quiet=json)
    except UnreadableError as error:
        if not json:
            console.show_facts(error.details)
        raise
    result = corpus_survey.to_json(found)
    if not json:
        console.show_facts(corpus_survey.facts(found, files))
    if measure:
        from charrnn.survey import epoch_seconds

        epoch = epoch_seconds(names, reading)
        result |= {"epoch_seconds": epoch}
        if not json:
            shown = "-" if epoch is None else f"{console.duration(epoch)} with the default settings"
            console.show_facts([("an epoch takes", f"{shown} (measured just now)")])
    if json:
        console.say_json(result)


@app.command(cls=Command)
def build(
    name: Annotated[str, typer.Argument(help="python-reference or python-stdlib.")],
    directory: Directory = CORPORA,
) -> None:
    """Write a text that every machine with Python has to corpora/.

    \b
    Examples:
      charrnn corpus build python-reference     # the language reference, 0.45 MB
      charrnn corpus build python-stdlib        # the standard library's sources, 30 MB
    """
    from charrnn.sources import build as build_source

    path = build_source(name, directory)
    console.notice(f"{path.stat().st_size:,} bytes")
    console.say(str(path))
