"""Signals turned into a flag, and back into themselves afterwards."""

import contextlib
import signal

import pytest

from charrnn.errors import StoppedError
from charrnn.signals import Signals, unwinding

STOPPING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

each_signal = pytest.mark.parametrize("number", STOPPING)


@pytest.fixture(autouse=True)
def handlers():
    """Whatever a test does, the test run's own handlers come back."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup may have ignored it for us all
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@each_signal
def test_a_signal_while_training_is_noted(number):
    with Signals() as signals:
        signals.training = True
        assert not signals.stop()
        signal.raise_signal(number)
        assert signals.stop()
        assert signals.received == number


@each_signal
def test_a_second_signal_stops_at_once(number):
    with pytest.raises(StoppedError, match="at once") as caught, Signals() as signals:
        signals.training = True
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(number)
    assert caught.value.exit_code == 128 + number
    assert "--resume" in caught.value.hint


@each_signal
def test_a_signal_before_the_first_step_stops_at_once(number):
    with pytest.raises(StoppedError, match="before the first step") as caught, Signals():
        signal.raise_signal(number)
    assert caught.value.exit_code == 128 + number


@each_signal
def test_handlers_are_given_back(number):
    heard = []
    signal.signal(number, lambda *_: heard.append(number))
    with Signals() as signals:
        signals.training = True
        signal.raise_signal(number)
    assert heard == []
    signal.raise_signal(number)
    assert heard == [number]


def test_handlers_are_given_back_after_an_error():
    before = [signal.getsignal(number) for number in STOPPING]
    with pytest.raises(ValueError, match="inside"), Signals():
        raise ValueError("inside")
    assert [signal.getsignal(number) for number in STOPPING] == before


def test_what_nohup_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Signals() as signals:
        signal.raise_signal(signal.SIGHUP)
        assert not signals.stop()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_signal_that_a_library_swallows_while_it_is_loaded_is_not_lost():
    with Signals() as signals:
        with contextlib.suppress(Exception):
            signal.raise_signal(signal.SIGTERM)
        signals.training = True
        assert signals.stop()
        assert signals.received == signal.SIGTERM


def test_a_save_is_asked_for_once_for_each_signal():
    before = signal.getsignal(signal.SIGUSR1)
    with Signals() as signals:
        assert not signals.save()
        signal.raise_signal(signal.SIGUSR1)
        assert [signals.save(), signals.save()] == [True, False]
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGUSR1)
        assert [signals.save(), signals.save()] == [True, False]
        assert not signals.stop()
    assert signal.getsignal(signal.SIGUSR1) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_others_is_an_error_that_undoes_what_was_begun(number):
    heard, undone = [], []
    signal.signal(number, lambda *_: heard.append(number))
    with pytest.raises(StoppedError) as caught, unwinding():
        try:
            signal.raise_signal(number)
        finally:
            undone.append(True)
    assert caught.value.exit_code == 128 + number
    assert (heard, undone) == ([], [True])
    signal.raise_signal(number)
    assert heard == [number]


def test_what_the_parent_process_ignored_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with unwinding():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
