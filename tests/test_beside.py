"""What another thread does beside: all of it, in order, and its failures are told."""

import hashlib
import sys
import threading
import time

import pytest

from charrnn.beside import Beside, Digest

MUCH = bytes(2**17)
"""For which a thread is woken."""


@pytest.fixture
def threads():
    """None is left behind."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def test_pieces_are_worked_on_in_order_and_all_of_them(threads):
    done = []
    work = Beside(lambda data: (time.sleep(0.001), done.append(bytes(data[:1]))))
    pieces = [bytes([n]) * (2**17 if n % 3 else 10) for n in range(20)]
    for piece in pieces:
        work(piece)
    work.wait()
    assert done == [piece[:1] for piece in pieces]
    work.close()


def test_much_is_begun_before_this_thread_goes_on(threads):
    """Else it would wait for Python's lock until this one waits, and nothing go on beside."""
    begun, between = threading.Event(), sys.getswitchinterval()
    work = Beside(lambda _: begun.set())
    work(MUCH)  # a thread that is only started has its turn at once
    work.wait()
    begun.clear()
    sys.setswitchinterval(60)
    try:
        work(MUCH)
        until = time.monotonic() + 1
        while not begun.is_set() and time.monotonic() < until:
            pass
        assert begun.is_set()
    finally:
        sys.setswitchinterval(between)
        work.close()


def test_little_is_done_at_once_and_wakes_no_thread(threads):
    found = []
    work = Beside(lambda data: found.append(threading.current_thread()))
    work(b"little")
    assert found == [threading.current_thread()]
    work.close()


@pytest.mark.parametrize("then", ["another piece", "wait"])
def test_a_failure_is_told_once_at_the_next_chance(then, threads):
    def fail(data):
        raise OSError(28, "No space left on device")

    work = Beside(fail)
    work(MUCH)
    with pytest.raises(OSError, match="No space"):
        work(MUCH) if then == "another piece" else work.wait()
    work.wait()
    work.close()


def test_closing_waits_for_what_is_under_way_and_hides_its_failure(threads):
    done = []

    def slow(data):
        time.sleep(0.02)
        done.append(data)
        raise OSError

    work = Beside(slow)
    work(MUCH)
    work.close()
    assert done == [MUCH]
    work.close()


def test_a_digest_is_that_of_all_pieces(threads):
    digest, pieces = Digest(), [b"a", MUCH, b"", b"b" * 2**16, b"c" * 5]
    for piece in pieces:
        digest.update(piece)
    assert digest.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()
    digest.close()
