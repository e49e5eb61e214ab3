"""What a person sees on a terminal while a model trains: a live picture."""

import itertools
import math
import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from charrnn import console
from charrnn.batches import windows_per_epoch
from charrnn.checkpoints import read_record
from charrnn.documents import title
from charrnn.errors import CheckpointError
from charrnn.events import (
    Evaluated,
    Event,
    Progressed,
    Reported,
    WentBack,
)
from charrnn.lines import Display, Lines, TimeLeft, trouble
from charrnn.runs import best
from charrnn.sampling import Sampler
from charrnn.session import Session
from charrnn.settings import SamplingSettings

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_SPARKS = "▁▂▃▄▅▆▇█"
_LN2 = math.log(2.0)


def display(session: Session, quiet: bool) -> Display:
    """The display that fits: the live one on a terminal, lines elsewhere."""
    if quiet:
        return Display()
    if console.is_terminal(sys.stderr):
        return Dashboard(session)
    return Lines(session.schedule)


@dataclass
class _Seen:
    """The latest of everything that is shown."""

    step: int = 0
    epoch: float = 0.0
    reported: Reported | None = None
    evaluated: Evaluated | None = None
    best: tuple[float, int] | None = None
    sample: str = ""
    scoring: bool = False


class Dashboard(Display):
    """The live picture on a terminal, drawn by the training thread alone."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._schedule = schedule = session.schedule
        self._epoch_steps = windows_per_epoch(
            len(session.corpus.ids["train"]),
            session.settings.seq_length,
            session.settings.batch_size,
        )
        self._seen = _Seen(best=_best(session))
        self._losses: list[float] = []
        self._left = TimeLeft(schedule.steps)
        self._drawn = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.live import Live

        # No refreshing thread: on a small machine it would hold up the threads that compute.
        self._live = Live(
            self._picture(),
            console=console.rich_console(sys.stderr),
            auto_refresh=False,
            vertical_overflow="crop",
        )
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.update(self._picture(), refresh=True)
            self._live.stop()

    def show(self, event: Event) -> None:
        """Take an event into the picture, drawn about four times a second."""
        seen = self._seen
        if isinstance(event, Progressed):
            seen.step = event.step
            seen.epoch = event.step / self._epoch_steps
            self._left.step(event.step)
        elif isinstance(event, Reported):
            seen.reported = event
            self._losses.append(event.train_nats_per_char)
        elif isinstance(event, Evaluated):
            seen.evaluated = event
            score = event.score.nats_per_char if event.score else math.nan
            if score < (seen.best[0] if seen.best else math.inf):
                seen.best = (score, event.step)
            seen.sample = self._fresh_sample()
        elif isinstance(event, WentBack):
            self._left = TimeLeft(self._schedule.steps)
        told = trouble(event)
        if told and self._live is not None:
            self._live.console.print(f"warning: {console.one_line(told)}", style="yellow")
        seen.scoring = isinstance(event, Progressed) and self._schedule.evaluates(event.step)
        if seen.scoring or time.monotonic() - self._drawn > 0.25:
            self._draw()

    @np.errstate(all="ignore")
    def _fresh_sample(self) -> str:
        model, corpus = self._session.state.model, self._session.corpus
        sampler = Sampler(model.settings, corpus.vocabulary, model.arrays())
        settings = SamplingSettings(length=240, temperature=0.8)
        pieces = sampler.sample(sampler.read_prompt(""), settings, seed=self._seen.step)
        try:
            return "".join(pieces).lstrip("\n")
        except CheckpointError as error:  # training may continue though its weights are no numbers
            return error.message

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        if self._live is not None:
            self._live.update(self._picture(), refresh=True)

    def _picture(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        settings = self._session.state.model.settings
        heading = f"{self._session.run.name}: {settings} on {title(self._session.corpus.names[0])}"
        parts: list[RenderableType] = [Text(console.one_line(heading), style="bold")]
        parts += [self._bars(), Text(), self._numbers()]
        if self._seen.sample:
            parts += [Text(), self._sample_panel()]
        return Group(*parts)

    def _bars(self) -> "RenderableType":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        seen, steps, left = self._seen, self._schedule.steps, str(self._left) or "..."
        rows = Table.grid(padding=(0, 1), expand=True)
        rows.add_column(no_wrap=True, style="dim", width=6)
        rows.add_column(ratio=1)
        rows.add_column(no_wrap=True, justify="right", min_width=31)
        rows.add_row(
            "run",
            ProgressBar(total=steps, completed=seen.step),
            Text(f"step {seen.step:,}/{steps:,}  {'scoring' if seen.scoring else left}"),
        )
        of_run = steps / self._epoch_steps
        rows.add_row(
            "epoch",
            ProgressBar(total=1.0, completed=seen.epoch % 1.0),
            Text(f"{seen.epoch:.2f} of {of_run:.1f}"),
        )
        return rows

    def _numbers(self) -> "RenderableType":
        from rich.table import Table
        from rich.text import Text

        seen = self._seen
        train = seen.reported.train_nats_per_char if seen.reported else None
        score = seen.evaluated.score if seen.evaluated else None
        held_out = score.nats_per_char if score else None
        rows = Table.grid(padding=(0, 2))
        rows.add_column(no_wrap=True, style="dim")
        rows.add_column(no_wrap=True, justify="right", min_width=8)
        rows.add_column(no_wrap=True, justify="right", min_width=8)
        rows.add_column(no_wrap=True, overflow="crop")
        rows.add_row("", Text("train", style="dim"), Text("held out", style="dim"))
        sparks = Text(sparkline(self._losses, 24), style="cyan")
        rows.add_row("nats/char", _figure(train, 4), _figure(held_out, 4), sparks)
        speed = seen.reported and console.number(seen.reported.characters_per_second)
        rows.add_row(
            "bits/char",
            _figure(train and train / _LN2, 4),
            _figure(held_out and held_out / _LN2, 4),
            Text(f"{speed} characters/s" if speed else ""),
        )
        rows.add_row(
            "perplexity",
            _figure(train and math.exp(min(train, 700.0)), 3, style="bold"),
            _figure(score.perplexity if score else None, 3, style="bold"),
            Text(
                f"gradient {seen.reported.gradient_norm:.2f}  "
                f"rate {seen.reported.learning_rate:.1e}"
                if seen.reported
                else ""
            ),
        )
        if seen.best:
            rows.add_row("best", "", Text(f"{seen.best[0]:.4f}"), Text(f"at step {seen.best[1]:,}"))
        return rows

    def _sample_panel(self) -> "RenderableType":
        from rich.panel import Panel
        from rich.text import Text

        lines = [console.one_line(line) for line in self._seen.sample.split("\n")]
        text = Text("\n".join(lines[:6]), overflow="fold")
        return Panel(text, title="a fresh sample", title_align="left", border_style="dim", height=8)


def _best(session: Session) -> tuple[float, int] | None:
    """The best score of earlier sittings, and its step."""
    path = best(session.run)
    if path is None:
        return None
    record = read_record(path)
    return (record.nats_per_char, record.step) if "val" in record.scores else None


def _figure(value: float | None, digits: int, style: str = "") -> "RenderableType":
    from rich.text import Text

    return Text("-" if value is None else console.figure(value, digits), style=style)


def sparkline(values: list[float], columns: int) -> str:
    """The values as a line of blocks at most `columns` wide, highest to lowest.

    A cross stands for what is no number.
    """
    if not values:
        return ""
    count = min(columns, len(values))
    edges = [round(i * len(values) / count) for i in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(edges) if b > a]
    numbers = [mean for mean in means if math.isfinite(mean)] or [0.0]
    low, high = min(numbers), max(numbers)
    scale = (len(_SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(
        _SPARKS[round((mean - low) * scale)] if math.isfinite(mean) else "×" for mean in means
    )
