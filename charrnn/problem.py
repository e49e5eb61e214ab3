"""One thing that may be wrong with a text."""

from collections.abc import Iterator
from typing import NamedTuple


class Problem(NamedTuple):
    """What it is, in words for a writer, and what can be done about it."""

    what: str
    way_out: str


Problems = Iterator[Problem]


def times(number: int, what: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {what}" + "s" * (number != 1)
