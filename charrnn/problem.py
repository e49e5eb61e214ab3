"""One thing that may be wrong with a text, and the words and commands that tell it."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from charrnn.diagnosis import DECOMPRESSORS


class Problem(NamedTuple):
    """What it is, in words for a writer, and what can be done about it."""

    what: str
    way_out: str


Problems = Iterator[Problem]


def times(number: int, what: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {what}" + "s" * (number != 1)


def mended(file: Path, ending: str, *filters: str) -> str:
    """A command that leads a file through filters into another one, named after it.

    The new name has `ending` in it, so it is never the file's own.
    """
    first, *rest = filters
    tool = DECOMPRESSORS.get(file.suffix)
    source = shlex.quote(str(file))
    steps = [f"{tool} {source}", first] if tool else [f"{first} < {source}"]
    stem = file.with_suffix("").with_suffix("") if tool else file.with_suffix("")
    return f"{' | '.join(steps + rest)} > {shlex.quote(f'{stem}-{ending}.txt')}"
