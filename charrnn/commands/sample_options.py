"""The options of charrnn sample: each one's flag, what it means, and its section of the help."""

from pathlib import Path
from typing import Annotated

import typer

from charrnn.commands.options import option

_TEXT, _CHARACTERS, _COPIES, _MANY, _OUTPUT = (
    "What it goes on from",
    "How characters are drawn",
    "Copies from the training text",
    "Many samples",
    "Output",
)

Checkpoint = Annotated[
    str | None,
    typer.Argument(help="A file, a run's directory or name (default: the run written last)."),
]

Prompt = Annotated[str | None, option("--prompt", "A text to go on from.", _TEXT)]
PromptFile = Annotated[
    str | None, option("--prompt-file", "A file to go on from; - is stdin.", _TEXT)
]
Unknown = Annotated[
    str, option("--unknown", "Characters the model never saw: error or skip.", _TEXT)
]

Interactive = Annotated[bool, option("--interactive", "Ask for one prompt after the other.", _TEXT)]
LoadState = Annotated[
    Path | None, option("--load-state", "Go on exactly where --save-state left a text.", _TEXT)
]

Length = Annotated[int, option("--length", "New characters.", _CHARACTERS)]
Temperature = Annotated[
    float, option("--temperature", "0 takes the likeliest; below 1 is safer.", _CHARACTERS)
]
TopK = Annotated[int, option("--top-k", "Only the k likeliest characters; 0: all.", _CHARACTERS)]
TopP = Annotated[float, option("--top-p", "Only the likeliest of this share.", _CHARACTERS)]
MinP = Annotated[
    float, option("--min-p", "Only those with this share of the likeliest.", _CHARACTERS)
]
Stop = Annotated[
    list[str] | None, option("--stop", "End before this text (repeatable).", _CHARACTERS)
]
Seed = Annotated[int | None, option("--seed", "Drawn, and told, if left out.", _CHARACTERS)]

MaxCopy = Annotated[
    int | None, option("--max-copy", "Never copy more characters on end than this.", _COPIES)
]
ReportCopies = Annotated[
    bool, option("--report-copies", "Tell how much of each sample is copied.", _COPIES)
]
Corpus = Annotated[
    list[Path] | None,
    option("--corpus", "Where the corpus is, if it has moved (repeatable).", _COPIES),
]

NumSamples = Annotated[int, option("--num-samples", "Samples (of each prompt).", _MANY)]
Batch = Annotated[
    str | None,
    option("--batch", "A file of prompts, one a line, or lines of JSON; - is stdin.", _MANY),
]
Skip = Annotated[int, option("--skip", "Leave out so many samples at the beginning.", _MANY)]
Threads = Annotated[
    int | None, option("--threads", "Default: the processors there are; 1 for one sample.", _MANY)
]
Separator = Annotated[
    str,
    option("--separator", r"After each sample; \n, \t and \0 are understood.", _MANY),
]

SaveState = Annotated[
    Path | None,
    option("--save-state", "A file for where the text ends, to go on from.", _OUTPUT),
]
Echo = Annotated[
    bool | None,
    option("--echo/--no-echo", "Show the prompt first (default: on a terminal).", _OUTPUT),
]
Raw = Annotated[
    bool,
    option("--raw", "Of a model of bytes: all that it draws, be it text or not.", _OUTPUT),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="A file to write to, whole or not at all; - is stdout.",
        rich_help_panel=_OUTPUT,
    ),
]
