"""The loop and its state: what it tells, and that a stop anywhere changes nothing after it."""

import contextlib
import errno
import itertools
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from charrnn import files, machine, runs, training
from charrnn.batches import windows_per_epoch
from charrnn.checkpoints import (
    ModelRecord,
    model_path,
    read_checkpoint,
    read_record,
    read_resume,
)
from charrnn.corpus import Corpus, read_corpus
from charrnn.errors import CheckpointError, DiskFullError, DivergenceError, RunError
from charrnn.events import Evaluated, NotSaved, Progressed, Reported, Saved, Stopped
from charrnn.gradients import take_gradient
from charrnn.metrics import METRICS_FILE, read_metrics
from charrnn.optimizer import Optimizer
from charrnn.schedule import Schedule
from charrnn.seeds import derive
from charrnn.settings import MODELS, OPTIMIZERS, ModelSettings, TrainingSettings
from charrnn.step import batches_of, take_step
from charrnn.training import train
from charrnn.training_state import Mean, TrainingState, fresh_state, restored_state, save, snapshot

SHORT = Schedule(steps=12, warmup_steps=3, evaluation_steps=5, checkpoint_steps=4, report_steps=2)
"""Evaluations after steps 5, 10 and 12, checkpoints after these and 4 and 8.

The text below gives an epoch of 5 steps.
"""

CHOSEN = TrainingSettings(seq_length=6, batch_size=3, learning_rate=1e-2, seed=7, keep=1)

CASES = {
    **{
        f"{model}-{dropout}": (model, {"dropout": dropout})
        for model in MODELS
        for dropout in (0.0, 0.3)
    },
    "gru-bf16": ("gru", {"dropout": 0.3, "precision": "bf16"}),
    "sgd": ("gru", {"optimizer": "sgd", "learning_rate": 1.0}),
    "soap": ("gru", {"optimizer": "soap", "dropout": 0.3}),
    "soap-workers": ("gru", {"optimizer": "soap", "threads": 2, "batch_size": 16}),
    "soap-lstm": ("lstm", {"optimizer": "soap", "weight_drop": 0.2}),
    "weight-drop": ("lstm", {"weight_drop": 0.4, "dropout": 0.3}),
    "no-carry": ("product", {"carry": False}),
    "sigmoid": ("rnn-sigmoid", {"weight_drop": 0.2, "optimizer": "sgd", "carry": False}),
}
"""By name, a model and what is unlike CHOSEN; `rnn-sigmoid` is the rnn with that nonlinearity."""

each_case = pytest.mark.parametrize("case", CASES)


