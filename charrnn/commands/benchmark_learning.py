"""charrnn benchmark learning: how well models learn a text in the same time."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from charrnn import console
from charrnn.commands import comparison, learning_table
from charrnn.commands.evaluate_options import Baselines
from charrnn.commands.learning_run import Bench, Run
from charrnn.commands.measuring import HOW, SHAPE, WHAT
from charrnn.commands.options import CORPORA, Json, option
from charrnn.errors import DivergenceError, UsageError
from charrnn.settings import MODELS, ModelSettings, TrainingSettings, check_plan

MINUTES = 1.3
MOST_SEEDS = 1_000
TEXT = CORPORA / "tinyshakespeare.txt"

_BUDGET = "How long (one of)"


def learning(
    text: Annotated[
        Path | None, typer.Argument(help=f"What is learned (default: {TEXT}).", show_default=False)
    ] = None,
    models: Annotated[
        list[str] | None,
        option("--models", "Compare rnn,lstm,gru,...; all (default: the plan's).", WHAT),
    ] = None,
    seeds: Annotated[
        int, option("--seeds", "Runs of each, with seeds 0, 1, ...; their median is told.", WHAT)
    ] = 1,
    cold_windows: Annotated[
        list[int] | None,
        option("--cold-windows", "The score in cold windows of N, too (repeatable).", WHAT),
    ] = None,
    baselines: Baselines = True,
    minutes: Annotated[
        float | None, option("--minutes", f"Of training alone (default {MINUTES}).", _BUDGET)
    ] = None,
    epochs: Annotated[float | None, option("--epochs", "Times the text is read.", _BUDGET)] = None,
    steps: Annotated[int | None, option("--steps", "Batches.", _BUDGET)] = None,
    hidden_size: Annotated[
        int | None, option("--hidden-size", "Hidden units of a layer.", SHAPE)
    ] = None,
    layers: Annotated[int | None, option("--layers", "Recurrent layers.", SHAPE)] = None,
    plan: Annotated[
        str, option("--plan", "auto, or off: the same settings for every text.", HOW)
    ] = "auto",
    optimizer: Annotated[
        str | None, option("--optimizer", "soap, adamw or sgd (default: the plan's).", HOW)
    ] = None,
    threads: Annotated[
        int | None, option("--threads", "Default: the processors there are.", HOW)
    ] = None,
    json: Json = False,
) -> None:
    """Train models on a text for the same time, and compare what they learned.

    \b
    Examples:
      charrnn benchmark learning
      charrnn benchmark learning hamlet.txt --minutes 10 --seeds 3
      charrnn benchmark learning --models rnn,lstm,gru
      charrnn benchmark learning --models all --hidden-size 128 --epochs 3
      charrnn benchmark learning --cold-windows 64 --cold-windows 256 --json

    Each trains as `train` does, in a process and a directory of its own that are gone
    afterwards; the last tenth of the text is held out. All train under the plan that is made
    for the heaviest one: only the cell is another, and its learning rate. Time is wall clock
    from the first step to the last, evaluations left out.
    """
    given = {"minutes": minutes, "epochs": epochs, "steps": steps}
    limits: dict[str, Any] = {unit: value for unit, value in given.items() if value is not None}
    sizes = {"hidden_size": hidden_size, "layers": layers}
    shape: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
    ways = {"threads": threads, "optimizer": optimizer}
    how: dict[str, Any] = {name: way for name, way in ways.items() if way is not None}
    ModelSettings(**shape)  # said before torch is waited for
    TrainingSettings(**how)
    check_plan(plan)
    cells = [] if models is None else named(models)
    windows = list(dict.fromkeys(cold_windows or ()))
    if min(windows, default=1) < 1:
        raise UsageError(f"--cold-windows {min(windows)}: must be at least 1")
    if not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"--seeds {seeds}: must be a whole number from 1 to {MOST_SEEDS}")

    from charrnn.schedule import Budget

    budget = Budget(**(limits or {"minutes": MINUTES}))
    if text is None and not TEXT.exists():
        raise UsageError(
            f"{TEXT}: not there, and no text given",
            "charrnn corpus fetch tinyshakespeare, or charrnn benchmark learning FILE.txt",
        )

    from charrnn import documents, learning_benchmark
    from charrnn.commands import corpus_reading
    from charrnn.signals import unwinding

    path = documents.spooled(text or TEXT)
    corpus = corpus_reading.read({"corpus": [path], "rehash": False, "quiet": json}, None)
    plans = learning_benchmark.plans(
        corpus, budget, models=cells, seeds=seeds, model=shape, training=how, mode=plan
    )
    for window in windows:
        if window > len(corpus.ids["val"]):
            count = len(corpus.ids["val"])
            raise UsageError(f"--cold-windows {window}: only {count:,} characters are held out")
    if not json:
        learning_table.show_plan([of_one[0] for of_one in plans], corpus)
    groups: list[list[Run]] = []
    with unwinding(), tempfile.TemporaryDirectory(prefix="charrnn-benchmark-") as place:
        bench = Bench(path, corpus, windows, Path(place))
        try:
            for of_one in plans:
                groups.append([])
                for each in of_one:
                    number = sum(map(len, groups)) + 1
                    run = bench.run(each, f"{number}/{len(plans) * seeds} {each.model.model}")
                    groups[-1].append(run)
                    if json:
                        console.say_json(run.row)
        finally:  # what was done before a failure, or Ctrl-C, is told, too
            if not json:
                learning_table.show(groups, budget)
        best = learning_table.best(groups)
        if best.learned.diverged:
            raise DivergenceError(
                f"no run came to its end: {best.learned.diverged}",
                "charrnn train --learning-rate sets a lower one",
            )
        if baselines:
            row = bench.beside(best)
            for each in row["baselines"] if json else ():
                console.say_json({"what": "baseline", "text": str(path), **each})
            if not json:
                comparison.show([row])
    if not json:
        learning_table.show_comparable(best)


def named(models: Sequence[str]) -> list[str]:
    """The models that --models means, each once; raises UsageError."""
    words = [word.strip() for given in models for word in given.split(",")]
    for word in words:
        if word not in (*MODELS, "all"):
            known = ", ".join([*MODELS, "all"])
            raise UsageError(f"--models {word or repr(word)}: must be some of {known}")
    return list(dict.fromkeys(MODELS if "all" in words else words))
