"""Threads that share a batch's streams: each stream once, in order, and none left behind."""

import contextlib
import gc
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import wait

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charrnn.machine import DIVISIBLE
from charrnn.machine import STREAMS_A_WORKER as STREAMS
from charrnn.workers import Workers


def ours():
    return [thread for thread in threading.enumerate() if thread.name.startswith("charrnn-worker")]


@pytest.fixture(autouse=True)
def _settings_restored():
    """Workers set these for the thread that calls them too."""
    threads = torch.get_num_threads()
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.fixture
def workers():
    made = []

    def make(threads):
        made.append(Workers(threads))
        return made[-1]

    yield make
    for each in made:
        each.close()


def practised(workers, function):
    """The function, as if the workers had done it before."""
    workers._done_before.add(function.__code__)
    return function


@given(streams=st.integers(1, 300), threads=st.integers(1, 70))
def test_parts_cover_every_stream_once_and_about_evenly(streams, threads):
    workers = Workers(threads)
    parts = workers.parts(streams)
    workers.close()
    assert [stream for part in parts for stream in range(streams)[part]] == list(range(streams))
    sizes = [part.stop - part.start for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) <= threads
    assert len(parts) == 1 or min(sizes) >= STREAMS
    assert len(parts) == min(threads, max(1, streams // STREAMS))


def test_parts_are_a_function_of_streams_and_threads(workers):
    assert workers(3).parts(50) == workers(3).parts(50)


def test_results_come_in_the_order_of_the_parts(workers):
    def late(part):
        time.sleep(0.02 if part.start == 0 else 0.0)
        return part.start

    four = workers(4)
    parts = four.parts(4 * STREAMS)
    assert four.map(late, parts) == [0, 8, 16, 24]
    assert four.map(late, parts[:1]) == [0]


def test_parts_are_done_side_by_side(workers):
    two = workers(2)
    meeting = threading.Barrier(2, timeout=30)

    def meet(_):
        meeting.wait()
        return threading.current_thread().name

    assert len(set(two.map(practised(two, meet), two.parts(2 * STREAMS)))) == 2


def test_what_was_never_done_before_is_done_one_by_one(workers):
    """Two first calls of a library's function at once may not give what later calls give."""
    two, doing, most = workers(2), [], []

    def overlap(_):
        doing.append(1)
        time.sleep(0.05)
        most.append(len(doing))
        doing.pop()

    parts = two.parts(2 * STREAMS)
    two.map(overlap, parts)
    assert most == [1, 1]
    two.map(overlap, parts)
    assert max(most) == 2
    first = workers(2)

    def fail(part):
        raise ValueError(part.start)

    with pytest.raises(ValueError, match="0"):
        first.map(fail, parts)
    with pytest.raises(ValueError, match="0"):
        first.map(fail, parts)


def test_one_part_is_done_by_the_caller(workers):
    two = workers(2)
    assert two.map(lambda _: threading.current_thread(), two.parts(STREAMS)) == [
        threading.current_thread()
    ]
    assert ours() == []


@pytest.mark.parametrize("failing", [0, 1, 2])
@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), MemoryError()])
def test_what_a_worker_raises_is_raised_when_all_have_ended(workers, failing, error):
    three, ended = workers(3), []
    parts = three.parts(3 * STREAMS)

    def fail(part):
        if part == parts[failing]:
            raise error
        time.sleep(0.05)
        ended.append(part)

    with pytest.raises(type(error)) as raised:
        three.map(practised(three, fail), parts)
    assert raised.value is error
    assert len(ended) == 2
    assert three.map(lambda part: part.start, parts) == [0, 8, 16]  # it serves as before