@pytest.fixture(scope="module")
def corpus(english: str, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    path = tmp_path_factory.mktemp("corpus") / "short.txt"
    path.write_text(english[:120], encoding="utf-8")
    return read_corpus([path], val_fraction=0.15)


class Sitting:
    """A run that is trained in one or more sittings, each from what is on disk."""

    def __init__(
        self,
        run: Path,
        corpus: Corpus,
        model: str = "gru",
        settings: TrainingSettings = CHOSEN,
        schedule: Schedule = SHORT,
    ) -> None:
        run.mkdir(exist_ok=True)
        self.run, self.corpus, self.settings, self.schedule = run, corpus, settings, schedule
        name, _, nonlinearity = (model, "", "tanh") if model in MODELS else model.rpartition("-")
        self.model, self.name = ModelSettings(name, nonlinearity, 4, 5, 2), model
        self.state = self.from_disk()

    def from_disk(self) -> TrainingState:
        """A fresh state with all that the newest checkpoint says, if there is one."""
        written = runs.model_files(self.run)
        if not written:
            return fresh_state(self.model, self.settings, len(self.corpus.vocabulary))
        checkpoint = read_checkpoint(written[-1])
        return restored_state(
            checkpoint, read_resume(written[-1], checkpoint.record), self.settings
        )

    def events(self, **options):
        return train(self.state, self.corpus, self.settings, self.schedule, self.run, **options)

    def train(self, **options):
        self.state = self.from_disk()
        return list(self.events(**options))

    def metrics(self):
        """The lines of metrics.jsonl, but for what a clock said."""
        lines = (self.run / METRICS_FILE).read_text(encoding="utf-8").splitlines()
        clock = {"seconds", "characters_per_second"}
        return [{k: v for k, v in json.loads(s).items() if k not in clock} for s in lines]


def asked(times):
    """A `stop` that says so from the n-th time on that it is asked."""
    counter = itertools.count(1)
    return lambda: next(counter) > times


def assert_same_end(ours: Sitting, theirs: Sitting) -> None:
    assert ours.state.step == theirs.state.step == ours.schedule.steps
    for (name, a), (_, b) in zip(
        ours.state.model.named_parameters(), theirs.state.model.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    theirs_kept = theirs.state.optimizer.remembered()
    for name, kept in ours.state.optimizer.remembered().items():
        assert torch.equal(kept, theirs_kept[name]), name
    assert ours.metrics() == theirs.metrics()
    ends = [read_record(runs.model_files(s.run)[-1]) for s in (ours, theirs)]
    assert replace(ends[0], resume_digest="", digest="") == replace(
        ends[1], resume_digest="", digest=""
    )


@pytest.fixture(scope="module")
def uninterrupted(corpus, tmp_path_factory):
    """The run of a case that nothing disturbs, trained once."""
    done: dict[str, Sitting] = {}

    def run(case: str) -> Sitting:
        if case not in done:
            model, unlike = CASES[case]
            settings = replace(CHOSEN, **unlike)
            done[case] = Sitting(tmp_path_factory.mktemp("whole"), corpus, model, settings)
            assert not isinstance(done[case].train()[-1], Stopped)
        return done[case]

    return run


def again(whole: Sitting, run: Path) -> Sitting:
    """The same run from its beginning, elsewhere."""
    return Sitting(run, whole.corpus, whole.name, whole.settings, whole.schedule)


# Interruptions


def test_the_short_run_crosses_epochs_and_evaluates(corpus, uninterrupted):
    per_epoch = windows_per_epoch(len(corpus.ids["train"]), 6, 3)
    assert 2 * per_epoch < SHORT.steps
    assert per_epoch > 1
    lines = uninterrupted("gru-0.0").metrics()
    assert [line["step"] for line in lines if line["kind"] == "evaluation"] == [5, 10, 12]
    assert [line["step"] for line in lines if line["kind"] == "report"] == [2, 4, 6, 8, 10, 12]


@each_case
def test_a_stop_at_any_moment_changes_nothing(case, uninterrupted, tmp_path):
    """`stop` is asked before the first step, after each, and within evaluations.

    So one that says so the n-th time it is asked, for every n, is a stop at every step.
    """
    whole = uninterrupted(case)
    stopped_at = []
    for times in itertools.count():
        broken = again(whole, tmp_path / f"{times}")
        events = broken.train(stop=asked(times))
        if not isinstance(events[-1], Stopped):
            break
        assert events[-1].step == broken.state.step
        stopped_at.append(events[-1].step)
        broken.train()
        assert_same_end(broken, whole)
    # Once more at 5 and 10: in the evaluation there. At 12, only there: after it all is done.
    assert stopped_at == sorted([*range(13), 5, 10])


@pytest.mark.parametrize("model", MODELS)
def test_a_kill_at_any_step_changes_nothing(model, uninterrupted, tmp_path):
    """No stop, nothing saved: what the log holds beyond the checkpoint is taken back."""
    whole = uninterrupted(f"{model}-0.3")
    for step in range(1, 13):
        broken = again(whole, tmp_path / f"{step}")
        events = broken.events()
        while next(events) != Progressed(step, pytest.approx(0.0, abs=100.0)):
            pass
        events.close()
        broken.train()
        assert_same_end(broken, whole)


@each_case
def test_three_stops_in_a_chain_change_nothing(case, uninterrupted, tmp_path):
    whole = uninterrupted(case)
    broken = again(whole, tmp_path / "chain")
    steps = [broken.train(stop=asked(times))[-1].step for times in (3, 3, 4)]
    assert steps == [3, 5, 9]
    broken.train()
    assert_same_end(broken, whole)


@pytest.mark.parametrize("keep", [0, 1])
def test_stopping_after_every_single_step_changes_nothing(keep, uninterrupted, tmp_path):
    whole = uninterrupted("lstm-0.3")
    broken = again(whole, tmp_path / "slow")
    broken.settings = replace(broken.settings, keep=keep)
    sittings = 1
    while broken.train(stop=asked(1)):
        sittings += 1
    assert sittings > 12
    assert_same_end(broken, whole)


def test_a_stop_during_an_evaluation_saves_the_step_without_a_score(corpus, tmp_path):
    sitting = Sitting(tmp_path, corpus)
    events = sitting.train(stop=asked(5))  # at the beginning and after four steps it was no
    kinds = [type(event).__name__ for event in events]
    assert kinds[-2:] == ["Saved", "Stopped"]
    assert "Evaluated" not in kinds
    assert read_record(model_path(tmp_path, 5)).scores == {}
    events = sitting.train()
    assert isinstance(events[0], Evaluated)
    assert events[0].step == 5
    anew = next(event for event in events if isinstance(event, Saved))
    assert anew.record.step == 5
    assert set(anew.record.scores) == {"train", "val"}
    # Saving a step anew leaves nothing else behind.
    assert all(path.suffix in {".safetensors", ".jsonl"} for path in tmp_path.iterdir())


def failing_replace(monkeypatch, fails, number=errno.ENOSPC):
    """Renames fail where `fails` says so, by their count and their target's name."""
    replace_file, counter = os.replace, itertools.count(1)

    def replacing(source, target):
        if fails(next(counter), Path(target).name):
            raise OSError(number, os.strerror(number))
        replace_file(source, target)

    monkeypatch.setattr(files.os, "replace", replacing)


@pytest.mark.parametrize("model", MODELS)
def test_a_disk_that_is_full_for_a_moment_changes_nothing(
    model, uninterrupted, tmp_path, monkeypatch
):
    """Each file's rename fails once: training goes on, and what could not be saved is."""
    whole = uninterrupted(f"{model}-0.3")
    for failing in itertools.count(1):
        broken = again(whole, tmp_path / f"{failing}")
        with monkeypatch.context() as patch:
            failing_replace(patch, lambda count, _, failing=failing: count == failing)
            events = broken.train()
        refused = [event for event in events if isinstance(event, NotSaved)]
        if not refused:
            break
        assert len(refused) == 1
        assert "step-" in refused[0].error.message
        assert_same_end(broken, whole)
        assert not list(broken.run.glob(files.TEMPORARY_PREFIX + "*"))
    assert failing == 11  # five checkpoints of two files each, and then none failed


def test_a_disk_that_stays_full_ends_the_run_when_it_ends(uninterrupted, tmp_path, monkeypatch):
    """Warned of each time it is tried; what was saved before is gone on from."""
    whole = uninterrupted("lstm-0.3")
    broken, told = again(whole, tmp_path), []
    with monkeypatch.context() as patch:
        failing_replace(patch, lambda count, _: count > 4)  # after steps 4 and 5
        with pytest.raises(DiskFullError, match="step-00000012"):
            for event in broken.events():
                told.append(event)
    # Where a checkpoint is due, and in between wherever there is a report.
    refused = [event.step for event in told if isinstance(event, NotSaved)]
    assert refused[0] == 8
    assert set(refused) == {8, 10, 12}
    assert [runs.step_of(path) for path in runs.model_files(broken.run)] == [4, 5]
    broken.train()
    assert_same_end(broken, whole)


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_what_no_space_would_cure_ends_the_run_and_loses_nothing(
    number, uninterrupted, tmp_path, monkeypatch
):
    """In a save beside training: it must not go unnoticed."""
    whole = uninterrupted("gru-0.3")
    for failing in 1, 4, 10:
        broken = again(whole, tmp_path / f"{failing}")
        with monkeypatch.context() as patch:
            failing_replace(patch, lambda count, _, failing=failing: count == failing, number)
            with pytest.raises(RunError, match="step-"):
                broken.train()
        assert not list(broken.run.glob(files.TEMPORARY_PREFIX + "*"))
        broken.train()
        assert_same_end(broken, whole)


def test_evaluations_touch_nothing_of_training(corpus, tmp_path):
    """Scoring after every step and scoring once end with equal weights."""
    ends = []
    for checkpoint_steps in 1, 12:
        sitting = Sitting(
            tmp_path / f"{checkpoint_steps}",
            corpus,
            settings=replace(CHOSEN, dropout=0.3),
            schedule=replace(SHORT, evaluation_steps=checkpoint_steps),
        )
        sitting.train()
        ends.append(sitting.state.model)
    for a, b in zip(ends[0].parameters(), ends[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_neither_uses_nor_touches_the_global_generator(corpus, tmp_path):
    ends = []
    for seed in 1, 2:
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        sitting = Sitting(tmp_path / f"{seed}", corpus, settings=replace(CHOSEN, dropout=0.3))
        sitting.train()
        assert torch.equal(torch.get_rng_state(), before)
        ends.append(sitting.state.model)
    for a, b in zip(ends[0].parameters(), ends[1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_same_training_writes_the_same_bytes(corpus, tmp_path, monkeypatch):
    """With a clock that stands still: how long it took is in the resume file."""
    monkeypatch.setattr(training.time, "monotonic", lambda: 0.0)
    written = []
    for name in "first", "second":
        Sitting(tmp_path / name, corpus).train()
        written.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert written[0] == written[1]
    assert "step-00000012.safetensors" in written[0]


# Events


def test_events_come_in_order(corpus, tmp_path):
    schedule = Schedule(
        steps=5, warmup_steps=1, evaluation_steps=3, checkpoint_steps=3, report_steps=2
    )
    sitting = Sitting(tmp_path, corpus, schedule=schedule)
    events = sitting.train()
    told = [(type(e).__name__, e.step) for e in events if not isinstance(e, Saved)]
    assert told == [
        ("Progressed", 1),
        ("Progressed", 2),
        ("Reported", 2),
        ("Progressed", 3),
        ("Evaluated", 3),
        ("Progressed", 4),
        ("Reported", 4),
        ("Progressed", 5),
        ("Reported", 5),
        ("Evaluated", 5),
    ]
    # Told when they are on disk, at the latest before the loop ends.
    assert [event.record.step for event in events if isinstance(event, Saved)] == [3, 5]


def test_a_stop_is_told_last_and_after_its_checkpoint(corpus, tmp_path):
    events = Sitting(tmp_path, corpus).train(stop=asked(3))
    assert events[-1] == Stopped(3)
    assert isinstance(events[-2], Saved)
    assert events[-2].record.step == 3
    assert events[-2].path.exists()


def test_a_stop_before_the_first_step_saves_nothing(corpus, tmp_path):
    assert Sitting(tmp_path, corpus).train(stop=lambda: True) == [Stopped(0)]
    assert runs.model_files(tmp_path) == []


def test_means_are_over_what_came_since_the_last_time(corpus, tmp_path):
    events = Sitting(tmp_path, corpus).train()
    losses = {e.step: e.loss for e in events if isinstance(e, Progressed)}

    def mean(first, last):
        return pytest.approx(sum(losses[s] for s in range(first, last + 1)) / (last - first + 1))

    reports = {e.step: e.train_nats_per_char for e in events if isinstance(e, Reported)}
    assert reports == {step: mean(step - 1, step) for step in range(2, 13, 2)}
    scores = {e.step: e.train_nats_per_char for e in events if isinstance(e, Evaluated)}
    assert scores == {5: mean(1, 5), 10: mean(6, 10), 12: mean(11, 12)}


def test_the_log_holds_what_was_told(corpus, tmp_path):
    events = Sitting(tmp_path, corpus).train()
    told = [e for e in events if isinstance(e, Reported | Evaluated)]
    lines = read_metrics(tmp_path)
    assert len(lines) == len(told)
    for event, line in zip(told, lines, strict=True):
        if isinstance(event, Reported):
            assert line == {"kind": "report"} | vars(event)
        else:
            assert line == {"kind": "evaluation"} | event.to_json()
            assert line["nats_per_char"] == event.score.nats_per_char


def test_a_checkpoint_keeps_the_scores_of_its_step(corpus, tmp_path):
    events = Sitting(tmp_path, corpus).train()
    saved = [e for e in events if isinstance(e, Saved)]
    scored = [e for e in events if isinstance(e, Evaluated)]
    assert [e.record.step for e in saved] == [4, 5, 8, 10, 12]
    assert [e.record.scores for e in saved if e.record.step in (4, 8)] == [{}, {}]
    for evaluated, kept in zip(scored, (e for e in saved if e.record.scores), strict=True):
        assert kept.record.scores == evaluated.scores()
        assert kept.record.nats_per_char == evaluated.score.nats_per_char


def test_epochs_and_learning_rates_are_those_of_the_step(corpus, tmp_path, monkeypatch):
    per_epoch = windows_per_epoch(len(corpus.ids["train"]), 6, 3)
    applied, step = [], Optimizer.step

    def noted(self, learning_rate, workers=None):
        applied.append(learning_rate)
        step(self, learning_rate, workers)

    monkeypatch.setattr(Optimizer, "step", noted)
    sitting = Sitting(tmp_path, corpus)
    for event in sitting.events():
        if isinstance(event, Progressed):
            assert applied[-1] == 1e-2 * SHORT.learning_rate(event.step - 1)
        if isinstance(event, Reported):
            assert event.epoch == event.step / per_epoch
            assert event.learning_rate == applied[-1]
            assert event.gradient_norm > 0


def test_speed_is_that_of_the_steps_since_the_last_report(corpus, tmp_path, monkeypatch):
    """Also in the first report after a stop between two reports.

    The clock moves on a second each time it is read: a step takes one, an evaluation more.
    """
    clock = itertools.count()
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))
    sitting = Sitting(tmp_path, corpus)
    events = sitting.train(stop=asked(3)) + sitting.train()
    speeds = [e.characters_per_second for e in events if isinstance(e, Reported)]
    assert speeds == [pytest.approx(6 * 3)] * 6


def test_seconds_add_up_over_sittings(corpus, tmp_path, monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    sitting = Sitting(tmp_path, corpus)

    def sit(**options):
        for event in sitting.events(**options):
            if isinstance(event, Progressed):
                now[0] += 1.0
            if isinstance(event, Reported | Evaluated):
                # A step's second passes here, so whatever is timed next notices it.
                assert event.seconds == pytest.approx(event.step, abs=2.5)
        return sitting.state.seconds

    first = sit(stop=asked(4))
    now[0] += 50_000.0  # between two sittings no time counts
    sitting.state = sitting.from_disk()
    assert sitting.state.seconds == first
    assert sit() == pytest.approx(12.0, abs=1.5)


def test_old_checkpoints_are_pruned_as_training_goes(corpus, tmp_path):
    schedule = replace(SHORT, evaluation_steps=1)
    Sitting(tmp_path, corpus, settings=replace(CHOSEN, keep=2), schedule=schedule).train()
    steps = {runs.step_of(path) for path in runs.model_files(tmp_path)}
    assert {10, 11, 12} <= steps
    assert len(steps) <= 4
    assert len(list(tmp_path.glob("*.resume.safetensors"))) == 2


# One step


def test_the_loss_falls_on_a_repeated_text(tmp_path):
    path = tmp_path / "repeated.txt"
    path.write_text("abcdefgh" * 60, encoding="utf-8")
    schedule = Schedule(
        steps=150, warmup_steps=5, evaluation_steps=150, checkpoint_steps=150, report_steps=150
    )
    chosen = replace(CHOSEN, seq_length=12, batch_size=4, learning_rate=3e-2)
    events = Sitting(tmp_path / "run", read_corpus([path]), "gru", chosen, schedule).train()
    losses = [e.loss for e in events if isinstance(e, Progressed)]
    assert losses[0] > 1.5
    assert losses[-1] < 0.2
    (evaluated,) = (e for e in events if isinstance(e, Evaluated))
    assert evaluated.score.nats_per_char < 0.3
    assert evaluated.score.accuracy > 0.9


def test_without_held_out_text_checkpoints_have_no_validation_score(english, tmp_path):
    path = tmp_path / "all.txt"
    path.write_text(english[:120], encoding="utf-8")
    sitting = Sitting(tmp_path / "run", read_corpus([path], val_fraction=0.0))
    events = sitting.train()
    evaluated = [e for e in events if isinstance(e, Evaluated)]
    assert [e.step for e in evaluated] == [5, 10, 12]
    assert all(e.score is None for e in evaluated)
    record = read_record(runs.model_files(sitting.run)[-1])
    assert set(record.scores) == {"train"}
    assert record.nats_per_char == math.inf
    assert runs.best(sitting.run) == runs.model_files(sitting.run)[-1]


def test_bf16_keeps_weights_and_carried_state_in_float32(corpus, tmp_path):
    sitting = Sitting(tmp_path, corpus, settings=replace(CHOSEN, precision="bf16"))
    events = sitting.train()
    assert {p.dtype for p in sitting.state.model.parameters()} == {torch.float32}
    assert {part.dtype for layer in sitting.state.carried for part in layer} == {torch.float32}
    assert all(math.isfinite(e.loss) for e in events if isinstance(e, Progressed))


def test_bf16_is_another_precision_and_not_another_training(corpus):
    losses = []
    for precision in "fp32", "bf16":
        chosen = replace(CHOSEN, precision=precision)
        state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 2), chosen, len(corpus.vocabulary))
        losses.append(take_step(state, batches_of(corpus.ids["train"], chosen), chosen, 1e-2)[0])
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_the_state_is_carried_within_an_epoch_and_dropped_at_its_start(corpus):
    ids, vocabulary = corpus.ids["train"], len(corpus.vocabulary)
    per_epoch = windows_per_epoch(len(ids), 6, 3)

    def loss_of_step(step, carried):
        state = fresh_state(ModelSettings("lstm", "tanh", 4, 5, 1), CHOSEN, vocabulary)
        state.step = step
        state.carried = [tuple(torch.full_like(part, carried) for part in state.carried[0])]
        return take_step(state, batches_of(ids, CHOSEN), CHOSEN, 0.0)[0]

    for step in 0, per_epoch, 2 * per_epoch:
        assert loss_of_step(step, 0.0) == loss_of_step(step, 0.9)
    for step in 1, per_epoch - 1, per_epoch + 1:
        assert loss_of_step(step, 0.0) != loss_of_step(step, 0.9)


@pytest.mark.parametrize(("precision", "multiplied"), [("bf16", "bf16"), ("fp32", "ieee")])
def test_matrix_units_round_a_gradient_s_products_in_bf16_alone(
    corpus, monkeypatch, precision, multiplied
):
    monkeypatch.setattr(machine, "has_matrix_units", lambda: True)
    seen = []

    def see(*arguments, **options):
        seen.append(torch.backends.mkldnn.matmul.fp32_precision)
        return take_gradient(*arguments, **options)

    monkeypatch.setattr("charrnn.step.take_gradient", see)
    before = torch.backends.mkldnn.matmul.fp32_precision
    chosen = replace(CHOSEN, precision=precision)
    state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 2), chosen, len(corpus.vocabulary))
    take_step(state, batches_of(corpus.ids["train"], chosen), chosen, 1e-2)
    assert seen == [multiplied]
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_a_step_reaches_back_no_further_than_its_window(corpus):
    state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 2), CHOSEN, len(corpus.vocabulary))
    take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
    assert not any(part.requires_grad for layer in state.carried for part in layer)


