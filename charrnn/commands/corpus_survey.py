"""What charrnn corpus info says of files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charrnn import console, survey
from charrnn.documents import find, is_piped
from charrnn.problem import Problem, times
from charrnn.problems import problems
from charrnn.reading import BYTES, Reading
from charrnn.texts import Text, joined

_NAMED = 1_000  # files, in JSON
_SOME = 3  # files, for a person


@dataclass(frozen=True)
class Look:
    """At files that are read as one text."""

    texts: list[Text]
    passed_over: list[Path]
    """files of folders that are empty or no text"""
    reading: Reading
    survey: survey.Survey
    problems: list[Problem]


def look(names: Sequence[Path], reading: Reading, separator: str, *, quiet: bool) -> Look:
    """Read files, folders and patterns once, in constant memory; raises TextError."""
    paths, passed_over = find(names, reading)
    texts: list[Text] = []
    with console.progress(0, "B", quiet=quiet) as bar:
        pieces = joined(paths, reading, separator, told=bar.update, finished=texts.append)
        found = survey.survey(pieces)
    file = paths[0] if len(paths) == 1 and not is_piped(paths[0]) else Path("FILE")
    # Bytes are what they are: nothing is wrong with any.
    wrong = [] if reading.encoding == BYTES else problems(found, file)
    return Look(texts, passed_over, reading, found, wrong)


def facts(found: Look, names: Sequence[Path]) -> list[tuple[str, str]]:
    """What was found as names and values for a person; `names` are those of the files."""
    size = sum(text.bytes for text in found.texts)
    marks = sum(text.byte_order_mark for text in found.texts)
    of_bytes = found.reading.encoding == BYTES
    characters = "" if of_bytes else f", {times(found.survey.characters, 'character')}"
    title = _some(["stdin" if str(name) == "-" else str(name) for name in names])
    told = [
        ("text", f"{title}: {len(found.texts):,} files" if len(found.texts) > 1 else title),
        ("passed over", _some([str(path) for path in found.passed_over])),
        ("size", times(size, "byte") + characters),
        ("read as", "" if found.reading.is_plain else str(found.reading)),
        ("left out", times(marks, "byte-order mark") if marks else ""),
        *survey.facts(found.survey, of_bytes=of_bytes),
    ]
    for problem in found.problems:
        told += [("problem", problem.what), ("way out", problem.way_out)]
    if not found.problems:
        told.append(("problems", "none found"))
    return [(name, value) for name, value in told if value]


def to_json(found: Look) -> dict[str, Any]:
    """The same as a dictionary that JSON can hold."""
    return {
        "files": [{**vars(text), "path": str(text.path)} for text in found.texts[:_NAMED]],
        "file_count": len(found.texts),
        "passed_over": [str(path) for path in found.passed_over[:_NAMED]],
        "bytes": sum(text.bytes for text in found.texts),
        **survey.to_json(found.survey, of_bytes=found.reading.encoding == BYTES),
        "problems": [problem._asdict() for problem in found.problems],
    }


def _some(names: list[str]) -> str:
    more = len(names) - _SOME
    return ", ".join(names[:_SOME]) + (f" and {more:,} more" if more > 0 else "")
