"""What is in a text, told from its characters as they come, however many there are."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.census import Counts
from charrnn.excerpts import Excerpts
from charrnn.layout import Layout, LayoutSurvey
from charrnn.mojibake import Mojibake, mojibake
from charrnn.problem import times
from charrnn.reading import Reading
from charrnn.scripts import kind, script, shares
from charrnn.tokenizer import look_alikes, name

_SHOWN = 12  # characters
_KINDS = 6  # of characters, and scripts
_MANY = 200  # characters, above which it is told how many are rare
RARE = (2, 5, 10)
"""Values of --min-count of which it is told what they would leave."""


@dataclass(frozen=True)
class Survey:
    """Of one text."""

    counts: list[tuple[str, int]]
    """each character with how often it stands there, commonest first, equals by code point"""
    layout: Layout
    passages: str
    """a sample of a million characters at most, all of the text where it is no longer"""

    @cached_property
    def characters(self) -> int:
        """How long the text is."""
        return sum(count for _, count in self.counts)

    @cached_property
    def by_character(self) -> dict[str, int]:
        """The counts as a dictionary."""
        return dict(self.counts)

    @cached_property
    def mojibake(self) -> Mojibake | None:
        """How the text was spoilt before it was saved, if so."""
        return mojibake(self.passages)

    @cached_property
    def scripts(self) -> list[tuple[str, float]]:
        """The share of each script among the letters, largest first."""
        return shares(self.counts, script)

    @cached_property
    def kinds(self) -> list[tuple[str, float]]:
        """The share of letters, digits and so on in the text, largest first."""
        return shares(self.counts, kind)

    def number(self, characters: str) -> int:
        """How often these characters stand in the text, together."""
        return sum(self.by_character.get(each, 0) for each in characters)

    def left_by(self, least: int) -> tuple[int, float]:
        """How many characters stand there `least` times or more, and their share of the text."""
        kept = [count for _, count in self.counts if count >= least]
        return len(kept), sum(kept) / max(1, self.characters)


def survey(pieces: Iterable[str]) -> Survey:
    """Examine a text that comes in pieces, in memory that does not grow with it."""
    counts, layout, passages = Counts(), LayoutSurvey(), Excerpts()
    for piece in pieces:
        counts.add(piece)
        layout.feed(piece)
        passages.feed(piece)
    return Survey(_ordered(counts.table()), layout.end(), passages.text())


def _ordered(table: NDArray[np.int64]) -> list[tuple[str, int]]:
    """Characters and counts from the count of every code point."""
    present = np.flatnonzero(table)
    order = np.argsort(-table[present], kind="stable")
    return [(chr(point), int(table[point])) for point in present[order]]


def facts(found: Survey, *, of_bytes: bool = False) -> list[tuple[str, str]]:
    """A survey as names and values for a person, problems left out.

    Of bytes there is nothing to tell that is told of characters alone, such as scripts.
    """
    layout, one = found.layout, "byte" if of_bytes else "character"
    lines = f"{layout.lines:,}, the longest {times(layout.longest, one)}"
    if layout.lines > 1 and layout.paragraphs:
        lines += f", half of them {layout.quantile(0.5):,} or fewer"
    once = sum(count == 1 for _, count in found.counts)
    told = [
        ("lines", lines),
        ("layout", f"{times(layout.paragraphs, 'paragraph')}, {_empty(layout.blank)}"),
        ("scripts", "" if of_bytes else _shared(found.scripts)),
        ("characters", "" if of_bytes else _shared(found.kinds)),
        ("distinct", f"{times(len(found.counts), one)}, {once:,} of them only once"),
    ]
    if len(found.counts) > _MANY and not of_bytes:
        told.append(("without rare", "; ".join(_left(found, least) for least in RARE)))
    told.append(("commonest", _listed(found.counts[:_SHOWN], of_bytes)))
    told.append(("rarest", _listed(found.counts[::-1][:_SHOWN], of_bytes)))
    for group in _look_alikes(found, of_bytes):
        told.append(("look-alikes", "; ".join(name(character) for character in group)))
    return [(what, value) for what, value in told if value]


def _empty(lines: int) -> str:
    return times(lines, "empty line") if lines else "no empty lines"


def _look_alikes(found: Survey, of_bytes: bool) -> list[str]:
    return [] if of_bytes else look_alikes("".join(character for character, _ in found.counts))


def _shared(kinds: list[tuple[str, float]]) -> str:
    rest = len(kinds) - _KINDS
    told = [f"{kind} {_percent(share)}" for kind, share in kinds[:_KINDS]]
    return ", ".join(told + [f"{rest} more"] * (rest > 0))


def _left(found: Survey, least: int) -> str:
    kept, share = found.left_by(least)
    return f"--min-count {least} keeps {kept:,} ({_percent(share)} of the text)"


def _percent(share: float) -> str:
    """A share that is 100% only where it is all, and 0% only where it is nothing."""
    for digits in 0, 1, 2, 3:
        shown = f"{share:.{digits}%}"
        if share in (0, 1) or 0 < float(shown[:-1]) < 100:
            return shown
    return ">99.999%" if share > 0.5 else "<0.001%"


def _listed(counts: list[tuple[str, int]], of_bytes: bool) -> str:
    return "  ".join(f"{_quoted(character, of_bytes)} {count:,}" for character, count in counts)


def _quoted(character: str, of_bytes: bool) -> str:
    """A character between quotes, one that would not be seen there by its name or as a byte."""
    if of_bytes and not (character.isascii() and character.isprintable()):
        return f"0x{ord(character):02X}"
    seen = character.isprintable() and unicodedata.category(character)[0] != "M"
    return repr(character) if seen else name(character)


def to_json(found: Survey, *, of_bytes: bool = False) -> dict[str, Any]:
    """The same as a dictionary that JSON can hold."""
    layout = found.layout
    return {
        "characters": found.characters,
        "distinct": len(found.counts),
        "once": sum(count == 1 for _, count in found.counts),
        "lines": layout.lines,
        "longest_line": layout.longest,
        "median_line": layout.quantile(0.5),
        "empty_lines": layout.blank,
        "paragraphs": layout.paragraphs,
        "repeated_lines": layout.repeated,
        "scripts": {} if of_bytes else dict(found.scripts),
        "kinds": {} if of_bytes else dict(found.kinds),
        "min_count": {str(n): found.left_by(n) for n in RARE if not of_bytes},
        "commonest": found.counts[:_SHOWN],
        "rarest": found.counts[::-1][:_SHOWN],
        "look_alikes": _look_alikes(found, of_bytes),
    }


def epoch_seconds(names: Sequence[Path], reading: Reading) -> float | None:
    """How long an epoch of the default model takes on this machine, measured for a moment.

    None where the text is too short to train on.
    """
    from charrnn import calibration
    from charrnn.batches import windows_per_epoch
    from charrnn.corpus import read_corpus
    from charrnn.errors import CharrnnError

    try:
        corpus = read_corpus(names, reading=reading)
        characters = len(corpus.ids["train"])
        plan = calibration.plan(characters, budget=None, model={}, training={})
        training = plan.training
        steps = windows_per_epoch(characters, training.seq_length, training.batch_size)
    except CharrnnError:
        return None
    return steps * calibration.measure(corpus, plan.model, training).step_seconds