def test_a_learning_rate_of_zero_changes_no_weight(corpus):
    state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 2), CHOSEN, len(corpus.vocabulary))
    before = state.model.arrays()
    take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 0.0)
    assert all((a == before[name]).all() for name, a in state.model.arrays().items())
    assert state.step == 1


@pytest.mark.parametrize("clip", [0.0, 0.01, 1e6])
def test_gradients_are_clipped_to_their_largest_norm(clip, corpus):
    """AdamW's first average is a tenth of the gradient that it was given."""
    chosen = replace(CHOSEN, clip=clip)
    state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 2), chosen, len(corpus.vocabulary))
    _, norm = take_step(state, batches_of(corpus.ids["train"], chosen), chosen, 1e-2)
    assert norm > 0.1
    kept = state.optimizer.remembered()
    averages = [kept[name].flatten() for name in kept if name.startswith("exp_avg.")]
    applied = float(torch.cat(averages).norm()) / 0.1
    assert applied == pytest.approx(min(norm, clip or math.inf), rel=1e-3)


def test_dropout_is_drawn_anew_at_every_step(corpus):
    """Two steps that read the same text from the same state do not drop the same outputs."""
    chosen, ids = replace(CHOSEN, dropout=0.5), corpus.ids["train"][:19]  # one batch an epoch
    state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 2), chosen, len(corpus.vocabulary))
    losses = {take_step(state, batches_of(ids, chosen), chosen, 0.0)[0] for _ in range(5)}
    assert len(losses) == 5


