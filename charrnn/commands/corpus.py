"""charrnn corpus: texts to train on, looked at before anything is trained."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from charrnn import console
from charrnn.commands.options import Command, Json, help_alone
from charrnn.errors import CharrnnError

app = typer.Typer(rich_markup_mode=None)

CORPORA = Path("corpora")

Directory = Annotated[
    Path, typer.Option("--directory", help="Where texts are kept.", metavar="DIR")
]


@app.callback(invoke_without_command=True)
def corpus(context: typer.Context) -> None:
    """List, examine and build texts.

    \b
    Examples:
      charrnn corpus build python-reference
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
    from charrnn.texts import read_text

    rows = []
    for path in sorted(directory.glob("*")) if directory.is_dir() else []:
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            text = read_text(path).characters
            rows.append({"path": str(path), "characters": len(text), "distinct": len(set(text))})
        except CharrnnError as error:
            rows.append({"path": str(path), "problem": error.message})
    missing = [name for name in SOURCES if not (directory / f"{name}.txt").exists()]
    if json:
        for row in rows:
            console.say_json(row)
        return
    if rows:
        console.show_table(
            ["text", "characters", "distinct"],
            [
                [str(row["path"]), f"{row['characters']:,}", f"{row['distinct']:,}"]
                if "problem" not in row
                else [str(row["problem"]), "", ""]
                for row in rows
            ],
        )
    for name in missing:
        console.notice(f"charrnn corpus build {name} makes {directory / name}.txt")


@app.command(cls=Command)
def info(
    file: Annotated[Path, typer.Argument(help="A text file.")],
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Measure how long an epoch takes.")
    ] = True,
    json: Json = False,
) -> None:
    """Say what is in a text, what may be wrong with it, and how long an epoch takes.

    \b
    Examples:
      charrnn corpus info hamlet.txt
      charrnn corpus info hamlet.txt --no-measure --json
    """
    from charrnn import survey
    from charrnn.problems import problems
    from charrnn.texts import read_text

    read = read_text(file)
    found = survey.survey([read.characters])
    wrong = problems(found, shlex.quote(str(file)))
    if not json:
        size = f"{read.bytes:,} bytes, {found.characters:,} characters"
        size += ", and a byte-order mark, left out" * read.byte_order_mark
        told = [("text", str(file)), ("size", size), *survey.facts(found)]
        for problem in wrong:
            told += [("problem", problem.what), ("way out", problem.way_out)]
        console.show_facts(told + ([] if wrong else [("problems", "none found")]))
    result = {
        "path": str(file),
        "bytes": read.bytes,
        "sha256": read.sha256,
        **survey.to_json(found),
        "problems": [problem._asdict() for problem in wrong],
    }
    if measure:
        epoch = survey.epoch_seconds(file)
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
