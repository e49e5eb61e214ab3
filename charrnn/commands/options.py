"""Options that several subcommands share, and help pages in sections."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from charrnn import console

CheckpointDir = Annotated[
    Path,
    typer.Option(
        "--checkpoint-dir",
        envvar="CHARRNN_CHECKPOINTS",
        help="Where runs are kept.",
        metavar="DIR",
        show_envvar=True,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]

Directory = Annotated[
    Path, typer.Option("--directory", help="Where texts are kept.", metavar="DIR")
]

CHECKPOINTS = Path("checkpoints")
CORPORA = Path("corpora")


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\"}


def unescaped(text: str) -> str:
    """A text with its escapes resolved, since no shell passes on a NUL."""
    return re.sub(r"\\([ntr0\\])", lambda found: _ESCAPES[found[1]], text)


def help_alone(context: typer.Context) -> None:
    """Print a group's help where no subcommand of it is named."""
    if context.invoked_subcommand is None:
        console.say(context.get_help())


class Command(TyperCommand):
    """A command whose help lists its options by the sections that they name."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, the sections in order of appearance."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                argument = parameter.param_type_name == "argument"
                panel = getattr(parameter, "rich_help_panel", None)
                section = "Arguments" if argument else panel or "Options"
                sections.setdefault(section, []).append(record)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records)


def option(flag: str, help: str, section: str = "Options") -> Any:
    """An option that is listed under a section of the help page."""
    return typer.Option(flag, help=help, rich_help_panel=section)