def test_without_carrying_every_window_begins_with_zeros(corpus):
    """The loss of a step does not depend on the state before it."""
    ids, losses = corpus.ids["train"], {}
    for carry in True, False:
        chosen = replace(CHOSEN, carry=carry)
        for before in 0.0, 0.9:
            state = fresh_state(
                ModelSettings("lstm", "tanh", 4, 5, 1), chosen, len(corpus.vocabulary)
            )
            state.step = 1  # in the midst of an epoch
            state.carried = [tuple(torch.full_like(part, before) for part in state.carried[0])]
            losses[carry, before] = take_step(state, batches_of(ids, chosen), chosen, 0.0)[0]
    assert losses[False, 0.9] == losses[False, 0.0] == losses[True, 0.0] != losses[True, 0.9]


def test_gradient_descent_goes_down_the_gradient(corpus):
    """The learning rate times the clipped gradient, and nothing remembered of earlier ones."""
    chosen = replace(CHOSEN, optimizer="sgd", weight_decay=0.0, clip=0.01)
    state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 2), chosen, len(corpus.vocabulary))
    for _ in range(3):
        before = [p.detach().clone() for p in state.model.parameters()]
        take_step(state, batches_of(corpus.ids["train"], chosen), chosen, 0.5)
        moved = [a - b for a, b in zip(state.model.parameters(), before, strict=True)]
        norm = torch.cat([m.detach().flatten() for m in moved]).norm()
        assert float(norm) == pytest.approx(0.5 * 0.01, rel=1e-3)


