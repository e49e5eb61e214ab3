"""Training: the loop, which tells what happens and draws nothing.

Everything that decides the next step is in `TrainingState`; batches and what is dropped
follow from (seed, step). So a run that is stopped and resumed ends where it would have ended.
"""

import contextlib
import math
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from charrnn.checkpoints import ModelRecord
from charrnn.corpus import Corpus
from charrnn.divergence import MOST_RETRIES
from charrnn.errors import DivergenceError, StoppedError
from charrnn.evaluation import score
from charrnn.events import Evaluated, Event, Progressed, Reported, Stopped, WentBack
from charrnn.metrics import Metrics
from charrnn.pruning import remove
from charrnn.recovery import recover
from charrnn.runs import step_of
from charrnn.saver import Saver
from charrnn.schedule import Schedule
from charrnn.settings import TrainingSettings
from charrnn.step import batches_of, diverged, take_step
from charrnn.training_state import TrainingState, fresh_state, snapshot
from charrnn.workers import Workers


def never() -> bool:
    """Nobody asks for anything."""
    return False


def train(
    state: TrainingState,
    corpus: Corpus,
    settings: TrainingSettings,
    schedule: Schedule,
    run: Path,
    *,
    stop: Callable[[], bool] = never,
    save: Callable[[], bool] = never,
    afresh: Callable[[], TrainingState] | None = None,
) -> Generator[Event]:
    """Train to the end of the schedule, or until `stop` says so, telling what happens.

    Evaluates and saves as scheduled; saves when stopped, and whenever `save` says so, which
    it must once for each time. Where training diverges it goes on from its last good state,
    or, where there is none, from the one that `afresh` makes; or does what the settings say.
    Raises DivergenceError, DiskFullError or RunError; the
    last checkpoint stays good.
    """
    sitting = _Sitting(state, corpus, settings, schedule, run, stop, save, afresh)
    try:
        yield from sitting.events()
    except (StoppedError, GeneratorExit):  # at once
        sitting.saver.abandon()
        raise
    finally:
        sitting.close()


class _AbandonedError(Exception):
    """An evaluation was asked to stop."""


