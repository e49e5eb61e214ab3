"""charrnn evaluate: checkpoints to scores."""

from charrnn import console
from charrnn.commands import evaluate_options as options
from charrnn.commands import precision as precisions
from charrnn.commands import score_table
from charrnn.commands import verbatim as copied
from charrnn.commands import where as failings
from charrnn.commands.differences import Scored, with_differences
from charrnn.commands.options import CHECKPOINTS, CheckpointDir, Json, Quiet
from charrnn.commands.scoring import Scoring
from charrnn.errors import UsageError

SPLITS = ("val", "test", "train")
FORMATS = ("table", "json", "latex", "markdown")


def evaluate(
    checkpoints: options.Checkpoints = None,
    text: options.Text = None,
    split: options.Split = "val",
    corpus: options.Corpus = None,
    exact: options.Exact = False,
    cold_windows: options.ColdWindows = None,
    precision: options.Precision = "fp32",
    threads: options.Threads = None,
    where: options.Where = False,
    context: options.Context = False,
    dynamic: options.Dynamic = False,
    verbatim: options.Verbatim = False,
    baselines: options.Baselines = True,
    losses: options.Losses = None,
    format: options.Format = "table",
    checkpoint_dir: CheckpointDir = CHECKPOINTS,
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
      charrnn evaluate hamlet-gru --dynamic --context
      charrnn evaluate hamlet-gru --text macbeth.txt --verbatim

    Each character is scored once, from all that stands before it: in 32 stretches, each
    entered after reading the 512 characters before it, or with --exact in one. With
    --cold-windows 256 it is scored as nanoGPT scores, from no more than the 256 before it.

    A score's 95% interval is that of a bootstrap of blocks. Of several checkpoints on one
    text it is said which differences from the best are real.
    """
    if split not in SPLITS:
        raise UsageError(f"--split {split}: must be one of {', '.join(SPLITS)}")
    if text is not None and corpus and not verbatim:
        raise UsageError(
            "--text and --corpus: give one of them",
            "with --verbatim, --corpus says where the training text is",
        )
    precisions.check(precision)
    _check_windows(cold_windows, exact)
    if cold_windows is not None and context:
        raise UsageError("--context and --cold-windows: give one of them")
    if dynamic and text is None and split == "train":
        raise UsageError(
            "--dynamic --split train: how it learns is chosen on the training part",
            "score what it was not chosen on: --split val",
        )
    if losses is not None and not losses.absolute().parent.is_dir():
        raise UsageError(f"--losses {losses}: no such directory")
    if losses is not None and len(checkpoints or []) > 1:
        raise UsageError("--losses: give one checkpoint")
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads}: must be at least 1")
    format = _format(format, json, where)

    from charrnn import machine, runs
    from charrnn.checkpoints import read_checkpoint
    from charrnn.commands import comparison

    scoring = Scoring(
        text,
        split,
        corpus,
        exact,
        cold_windows,
        precision,
        threads or machine.processors(),
        losses,
        where=where,
        verbatim=verbatim,
        dynamic=dynamic,
        context=context,
        quiet=quiet,
    )
    results: list[Scored] = []
    seen: comparison.Seen = {}
    references: list[str | None] = list(checkpoints or [])
    try:
        for reference in references or [None]:
            path, checkpoint = runs.open_found(reference, checkpoint_dir, read_checkpoint)
            if reference is None and format != "table" and not quiet:  # a table says it itself
                console.notice(f"checkpoint {path}")
            result, held_out = scoring.of(path, checkpoint)
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
        score_table.show(rows)
        if verbatim:
            copied.show(rows)
        if baselines:
            comparison.show(rows)
        for sentence in score_table.comparable(rows):
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
