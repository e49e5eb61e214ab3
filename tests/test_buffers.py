"""Memory that is used again, and who is refused it."""

import contextlib
import copy
import gc
import threading
import weakref

import pytest
import torch

from charrnn import buffers
from charrnn.buffers import Buffers, Memory

LIKE = torch.empty(0)


# Buffers


def test_what_is_taken_has_the_shape_type_and_device_wanted():
    for like in LIKE, LIKE.double(), LIKE.bfloat16():
        found = Buffers().take("x", (2, 3, 4), like)
        assert found.shape == (2, 3, 4)
        assert found.dtype == like.dtype
        assert found.device == like.device
        assert found.is_contiguous()
        assert not found.requires_grad


def test_a_name_keeps_its_memory_for_shapes_no_larger():
    ours = Buffers()
    first = ours.take("x", (4, 5), LIKE).data_ptr()
    for shape in (4, 5), (5, 4), (20,), (2, 3), (1,), (4, 5):
        assert ours.take("x", shape, LIKE).data_ptr() == first
    assert ours.take("x", (21,), LIKE).shape == (21,)
    assert ours.take("x", (4, 5), LIKE).data_ptr() == ours.take("x", (21,), LIKE).data_ptr()


def test_names_share_no_memory():
    ours = Buffers()
    ours.take("x", (3,), LIKE).fill_(1.0)
    ours.take("y", (3,), LIKE).fill_(2.0)
    assert ours.take("x", (3,), LIKE).tolist() == [1.0] * 3


def test_another_type_gets_memory_of_its_own():
    ours = Buffers()
    held = ours.take("x", (4,), LIKE).fill_(1.0)
    ours.take("x", (4,), LIKE.double()).fill_(2.0)
    assert held.tolist() == [1.0] * 4


def test_what_an_evaluation_took_first_serves_training():
    """An inference tensor could not be."""
    ours = Buffers()
    with torch.inference_mode():
        ours.take("x", (4,), LIKE)
    found = ours.take("x", (4,), LIKE)
    assert not found.is_inference()
    found.fill_(1.0)


# Leases


def test_leases_alive_at_once_share_nothing():
    memory = Memory()
    leases = [memory.lease() for _ in range(3)]
    assert len({id(lease.buffers) for lease in leases}) == 3


def test_released_buffers_are_leased_again():
    memory = Memory()
    first = memory.lease()
    first.release()
    second = memory.lease()
    assert second.buffers is first.buffers
    third = memory.lease()
    assert third.buffers is not first.buffers


def test_a_lease_that_is_gone_has_released_its_buffers():
    memory = Memory()
    for _ in range(5):
        lease = memory.lease()
        del lease
    assert len(memory._all) == 1


def test_a_lease_is_renewed_while_nobody_else_had_its_buffers():
    memory = Memory()
    lease = memory.lease()
    lease.renew()  # still held
    lease.release()
    lease.renew()
    assert memory.lease().buffers is not lease.buffers


@pytest.mark.parametrize("released", [False, True])
def test_a_lease_whose_buffers_were_used_again_is_refused(released):
    memory = Memory()
    old = memory.lease()
    old.release()
    new = memory.lease()
    if released:
        new.release()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="used again"):
            old.renew()


def test_an_old_lease_releases_nothing_that_is_another_s():
    memory = Memory()
    old = memory.lease()
    old.release()
    new = memory.lease()
    old.release()
    del old
    assert memory.lease().buffers is not new.buffers


def test_a_copy_of_a_memory_is_an_empty_one():
    memory = Memory()
    memory.lease().buffers.take("x", (5,), LIKE)
    copied = copy.deepcopy({"one": memory, "other": memory})
    assert copied["one"] is copied["other"] is not memory
    assert copied["one"]._all == []


def test_buffers_hold_nothing_that_lives_on_without_them():
    memory = Memory()
    lease = memory.lease()
    gone = weakref.ref(lease.buffers)
    del memory, lease
    assert gone() is None


def test_threads_never_hold_the_same_buffers():
    memory, rounds = Memory(), 400
    held, wrong, lock = set(), [], threading.Lock()

    def use():
        for _ in range(rounds):
            lease = memory.lease()
            with lock:
                wrong.extend({id(lease.buffers)} & held)
                held.add(id(lease.buffers))
            lease.buffers.take("x", (3,), LIKE)
            with lock:
                held.discard(id(lease.buffers))
            lease.release()

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(memory._all) <= 4


def test_a_forgotten_lease_that_the_collector_finds_meanwhile_locks_nobody_out(monkeypatch):
    """A graph in a cycle (an exception's traceback, say) ends whenever the collector runs.

    That may be while a lease is being made.
    """
    memory, done = Memory(), threading.Event()
    memory.lease().release()

    class Cycle:
        def __init__(self):
            self.me, self.lease = self, memory.lease()

    def made():
        gc.collect()
        return Buffers()

    Cycle()
    monkeypatch.setattr(buffers, "Buffers", made)

    def lease():
        with contextlib.suppress(RuntimeError):  # of a lock that was opened for it, below
            memory.lease()
            done.set()

    thread = threading.Thread(target=lease, daemon=True)
    thread.start()
    ended = done.wait(5)
    if not ended:
        memory.lock.release()  # what was shut out goes on, and ends
    thread.join()
    assert ended
