"""The options of charrnn evaluate: each one's flag, what it means, its section of the help."""

from pathlib import Path
from typing import Annotated

import typer

from charrnn.commands.options import option

_TEXT, _MORE, _RESULT = "Text", "What else to find out", "The result"

Checkpoints = Annotated[
    list[str] | None,
    typer.Argument(help="Files, runs' directories or names (default: the run written last)."),
]
Text = Annotated[Path | None, option("--text", "Score this file instead.", _TEXT)]
Split = Annotated[str, option("--split", "Of its corpus: val, test or train.", _TEXT)]
Corpus = Annotated[
    list[Path] | None,
    option("--corpus", "Where the corpus is, if it has moved (repeatable).", _TEXT),
]

Exact = Annotated[bool, option("--exact", "Read the text as one stream: slower, no cuts.")]
ColdWindows = Annotated[
    int | None,
    option("--cold-windows", "Read windows of N characters, each from a state of zeros."),
]
Precision = Annotated[str, option("--precision", "Of products: fp32 (default), bf16 or auto.")]
Threads = Annotated[int | None, option("--threads", "Default: the processors there are.")]

Where = Annotated[
    bool,
    option("--where", "Where it fails: characters, places, passages; how sure it is.", _MORE),
]
Context = Annotated[bool, option("--context", "How far back it looks.", _MORE)]
Dynamic = Annotated[
    bool, option("--dynamic", "Its score while it goes on learning as it reads.", _MORE)
]
Verbatim = Annotated[
    bool, option("--verbatim", "What of the text stands in the training part.", _MORE)
]
Baselines = Annotated[
    bool,
    typer.Option(
        "--baselines/--no-baselines",
        help="What any model must beat (default).",
        rich_help_panel=_MORE,
    ),
]

Losses = Annotated[
    Path | None, option("--losses", "Write each character's loss (nats) to a .npy file.", _RESULT)
]
Format = Annotated[str, option("--format", "table, json, latex or markdown.", _RESULT)]
