"""The text that charrnn train is to learn: read as its flags say, and remarked on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from charrnn import console
from charrnn.commands.options import unescaped
from charrnn.errors import UsageError

if TYPE_CHECKING:
    from charrnn.checkpoints import Checkpoint
    from charrnn.corpus import Corpus
    from charrnn.reading import Reading

_FLAGS = {
    "encoding": "encoding",
    "newlines": "newlines",
    "normalize": "normalization",
    "lowercase": "lowercase",
}
"""The flags of a reading, and its field for each."""


class Parent(NamedTuple):
    """The checkpoint that --init-from names."""

    path: Path
    checkpoint: "Checkpoint"


def asked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The flags of the text that were given, each in the one form that a run records.

    Raises UsageError.
    """
    from charrnn.reading import canonical

    found: dict[str, Any] = {}
    if "encoding" in given:
        found["encoding"] = canonical(given["encoding"])
    if "document_separator" in given:
        found["document_separator"] = unescaped(given["document_separator"])
    if given.get("min_count", 1) < 1:
        raise UsageError(f"--min-count {given['min_count']}: must be at least 1")
    if "init_from" in given:
        found["init_from"] = _found(given)
    return found


def parent(given: Mapping[str, Any]) -> Parent | None:
    """The checkpoint to begin with, if there is to be one; raises CheckpointError."""
    if "init_from" not in given:
        return None
    from charrnn.checkpoints import read_checkpoint

    path = _found(given)
    return Parent(path, read_checkpoint(path))


def initial(parent: Parent | None) -> dict[str, Any] | None:
    """What run.json says of the checkpoint that a run begins with: see RunRecord."""
    if parent is None:
        return None
    record = parent.checkpoint.record
    return {
        "path": str(parent.path.absolute()),
        "digest": record.digest,
        "vocabulary": record.vocabulary.to_json(),
    }


def read(given: Mapping[str, Any], parent: Parent | None) -> "Corpus":
    """The corpus that the flags ask for, and on stderr what is to be said of it."""
    from charrnn.corpus import read_corpus

    settled = dict(given) | asked(given)
    reading = _reading(settled, parent)
    with console.progress(0, "B", quiet=given["quiet"]) as bar:
        corpus = read_corpus(
            given["corpus"],
            reading=reading,
            separator=settled.get("document_separator", ""),
            least=given.get("min_count", 1),
            base=parent and parent.checkpoint.record.vocabulary,
            val_fraction=given.get("val_frac", 0.1),
            test_fraction=given.get("test_frac", 0.0),
            val_file=given.get("val_file"),
            test_file=given.get("test_file"),
            again=given["rehash"],
            told=bar.update,
        )
    for path in corpus.trained_on():
        console.warn(f"{path} is trained on as well: its score says nothing about a new text")
    if not given["quiet"]:
        for remark in _remarks(corpus):
            console.notice(remark)
    _warn_of_size(corpus)
    return corpus


def _found(given: Mapping[str, Any]) -> Path:
    from charrnn import runs

    return runs.find(given["init_from"], given["checkpoint_dir"]).absolute()


def _reading(settled: Mapping[str, Any], parent: Parent | None) -> "Reading":
    """How files are read: as the flags say, or as the parent's text was."""
    from charrnn.reading import Reading

    values = {field: settled[flag] for flag, field in _FLAGS.items() if flag in settled}
    if parent is None:
        return Reading(**values)
    inherited = parent.checkpoint.record.vocabulary.reading
    for flag, field in _FLAGS.items():
        if values.get(field, getattr(inherited, field)) != getattr(inherited, field):
            raise UsageError(
                f"--{flag} {values[field]}: the model of --init-from reads {inherited}",
                f"leave --{flag} out",
            )
    return inherited


def _remarks(corpus: "Corpus") -> Iterator[str]:
    """What was done to the text, or found in it, that a person would want to know."""
    reading, count = corpus.vocabulary.reading, len(corpus.passed_over)
    if not reading.is_plain:
        yield f"read as   {reading}"
    if count:
        some = ", ".join(str(path) for path in corpus.passed_over[:3])
        yield (
            f"left out  {count:,} empty or no text in {reading.encoding.upper()}: {some}"
            f"{', ...' if count > 3 else ''} (corpus info FILE says what one is)"
        )
    marks = sum(text.byte_order_mark for text in corpus.texts)
    if marks:
        yield f"left out  the byte-order mark of {marks:,} file{'s' if marks > 1 else ''}"
    for split, part in corpus.parts.items():
        if part.unseen:
            yield (
                f"{split:<10}{part.unseen:,} of its {part.end - part.start:,} characters "
                f"({part.unseen_kinds:,} different) stand nowhere in the training text"
            )
    rare = sum(part.lacking for part in corpus.parts.values())
    if rare:
        are = "s are" if rare > 1 else " is"
        yield f"unknown   {rare:,} character{are} rarer than --min-count {corpus.least}"
    if "\r" in corpus.vocabulary and reading.newlines == "keep" and not corpus.vocabulary.of_bytes:
        yield "line ends some are CR or CR LF; they are kept (--newlines lf changes them)"


def _warn_of_size(corpus: "Corpus") -> None:
    from charrnn.tokenizer import LARGE_VOCABULARY

    known = len(corpus.vocabulary)
    if known > LARGE_VOCABULARY:
        console.warn(
            f"{known:,} different characters: the text was probably written in another encoding "
            "than it was read in (charrnn corpus info tries some; --encoding names one); if it "
            "is right, --min-count 5 leaves out the rarest"
        )