@pytest.mark.parametrize("before", [True, False])
def test_what_a_signal_leaves_behind_is_waited_for(before, monkeypatch):
    """Even where another one interrupts that, no thread is taken for ended that is not."""
    two, go_on, interrupted = Workers(2), threading.Event(), [True, True, False]

    def slow(_):
        go_on.wait(30)

    def interrupt(calls):
        if interrupted.pop(0):
            raise KeyboardInterrupt
        go_on.set()
        return wait(calls)

    monkeypatch.setattr("charrnn.workers.wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        two.map(practised(two, slow) if before else slow, two.parts(2 * STREAMS))
    computing = ours()
    assert len(computing) == 1 + before
    with pytest.raises(KeyboardInterrupt):
        two.close()
    assert ours() == computing
    two.close()
    assert ours() == []


def test_what_the_only_part_raises_is_raised(workers):
    def fail(_):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        workers(2).map(fail, [slice(0, 3)])


def test_what_failed_is_let_go_without_the_collector_s_help(workers):
    """A graph, and with it a window's memory, would live on."""

    class Graph:
        pass

    alive = []

    def fail(_):
        graph = Graph()
        alive.append(weakref.ref(graph))
        raise ValueError("no")

    two = workers(2)
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            two.map(practised(two, fail), two.parts(2 * STREAMS))
        assert len(alive) == 2
        assert [each() for each in alive] == [None, None]
    finally:
        gc.enable()


def test_closed_workers_leave_no_thread():
    workers = Workers(3)
    workers.map(lambda part: part, workers.parts(3 * STREAMS))
    assert 0 < len(ours()) <= 3
    workers.close()
    assert ours() == []


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("streams", [1, 2 * STREAMS, 5 * STREAMS])
def test_all_together_use_no_more_processors_than_allowed(monkeypatch, workers, threads, streams):
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    some = workers(threads)
    parts = some.parts(streams)
    found = some.map(lambda _: torch.get_num_threads(), parts, weights=DIVISIBLE)
    assert len(set(found)) == 1
    assert threads - len(parts) < sum(found) <= threads


@pytest.mark.parametrize("streams", [1, 2 * STREAMS, 5 * STREAMS])
def test_small_products_are_divided_among_no_threads(monkeypatch, workers, streams):
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    seven = workers(7)
    parts = seven.parts(streams)
    found = seven.map(lambda _: torch.get_num_threads(), parts, weights=DIVISIBLE - 1)
    assert found == [1] * len(parts)
    assert torch.get_num_threads() == 1


def test_a_thread_that_served_another_division_uses_no_more_than_its_share(monkeypatch, workers):
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    four = workers(4)
    for streams in 4, 2, 3, 4, 2:
        parts = four.parts(streams * STREAMS)
        found = four.map(lambda _: torch.get_num_threads(), parts, weights=DIVISIBLE)
        assert found == [4 // streams] * streams


def test_there_are_never_more_threads_than_processors(monkeypatch, workers):
    """Thousands of OpenMP's threads can end in a crash."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    many = workers(4096)
    found = many.map(lambda _: torch.get_num_threads(), [slice(0, 1)], weights=DIVISIBLE)
    assert found == [2]


# Numbers near 0


def flushed(_=None):
    return float((torch.full((), 1e-38) * 0.1).view(torch.int32)) == 0


@pytest.mark.parametrize("parts", [1, 2])
def test_numbers_near_0_are_flushed_in_every_worker_and_in_the_caller(workers, parts):
    two = workers(2)
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot flush")
    assert not flushed()
    assert two.map(flushed, two.parts(parts * STREAMS)) == [True] * parts
    assert flushed()  # the optimizer's step is its
    two.map(lambda _: torch.set_flush_denormal(False), two.parts(parts * STREAMS))
    assert two.map(flushed, two.parts(parts * STREAMS)) == [True] * parts  # at every window


def test_numbers_near_0_are_flushed_by_pytorch_s_own_threads_too():
    """In a process of its own: they take after the thread that starts them."""
    script = """
import torch
from charrnn.workers import prepare
if not torch.set_flush_denormal(False):
    print(0.0)
else:
    prepare(2)
    small = torch.full((2_000_000,), 1e-38)
    print(float(((small * 0.1).view(torch.int32) != 0).float().mean()))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(ran.stdout) == 0.0
