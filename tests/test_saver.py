"""Saving beside training: one at a time, step k's bytes and no later ones, and loud failures."""

import errno
import itertools
import os
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_training import CHOSEN, SHORT, Sitting, assert_same_end

from charrnn import files, runs, saver, training_state
from charrnn.checkpoints import (
    ModelRecord,
    model_path,
    read_checkpoint,
    read_resume,
    resume_path,
)
from charrnn.corpus import Corpus, read_corpus
from charrnn.errors import DiskFullError, RunError, StoppedError
from charrnn.events import NotSaved, Progressed, Saved
from charrnn.metrics import METRICS_FILE, Metrics
from charrnn.saver import Saver
from charrnn.settings import ModelSettings
from charrnn.step import batches_of, take_step
from charrnn.training_state import fresh_state, restored_state, snapshot


@pytest.fixture(scope="module")
def corpus(english: str, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    path = tmp_path_factory.mktemp("corpus") / "short.txt"
    path.write_text(english[:120], encoding="utf-8")
    return read_corpus([path], val_fraction=0.15)


@pytest.fixture
def state(corpus):
    """Two steps on, so that there is something of everything."""
    found = fresh_state(ModelSettings("lstm", "tanh", 4, 5, 2), CHOSEN, len(corpus.vocabulary))
    for _ in range(2):
        take_step(found, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
    return found


class Slow:
    """Writes that wait to be let go, each in its turn."""

    def __init__(self, monkeypatch):
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.at_once = self.most = 0
        self.fails: Exception | None = None
        write = training_state.checkpoints.write_checkpoint

        def writing(*arguments):
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.begun.release()
            assert self.go.acquire(timeout=30)
            self.at_once -= 1
            if self.fails is not None:
                raise self.fails
            return write(*arguments)

        monkeypatch.setattr(training_state.checkpoints, "write_checkpoint", writing)


@pytest.fixture
def slow(monkeypatch):
    return Slow(monkeypatch)


@pytest.fixture
def working(tmp_path):
    """A saver of an empty run, closed at the end."""
    log = Metrics(tmp_path)
    made = Saver(tmp_path, log, 0, 0)
    yield made
    made.close()
    log.close()


def record_of(state, corpus):
    return ModelRecord(state.model.settings, corpus.vocabulary, state.step, {}, corpus.record(), "")


def full(step=0):
    return DiskFullError(f"step-{step}: no space", "free some")


def everything(state):
    """Copies of all of a state's numbers."""
    moments = [(name, "", kept.clone()) for name, kept in state.optimizer.remembered().items()]
    weights = [(n, "", p.detach().clone()) for n, p in state.model.named_parameters()]
    carried = [("carried", "", part.clone()) for parts in state.carried for part in parts]
    numbers = (state.step, state.seconds, state.metrics_bytes, list(state.divergences))
    means = (replace(state.reported), replace(state.evaluated), replace(state.watch))
    return [*weights, *moments, *carried], (numbers, means)


def on_disk(run, step):
    checkpoint = read_checkpoint(model_path(run, step))
    resume = read_resume(model_path(run, step), checkpoint.record)
    return everything(restored_state(checkpoint, resume, CHOSEN))


def assert_same(ours, theirs):
    assert ours[1] == theirs[1]
    for (name, key, a), (_, _, b) in zip(ours[0], theirs[0], strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes(), (name, key)


def test_what_is_changed_straight_after_is_not_what_is_written(
    state, corpus, working, slow, tmp_path
):
    """Weights, moments, carried states and numbers, all of them in place."""
    state.reported.add(1.5)
    state.evaluated.add(2.5)
    state.watch.diverges(2.0, 3.0)
    state.seconds, state.metrics_bytes, state.divergences = 12.5, 3, [1]
    before = everything(state)
    working.begin(snapshot(state), record_of(state, corpus))
    assert slow.begun.acquire(timeout=30)
    with torch.no_grad():
        for value in (*state.optimizer.remembered().values(), *state.model.parameters()):
            value.fill_(7.0)
        for parts in state.carried:
            for part in parts:
                part.fill_(7.0)
    state.reported.add(9.0)
    state.evaluated.take()
    state.watch.diverges(2.5, 3.0)
    state.divergences.append(2)
    state.step, state.seconds, state.metrics_bytes = 99, 99.0, 99
    slow.go.release()
    (saved,) = working.finish()
    assert isinstance(saved, Saved)
    assert saved.record.step == 2
    assert_same(on_disk(tmp_path, 2), before)


def test_training_goes_on_during_a_save_and_none_of_it_is_in_it(corpus, tmp_path, slow):
    """The disk is so slow that three steps are taken meanwhile."""
    schedule = replace(SHORT, evaluation_steps=12)
    sitting, states, during = Sitting(tmp_path, corpus, schedule=schedule), {}, []
    for event in sitting.events():
        if isinstance(event, Progressed):
            states[event.step] = everything(sitting.state)
            if event.step in (5, 9):  # steps 4 and 8 are being saved
                assert slow.begun.acquire(timeout=60)
            if slow.at_once:
                during.append(event.step)
            if event.step in (7, 11, 12):
                slow.go.release()
        if isinstance(event, Saved):
            # What the log held by then comes with the state.
            ours, (numbers, means) = on_disk(tmp_path, event.record.step)
            theirs, (then, means_then) = states[event.record.step]
            assert_same((ours, ()), (theirs, ()))
            assert numbers[0] == then[0]
            if event.record.step < 12:  # where the means are taken before it is saved
                assert means[1:] == means_then[1:]
    assert {5, 6, 7, 9, 10, 11} <= set(during)
    assert slow.most == 1
    # Step k's bytes are those that a run writes that waits for every save.
    quick = Sitting(tmp_path / "quick", corpus, schedule=schedule)
    slow.go.release(99)
    quick.train()
    for path in runs.model_files(quick.run):
        ours, theirs = (read_checkpoint(r / path.name).weights for r in (tmp_path, quick.run))
        assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
    assert_same_end(sitting, quick)


def test_one_save_at_a_time(state, corpus, working, slow):
    """The next one waits for the one before it."""
    working.begin(snapshot(state), record_of(state, corpus))
    assert slow.begun.acquire(timeout=30)
    assert list(working.outcomes()) == [], "asking does not wait"
    take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
    slow.go.release(2)
    working.begin(snapshot(state), record_of(state, corpus))
    assert [event.record.step for event in working.finish()] == [2, 3]
    assert slow.most == 1
    assert working.step == 3
    assert list(working.outcomes()) == list(working.finish()) == []


@pytest.mark.parametrize("how", ["outcomes", "begin", "finish", "forget"])
def test_what_no_space_would_cure_is_raised_where_it_is_next_asked(
    how, state, corpus, working, slow, tmp_path
):
    slow.fails = RunError("step-2: Input/output error")
    slow.go.release(9)
    working.begin(snapshot(state), record_of(state, corpus))
    assert working._done.wait(timeout=30)
    calls = {
        "outcomes": lambda: list(working.outcomes()),
        "begin": lambda: working.begin(snapshot(state), record_of(state, corpus)),
        "finish": lambda: list(working.finish()),
        "forget": working.forget,
    }
    with pytest.raises(RunError, match="Input/output"):
        calls[how]()
    assert list(working.outcomes()) == [], "once"
    working.close()


def test_any_accident_in_the_thread_is_raised_too(state, corpus, working, monkeypatch):
    def stumbling(*_):
        raise ZeroDivisionError("an accident")

    monkeypatch.setattr(saver, "save", stumbling)
    working.begin(snapshot(state), record_of(state, corpus))
    with pytest.raises(ZeroDivisionError):
        list(working.finish())


def test_a_full_disk_is_told_and_tried_again_until_there_is_space(
    state, corpus, working, slow, tmp_path
):
    slow.go.release(9)
    slow.fails = full(2)
    working.begin(snapshot(state), record_of(state, corpus))
    for _ in range(3):
        assert working._done.wait(timeout=30)
        assert list(working.outcomes()) == [NotSaved(2, slow.fails)]
        assert list(working.outcomes()) == [], "told once each time"
        working.try_again()
    assert working._done.wait(timeout=30)
    slow.fails = None
    assert [type(event) for event in working.finish()] == [NotSaved, Saved]
    assert [runs.step_of(path) for path in runs.model_files(tmp_path)] == [2]
    working.try_again()
    assert working._done is None, "nothing is left to try"


def test_a_later_state_takes_the_place_of_one_that_there_was_no_space_for(
    state, corpus, working, slow, tmp_path
):
    slow.go.release(9)
    slow.fails = full(2)
    working.begin(snapshot(state), record_of(state, corpus))
    take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
    assert working._done.wait(timeout=30)
    slow.fails = None
    working.begin(snapshot(state), record_of(state, corpus))
    told = list(working.finish())
    assert [type(event) for event in told] == [NotSaved, Saved]
    assert [runs.step_of(path) for path in runs.model_files(tmp_path)] == [3]


def test_a_disk_that_is_full_to_the_end_ends_it(state, corpus, working, slow):
    slow.go.release(9)
    slow.fails = full(2)
    working.begin(snapshot(state), record_of(state, corpus))
    told = []
    with pytest.raises(DiskFullError, match="step-2"):
        for event in working.finish():
            told.append(event)
    assert [type(event) for event in told] == [NotSaved]


def test_what_is_forgotten_is_not_tried_again(state, corpus, working, slow, tmp_path):
    slow.go.release(9)
    slow.fails = full(2)
    working.begin(snapshot(state), record_of(state, corpus))
    working.forget()
    slow.fails = None
    working.try_again()
    assert [type(event) for event in working.finish()] == [NotSaved]
    assert runs.model_files(tmp_path) == []


def test_room_is_looked_for_before_anything_is_written(
    state, corpus, working, slow, tmp_path, monkeypatch
):
    taken = snapshot(state)
    held = sum(a.nbytes for a in (*taken.weights.values(), *taken.resume.values()))
    assert taken.size == held
    monkeypatch.setattr(files, "free_space", lambda _: held)
    working.begin(taken, record_of(state, corpus))
    with pytest.raises(DiskFullError, match="needed"):
        list(working.finish())
    assert not slow.begun.acquire(blocking=False)
    assert [path.name for path in tmp_path.iterdir()] == [METRICS_FILE]


def test_the_log_is_durable_before_the_checkpoint_that_counts_on_it(
    state, corpus, working, monkeypatch
):
    done = []
    for owner, name in (
        (working._metrics, "sync"),
        (saver, "save"),
        (saver, "remove_asked_for"),
        (saver, "prune"),
    ):
        call = getattr(owner, name)

        def noting(*arguments, call=call, name=name, **options):
            result = call(*arguments, **options)
            done.append(name)
            return result

        monkeypatch.setattr(owner, name, noting)
    working.begin(snapshot(state), record_of(state, corpus))
    list(working.finish())
    assert done == ["sync", "save", "remove_asked_for", "prune"]


@pytest.mark.parametrize("bad", ["far off", "no number"])
def test_nothing_is_pruned_after_a_state_that_is_not_good(bad, state, corpus, working, tmp_path):
    def save_next():
        take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
        working.begin(snapshot(state), record_of(state, corpus))
        list(working.finish())
        return [runs.step_of(path) for path in runs.model_files(tmp_path)]

    assert save_next() == [3]
    assert save_next() == [4], "the others are as good without a score"
    if bad == "far off":
        state.watch.far_off = 1
    else:
        with torch.no_grad():
            state.model.get_parameter("embedding.weight")[-1] = np.inf
    assert [save_next(), save_next()] == [[4, 5], [4, 5, 6]]


def test_a_failed_save_prunes_nothing(state, corpus, working, tmp_path, monkeypatch):
    for _ in range(2):
        take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
        working.begin(snapshot(state), record_of(state, corpus))
        list(working.finish())
    before = sorted(path.name for path in tmp_path.iterdir())
    replaced = os.replace

    def failing(source, target):
        if str(target) == str(model_path(tmp_path, 5)):
            raise OSError(errno.EIO, "Input/output error")
        replaced(source, target)

    monkeypatch.setattr(files.os, "replace", failing)
    take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
    working.begin(snapshot(state), record_of(state, corpus))
    with pytest.raises(RunError, match="step-00000005"):
        list(working.finish())
    left = {path.name for path in tmp_path.iterdir()}
    assert left - {resume_path(model_path(tmp_path, 5)).name} == set(before)


def test_what_was_asked_for_stays_until_the_next_good_state(state, corpus, working, tmp_path):
    working._keep = 9

    def save_next(**options):
        take_step(state, batches_of(corpus.ids["train"], CHOSEN), CHOSEN, 1e-2)
        working.begin(snapshot(state, **options), record_of(state, corpus))
        list(working.finish())
        return [runs.step_of(path) for path in runs.model_files(tmp_path)]

    assert save_next() == [3]
    assert save_next(asked_for=True) == [3, 4]
    assert save_next(asked_for=True) == [3, 5]
    state.watch.far_off = 1
    assert save_next() == [3, 5, 6]
    state.watch.far_off = 0
    assert save_next() == [3, 6, 7]


def test_a_signal_in_the_wait_does_not_lose_track_of_the_save(
    state, corpus, working, slow, tmp_path, monkeypatch
):
    """As a second Ctrl-C raises it, from wherever the program stands."""
    working.begin(snapshot(state), record_of(state, corpus))
    assert slow.begun.acquire(timeout=30)
    done, waits = working._done, itertools.count()
    wait = done.wait

    def interrupted(timeout=None):
        if next(waits) == 0:
            raise StoppedError(2, "at once")
        return wait(timeout)

    monkeypatch.setattr(done, "wait", interrupted)
    with pytest.raises(StoppedError):
        list(working.finish())
    assert working._done is done
    slow.go.release()
    working.close()
    assert done.is_set()
    assert read_checkpoint(model_path(tmp_path, 2)).record.step == 2


def test_what_is_abandoned_is_waited_for_a_moment_alone(
    state, corpus, working, tmp_path, monkeypatch
):
    """A disk that does not answer: nothing half-written is left."""
    asleep, wake = threading.Event(), threading.Event()
    sync = files.sync

    def sleeping(descriptor):
        asleep.set()
        assert wake.wait(timeout=30)
        sync(descriptor)

    monkeypatch.setattr(files, "sync", sleeping)
    working.begin(snapshot(state), record_of(state, corpus))
    assert asleep.wait(timeout=30)
    assert list(tmp_path.glob(files.TEMPORARY_PREFIX + "*"))
    done = working._done
    working.abandon()
    assert [path.name for path in tmp_path.iterdir()] == [METRICS_FILE]
    wake.set()
    assert done.wait(timeout=30)
    assert runs.model_files(tmp_path) == []
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_save_that_is_quick_is_abandoned_when_it_is_done(state, corpus, working, tmp_path):
    working.begin(snapshot(state), record_of(state, corpus))
    working.abandon()
    assert read_checkpoint(model_path(tmp_path, 2)).record.step == 2


def test_the_end_of_a_program_is_not_held_up_by_a_disk(state, corpus, working, slow):
    working.begin(snapshot(state), record_of(state, corpus))
    assert slow.begun.acquire(timeout=30)
    (thread,) = (t for t in threading.enumerate() if t.name == "saver")
    assert thread.daemon
    slow.go.release()


def test_a_thread_that_cannot_start_is_an_error_and_no_hang(state, corpus, working, monkeypatch):
    """As where there may be no more processes."""

    def start(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RunError, match="can't start new thread"):
        working.begin(snapshot(state), record_of(state, corpus))
    working.close()


def test_what_was_asked_for_prunes_nothing_that_could_be_gone_back_to(
    state, corpus, working, tmp_path
):
    """Even where no more than the newest is to be kept."""
    for step, asked_for in (3, False), (4, True):
        state.step = step
        working.begin(snapshot(state, asked_for=asked_for), record_of(state, corpus))
        list(working.finish())
    assert [runs.step_of(path) for path in runs.model_files(tmp_path)] == [3, 4]
    assert all(resume_path(path).exists() for path in runs.model_files(tmp_path))
