"""charrnn evaluate: checkpoints to scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn import console
from charrnn.commands import where as failings
from charrnn.commands.differences import (
    Scored,
    margin,
    scored,
    sentences,
    with_differences,
)
from charrnn.commands.options import CHECKPOINTS, CheckpointDir, Json, Quiet, option
from charrnn.errors import UsageError
from charrnn.rows import scored_on

if TYPE_CHECKING:
    from charrnn.checkpoints import Checkpoint
    from charrnn.heldout import HeldOut

SPLITS = ("val", "test", "train")
FORMATS = ("table", "json", "latex", "markdown")


def evaluate(
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(help="Files, runs' directories or names (default: the run written last)."),
    ] = None,
    text: Annotated[Path | None, option("--text", "Score this file instead.")] = None,
    split: Annotated[str, option("--split", "Of its corpus: val, test or train.")] = "val",
    corpus: Annotated[
        list[Path] | None,
        option("--corpus", "Where the corpus is, if it has moved (repeatable)."),
    ] = None,
    exact: Annotated[
        bool, option("--exact", "Read the text as one stream: slower, no cuts.")
    ] = False,
    cold_windows: Annotated[
        int | None,
        option("--cold-windows", "Read windows of N characters, each from a state of zeros."),
    ] = None,
    baselines: Annotated[
        bool,
        typer.Option("--baselines/--no-baselines", help="Beside them, what any model must beat."),
    ] = True,
    where: Annotated[
        bool,
        option("--where", "Show where it fails: characters, places, passages; how sure it is."),
    ] = False,
    losses: Annotated[
        Path | None, option("--losses", "Write each character's loss (nats) to a .npy file.")
    ] = None,
    threads: Annotated[
        int | None, option("--threads", "Default: the processors there are.")
    ] = None,
    checkpoint_dir: CheckpointDir = CHECKPOINTS,
    format: Annotated[
        str, option("--format", "Of the result: table, json, latex or markdown.")
    ] = "table",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score checkpoints on held-out text.

    \b
    Examples:
      charrnn evaluate
      charrnn evaluate hamlet-gru hamlet-lstm
      charrnn evaluate hamlet-gru --text macbeth.txt --json
      charrnn evaluate hamlet-gru --split test --exact
      charrnn evaluate hamlet-gru --cold-windows 256
      charrnn evaluate hamlet-gru --where
      charrnn evaluate hamlet-gru hamlet-lstm --format latex

    Each character is scored once, from all that stands before it: in 32 stretches, each
    entered after reading the 512 characters before it, or with --exact in one. With
    --cold-windows 256 it is scored as nanoGPT scores, from no more than the 256 before it.

    A score's 95% interval is that of a bootstrap of blocks. Of several checkpoints on one
    text it is said which differences from the best are real.
    """
    if split not in SPLITS:
        raise UsageError(f"--split {split}: must be one of {', '.join(SPLITS)}")
    if text is not None and corpus:
        raise UsageError("--text and --corpus: give one of them")
    _check_windows(cold_windows, exact)
    if losses is not None and not losses.absolute().parent.is_dir():
        raise UsageError(f"--losses {losses}: no such directory")
    if losses is not None and len(checkpoints or []) > 1:
        raise UsageError("--losses: give one checkpoint")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads}: must be at least 1")
    format = _format(format, json, where)

    from charrnn import runs
    from charrnn.checkpoints import read_checkpoint
    from charrnn.commands import comparison

    results: list[Scored] = []
    seen: comparison.Seen = {}
    references: list[str | None] = list(checkpoints or [])
    try:
        for reference in references or [None]:
            path, checkpoint = runs.open_found(reference, checkpoint_dir, read_checkpoint)
            if reference is None and format != "table" and not quiet:  # a table says it itself
                console.notice(f"checkpoint {path}")
            result, held_out = _score(
                *(path, checkpoint, text, split, corpus),
                *(exact, cold_windows, losses, threads, quiet),
                where=where,
            )
            if baselines:
                beside = comparison.beside(path, checkpoint.record, held_out, corpus, seen, quiet)
                result = comparison.against(result, held_out, beside)
            results.append(result)
    finally:  # what was scored before a failure is told, too
        rows = with_differences(results)
        if format == "json":
            for row in rows:
                console.say_json(row)
    if format in ("latex", "markdown"):
        from charrnn import paper

        console.write(paper.latex(rows) if format == "latex" else paper.markdown(rows))
    if format == "table":
        _show(rows)
        if baselines:
            comparison.show(rows)
        for sentence in _comparable(rows):
            console.say_wrapped(console.one_line(sentence))
        if where:
            failings.show(rows)


def _format(format: str, json: bool, where: bool) -> str:
    """The format that is meant; raises UsageError where none can be."""
    if format not in FORMATS:
        raise UsageError(f"--format {format}: must be one of {', '.join(FORMATS)}")
    if json and format in ("latex", "markdown"):
        raise UsageError(f"--json and --format {format}: give one of them")
    if where and format in ("latex", "markdown"):
        raise UsageError(f"--where: is not in --format {format}", "--format table or json has it")
    return "json" if json else format


def _check_windows(window: int | None, exact: bool) -> None:
    """Raises UsageError for windows that cannot be meant."""
    if window is not None and window < 1:
        raise UsageError(
            f"--cold-windows {window}: must be at least 1", "256 is nanoGPT's usual one"
        )
    if window is not None and exact:
        raise UsageError("--cold-windows and --exact: give one of them", "--exact has no windows")


