"""Locks: one holder at a time, none that outlives its process, and the file that is meant."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrnn import locks
from charrnn.errors import LockedError, RunError


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the lock until its stdin is closed or it is killed."""
    program = (
        "import sys\nfrom pathlib import Path\nfrom charrnn import locks\n"
        "with locks.locked(Path(sys.argv[1]), 'it'):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_holder_is_refused_and_told_who_is_the_first(
    lock: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(LockedError) as caught, locks.locked(lock, "checkpoints/hamlet"):
        pytest.fail("two processes held one lock")
    assert caught.value.exit_code == 75
    assert "checkpoints/hamlet" in caught.value.message
    assert f"process {holder.pid} " in caught.value.message
    assert os.uname().nodename in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_a_refusal_leaves_the_first_holder_its_lock(
    lock: Path, holder: subprocess.Popen[str]
) -> None:
    for _ in range(2):
        with pytest.raises(LockedError, match=f"process {holder.pid} "), locks.locked(lock, "it"):
            pass
    assert locks.is_locked(lock)


def test_a_lock_is_freed_when_its_holder_is_killed(
    lock: Path, holder: subprocess.Popen[str]
) -> None:
    assert locks.is_locked(lock)
    holder.send_signal(signal.SIGKILL)
    holder.wait(timeout=30)
    assert not locks.is_locked(lock)
    with locks.locked(lock, "it"):
        assert locks.is_locked(lock)
        # Whoever is refused now must be told of this process, not of the dead one.
        assert lock.read_text().split()[:2] == ["process", str(os.getpid())]


def test_a_lock_is_freed_on_leaving_even_by_an_error(lock: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), locks.locked(lock, "it"):
            assert locks.is_locked(lock)
            raise ZeroDivisionError
        assert not locks.is_locked(lock)


def test_one_process_cannot_hold_a_lock_twice(lock: Path) -> None:
    with (
        locks.locked(lock, "it"),
        pytest.raises(LockedError, match=f"process {os.getpid()} "),
        locks.locked(lock, "it"),
    ):
        pass


def test_a_child_process_does_not_inherit_the_lock(lock: Path) -> None:
    """Else a child that outlives a training run would keep the run locked."""
    with locks.locked(lock, "it"):
        child = subprocess.Popen(
            [sys.executable, "-c", "print('begun', flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=False,
        )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        assert not locks.is_locked(lock)
        child.kill()


def test_a_passing_glance_does_not_refuse_a_holder(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`is_locked` shares the lock for an instant; who wants it then waits and gets it."""
    lock.touch()
    glance = os.open(lock, os.O_RDONLY)
    fcntl.flock(glance, fcntl.LOCK_SH | fcntl.LOCK_NB)
    waits: list[float] = []

    def glance_ends(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            os.close(glance)

    monkeypatch.setattr(locks.time, "sleep", glance_ends)
    with locks.locked(lock, "it"):
        assert locks.is_locked(lock)
    assert len(waits) == 1


def test_two_passing_glances_do_not_take_each_other_for_a_holder(lock: Path) -> None:
    lock.touch()
    with open(lock, "rb") as glance:
        fcntl.flock(glance, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert not locks.is_locked(lock)


def test_a_holder_leaves_nothing_of_what_a_dead_one_wrote(lock: Path) -> None:
    lock.write_text("process 4194304 on some-node-with-a-very-long-name.cluster.example.org\n")
    with locks.locked(lock, "it"):
        assert lock.read_text() == f"process {os.getpid()} on {os.uname().nodename}\n"


def test_looking_at_a_lock_neither_makes_nor_takes_it(lock: Path) -> None:
    assert not locks.is_locked(lock)
    assert not lock.exists()
    lock.touch()
    assert not locks.is_locked(lock)
    assert lock.read_bytes() == b""


def test_a_file_system_without_locks_is_no_obstacle(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with locks.locked(lock, "it"):
        assert not locks.is_locked(lock)


def test_a_lock_in_a_missing_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no" / "lock"
    with pytest.raises(RunError) as caught, locks.locked(path, "it"):
        pass
    assert str(path) in caught.value.message


def test_an_error_of_the_work_under_a_lock_is_not_taken_for_the_locks_own(lock: Path) -> None:
    with pytest.raises(FileNotFoundError), locks.locked(lock, "it"):
        raise FileNotFoundError("something else")
