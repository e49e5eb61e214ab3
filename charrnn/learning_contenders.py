"""What the benchmark of learning measures: a run of training, as `charrnn train` makes it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from charrnn import calibration, events, training
from charrnn.batches import windows_per_epoch
from charrnn.benchmark import peak_memory, perform
from charrnn.corpus import Corpus, read_corpus
from charrnn.errors import DivergenceError
from charrnn.planning import Plan
from charrnn.schedule import Budget, schedule, steps_of
from charrnn.session import Session, begin
from charrnn.settings import ModelSettings, TrainingSettings, from_json

TOLD_EVERY = 0.1
"""Seconds between two words on how far a run has come."""


def learn(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A run, from the task that `learning_benchmark.entrant` writes.

    Says how many steps it will be, how far it has come, each held-out score, and what it took.
    """
    corpus = read_corpus([Path(task["corpus"])])
    plan = Plan(
        from_json(ModelSettings, task["model"]),
        from_json(TrainingSettings, task["training"]),
        Budget(**task["budget"]),
    )
    session = begun(Path(task["run"]), corpus, plan, task["moments"])
    yield {"kind": "begun", "steps": session.schedule.steps}
    yield from watched(session)


def begun(run: Path, corpus: Corpus, plan: Plan, moments: int) -> Session:
    """A run of a plan, scored when each of so many equal parts of it is done.

    Minutes are those of steps alone: however often it is scored, it learns as long.
    """
    settings = plan.training
    length = settings.seq_length * settings.batch_size
    characters = len(corpus.ids["train"])
    steps = steps_of(
        plan.budget, windows_per_epoch(characters, settings.seq_length, settings.batch_size)
    )
    if steps is None:
        assert plan.budget.minutes is not None
        timing = calibration.measure(corpus, plan.model, settings, plan.budget.minutes)
        steps = max(1, int(60 * plan.budget.minutes / timing.step_seconds))
    usual = schedule(steps, batch_characters=length, held_out_characters=len(corpus.ids["val"]))
    # As often as training does by itself, or nearly, but at those moments too.
    times = moments * max(1, round(steps / usual.evaluation_steps / moments))
    return begin(
        run,
        corpus,
        Plan(plan.model, settings, Budget(steps=steps)),
        command="charrnn benchmark learning",
        checkpoint_steps=None,
        evaluation_steps=max(1, steps // times),
        fractions=(0.1, 0.0),
    )


def watched(
    session: Session, clock: Callable[[], float] = time.perf_counter
) -> Iterator[dict[str, Any]]:
    """Train, and tell of it; time is that of the steps, evaluations left out."""
    told = training.train(
        session.state,
        session.corpus,
        session.settings,
        session.schedule,
        session.run,
        afresh=session.afresh,
    )
    seconds, taken, told_at, diverged = 0.0, 0, 0.0, None
    while True:
        began = clock()
        try:
            event = next(told)
        except StopIteration:
            break
        except DivergenceError as error:
            diverged = error.message
            break
        if isinstance(event, events.Progressed):
            seconds += clock() - began
            taken += 1
            if seconds - told_at >= TOLD_EVERY:
                told_at = seconds
                yield {"kind": "progressed", "step": event.step}
        elif isinstance(event, events.Evaluated) and event.score is not None:
            yield {
                "kind": "evaluated",
                "seconds": seconds,
                "step": event.step,
                "nats_per_char": event.score.nats_per_char,
            }
    yield {
        "kind": "done",
        "seconds": seconds,
        "taken": taken,  # those that were undone where it diverged included
        "per_epoch": windows_per_epoch(
            len(session.corpus.ids["train"]),
            session.settings.seq_length,
            session.settings.batch_size,
        ),
        "peak_memory_bytes": peak_memory(),
        "diverged": diverged,
    }


def main() -> None:
    """Be one of them."""
    perform(learn)