def test_weights_are_dropped_anew_at_every_window(corpus):
    chosen, ids = replace(CHOSEN, weight_drop=0.5), corpus.ids["train"][:19]  # one batch an epoch
    state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 2), chosen, len(corpus.vocabulary))
    losses = {take_step(state, batches_of(ids, chosen), chosen, 0.0)[0] for _ in range(5)}
    assert len(losses) == 5


def test_a_dropped_weight_is_left_as_it_was(corpus):
    """Without decay, gradient descent changes what was kept and nothing else of W_hh."""
    chosen = replace(CHOSEN, weight_drop=0.5, optimizer="sgd", weight_decay=0.0)
    state = fresh_state(ModelSettings("lstm", "tanh", 4, 5, 2), chosen, len(corpus.vocabulary))
    state.step = 1
    generator = torch.Generator().manual_seed(derive(chosen.seed, "weight-drop", 1))
    masks = state.model.draw_weight_masks(0.5, generator)
    state.carried = [tuple(torch.full_like(p, 0.5) for p in parts) for parts in state.carried]
    before = state.model.arrays()
    take_step(state, batches_of(corpus.ids["train"], chosen), chosen, 1.0)
    for layer, mask in enumerate(masks):
        name = f"recurrent.weight_hh_l{layer}"
        moved = state.model.arrays()[name] != before[name]
        assert (moved == mask.numpy().astype(bool)).all()
        assert 0.3 < moved.mean() < 0.7


