"""Learning, measured: cells under one plan and budget, and held-out loss against time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from charrnn import calibration, learning_contenders, planning
from charrnn.batches import windows_per_epoch
from charrnn.benchmark import Contender, Entrant
from charrnn.corpus import Corpus
from charrnn.errors import UsageError
from charrnn.planning import Plan
from charrnn.schedule import Budget
from charrnn.settings import ModelSettings, to_json

MOMENTS = 6
"""At so many equally spaced moments of a budget runs are compared."""


class Point(NamedTuple):
    """How well a run had learned at a moment."""

    seconds: float
    """of steps, evaluations left out"""
    step: int
    nats_per_char: float
    """held out"""


@dataclass(frozen=True)
class Learned:
    """What a run came to."""

    plan: Plan
    steps: int
    epochs: float
    seconds: float
    """from the first step to the last, evaluations left out"""
    characters_per_second: float
    peak_memory_bytes: int | None
    curve: tuple[Point, ...]
    """each score of the held-out text"""
    diverged: str | None = None
    """in words, where it was given up"""

    def at(self, moment: int) -> float | None:
        """Held-out nats/char when `moment` of MOMENTS parts of the budget are done.

        Taken from the score nearest to that; None where it got no further, or has too few
        steps to be scored there.
        """
        step, apart = moment * self.steps / MOMENTS, self.steps / MOMENTS / 2
        near = [point for point in reversed(self.curve) if abs(point.step - step) <= apart]
        return min(near, key=lambda p: abs(p.step - step)).nats_per_char if near else None


def plans(
    corpus: Corpus,
    budget: Budget,
    *,
    models: Sequence[str],
    seeds: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    mode: str = "auto",
) -> list[list[Plan]]:
    """For each model the plan of each seed; the one that it chooses where none is named.

    All is chosen for the heaviest cell, as `charrnn train` chooses it, around the settings
    given in `model` and `training`; `mode` is that of `--plan`. The others have another
    cell, and the learning rate that the plan has for it. Raises UsageError for a value that
    cannot be, TextError for a text that is too short.
    """
    chosen = calibration.plan(
        len(corpus.ids["train"]),
        budget=budget,
        model=({"model": heaviest(models)} if models else {}) | dict(model),
        training=training,
        mode=mode,
    )
    windows_per_epoch(
        len(corpus.ids["train"]), chosen.training.seq_length, chosen.training.batch_size
    )
    if not len(corpus.ids["val"]):
        raise UsageError("the text is too short to hold any of it out", "give more text")
    found = []
    for name in models or [chosen.model.model]:
        other, settings = replace(chosen.model, model=name), chosen.training
        if not other.multiplies_state:
            settings = replace(settings, weight_drop=0.0)
        if mode == "auto" and "learning_rate" not in training:
            rate = planning.learning_rate(settings.optimizer, other, settings.dropout)
            settings = replace(settings, learning_rate=rate)
        found.append(
            [
                replace(chosen, model=other, training=replace(settings, seed=seed))
                for seed in range(seeds)
            ]
        )
    return found


def heaviest(models: Sequence[str]) -> str:
    """Of models, by name, the first of those that have the most weights in the usual shape."""
    return max(models, key=lambda name: ModelSettings(name).parameters(0))


def entrant(plan: Plan, corpus: Path, run: Path) -> Entrant:
    """A run of a plan on a text, to be made in a directory that is there."""
    return Entrant(
        plan.model.model,
        learning_contenders.__name__,
        {
            "corpus": str(corpus.absolute()),
            "run": str(run.absolute()),
            "model": to_json(plan.model),
            "training": to_json(plan.training),
            "budget": plan.budget.to_json(),
            "moments": MOMENTS,
        },
        hint="if memory ran out, try a smaller --hidden-size",
    )


def learn(
    plan: Plan,
    corpus: Path,
    run: Path,
    told: Callable[[dict[str, Any]], object] = lambda _: None,
) -> Learned:
    """Train in a process of its own; `told` hears all that it says of itself on the way.

    Raises CharrnnError where training fails but for divergence, or the process ends.
    """
    steps, curve = 0, []
    with Contender(entrant(plan, corpus, run)) as contender:
        while True:
            said = contender.answer()
            told(said)
            if said["kind"] == "begun":
                steps = said["steps"]
            elif said["kind"] == "evaluated":
                curve.append(Point(*(said[name] for name in Point._fields)))
            elif said["kind"] == "done":
                break
    batch = plan.training.seq_length * plan.training.batch_size
    return Learned(
        plan=plan,
        steps=steps,
        epochs=steps / said["per_epoch"],
        seconds=said["seconds"],
        characters_per_second=said["taken"] * batch / max(said["seconds"], 1e-9),
        peak_memory_bytes=said["peak_memory_bytes"],
        curve=tuple(curve),
        diverged=said["diverged"],
    )


def row(learned: Learned, text: Path, vocabulary_size: int) -> dict[str, Any]:
    """A run by the names of `--json`, but for its final score; V = `vocabulary_size`."""
    return {
        "what": "learning",
        "text": str(text),
        **to_json(learned.plan.model),
        "seed": learned.plan.training.seed,
        "parameters": learned.plan.model.parameters(vocabulary_size),
        "training": to_json(learned.plan.training),
        "budget": learned.plan.budget.to_json(),
        "steps": learned.steps,
        "epochs": learned.epochs,
        "seconds": learned.seconds,
        "characters_per_second": learned.characters_per_second,
        "peak_memory_bytes": learned.peak_memory_bytes,
        "curve": [point._asdict() for point in learned.curve],
        "diverged": learned.diverged,
    }
