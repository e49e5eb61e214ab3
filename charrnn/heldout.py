"""The text that a checkpoint is scored on, and the proof that it is the same text."""

import contextlib
import os
import reprlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from charrnn.census import Census, take
from charrnn.checkpoints import ModelRecord
from charrnn.corpus import SPLITS, corpus_digest
from charrnn.documents import find
from charrnn.encoded import encode
from charrnn.errors import TextError, UnreadableError, UsageError
from charrnn.reading import Reading
from charrnn.run_record import RUN_FILE, read_run
from charrnn.stored import Ids, part_of
from charrnn.texts import Told, joined


@dataclass(frozen=True)
class HeldOut:
    """A text that a model is scored on."""

    ids: Ids
    """(N,) by the model's vocabulary"""
    sha256: str
    """of the text's UTF-8; of a text read as bytes, of these"""
    bytes: int
    """of the same"""
    pieces: Callable[[], Iterator[str]]
    """the text itself, read again, piece by piece"""
    remark: str = ""
    """what its user should know"""
    trained_on: bool = False
    """whether a file of it is one that the model was trained on"""


def split_text(
    checkpoint: Path,
    record: ModelRecord,
    split: str,
    corpus: Sequence[Path] | None,
    *,
    told: Told = lambda _: None,
) -> HeldOut:
    """A split of a checkpoint's own corpus.

    `corpus` says where its files are; left out, the run.json beside the checkpoint does.
    Raises TextError where the text is gone or has changed, UsageError where nothing was
    held out.
    """
    part = record.corpus["splits"][split]
    start, end = int(part["start"]), int(part["end"])
    if start == end:
        raise UsageError(
            f"{checkpoint.absolute().parent.name}: nothing was held out for --split {split}",
            "--text FILE scores any text",
        )
    names = list(corpus) if corpus else recorded_paths(checkpoint, record, split, _ANOTHER)
    separator = "" if part["file"] else str(record.corpus.get("separator", ""))
    own = [part["file"]] if part["file"] is not None else record.corpus["files"]
    known = {file["sha256"] for file in own}
    census = _census(names, record, separator, told)
    if census.characters < end:
        raise _not_same(census, known)
    whole = census.characters
    cuts = [0, end] if part["file"] is not None else [min(cut, whole) for cut in _cuts(record)]
    cuts += [whole] if whole != cuts[-1] else []
    found = encode(census, record.vocabulary, separator, cuts)
    scored = found.parts[0 if part["file"] is not None else SPLITS.index(split)]
    if scored.sha256 != part["sha256"]:
        raise _not_same(census, known)
    same = part["file"] is not None or corpus_digest(found.texts) == record.corpus["sha256"]
    return HeldOut(
        part_of(found.ids, start, end),
        scored.sha256,
        scored.bytes,
        partial(_between, census, record.vocabulary.reading, separator, start, end),
        "" if same else "the corpus has changed since; this part of it has not",
        trained_on=part["file"] is not None
        and part["file"]["sha256"] in {file["sha256"] for file in record.corpus["files"]},
    )


def _cuts(record: ModelRecord) -> list[int]:
    """Where training cut its text into train, val and test; a split may have its own file."""
    splits, whole = record.corpus["splits"], int(record.corpus["characters"])
    ends = [int(splits["train"]["end"])]
    ends.append(ends[0] if splits["val"]["file"] is not None else int(splits["val"]["end"]))
    return [0, *(min(end, whole) for end in ends), whole]


def own_text(names: Sequence[Path], record: ModelRecord, *, told: Told = lambda _: None) -> HeldOut:
    """A text of its user's own, read as the model's was; raises TextError."""
    census = _census(names, record, "", told)
    found = encode(census, record.vocabulary, "", [0, census.characters])
    known = {file["sha256"] for file in record.corpus["files"]}
    trained_on = [str(text.path) for text in found.texts if text.sha256 in known]
    return HeldOut(
        found.ids,
        found.parts[0].sha256,
        found.parts[0].bytes,
        partial(_between, census, record.vocabulary.reading, "", 0, census.characters),
        f"{', '.join(trained_on)} is the text this model was trained on" if trained_on else "",
        trained_on=bool(trained_on),
    )


def _census(names: Sequence[Path], record: ModelRecord, separator: str, told: Told) -> Census:
    reading = record.vocabulary.reading
    with moved_named(names, _ANOTHER):
        try:
            return take(find(names, reading).paths, reading, separator, told=told)
        except UnreadableError as error:
            if not (reading.is_plain and error.conversion):
                raise
            raise TextError(error.message, f"make it UTF-8: {error.conversion}") from None


@contextlib.contextmanager
def moved_named(names: Sequence[Path], instead: str = "") -> Iterator[None]:
    """Say of a TextError, where a name stands for nothing, what to do if its text has moved."""
    try:
        yield
    except TextError as error:
        if all(name.exists() for name in names):
            raise
        raise TextError(error.message, f"if it has moved: --corpus FILE{instead}") from None


def _between(
    census: Census, reading: Reading, separator: str, start: int, end: int
) -> Iterator[str]:
    """A text's characters from `start` to before `end`."""
    place = 0
    for piece in joined([text.path for text in census.texts], reading, separator):
        if place >= end:
            return
        yield piece[max(0, start - place) : max(0, end - place)]
        place += len(piece)


def _not_same(census: Census, known: set[str]) -> TextError:
    others = [str(text.path) for text in census.texts if text.sha256 not in known]
    return changed(others[:5], _ANOTHER)


_ANOTHER = "; or score another: --text FILE"
"""What a score may be taken on instead."""


def recorded_paths(
    checkpoint: Path, record: ModelRecord, split: str, instead: str = ""
) -> list[Path]:
    """Where the run.json beside a checkpoint says that the files of a split are.

    Raises TextError, whose hint ends with `instead`, where there is none or it names what
    is no file.
    """
    run = read_run(checkpoint.parent)
    if run is None:
        names = " ".join(file["name"] for file in record.corpus["files"])
        raise TextError(
            f"{checkpoint}: has no run.json beside it to say where its text is",
            f"say where it is: --corpus {names}{instead}",
        )
    own = run.held_out_paths.get(split)
    return [_recorded(path, checkpoint, instead) for path in ([own] if own else run.paths)]


def _recorded(name: object, checkpoint: Path, instead: str) -> Path:
    """A path of run.json, which may be a stranger's: no pipe and no device is opened."""
    try:
        path = Path(os.fsdecode(os.fsencode(str(name))))
        if "\0" in str(name) or (path.exists() and not (path.is_file() or path.is_dir())):
            raise ValueError
    except ValueError:
        raise TextError(
            f"{checkpoint.parent / RUN_FILE}: names {reprlib.repr(name)}, which is no file",
            f"say where its text is: --corpus FILE{instead}",
        ) from None
    return path


def changed(files: Sequence[str], instead: str = "") -> TextError:
    """The error that says that files are not those a checkpoint was trained on."""
    return TextError(
        f"{', '.join(files) or 'the corpus'}: not the text this checkpoint was trained on "
        "(its SHA-256 differs)",
        f"put the old text back, or say where it is: --corpus FILE{instead}",
    )