# Divergence


def test_a_loss_that_is_no_number_changes_no_weight(corpus):
    state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 2), CHOSEN, len(corpus.vocabulary))
    take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
    with torch.no_grad():
        state.model.get_parameter("output.bias")[1] = math.nan
    before = state.model.arrays()
    with pytest.raises(DivergenceError) as caught:
        take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
    assert "after step 1" in caught.value.message
    assert "--learning-rate 0.0033" in caught.value.hint
    for name, array in state.model.arrays().items():
        assert ((array == before[name]) | (array != array)).all(), name
    assert sum((a != a).sum() for a in state.model.arrays().values()) == 1
    assert state.step == 1
    assert all(p.grad is None or not p.grad.any() for p in state.model.parameters())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_changes_no_weight(bad, corpus):
    """The loss may be fine where its gradient is not."""
    state = fresh_state(ModelSettings("gru", "tanh", 4, 5, 2), CHOSEN, len(corpus.vocabulary))
    before = state.model.arrays()
    bias = state.model.get_parameter("output.bias")
    bias.register_hook(lambda gradient: gradient * bad)
    with pytest.raises(DivergenceError):
        take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
    assert all((a == before[name]).all() for name, a in state.model.arrays().items())


def test_a_run_that_diverges_keeps_its_earlier_checkpoint(corpus, uninterrupted, tmp_path):
    whole = uninterrupted("gru-0.0")
    broken = again(whole, tmp_path)
    broken.settings = replace(broken.settings, on_divergence="stop")
    with contextlib.closing(broken.events()) as events, pytest.raises(DivergenceError):
        for event in events:
            if isinstance(event, Progressed) and event.step == 7:
                with torch.no_grad():
                    broken.state.model.get_parameter("output.bias").fill_(math.nan)
    assert [runs.step_of(path) for path in runs.model_files(tmp_path)] == [4, 5]
    broken.train()
    assert_same_end(broken, whole)


