"""`charrnn benchmark learning` for a person: held-out loss against time, as a table."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from charrnn import console
from charrnn.commands import measuring

if TYPE_CHECKING:
    from charrnn.commands.learning_run import Run
    from charrnn.corpus import Corpus
    from charrnn.planning import Plan
    from charrnn.schedule import Budget

NAME, MOMENT = ("model", 16), 6
LAST = (("best", 7), ("epochs", 7), ("params", 7), ("char/s", 7))
"""Columns: the first, each moment's width, and those after the moments."""

LATE = 0.1
"""How far off the time given a run's may be before it is said, as a share."""


def show_plan(plans: Sequence["Plan"], corpus: "Corpus") -> None:
    """Say what will be done: the plan, and which cells are compared under it."""
    from charrnn import explanation
    from charrnn.learning_benchmark import heaviest

    by_model = {plan.model.model: plan for plan in plans}
    chosen = by_model[heaviest(list(by_model))]
    measuring.say_machine(chosen.training.threads)
    text, model, training = explanation.describe(chosen, corpus)
    if len(plans) > 1:
        others = ", ".join(_other(plan, chosen) for plan in plans if plan is not chosen)
        model = f"model     {chosen.model}, for which all was chosen, and in its place {others}"
    console.show_facts((name, said) for name, said in map(_halves, (text, model, training)))


def median(runs: Sequence["Run"]) -> "Run":
    """The run whose score is the median; of an even number the worse of the middle two."""
    return sorted(runs, key=lambda run: run.nats_per_char)[len(runs) // 2]


def best(groups: Sequence[Sequence["Run"]]) -> "Run":
    """The median run of the best model; of one that mostly diverged, its best run."""
    runs = ranked(groups)[0]
    found = median(runs)
    return min(runs, key=lambda run: run.nats_per_char) if found.learned.diverged else found


def ranked(groups: Sequence[Sequence["Run"]]) -> list[Sequence["Run"]]:
    """The runs of each model, the best median first; those of which none is done left out."""
    return sorted(filter(None, groups), key=lambda runs: median(runs).nats_per_char)


def show(groups: Sequence[Sequence["Run"]], budget: "Budget") -> None:
    """Draw a line for each model's runs, the best first, and say what they took."""
    from charrnn.learning_benchmark import MOMENTS

    found = ranked(groups)
    if not found:
        return
    room = console.width() - NAME[1] - sum(width for _, width in LAST)
    every = next((n for n in (1, 2, 3) if MOMENTS // n * MOMENT <= room), MOMENTS)
    moments = range(every, MOMENTS + 1, every)
    columns = (NAME, *((at(moment / MOMENTS, budget), MOMENT) for moment in moments), *LAST)
    console.say()
    console.say("held-out nats/char after so much training; best: the checkpoint that is kept")
    measuring.say_cells([name for name, _ in columns], columns)
    for runs in found:
        run = median(runs)
        losses = [run.learned.at(moment) for moment in moments]
        measuring.say_cells(
            [
                run.row["model"],
                *("-" if loss is None else _figure(loss) for loss in losses),
                _figure(run.nats_per_char),
                f"{run.learned.epochs:.3g}",
                console.number(run.row["parameters"]),
                console.number(run.learned.characters_per_second),
            ],
            columns,
        )
        if len(runs) > 1:
            console.say(f"  {len(runs)} seeds: {_range([each.nats_per_char for each in runs])}")
    console.say()
    console.say_wrapped(f"Steps alone took: {'; '.join(map(_taken, found))}.")
    for number, window in enumerate(median(found[0]).row.get("cold_windows", ())):
        scores = "; ".join(_cold(runs, number) for runs in found)
        console.say_wrapped(f"In cold windows of {window['window']}: {scores}.")
    for runs in found:
        for run in runs:
            _warn(run)


def show_comparable(run: "Run") -> None:
    """Say whether published scores may be set beside a run's."""
    rows = [run.row, *run.row.get("cold_windows", ())]
    found = [row["comparable"] for row in rows if row.get("comparable")]
    fitting = [each for each in found if each["comparable"]]
    for each in fitting or found[:1]:
        console.say_wrapped(console.one_line(each["sentence"]))


def at(share: float, budget: "Budget") -> str:
    """What a share of a budget is, in five columns at most."""
    ((unit, whole),) = budget.to_json().items()
    part = share * whole
    if unit == "steps":
        return console.number(round(part))
    if unit == "epochs":
        return f"{part:.3g}"
    for minutes, seconds, name in ((360, 3_600, "h"), (16, 60, "m")):
        if whole >= minutes:
            return f"{part * 60 / seconds:.3g}{name}"
    return f"{part * 60:.3g}s"


def _other(plan: "Plan", chosen: "Plan") -> str:
    """A cell by its name, and by its learning rate where that is another."""
    rate = plan.training.learning_rate
    at_rate = f" (at {rate:g})" if rate != chosen.training.learning_rate else ""
    return plan.model.model + at_rate


def _halves(line: str) -> tuple[str, str]:
    name, said = line.split(maxsplit=1)
    return name, said


def _figure(loss: float) -> str:
    """A loss in five columns at most."""
    if not math.isfinite(loss):
        return "-"
    return f"{loss:.3f}" if loss < 9.9995 else f"{loss:.3g}" if loss < 1_000 else f"{loss:.0e}"


def _range(scores: Sequence[float]) -> str:
    """From the least to the greatest, and how many are none."""
    finite = [score for score in scores if math.isfinite(score)]
    none = f"{len(scores) - len(finite)} diverged" if len(finite) < len(scores) else ""
    span = f"{min(finite):.4f} to {max(finite):.4f}" if finite else ""
    return ", ".join(filter(None, [span, none]))


def _taken(runs: Sequence["Run"]) -> str:
    learned = median(runs).learned
    return f"{learned.plan.model.model} {learned.seconds:.1f} s for {learned.steps:,} steps"


def _cold(runs: Sequence["Run"], number: int) -> str:
    """A model's score in the cold windows of this number: the median run's, and the range."""
    run = median(runs)
    if run.scored is None:
        return f"{run.row['model']} none"
    scores = [each.row["cold_windows"][number]["nats_per_char"] for each in runs if each.scored]
    span = f" ({_range(scores)})" if len(scores) > 1 else ""
    return f"{run.row['model']} {run.row['cold_windows'][number]['nats_per_char']:.4f}{span}"


def _warn(run: "Run") -> None:
    """Say where a run diverged, or was not as long as the others."""
    learned = run.learned
    who = f"{learned.plan.model.model}, seed {learned.plan.training.seed}"
    if learned.diverged:
        console.warn(f"{who}: given up: {learned.diverged}")
    minutes = learned.plan.budget.minutes
    if minutes and abs(learned.seconds / (60 * minutes) - 1) > LATE:
        busy = "busier" if learned.seconds > 60 * minutes else "less busy"
        console.warn(
            f"{who}: its steps took {learned.seconds:.1f} s instead of {60 * minutes:.1f}: "
            f"the machine was {busy} than when they were timed before"
        )
