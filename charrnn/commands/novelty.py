"""What `charrnn sample` says of copies from the training text, and how it keeps them short."""

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn import console
from charrnn.errors import UsageError

if TYPE_CHECKING:
    from charrnn.checkpoints import ModelRecord
    from charrnn.concordance import Concordance
    from charrnn.copies import Copies, Limit, Report
    from charrnn.tokenizer import Vocabulary

_EXCERPT = 40  # characters


def check(report_copies: bool, max_copy: int | None, corpus: list[Path] | None) -> None:
    """Raise UsageError where the flags cannot be meant."""
    if corpus and not report_copies and max_copy is None:
        raise UsageError("--corpus: is for --report-copies and --max-copy; give one of them")
    if max_copy is not None:
        from charrnn.concordance import check_longest

        check_longest(max_copy)


def opened(
    checkpoint: Path,
    record: "ModelRecord",
    corpus: list[Path] | None,
    max_copy: int | None,
    quiet: bool,
) -> "Concordance":
    """The index of a checkpoint's training text; raises TextError where that is not there."""
    from charrnn.concordance import concordance
    from charrnn.proof import training_text

    def told(line: str) -> None:
        if not quiet:
            console.notice(line)

    return concordance(training_text(checkpoint, record, corpus, told), max_copy, told)


def watching(
    index: "Concordance | None", max_copy: int | None, vocabulary: "Vocabulary"
) -> "Callable[[], Limit] | None":
    """What makes the watch of each sample, where one is to be kept."""
    if index is None or max_copy is None:
        return None
    from charrnn.copies import Limit

    return functools.partial(Limit, index, max_copy, vocabulary)


def reading(index: "Concordance | None", vocabulary: "Vocabulary") -> "Callable[[], Copies] | None":
    """What makes what reads each sample to report on it, where that is asked for."""
    if index is None:
        return None
    from charrnn.copies import Copies

    return functools.partial(Copies, index, of_bytes=vocabulary.of_bytes)


def followed(pieces: Iterable[str], copies: "Copies | None") -> Iterator[str]:
    """The pieces of a text as they come, once their copies are counted."""
    for piece in pieces:
        if copies is not None:
            copies.follow(piece)
        yield piece


def tell(number: int, report: "Report") -> None:
    """Say on stderr what a sample has copied."""
    if report.place is None:
        console.notice(f"sample {number}: nothing copied in runs of 20 {report.unit} or more")
        return
    excerpt = report.text[:_EXCERPT] + "…" * (len(report.text) > _EXCERPT)
    console.notice(
        f"sample {number}: {report.share:.1%} copied in runs of 20 {report.unit} or more; the "
        f"longest, {report.characters:,} {report.unit}, stands in "
        f"{Path(report.place.file).name}, line {report.place.line:,}: {excerpt!r}"
    )


def to_json(report: "Report") -> dict[str, Any]:
    """The same by the names of `--json`."""
    longest = report.place and {
        report.unit: report.characters,
        "text": report.text,
        "file": report.place.file,
        "line": report.place.line,
        "character": report.place.character,
    }
    return {"copied": report.share, "longest_copy": longest}
