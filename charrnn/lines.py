"""What is told while a model trains, off a terminal: a line a report."""

import math
import time
from types import TracebackType
from typing import Self

from charrnn import console
from charrnn.events import Event, NotSaved, Progressed, Reported, Saved, Stopped, WentBack
from charrnn.schedule import Schedule

_LN2 = math.log(2.0)


class Display:
    """Told of events, shows trouble alone; a context, for the displays that need one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def show(self, event: Event) -> None:
        """Show an event."""
        told = trouble(event)
        if told:
            console.warn(told)


def trouble(event: Event) -> str:
    """What went wrong, for the events that say so."""
    if isinstance(event, NotSaved):
        return f"step {event.step:,} is not saved yet, training goes on: {event.error.message}"
    if isinstance(event, WentBack):
        again = f"again from step {event.step:,} at a learning rate of {event.learning_rate:.2g}"
        return f"{event.diverged}; {again}"
    return ""


class Lines(Display):
    """One plain line a report and an evaluation, on stderr, without control characters."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._left = TimeLeft(schedule.steps)

    def show(self, event: Event) -> None:
        """Write a line where the event is worth one."""
        super().show(event)
        if isinstance(event, Progressed):
            self._left.step(event.step)
            return
        if isinstance(event, WentBack):
            self._left = TimeLeft(self._schedule.steps)
        if isinstance(event, Saved | NotSaved | WentBack):
            return
        place = f"step {event.step:,}/{self._schedule.steps:,}"
        if isinstance(event, Stopped):
            console.notice(f"{place}  stopped, everything saved")
            return
        place += f"  epoch {event.epoch:.2f}"
        if isinstance(event, Reported):
            speed = f"{console.number(event.characters_per_second)} chars/s"
            loss = measures(event.train_nats_per_char)
            console.notice(f"{place}  train     {loss}  {speed}  {self._left}".rstrip())
        elif event.score is not None:
            console.notice(f"{place}  held out  {measures(event.score.nats_per_char)}")


class TimeLeft:
    """How long the remaining steps will take, by those since the last look back."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._began: tuple[int, float] | None = None
        self._now = (0, 0.0)

    def step(self, step: int) -> None:
        """Take note that `step` steps are done."""
        self._now = (step, time.monotonic())
        if self._began is None:
            self._began = self._now

    def __str__(self) -> str:
        if self._began is None or self._now[0] == self._began[0]:
            return ""
        rate = (self._now[1] - self._began[1]) / (self._now[0] - self._began[0])
        return f"{console.duration(rate * (self._steps - self._now[0]))} left"


def measures(nats_per_char: float) -> str:
    """A loss in all its units."""
    perplexity = math.exp(min(nats_per_char, 99.0))
    bits = console.figure(nats_per_char / _LN2, 4)
    nats, shown = console.figure(nats_per_char, 4), console.figure(perplexity, 2)
    return f"{nats} nats  {bits} bits  perplexity {shown}"
