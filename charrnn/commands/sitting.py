"""One sitting of charrnn train: a run begun, or gone on with, and watched until it ends."""

import contextlib
import dataclasses
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn import console
from charrnn.commands.options import CHECKPOINTS
from charrnn.errors import DeadlineError, StoppedError

if TYPE_CHECKING:
    from charrnn.corpus import Corpus
    from charrnn.planning import Plan
    from charrnn.run_record import RunRecord
    from charrnn.session import Session
    from charrnn.signals import Signals


OTHER_FLAGS = {
    "checkpoint_steps": "--checkpoint-steps",
    "evaluation_steps": "--evaluation-steps",
    "encoding": "--encoding",
    "newlines": "--newlines",
    "normalize": "--normalize",
    "lowercase": "--lowercase",
    "document_separator": "--document-separator",
    "min_count": "--min-count",
    "init_from": "--init-from",
}
"""What a whole command names where it was given, besides the plan; by name."""


FEW_STEPS = 20
"""Below which a user is told not to expect much."""


@dataclasses.dataclass
class Watch:
    """What a person, a queue or the clock may ask of training while it goes on."""

    signals: "Signals"
    deadline: float
    """in the seconds of `time.monotonic`"""
    quiet: bool

    def over(self, session: "Session") -> None:
        """Train, showing what happens; raises StoppedError or DeadlineError."""
        from charrnn import dashboard, events, training

        def stop() -> bool:
            return self.signals.stop() or time.monotonic() > self.deadline

        stopped = False
        told = training.train(
            session.state,
            session.corpus,
            session.settings,
            session.schedule,
            session.run,
            stop=stop,
            save=self.signals.save,
            afresh=session.afresh,
        )
        # Closed wherever a second signal comes: the save under way ends before the lock does.
        with contextlib.closing(told), dashboard.display(session, self.quiet) as shown:
            self.signals.training = True
            for event in told:
                shown.show(event)
                stopped = isinstance(event, events.Stopped)
        if not stopped:
            return
        where = ["--name", session.run.name]
        if session.run.parent != CHECKPOINTS:
            where += ["--checkpoint-dir", str(session.run.parent)]
        place = f"step {session.state.step:,} of {session.schedule.steps:,}, "
        place += "everything saved" if session.state.step else "before anything was to be saved"
        hint = f"charrnn train --resume {shlex.join(where)}"
        if self.signals.received is None:
            raise DeadlineError(f"{session.run}: the deadline is there at {place}", hint)
        raise StoppedError(self.signals.received, f"{session.run}: stopped at {place}", hint)


def begin(
    run: Path,
    text: "Corpus",
    plan: "Plan",
    initial: dict[str, Any] | None,
    given: Mapping[str, Any],
    watch: Watch,
) -> None:
    """Begin a run and train; `initial` is the checkpoint that it begins with, see RunRecord."""
    from charrnn import calibration, session

    minutes = plan.budget.minutes
    if minutes is not None and not watch.quiet:
        seconds = calibration.timing_seconds(minutes)
        if seconds > calibration.SECONDS:
            console.notice(f"timing    this model, for some {seconds:.0f} seconds")
    begun = session.begin(
        run,
        text,
        plan,
        command=explicit_command(plan, given, run.name),
        checkpoint_steps=given.get("checkpoint_steps"),
        evaluation_steps=given.get("evaluation_steps"),
        fractions=(given.get("val_frac", 0.1), given.get("test_frac", 0.0)),
        initial=initial,
    )
    steps = begun.schedule.steps
    if minutes is not None and steps < FEW_STEPS and not watch.quiet:
        fit = f"{steps} steps fit" if steps > 1 else "no more than one step fits"
        console.warn(f"{fit} into {plan.budget}: too few for a model of this size to learn much")
    watch.over(begun)


def go_on(run: Path, record: "RunRecord", given: Mapping[str, Any], watch: Watch) -> None:
    """Train on from the newest checkpoint, unless the run is finished."""
    from charrnn import machine, run_record, runs

    asked = _as_asked(record, given)
    if runs.is_finished(run, asked.schedule.steps):
        if not watch.quiet:
            console.notice(f"{run}: finished, at step {asked.schedule.steps:,}")
        return
    from charrnn import session

    free = {flag: given[flag] for flag in run_record.FREE if given.get(flag, "auto") != "auto"}
    free["device"] = machine.choose_device(given.get("device", record.training.device))
    settings = dataclasses.replace(record.training, **free)
    resumed = session.go_on(
        run, asked, settings=settings, skipped=lambda error: console.warn(error.message)
    )
    step = resumed.state.step
    if not watch.quiet:
        console.notice(f"{run}: going on from step {step:,}")
    changed = run_record.changed(record, settings, session.versions())
    if asked.schedule.steps > record.schedule.steps:
        changed["steps"] = str(record.schedule.steps), str(asked.schedule.steps)
    if changed:
        for name, (was, now) in changed.items():
            console.warn(f"{name} {was} until step {step:,}, {now} from there on")
        console.warn("so the end will not be, to the last bit, that of a run never stopped")
        change = {"step": step, "changed": {name: list(pair) for name, pair in changed.items()}}
        asked = dataclasses.replace(asked, changes=[*asked.changes, change])
    if asked != record:
        run_record.write_record(run, asked)
    watch.over(resumed)


def _as_asked(record: "RunRecord", given: Mapping[str, Any]) -> "RunRecord":
    """A run's record with what may be otherwise than it was begun with."""
    if [str(path.absolute()) for path in given.get("corpus", ())] not in ([], record.paths):
        from charrnn.session import relocated

        record = relocated(record, given["corpus"])
    schedule = record.schedule
    if given.get("steps", 0) > schedule.steps:
        schedule = dataclasses.replace(schedule, steps=given["steps"])
    if "checkpoint_steps" in given:
        schedule = dataclasses.replace(schedule, checkpoint_steps=given["checkpoint_steps"])
    return dataclasses.replace(record, schedule=schedule)


def explicit_command(plan: "Plan", given: Mapping[str, Any], run_name: str) -> str:
    """The run as one fully explicit command."""
    from charrnn import explanation

    flags = ["--name", run_name, "--checkpoint-dir", str(given["checkpoint_dir"])]
    for split, share in ("val", 0.1), ("test", 0.0):
        file = given.get(f"{split}_file")
        fraction = given.get(f"{split}_frac", share)
        flags += [f"--{split}-file", str(file)] if file else [f"--{split}-frac", f"{fraction}"]
    for name, flag in OTHER_FLAGS.items():
        if given.get(name, False) is not False:
            flags += [flag] if given[name] is True else [flag, str(given[name])]
    return explanation.explicit_command(given["corpus"], plan, flags)
