"""The text that a checkpoint is scored on, and the proof that it is the same text."""

import os
import reprlib
from collections.abc import Sequence
from pathlib import Path

from charrnn.checkpoints import ModelRecord
from charrnn.corpus import corpus_digest
from charrnn.errors import TextError, UsageError
from charrnn.files import sha256
from charrnn.run_record import RUN_FILE, read_run
from charrnn.texts import Text, read_text


def split_text(
    checkpoint: Path, record: ModelRecord, split: str, corpus: Sequence[Path] | None
) -> tuple[str, str]:
    """A split of a checkpoint's own corpus, and a remark where one is due.

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
    paths = list(corpus) if corpus else recorded_paths(checkpoint, record, split, _ANOTHER)
    texts = [_read(path) for path in paths]
    found = "".join(text.characters for text in texts)[start:end]
    if sha256(found.encode()) != part["sha256"]:
        known = [part["file"]] if part["file"] is not None else record.corpus["files"]
        known = {file["sha256"] for file in known}
        raise changed([str(text.path) for text in texts if text.sha256 not in known], _ANOTHER)
    same = part["file"] is not None or corpus_digest(texts) == record.corpus["sha256"]
    return found, "" if same else "the corpus has changed since; this part of it has not"


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
    """A path of run.json, which may be a stranger's: nothing but a file is opened."""
    try:
        path = Path(os.fsdecode(os.fsencode(str(name))))
        if "\0" in str(name) or (path.exists() and not path.is_file()):
            raise ValueError
    except ValueError:
        raise TextError(
            f"{checkpoint.parent / RUN_FILE}: names {reprlib.repr(name)}, which is no file",
            f"say where its text is: --corpus FILE{instead}",
        ) from None
    return path


def _read(path: Path) -> Text:
    try:
        return read_text(path)
    except TextError as error:
        if path.exists():
            raise
        raise TextError(error.message, f"if it has moved: --corpus FILE{_ANOTHER}") from None


def changed(files: Sequence[str], instead: str = "") -> TextError:
    """The error that says that files are not those a checkpoint was trained on."""
    return TextError(
        f"{', '.join(files) or 'the corpus'}: not the text this checkpoint was trained on "
        "(its SHA-256 differs)",
        f"put the old text back, or say where it is: --corpus FILE{instead}",
    )