def _score(
    path: Path,
    checkpoint: "Checkpoint",
    text: Path | None,
    split: str,
    corpus: list[Path] | None,
    exact: bool,
    window: int | None,
    losses: Path | None,
    threads: int | None,
    quiet: bool,
    *,
    where: bool,
) -> tuple[Scored, "HeldOut"]:
    """A checkpoint's score on a text, and the text."""
    import contextlib
    import io
    import math

    import numpy as np

    from charrnn import evaluation, heldout, machine
    from charrnn.comparability import comparability
    from charrnn.continuation import no_probabilities
    from charrnn.files import write_output
    from charrnn.model import CharacterModel
    from charrnn.where import Where
    from charrnn.workers import Workers, prepare

    threads = threads or machine.processors()
    prepare(threads)

    record, weights = checkpoint
    with console.progress(0, "B", quiet=quiet) as bar:
        if text is not None:
            held_out = heldout.own_text([text], record, told=bar.update)
        else:
            held_out = heldout.split_text(path, record, split, corpus, told=bar.update)
    what, ids = str(text or split), held_out.ids
    if held_out.remark:
        console.warn(held_out.remark)
    if window is not None and window > len(ids):
        raise UsageError(
            f"--cold-windows {window}: the text has {len(ids):,} characters",
            f"--cold-windows {len(ids)}, or --exact to read it as one stream",
        )
    vocabulary = record.vocabulary
    model = CharacterModel(record.settings, len(vocabulary))
    model.load(weights)
    each = np.zeros(len(ids), dtype=np.float32)
    look = Where(ids, vocabulary) if where else None
    trained_on = int(record.corpus["splits"]["train"]["end"])
    with (
        contextlib.closing(Workers(threads)) as workers,
        console.progress(len(ids), "char", quiet=quiet) as bar,
    ):
        score = evaluation.score(
            model,
            ids,
            start=vocabulary.start,
            byte_count=held_out.bytes,
            rare=vocabulary.rare,
            escape=evaluation.escape_probability(len(vocabulary), trained_on),
            exact=exact,
            window=window,
            losses=each,
            observe=look.observe if look else None,
            scored=bar.update,
            workers=workers,
        )
    if not math.isfinite(score.nats):
        raise no_probabilities()
    if score.unknown and not quiet:
        console.warn(
            f"{score.unknown:,} of {score.characters:,} characters are "
            f"{'rarer than --min-count' if vocabulary.unknown else 'ones training never saw'}; "
            "each pays for being unknown and for which one it was"
        )
    if losses is not None:
        stream = io.BytesIO()
        np.save(stream, each, allow_pickle=False)
        write_output(losses, stream.getvalue())
    beside = comparability(
        record.corpus,
        split=split,
        reading=vocabulary.reading,
        nats_per_char=score.nats_per_char,
        own_text=None if text is None else held_out.sha256,
        window=window,
    )
    row = {
        "run": path.absolute().parent.name,
        "checkpoint": str(path),
        "step": record.step,
        "split": what,
        "exact": exact,
        "protocol": evaluation.protocol(len(ids), exact=exact, window=window),
        "unknown": score.unknown,
        "comparable": beside and beside.to_json(),
        **score.to_json(),
        **({"where": look.to_json(each)} if look else {}),
    }
    return scored(row, held_out.sha256, len(ids), each), held_out


def _show(rows: list[dict[str, Any]]) -> None:
    if len(rows) == 1:
        console.show_facts(_facts(rows[0]))
        return
    console.show_table(
        ["run", "step", "on", "nats/char", "bits/char", "perplexity", "accuracy", "in five"],
        [
            [
                row["run"],
                f"{row['step']:,}",
                row["split"],
                margin(row["nats_per_char"], row["interval"]),
                console.figure(row["bits_per_char"], 4),
                console.figure(row["perplexity"], 3),
                f"{row['accuracy']:.1%}",
                f"{row['accuracy_top5']:.1%}",
            ]
            for row in rows
        ],
    )
    for sentence in sentences(rows):
        console.say_wrapped(console.one_line(sentence))


def _comparable(rows: list[dict[str, Any]]) -> list[str]:
    """Whether published scores may be set beside these, once where it is the same of several."""
    found = [(row["run"], row["comparable"]["sentence"]) for row in rows if row["comparable"]]
    alone = len({sentence for _, sentence in found}) < 2
    return list(
        dict.fromkeys(sentence if alone else f"{run}: {sentence}" for run, sentence in found)
    )


def _facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("checkpoint", row["checkpoint"]),
        ("scored on", scored_on(row)),
        ("protocol", row["protocol"]),
        ("nats/char", f"{margin(row['nats_per_char'], row['interval'])}{_explained(row)}"),
        ("bits/char", console.figure(row["bits_per_char"], 4)),
        ("bits/byte", console.figure(row["bits_per_byte"], 4)),
        ("perplexity", f"{console.figure(row['perplexity'], 3)}  (letters it hesitates between)"),
        ("accuracy", f"{row['accuracy']:.1%}  (its first guess is right)"),
        ("in five", f"{row['accuracy_top5']:.1%}  (one of its first five is)"),
    ]


def _explained(row: dict[str, Any]) -> str:
    length = row["block_length"]
    return f"  (95%, by blocks of {length:,} characters)" if length else ""
