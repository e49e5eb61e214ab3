"""charrnn benchmark training: a step, beside the same on plain torch.nn."""

from typing import TYPE_CHECKING, Annotated, Any

from charrnn import console
from charrnn.commands import measuring
from charrnn.commands.measuring import HOW, SHAPE, WHAT
from charrnn.commands.options import Json, option
from charrnn.settings import ModelSettings

if TYPE_CHECKING:
    from charrnn.training_benchmark import Case

QUICK_SIZE = 256

COLUMNS = (
    *(("model", 16), ("charrnn", 9), ("torch.nn", 10), ("ratio", 7), ("autocast", 10)),
    *(("ratio", 7), ("ceiling", 9), ("MB", 5), ("nn MB", 6)),
)


def training(
    model: Annotated[
        list[str] | None, option("--model", "This model (repeatable; default: all).", WHAT)
    ] = None,
    hidden_size: Annotated[
        list[int] | None,
        option("--hidden-size", "This size (repeatable; default: 128, 256, 512).", WHAT),
    ] = None,
    quick: Annotated[
        bool, option("--quick", "About 30 s: the size 256, rnn, lstm and gru, shorter.", WHAT)
    ] = False,
    layers: Annotated[int, option("--layers", "Recurrent layers.", SHAPE)] = 2,
    embedding_size: Annotated[
        int, option("--embedding-size", "Numbers a character is read as.", SHAPE)
    ] = 64,
    seq_length: Annotated[
        int | None,
        option("--seq-length", "Characters a step reads (default: 50, 64, 128).", SHAPE),
    ] = None,
    batch_size: Annotated[
        int | None,
        option("--batch-size", "Streams read side by side (default: 50, 64, 64).", SHAPE),
    ] = None,
    vocabulary_size: Annotated[
        int, option("--vocabulary-size", "Different characters.", SHAPE)
    ] = 65,
    precision: Annotated[
        str, option("--precision", "Of charrnn's products: auto, fp32 or bf16.", HOW)
    ] = "auto",
    threads: Annotated[
        int | None, option("--threads", "Default: the processors there are.", HOW)
    ] = None,
    repetitions: Annotated[
        int | None,
        option("--repetitions", "The median of so many is told (default: 7).", HOW),
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
    measuring.check_repetitions(repetitions)
    for name in model or []:
        ModelSettings(model=name)  # said before torch is waited for

    from charrnn import machine, training_benchmark
    from charrnn.twins import TWINS

    if quick:
        left_out = _left_out(model, hidden_size)
        model = model or list(TWINS)
        hidden_size = hidden_size or [QUICK_SIZE]
    threads = machine.processors() if threads is None else threads
    if precision == "auto" and not machine.multiplies_bf16("cpu"):
        precision = "fp32"
    cases = training_benchmark.cases(
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
        measuring.tell_quick(left_out)
    if not json:
        chosen = "bf16, fp32 where small" if precision == "auto" else precision
        measuring.say_machine(threads, f"charrnn in {chosen}")
        console.say("characters/s; ratio: charrnn's to torch.nn's, in fp32 and under bf16 autocast")
    effort = measuring.effort(repetitions, quick=quick)
    above: Case | None = None
    for number, case in enumerate(cases, 1):
        contenders = 4 if case.model.model in TWINS else 2
        with console.progress(contenders * (effort["repetitions"] + 1), "turn") as bar:
            bar.set_description(f"{number}/{len(cases)} {case.model.model} {_size(case)}")
            measured = training_benchmark.measure(case, **effort, progressed=bar.update)
        rows = training_benchmark.rows(case, measured)
        for row in rows if json else ():
            console.say_json(row)
        if not json:
            _show(case, rows, above)
        for name, of in measured.items():
            where = f"{case.model.model} {_size(case)}"
            measuring.tell_slow(
                where, name, of.step_seconds, "a step", of.repetitions, effort["repetitions"]
            )
        above = case


def _left_out(model: list[str] | None, hidden_size: list[int] | None) -> list[str]:
    """What --quick leaves out, in words."""
    return [
        *([] if model else ["the models that torch.nn lacks"]),
        *([] if hidden_size else ["the sizes 128 and 512"]),
    ]


def _size(case: "Case") -> str:
    return f"{case.model.layers} x {case.model.hidden_size}"


def _show(case: "Case", rows: list[dict[str, Any]], above: "Case | None") -> None:
    """A line for a case; before it, where its shapes differ from those above, what they are."""
    if above is None or above.training != case.training:
        model, training = case.model, case.training
        console.say()
        console.say(
            f"H={model.hidden_size} L={model.layers} T={training.seq_length} "
            f"B={training.batch_size} E={model.embedding_size} V={case.vocabulary_size} "
            f"{training.precision}"
        )
        measuring.say_cells([name for name, _ in COLUMNS], COLUMNS)
    own = rows[0]
    cells = [own["model"], console.number(own["characters_per_second"])]
    for row in rows if own["baseline"] else ():
        cells += [console.number(row["baseline_characters_per_second"]), f"{row['ratio']:.2f}"]
    if not own["baseline"]:
        cells += ["-"] * 4
    cells.append(f"{own['ceiling_fraction']:.0%}")
    cells += [_megabytes(own[f"{whose}peak_memory_bytes"]) for whose in ("", "baseline_")]
    measuring.say_cells(cells, COLUMNS)


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.0f}"
