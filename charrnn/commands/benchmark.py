"""charrnn benchmark: what this machine can do, measured."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn import console
from charrnn.commands.options import Command, Json, help_alone, option
from charrnn.errors import UsageError
from charrnn.settings import ModelSettings

if TYPE_CHECKING:
    from charrnn.benchmark import Case, Measured

app = typer.Typer(rich_markup_mode=None)

REPETITIONS, TURN_SECONDS, MOST_SECONDS = 7, 0.5, 10.0
QUICK_REPETITIONS, QUICK_TURN_SECONDS, QUICK_MOST_SECONDS = 3, 0.15, 1.5
QUICK_SIZE = 256

_WHAT, _SHAPE, _HOW = "What is measured", "Shapes of your own", "How"

COLUMNS = (
    *(("model", 16), ("charrnn", 9), ("torch.nn", 10), ("ratio", 7), ("autocast", 10)),
    *(("ratio", 7), ("ceiling", 9), ("MB", 5), ("nn MB", 6)),
)


@app.callback(invoke_without_command=True)
def benchmark(context: typer.Context) -> None:
    """Measure what this machine can do.

    \b
    Examples:
      charrnn benchmark training --quick
      charrnn benchmark training --model gru --json
    """
    help_alone(context)


@app.command(cls=Command)
def training(
    model: Annotated[
        list[str] | None, option("--model", "This model (repeatable; default: all).", _WHAT)
    ] = None,
    hidden_size: Annotated[
        list[int] | None,
        option("--hidden-size", "This size (repeatable; default: 128, 256, 512).", _WHAT),
    ] = None,
    quick: Annotated[
        bool, option("--quick", "About 30 s: the size 256, rnn, lstm and gru, shorter.", _WHAT)
    ] = False,
    layers: Annotated[int, option("--layers", "Recurrent layers.", _SHAPE)] = 2,
    embedding_size: Annotated[
        int, option("--embedding-size", "Numbers a character is read as.", _SHAPE)
    ] = 64,
    seq_length: Annotated[
        int | None,
        option("--seq-length", "Characters a step reads (default: 50, 64, 128).", _SHAPE),
    ] = None,
    batch_size: Annotated[
        int | None,
        option("--batch-size", "Streams read side by side (default: 50, 64, 64).", _SHAPE),
    ] = None,
    vocabulary_size: Annotated[
        int, option("--vocabulary-size", "Different characters.", _SHAPE)
    ] = 65,
    precision: Annotated[
        str, option("--precision", "Of charrnn's products: auto, fp32 or bf16.", _HOW)
    ] = "auto",
    threads: Annotated[
        int | None, option("--threads", "Default: the processors there are.", _HOW)
    ] = None,
    repetitions: Annotated[
        int | None,
        option("--repetitions", "The median of so many is told (default: 7).", _HOW),
    ] = None,
    json: Json = False,
) -> None:
    """Compare a training step with the same on plain torch.nn, and with the machine's ceiling.

    \b
    Examples:
      charrnn benchmark training --quick
      charrnn benchmark training --model gru --hidden-size 512
      charrnn benchmark training --hidden-size 384 --seq-length 100 --batch-size 32
      charrnn benchmark training --json > measured.jsonl

    A whole step is measured: batch, forward, loss, backward, clipping, AdamW. The same model
    and step on torch.nn (in fp32, and under bf16 autocast) and charrnn's own each compute in a
    process of their own and take turns. The ceiling is the time that the step's matrix products
    would need alone, in the fastest way there is, as a share of charrnn's whole step.
    """
    if repetitions is not None and not 1 <= repetitions <= 1_000:
        raise UsageError(f"--repetitions {repetitions}: must be a whole number from 1 to 1000")
    for name in model or []:
        ModelSettings(model=name)  # said before torch is waited for

    from charrnn import benchmark, machine
    from charrnn.contenders import TWINS

    if quick:
        left_out = _quick_choice(model, hidden_size)
        model = model or list(TWINS)
        hidden_size = hidden_size or [QUICK_SIZE]
    threads = machine.processors() if threads is None else threads
    if precision == "auto" and not machine.multiplies_bf16("cpu"):
        precision = "fp32"
    cases = benchmark.cases(
        models=model or (),
        hidden_sizes=hidden_size or (),
        layers=layers,
        embedding_size=embedding_size,
        seq_length=seq_length,
        batch_size=batch_size,
        vocabulary_size=vocabulary_size,
        precision=precision,
        threads=threads,
    )
    if quick:
        console.notice(left_out)
    if not json:
        _say_machine(precision, threads)
    repetitions = repetitions or (QUICK_REPETITIONS if quick else REPETITIONS)
    above: Case | None = None
    for number, case in enumerate(cases, 1):
        contenders = 4 if case.model.model in TWINS else 2
        with console.progress(contenders * (repetitions + 1), "turn") as bar:
            bar.set_description(f"{number}/{len(cases)} {case.model.model} {_size(case)}")
            measured = benchmark.measure(
                case,
                repetitions=repetitions,
                turn_seconds=QUICK_TURN_SECONDS if quick else TURN_SECONDS,
                most_seconds=QUICK_MOST_SECONDS if quick else MOST_SECONDS,
                progressed=bar.update,
            )
        rows = benchmark.rows(case, measured)
        for row in rows if json else ():
            console.say_json(row)
        if not json:
            _show(case, rows, above)
        _tell_slow(case, measured, repetitions)
        above = case


def _quick_choice(model: list[str] | None, hidden_size: list[int] | None) -> str:
    """What --quick leaves out, in words."""
    fewer = [
        *([] if model else ["the models that torch.nn lacks"]),
        *([] if hidden_size else ["the sizes 128 and 512"]),
    ]
    left = f"left out: {' and '.join(fewer)}; " if fewer else ""
    return f"--quick: {left}turns of {QUICK_TURN_SECONDS} s, so figures scatter more"


def _say_machine(precision: str, threads: int) -> None:
    from importlib.metadata import version

    from charrnn import machine

    plural = "s" if threads > 1 else ""
    chosen = "bf16, fp32 where small" if precision == "auto" else precision
    console.say(
        f"{machine.processor_name()}, {threads} thread{plural}, torch {version('torch')}, "
        f"charrnn in {chosen}"
    )
    console.say("characters/s; ratio: charrnn's to torch.nn's, in fp32 and under bf16 autocast")


def _size(case: "Case") -> str:
    return f"{case.model.layers} x {case.model.hidden_size}"


def _show(case: "Case", rows: list[dict[str, Any]], above: "Case | None") -> None:
    """A line for a case; before it, where its shapes differ from those above, what they are."""
    if above is None or above.training != case.training:
        model, training = case.model, case.training
        console.say()
        console.say(
            f"H={model.hidden_size} L={model.layers} T={training.seq_length} "
            f"B={training.batch_size} E={model.embedding_size} V={case.vocabulary_size}"
        )
        _say_cells([name for name, _ in COLUMNS])
    own = rows[0]
    cells = [own["model"], console.number(own["characters_per_second"])]
    for row in rows if own["baseline"] else ():
        cells += [console.number(row["baseline_characters_per_second"]), f"{row['ratio']:.2f}"]
    if not own["baseline"]:
        cells += ["-"] * 4
    cells.append(f"{own['ceiling_fraction']:.0%}")
    cells += [_megabytes(own[f"{whose}peak_memory_bytes"]) for whose in ("", "baseline_")]
    _say_cells(cells)


def _say_cells(cells: list[str]) -> None:
    (first, *rest), ((_, width), *widths) = cells, COLUMNS
    console.say(
        first.ljust(width) + "".join(c.rjust(w) for c, (_, w) in zip(rest, widths, strict=True))
    )


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.0f}"


def _tell_slow(case: "Case", measured: Mapping[str, "Measured"], repetitions: int) -> None:
    for name, of in measured.items():
        if of.repetitions < repetitions:
            console.notice(
                f"{case.model.model} {_size(case)}: {name} takes {of.step_seconds:.1f} s a step, "
                f"so only {of.repetitions} of {repetitions} repetitions"
            )
