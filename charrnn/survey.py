"""What is in a text, and what may be wrong with it, before anything is trained."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from charrnn.texts import Pieces
from charrnn.tokenizer import count_characters, look_alikes, name

_SHOWN = 12


@dataclass(frozen=True)
class Survey:
    """What `charrnn corpus info` says of a text."""

    path: str
    bytes: int
    sha256: str
    characters: int
    distinct: int
    lines: int
    longest_line: int
    commonest: list[tuple[str, int]]
    rarest: list[tuple[str, int]]
    once: int
    """distinct characters that occur a single time"""
    look_alikes: list[str]
    """groups of easily confused characters of which the text holds several"""
    problems: list[str]
    """in words, for a person"""


def survey(path: Path) -> Survey:
    """Examine a text; raises TextError where it is none."""
    pieces = Pieces(path)
    text = "".join(pieces)
    read = pieces.text
    counts = count_characters(text)
    lines = text.split("\n")
    return Survey(
        path=str(path),
        bytes=read.bytes,
        sha256=read.sha256,
        characters=len(text),
        distinct=len(counts),
        lines=len(lines) - (lines[-1] == ""),
        longest_line=max(map(len, lines)),
        commonest=counts[:_SHOWN],
        rarest=counts[::-1][:_SHOWN],
        once=sum(count == 1 for _, count in counts),
        look_alikes=look_alikes("".join(character for character, _ in counts)),
        problems=_problems(text, dict(counts), read.byte_order_mark),
    )


def _problems(text: str, counts: dict[str, int], byte_order_mark: bool) -> list[str]:
    found = []
    if byte_order_mark:
        found.append("begins with a byte-order mark; it is left out")
    returns, newlines = counts.get("\r", 0), counts.get("\n", 0)
    if returns:
        kind = "Windows (CR LF)" if newlines >= returns else "old Macintosh (CR)"
        found.append(f"has {returns:,} carriage returns, {kind} line ends; they are kept")
    if counts.get("\ufffd"):
        found.append(
            f"has {counts[chr(0xFFFD)]:,} replacement characters (U+FFFD): it was once decoded "
            "with the wrong encoding, and what they stood for is lost"
        )
    if counts.get("\0"):
        found.append(f"has {counts[chr(0)]:,} NUL characters: it may not be text")
    mistaken = len(re.findall("Ã[\u00a0-\u00bf]|â€", text))
    if mistaken > 20:
        found.append(
            f"looks like UTF-8 read as Windows-1252 ({mistaken:,} pairs such as Ã© and â€)"
        )
    if "\ufeff" in counts:
        found.append("has byte-order marks inside: files were joined without removing them")
    if len(counts) > 10_000:
        found.append(f"has {len(counts):,} distinct characters: is the encoding right?")
    return found


def facts(found: Survey) -> list[tuple[str, str]]:
    """A survey as names and values for a person."""
    lines = [
        ("text", found.path),
        ("size", f"{found.bytes:,} bytes, {found.characters:,} characters"),
        ("lines", f"{found.lines:,}, the longest {found.longest_line:,} characters"),
        ("distinct", f"{found.distinct:,} characters, {found.once:,} of them only once"),
        ("commonest", _listed(found.commonest)),
        ("rarest", _listed(found.rarest)),
    ]
    for group in found.look_alikes:
        lines.append(("look-alikes", "; ".join(name(character) for character in group)))
    lines += [("problem", problem) for problem in found.problems]
    return lines + ([] if found.problems else [("problems", "none found")])


def to_json(found: Survey) -> dict[str, Any]:
    """A survey as a dictionary that JSON can hold."""
    return asdict(found)


def epoch_seconds(path: Path) -> float | None:
    """How long an epoch of the default model takes on this machine, measured for a moment.

    None where the text is too short to train on.
    """
    from charrnn import calibration, machine, planning
    from charrnn.batches import windows_per_epoch
    from charrnn.corpus import read_corpus
    from charrnn.errors import CharrnnError

    try:
        corpus = read_corpus([path])
        characters = len(corpus.ids["train"])
        device = machine.choose_device("auto")
        settled = {
            "device": device,
            "threads": machine.processors(),
        }
        plan = planning.plan(
            characters=characters,
            budget=None,
            model={},
            training=settled,
            multiplies_bf16=machine.multiplies_bf16(device),
        )
        training = plan.training
        steps = windows_per_epoch(characters, training.seq_length, training.batch_size)
    except CharrnnError:
        return None
    return steps * calibration.measure(corpus, plan.model, training).step_seconds


def _listed(counts: list[tuple[str, int]]) -> str:
    return "  ".join(f"{_quoted(character)} {count:,}" for character, count in counts)


def _quoted(character: str) -> str:
    return repr(character) if character.isprintable() else name(character)