def test_a_score_that_is_no_number_is_not_saved(corpus, tmp_path):
    """A checkpoint of broken weights would be the one that every resume begins from."""
    sitting = Sitting(tmp_path, corpus, settings=replace(CHOSEN, on_divergence="stop"))
    with contextlib.closing(sitting.events()) as events, pytest.raises(DivergenceError):
        for event in events:
            if isinstance(event, Progressed) and event.step == 10:
                with torch.no_grad():
                    sitting.state.model.get_parameter("output.bias").fill_(math.nan)
    assert [runs.step_of(path) for path in runs.model_files(tmp_path)] == [5, 8]


# The state on disk


DROPPING = replace(CHOSEN, dropout=0.2)


def trained_for(steps, model, corpus, chosen=DROPPING):
    state = fresh_state(ModelSettings(model, "tanh", 4, 5, 2), chosen, len(corpus.vocabulary))
    for _ in range(steps):
        loss, _ = take_step(state, batches_of(corpus.ids["train"], chosen), chosen, 1e-2)
        state.reported.add(loss)
        state.evaluated.add(loss)
    return state


def saved_and_restored(state, corpus, run: Path, chosen=DROPPING):
    record = ModelRecord(
        state.model.settings, corpus.vocabulary, state.step, {}, corpus.record(), ""
    )
    written = save(snapshot(state), run, record)
    checkpoint = read_checkpoint(model_path(run, state.step))
    assert checkpoint.record == written
    resume = read_resume(model_path(run, state.step), checkpoint.record)
    return restored_state(checkpoint, resume, chosen)