class _Sitting:
    """Training in one process, from a state that is new or on disk."""

    def __init__(
        self,
        state: TrainingState,
        corpus: Corpus,
        settings: TrainingSettings,
        schedule: Schedule,
        run: Path,
        stop: Callable[[], bool],
        save: Callable[[], bool],
        afresh: Callable[[], TrainingState] | None,
    ) -> None:
        self.state, self.corpus, self.settings = state, corpus, settings
        self.schedule, self.run, self.stop, self.save = schedule, run, stop, save
        self.batches = batches_of(corpus.ids["train"], settings)
        self.afresh = afresh or self.fresh_state
        self.workers = Workers(settings.threads)
        self.metrics = Metrics(run, state.metrics_bytes)
        goes_back = settings.on_divergence == "retry"
        self.saver = Saver(run, self.metrics, settings.keep, state.step, goes_back=goes_back)
        self.proof = corpus.record()
        self.norm = math.nan  # of the last step's gradient
        self.earlier, self.started = state.seconds, time.monotonic()
        self.busy, self.busy_steps = 0.0, 0  # since the last report, in this sitting

    def fresh_state(self) -> TrainingState:
        return fresh_state(self.state.model.settings, self.settings, len(self.corpus.vocabulary))

    def close(self) -> None:
        self.saver.close()
        self.workers.close()
        self.metrics.close()

    @property
    def epoch(self) -> float:
        return self.state.step / self.batches.per_epoch

    def events(self) -> Iterator[Event]:
        state = self.state
        while True:
            try:
                # A mean that holds losses has not been told yet: so a resume tells what a
                # stop left untold, once.
                if self.schedule.reports(state.step) and state.reported.count:
                    self.saver.try_again()
                    yield self.report()
                if self.schedule.evaluates(state.step) and state.evaluated.count:
                    with contextlib.suppress(_AbandonedError):
                        evaluated = self.evaluate()
                        yield evaluated
                        self.begin_saving(evaluated.scores())
                elif self.is_unsaved and (self.save() or self.schedule.saves(state.step)):
                    self.begin_saving({})
                yield from self.saver.outcomes()
                done = state.step >= self.schedule.steps and not state.evaluated.count
                if done or self.stop():
                    if self.is_unsaved:
                        self.begin_saving({})
                    yield from self.saver.finish()
                    if not done:
                        yield Stopped(state.step)
                    return
                yield self.take_step()
            except DivergenceError as error:
                yield from self.go_back(error)

    def take_step(self) -> Progressed:
        state, settings = self.state, self.settings
        began = time.monotonic()
        rate = settings.learning_rate * state.lowered * self.schedule.learning_rate(state.step)
        loss, self.norm = take_step(state, self.batches, settings, rate, self.workers)
        if settings.on_divergence != "continue":
            level, uniform = state.watch.level, math.log(len(self.corpus.vocabulary))
            if state.watch.diverges(loss, uniform):
                raise diverged(state, f"the loss is {loss:.3g}, and was {level:.3g}", settings)
        ended = time.monotonic()
        self.busy += ended - began
        self.busy_steps += 1
        state.seconds = self.earlier + ended - self.started
        state.reported.add(loss)
        state.evaluated.add(loss)
        return Progressed(state.step, loss)

    def report(self) -> Reported:
        state, settings = self.state, self.settings
        characters = self.busy_steps * settings.seq_length * settings.batch_size
        rate = settings.learning_rate * state.lowered
        report = Reported(
            step=state.step,
            epoch=self.epoch,
            train_nats_per_char=state.reported.take(),
            gradient_norm=self.norm,
            learning_rate=rate * self.schedule.learning_rate(state.step - 1),
            seconds=state.seconds,
            characters_per_second=characters / max(self.busy, 1e-9),
        )
        self.busy, self.busy_steps = 0.0, 0
        self.metrics.write({"kind": "report", **vars(report)})
        return report

    def evaluate(self) -> Evaluated:
        """Score the held-out text; raises _AbandonedError as soon as `stop` says so."""
        state, settings = self.state, self.settings
        held_out = self.corpus.ids["val"]
        found = None
        if len(held_out):
            found = score(
                state.model,
                held_out,
                start=self.corpus.vocabulary.start,
                byte_count=self.corpus.parts["val"].bytes,
                rare=self.corpus.vocabulary.rare,
                most=self.schedule.evaluation_characters,
                scored=self.between_chunks,
                workers=self.workers,
            )
            if not math.isfinite(found.nats) and settings.on_divergence != "continue":
                raise diverged(state, "the held-out loss is no number", settings)
        state.seconds = self.earlier + time.monotonic() - self.started
        evaluated = Evaluated(
            step=state.step,
            epoch=self.epoch,
            train_nats_per_char=state.evaluated.take(),
            score=found,
            seconds=state.seconds,
        )
        self.metrics.write({"kind": "evaluation", **evaluated.to_json()})
        return evaluated

    def between_chunks(self, _: int) -> None:
        """Look at what was asked for in the midst of an evaluation, which may take minutes."""
        if self.stop():
            raise _AbandonedError
        if self.is_unsaved and self.save():
            self.begin_saving({})

    @property
    def is_unsaved(self) -> bool:
        return self.state.step > self.saver.step

    def begin_saving(
        self, scores: dict[str, dict[str, float]], *, asked_for: bool | None = None
    ) -> None:
        state = self.state
        if asked_for is None:
            asked_for = not self.schedule.saves(state.step)
        state.metrics_bytes = self.metrics.length
        settings, vocabulary = state.model.settings, self.corpus.vocabulary
        record = ModelRecord(settings, vocabulary, state.step, scores, self.proof, "")
        self.saver.begin(snapshot(state, asked_for=asked_for), record)

    def go_back(self, error: DivergenceError) -> Iterator[Event]:
        """Put the last good state in the place of this one; raises the error to give up."""
        state, settings = self.state, self.settings
        self.saver.forget()
        yield from self.saver.outcomes()
        # The first loss that was off shows that the weights it is of were already: a step
        # from there goes wrong whatever its learning rate.
        first_bad = state.step - state.watch.far_off
        found = recover(self.run, settings, skipped=lambda _: None, before=first_bad)
        gives_up = settings.on_divergence == "stop" or len(state.divergences) == MOST_RETRIES
        for path in found.passed_over:  # else they would be the newest
            if not gives_up or step_of(path) >= first_bad:
                remove(path)
        if gives_up:
            raise error
        divergences = [*state.divergences, state.step]
        good = found.state or self.afresh()
        told = len(good.divergences)
        vars(state).update(vars(good) | {"divergences": divergences})
        self.metrics.cut(state.metrics_bytes)
        for step in divergences[told:]:
            self.metrics.write({"kind": "divergence", "step": step, "back_to": state.step})
        # Else whoever is stopped before the next checkpoint would not know of it, and one
        # that is stopped again and again never get any further.
        self.begin_saving(found.scores, asked_for=False)
        yield WentBack(error.message, state.step, settings.learning_rate * state.lowered)
