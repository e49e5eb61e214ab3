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
        assert lock.read_bytes() == b""


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
    with locks.locked(lock, "it") as held:
        assert not held
        assert not locks.is_locked(lock)


def test_a_lock_in_a_missing_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no" / "lock"
    with pytest.raises(RunError) as caught, locks.locked(path, "it"):
        pass
    assert str(path) in caught.value.message


def test_an_error_of_the_work_under_a_lock_is_not_taken_for_the_locks_own(lock: Path) -> None:
    with pytest.raises(FileNotFoundError), locks.locked(lock, "it"):
        raise FileNotFoundError("something else")


def test_who_holds_a_lock_is_told_so(lock: Path) -> None:
    with locks.locked(lock, "it") as held:
        assert held


# The file that is meant


@pytest.mark.parametrize("change", ["removed", "replaced", "moved"])
def test_a_lock_file_that_changed_before_it_was_locked_is_not_the_lock(
    change: str, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two trainers would each hold a lock of the same name."""
    really, changes = fcntl.flock, []

    def late(stream: object, how: int) -> None:
        if not changes:
            changes.append(lock.rename(lock.with_name("moved")) if change == "moved" else None)
            lock.unlink(missing_ok=True)
            if change == "replaced":
                lock.write_text("process 1 on another\n")
        really(stream, how)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", late)
    with locks.locked(lock, "it") as held:
        assert held
        assert locks.is_locked(lock)
        assert lock.read_text().startswith(f"process {os.getpid()} on ")
        if change == "moved":
            assert not locks.is_locked(lock.with_name("moved"))
            assert lock.with_name("moved").read_bytes() == b""


def test_a_lock_replaced_by_one_that_is_held_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, other = tmp_path / "lock", tmp_path / "other"
    really = fcntl.flock
    with locks.locked(other, "other"):

        def late(stream: object, how: int) -> None:
            if other.exists():
                other.rename(lock)
            really(stream, how)  # type: ignore[arg-type]

        monkeypatch.setattr(fcntl, "flock", late)
        with pytest.raises(LockedError, match=f"process {os.getpid()} "), locks.locked(lock, "it"):
            pytest.fail("two held the lock of one name")


def test_a_directory_that_goes_before_its_lock_is_held_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, really = tmp_path / "run" / "lock", fcntl.flock
    lock.parent.mkdir()

    def late(stream: object, how: int) -> None:
        if lock.parent.exists():
            lock.unlink()
            lock.parent.rmdir()
        really(stream, how)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(RunError, match="run/lock"), locks.locked(lock, "it"):
        pytest.fail("a lock nobody can find was held")


def test_where_files_are_never_the_same_it_goes_on_and_says_so(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "_is_at", lambda *_: False)
    with locks.locked(lock, "it") as held:
        assert not held


def test_a_link_is_not_followed_to_what_would_be_written_over(lock: Path) -> None:
    """A stranger's run directory may hold one."""
    precious = lock.with_name("precious")
    precious.write_text("mine")
    lock.symlink_to(precious)
    with pytest.raises(RunError, match="lock"), locks.locked(lock, "it"):
        pass
    assert precious.read_text() == "mine"


def test_a_pipe_in_its_place_is_not_waited_for(lock: Path) -> None:
    os.mkfifo(lock)
    assert not locks.is_locked(lock)


def test_a_full_disk_does_not_keep_a_lock_from_being_held(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To prune is how space is made."""
    lock.touch()
    really = os.fdopen

    class Full:
        def __init__(self, descriptor: int) -> None:
            self.stream = really(descriptor, "r+b", buffering=0)

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def __getattr__(self, name: str) -> object:
            return getattr(self.stream, name)

    monkeypatch.setattr(os, "fdopen", lambda descriptor, *_, **__: Full(descriptor))
    with locks.locked(lock, "it") as held:
        monkeypatch.undo()
        assert held
        assert locks.is_locked(lock)
    assert not locks.is_locked(lock)


# Where there are no locks


@pytest.fixture(params=["file system", "Windows"])
def no_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    if request.param == "Windows":
        monkeypatch.setitem(sys.modules, "fcntl", None)
    else:
        monkeypatch.setattr(fcntl, "flock", unsupported)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_living_process_is_in_the_way_and_a_dead_one_is_not(lock: Path) -> None:
    here = os.uname().nodename
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        lock.write_text(f"process {process.pid} on {here}\n")
        with pytest.raises(LockedError) as caught, locks.locked(lock, "night"):
            pytest.fail("two trainers")
        assert f"night: in use by process {process.pid} on {here}" in caught.value.message
        assert f"remove {lock}" in caught.value.hint
        assert lock.read_text() == f"process {process.pid} on {here}\n"
        process.kill()
    with locks.locked(lock, "night") as held:
        assert not held
        assert not locks.is_locked(lock)
        assert lock.read_text() == f"process {os.getpid()} on {here}\n"
    assert lock.read_bytes() == b""  # that number may soon be another process's


@pytest.mark.usefixtures("no_locks")
@pytest.mark.parametrize(
    "said",
    [
        "",
        "rubbish",
        "process 1 on another-node",
        f"process {os.getpid()} on {os.uname().nodename}",
        f"process 0 on {os.uname().nodename}",
        f"process 9999999999 on {os.uname().nodename}",
        "process x on y",
        "\x1b[2J",
    ],
)
def test_without_locks_what_says_nothing_of_a_living_process_is_no_obstacle(
    said: str, lock: Path
) -> None:
    lock.write_text(said)
    with locks.locked(lock, "it") as held:
        assert not held


def test_what_a_lock_file_says_is_told_only_where_it_is_a_process(lock: Path) -> None:
    with locks.locked(lock, "it"):
        lock.write_bytes(b"process 1 on \x1b[2Jyou")
        with pytest.raises(LockedError, match="another process"), locks.locked(lock, "it"):
            pass