@pytest.mark.parametrize("model", MODELS)
def test_a_saved_state_comes_back_the_same(model, corpus, tmp_path):
    state = trained_for(4, model, corpus)
    state.seconds, state.metrics_bytes = 12.34567890123, 321
    back = saved_and_restored(state, corpus, tmp_path)
    for (name, a), (_, b) in zip(
        state.model.named_parameters(), back.model.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    ours, theirs = state.optimizer.remembered(), back.optimizer.remembered()
    assert set(ours) == set(theirs)
    for name in ours:
        assert ours[name].any(), name
        assert torch.equal(ours[name], theirs[name]), name
        assert ours[name].dtype == theirs[name].dtype
        assert ours[name].device == theirs[name].device
    for before, after in zip(state.carried, back.carried, strict=True):
        for a, b in zip(before, after, strict=True):
            assert a.any()
            assert torch.equal(a, b)
    assert (back.step, back.seconds, back.metrics_bytes) == (4, 12.34567890123, 321)
    assert back.reported == state.reported
    assert back.evaluated == state.evaluated


def test_plain_gradient_descent_keeps_nothing_of_the_weights(corpus, tmp_path):
    chosen = replace(DROPPING, optimizer="sgd")
    saved_and_restored(trained_for(3, "gru", corpus, chosen), corpus, tmp_path, chosen)
    tensors, _ = read_resume(
        model_path(tmp_path, 3), read_checkpoint(model_path(tmp_path, 3)).record
    )
    assert set(tensors) == {"carried.0.0", "carried.1.0"}


@pytest.mark.parametrize(
    ("saved", "wanted", "lacking"),
    [
        ({"optimizer": "sgd"}, {}, "exp_avg.embedding.weight"),
        ({}, {"batch_size": 4}, "carried.0.0"),
    ],
)
def test_a_resume_file_of_other_settings_is_refused(saved, wanted, lacking, corpus, tmp_path):
    """As when run.json was edited: an error that says which, and no accident later."""
    state = trained_for(2, "gru", corpus, replace(DROPPING, **saved))
    with pytest.raises(CheckpointError, match=rf"step 2.*{lacking}") as caught:
        saved_and_restored(state, corpus, tmp_path, replace(DROPPING, **wanted))
    assert "--overwrite" in caught.value.hint


def test_a_restored_state_is_no_view_of_the_file(corpus, tmp_path):
    """Another step changes neither what was read nor what was saved."""
    state = trained_for(2, "gru", corpus)
    first = saved_and_restored(state, corpus, tmp_path)
    before = {n: p.detach().clone() for n, p in state.model.named_parameters()}
    take_step(first, batches_of(corpus.ids["train"], DROPPING), DROPPING, 1e-1)
    again = read_checkpoint(model_path(tmp_path, 2)).weights
    for name, parameter in before.items():
        assert torch.equal(parameter, torch.from_numpy(again[name]))


@pytest.mark.parametrize("model", MODELS)
def test_a_fresh_state_is_a_function_of_the_settings(model, corpus):
    torch.manual_seed(1)
    first = trained_for(0, model, corpus)
    torch.manual_seed(2)
    second = trained_for(0, model, corpus)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert first.step == 0
    assert not any(part.any() for layer in first.carried for part in layer)


def test_the_seed_that_the_weights_begin_with_is_the_run_s(corpus):
    settings = ModelSettings("gru", "tanh", 4, 5, 1)
    first, second = (
        fresh_state(settings, TrainingSettings(seed=seed), 9).model.arrays() for seed in (0, 1)
    )
    assert (first["output.weight"] != second["output.weight"]).any()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_decay_falls_on_matrices_alone(weight_decay, optimizer):
    """With a gradient of zero an optimizer changes a weight by its decay and nothing else."""
    chosen = TrainingSettings(weight_decay=weight_decay, learning_rate=0.1, optimizer=optimizer)
    state = fresh_state(ModelSettings("lstm", "tanh", 4, 5, 1), chosen, 9)
    before = {n: p.detach().clone() for n, p in state.model.named_parameters()}
    for parameter in state.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    state.optimizer.step(0.1)
    for name, parameter in state.model.named_parameters():
        share = 1.0 - 0.1 * weight_decay if parameter.ndim > 1 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * share)


def test_a_mean_begins_anew_when_it_is_taken():
    mean = Mean()
    assert math.isnan(mean.take())
    mean.add(1.0)
    mean.add(4.0)
    assert mean.take() == 2.5
    mean.add(7.0)
    assert mean.take() == 7.0
