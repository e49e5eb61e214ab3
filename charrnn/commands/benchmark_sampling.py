"""charrnn benchmark sampling: one stream beside torch's, and beside what the machine can read."""

from typing import TYPE_CHECKING, Annotated, Any

from charrnn import console
from charrnn.commands import measuring
from charrnn.commands.measuring import HOW, SHAPE, WHAT
from charrnn.commands.options import Json, option
from charrnn.settings import ModelSettings

if TYPE_CHECKING:
    from charrnn.sampling_benchmark import Case

QUICK_SIZE = 512

COLUMNS = (
    *(("model", 16), ("charrnn", 8), ("torch.nn", 9), ("ratio", 7), ("by hand", 8)),
    *(("ratio", 6), ("bound", 6), ("of 64", 7), ("ratio", 6), ("prompt", 7)),
)


def sampling(
    model: Annotated[
        list[str] | None,
        option("--model", "This model (repeatable; default: lstm, gru, rnn).", WHAT),
    ] = None,
    hidden_size: Annotated[
        list[int] | None,
        option("--hidden-size", "This size (repeatable; default: 128, 512).", WHAT),
    ] = None,
    quick: Annotated[
        bool, option("--quick", "A minute or two: the size 512 alone, shorter.", WHAT)
    ] = False,
    layers: Annotated[int, option("--layers", "Recurrent layers.", SHAPE)] = 2,
    embedding_size: Annotated[
        int, option("--embedding-size", "Numbers a character is read as.", SHAPE)
    ] = 64,
    vocabulary_size: Annotated[
        int, option("--vocabulary-size", "Different characters.", SHAPE)
    ] = 65,
    threads: Annotated[
        int | None, option("--threads", "Default: the processors there are.", HOW)
    ] = None,
    repetitions: Annotated[
        int | None,
        option("--repetitions", "The median of so many is told (default: 7).", HOW),
    ] = None,
    json: Json = False,
) -> None:
    """Compare sampling with the same in torch, and with the machine's bound; and the start.

    \b
    Examples:
      charrnn benchmark sampling --quick
      charrnn benchmark sampling --model lstm --hidden-size 512
      charrnn benchmark sampling --hidden-size 1024 --layers 3
      charrnn benchmark sampling --json > measured.jsonl

    One stream of characters, each drawn and then read: charrnn's, the usual loop over
    torch.nn, and the step written out by hand in torch. The bound is how often the machine
    can multiply the step's matrices by a vector and do nothing else. Each computes in a
    process of its own, with one thread and with all; they take turns, and the faster is
    told. Then the rate of 64 streams side by side to that of one, and of a prompt of
    100,000 characters to one that is read character by character. Last, how long
    a sample takes from a cold start, beside `import torch` alone.
    """
    measuring.check_repetitions(repetitions)
    for name in model or []:
        ModelSettings(model=name)  # said before anything is waited for

    from charrnn import cold_start, machine, sampling_benchmark, sampling_contenders
    from charrnn.signals import unwinding

    threads = machine.processors() if threads is None else threads
    cases = sampling_benchmark.cases(
        models=model or (),
        hidden_sizes=hidden_size or ([QUICK_SIZE] if quick else ()),
        layers=layers,
        embedding_size=embedding_size,
        vocabulary_size=vocabulary_size,
        threads=threads,
    )
    if quick:
        measuring.tell_quick([] if hidden_size else ["the size 128"])
    if not json:
        measuring.say_machine(threads)
        console.say(
            "characters/s; ratio: charrnn's to that of torch; bound: charrnn's share of it;"
        )
        console.say("of 64: in all streams, to that of one; prompt: read at once, to one by one")
    effort = measuring.effort(repetitions, quick=quick)
    turns = effort["repetitions"]
    above: Case | None = None
    for number, case in enumerate(cases, 1):
        where = f"{case.model.model} {case.model.layers} x {case.model.hidden_size}"
        with console.progress(len(sampling_benchmark.places(case)) * (turns + 1), "turn") as bar:
            bar.set_description(f"{number}/{len(cases)} {where}")
            measured = sampling_benchmark.measure(case, **effort, progressed=bar.update)
        rows = sampling_benchmark.rows(case, measured)
        for row in rows if json else ():
            console.say_json(row)
        if not json:
            _show(case, rows, above)
        for place, of in measured.items():
            step = f"for {sampling_contenders.CHARACTERS[place.contender]:,} characters"
            seconds = of.step_seconds
            measuring.tell_slow(where, place.contender, seconds, step, of.repetitions, turns)
        above = case
    with unwinding(), console.progress(3 * (turns + 1), "start") as bar:
        started = cold_start.measure(
            repetitions=turns, most_seconds=measuring.MOST_SECONDS, progressed=bar.update
        )
    rows = cold_start.rows(started)
    for row in rows if json else ():
        console.say_json(row)
    if not json:
        _show_start(rows)


def _show(case: "Case", rows: list[dict[str, Any]], above: "Case | None") -> None:
    """A line for a case; before it, where its size differs from that above, what it is."""
    from charrnn.sampling_contenders import (
        BOUND,
        BY_HAND,
        MANY,
        ONE_STREAM,
        PROMPT,
        SINGLY,
        TORCH_NN,
    )

    model = case.model
    if above is None or above.model.hidden_size != model.hidden_size:
        console.say()
        console.say(
            f"H={model.hidden_size} L={model.layers} E={model.embedding_size} "
            f"V={case.vocabulary_size}"
        )
        measuring.say_cells([name for name, _ in COLUMNS], COLUMNS)
    bound = fastest(rows, ONE_STREAM, BOUND)
    cells = [model.model, console.number(bound["characters_per_second"]) if bound else "-"]
    for baseline in TORCH_NN, BY_HAND:
        best = fastest(rows, ONE_STREAM, baseline)
        if best is None:
            cells += ["-", "-"]
        else:
            cells += [
                console.number(best["baseline_characters_per_second"]),
                f"{best['ratio']:.2f}",
            ]
    cells.append(f"{bound['ratio']:.0%}" if bound else "-")
    many, prompt = fastest(rows, MANY, ONE_STREAM), fastest(rows, PROMPT, SINGLY)
    if many and prompt:
        cells += [console.number(many["characters_per_second"]), f"{many['ratio']:.2f}"]
        cells.append(f"{prompt['ratio']:.2f}")
    measuring.say_cells(cells, COLUMNS)


def fastest(rows: list[dict[str, Any]], contender: str, baseline: str) -> dict[str, Any] | None:
    """The row in which both have the threads that are best for them; None where there is none."""
    found = [r for r in rows if (r["contender"], r["baseline"]) == (contender, baseline)]
    return max(
        found,
        key=lambda row: (row["characters_per_second"], row["baseline_characters_per_second"]),
        default=None,
    )


def _show_start(rows: list[dict[str, Any]]) -> None:
    size = f"{rows[0]['layers']} x {rows[0]['hidden_size']} {rows[0]['model']}"
    console.say()
    console.say(f"a cold start of charrnn sample, {size}")
    console.say(f"import torch          {rows[0]['baseline_seconds']:.2f} s")
    for row in rows:
        what = "first character" if row["characters"] == 1 else f"{row['characters']:,} characters"
        console.say(f"{what:20}  {row['seconds']:.2f} s, {1 / row['ratio']:.0%} of that")
