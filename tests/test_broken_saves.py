"""A save that is killed, or that the system refuses, at each of its calls."""

import contextlib
import errno
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import COMMAND, charrnn
from saves import SAVES, promises_broken, save

from charrnn import files, metrics, pruning, runs
from charrnn.checkpoints import model_path
from charrnn.errors import CharrnnError, DiskFullError, RunError
from charrnn.metrics import METRICS_FILE, Metrics

# The run as it is before: three steps, and the fourth saved at a stop. What follows saves
# the fourth step anew and then another one.
BEFORE, AFTER = SAVES[:4], SAVES[4:7]


class Call(NamedTuple):
    """One call to the system that a save makes."""

    name: str
    file: str
    """the name it is about, all temporary ones being one"""


class Calls:
    """Stands before the calls of a save, and does something at one of them."""

    def __init__(self) -> None:
        self.made: list[Call] = []
        self.at: Callable[[int, Callable[[], Any]], Any] = lambda number, call: call()

    def do(self, name: str, path: Any, call: Callable[[], Any]) -> Any:
        file = Path(str(path)).name
        file = "temporary" if file.startswith(files.TEMPORARY_PREFIX) else file
        self.made.append(Call(name, file))
        return self.at(len(self.made) - 1, call)

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """All calls go through `do`."""
        calls, fsync, unlink, replace, opens = self, os.fsync, os.unlink, os.replace, os.open

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                def halves() -> int:
                    """Write a part, as a system may: who writes has to go on with the rest."""
                    return super(Raw, self).write(bytes(data)[: max(1_000, len(data) // 2)])

                return int(calls.do("write", self.name, halves))

            def close(self) -> None:
                if not self.closed:
                    really = super().close
                    try:
                        calls.do("close", self.name, lambda: None)
                    finally:
                        really()

        def opened(path: Any, mode: str = "r", buffering: int = -1) -> Any:
            raw = calls.do("open", path, lambda: Raw(path, mode.replace("b", "")))
            return raw if buffering == 0 else io.BufferedWriter(raw)

        def name_of(descriptor: int) -> str:
            return Path(f"/proc/self/fd/{descriptor}").readlink().name

        for module in files, metrics:
            patch.setattr(module, "open", opened, raising=False)
        patch.setattr(
            os, "open", lambda path, *more: calls.do("open", path, lambda: opens(path, *more))
        )
        patch.setattr(
            os,
            "fsync",
            lambda opened: calls.do("fsync", name_of(opened), lambda: fsync(opened)),
        )
        patch.setattr(
            os, "unlink", lambda path, **_: calls.do("unlink", path, lambda: unlink(path))
        )
        patch.setattr(
            os,
            "replace",
            lambda source, target: calls.do("rename to", target, lambda: replace(source, target)),
        )


def begun(run: Path) -> int:
    """Make the run as it is before; returns how long its log is."""
    files.write_json(run / runs.RUN_FILE, {})
    log = Metrics(run)
    for what in BEFORE:
        save(run, log, what)
        pruning.prune(run, 1)
    log.close()
    return log.path.stat().st_size


def gone_on(run: Path, length: int, acknowledge: Callable[[int], None]) -> None:
    """Save what follows, as training does."""
    log = Metrics(run, length)
    try:
        for what in AFTER:
            save(run, log, what)
            acknowledge(what.number)
            pruning.prune(run, 1, newest=model_path(run, what.step))
    finally:
        with contextlib.suppress(OSError):
            log.close()


def recorded() -> list[Call]:
    """The calls that `gone_on` makes."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        run = Path(name) / "run"
        run.mkdir()
        length = begun(run)
        calls = Calls()
        calls.watch(patch)
        gone_on(run, length, lambda number: None)
        return calls.made


CALLS = recorded() if Path("/proc/self/fd").exists() else []  # elsewhere, no name of a file
NAMED = [
    pytest.param(n, id=f"{n}-{call.name}-{call.file}")
    for n, call in enumerate(CALLS)
    if call != ("close", METRICS_FILE)  # no part of a save
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A run as it is before, to be copied, and how long its log is."""
    run = tmp_path_factory.mktemp("prepared")
    return run, begun(run)


@pytest.fixture
def run(prepared: tuple[Path, int], tmp_path: Path) -> Path:
    """A run with checkpoints, which is about to save more."""
    return Path(shutil.copytree(prepared[0], tmp_path / "run"))


@pytest.fixture
def length(prepared: tuple[Path, int]) -> int:
    """How long its log is."""
    return prepared[1]


def in_a_child(work: Callable[[Callable[[int], None]], None]) -> tuple[int, list[int]]:
    """Do some work in a forked process: how it ended, and the saves it was told were done."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work(lambda number: os.write(writing, bytes([number])) and None)
            os._exit(0)
        except DiskFullError:
            os._exit(75)
        finally:
            os._exit(70)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with open(reading, "rb") as stream:
        told = list(stream.read())
    return os.waitstatus_to_exitcode(status), told


def vanish() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", NAMED)
def test_a_kill_around_any_call_of_a_save_loses_nothing_that_was_saved(
    number: int, moment: str, run: Path, length: int
) -> None:
    def work(acknowledge: Callable[[int], None]) -> None:
        calls = Calls()

        def killed(n: int, call: Callable[[], Any]) -> Any:
            if n == number and moment == "before":
                vanish()
            try:
                return call()
            finally:
                if n == number:
                    vanish()

        calls.at = killed
        with pytest.MonkeyPatch.context() as patch:
            calls.watch(patch)
            gone_on(run, length, acknowledge)

    code, told = in_a_child(work)
    assert code == -signal.SIGKILL
    # Besides what was there before, everything of which it was said that it is saved.
    assert promises_broken(run, ["run.json", *BEFORE, *(SAVES[n] for n in told)]) == ""


def test_the_saves_that_are_killed_end_well_when_they_are_not(run: Path, length: int) -> None:
    code, told = in_a_child(lambda acknowledge: gone_on(run, length, acknowledge))
    assert (code, told) == (0, [what.number for what in AFTER])
    assert promises_broken(run, ["run.json", *BEFORE, *AFTER]) == ""


def test_a_kill_is_noticed_where_files_are_written_in_place(
    run: Path, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above would notice."""

    def half(path: Path, data: bytes) -> None:
        path.write_bytes(data[:1_000])
        vanish()

    monkeypatch.setattr("charrnn.checkpoints.write_file", half)
    monkeypatch.setattr("charrnn.checkpoints._are_one", lambda *paths: False)
    assert in_a_child(lambda told: gone_on(run, length, told))[0] == -signal.SIGKILL
    assert "cannot be gone on from" in promises_broken(run, [*BEFORE])


# Calls that fail


ERRORS = {errno.ENOSPC: DiskFullError, errno.EIO: RunError, errno.EACCES: RunError}


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize("number", NAMED)
def test_a_call_that_fails_leaves_the_old_checkpoint_and_says_which_file(
    number: int, lasting: bool, prepared: tuple[Path, int], tmp_path: Path
) -> None:
    for code, kind in ERRORS.items():
        run, length = tmp_path / errno.errorcode[code], prepared[1]
        shutil.copytree(prepared[0], run)
        calls, told = Calls(), []

        def failing(n: int, call: Callable[[], Any], code: int = code) -> Any:
            if n == number or (lasting and n > number):
                raise OSError(code, os.strerror(code))
            return call()

        calls.at = failing
        with pytest.MonkeyPatch.context() as patch:
            calls.watch(patch)
            try:
                gone_on(run, length, told.append)
            except CharrnnError as error:
                assert type(error) is kind
                assert str(run) in error.message
                assert os.strerror(code) in error.message
                assert error.hint
            else:
                # Only what no longer matters, or what is tried again, may fail unsaid, and
                # a look at what is there: what cannot be read is not pruned.
                call = CALLS[number]
                looked_at = call.name == "open" and call.file.startswith("step-")
                assert call.name == "unlink" or call.file == METRICS_FILE or looked_at
        if not lasting:
            assert not list(run.glob(files.TEMPORARY_PREFIX + "*"))
        assert promises_broken(run, ["run.json", *BEFORE, *(SAVES[n] for n in told)]) == ""


def test_the_next_save_does_what_a_failed_one_could_not(
    run: Path, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(files, "sync", _raiser(errno.ENOSPC))
        with pytest.raises(DiskFullError):
            gone_on(run, length, lambda number: None)
    gone_on(run, length, lambda number: None)
    assert promises_broken(run, ["run.json", *BEFORE, *AFTER]) == ""


def _raiser(code: int) -> Callable[..., Any]:
    def fails(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fails


def test_signals_in_the_middle_of_saves_do_not_disturb_them(run: Path, length: int) -> None:
    """EINTR, hundreds of times: Python makes the calls again."""
    heard = [0]
    old = signal.signal(signal.SIGALRM, lambda *_: heard.__setitem__(0, heard[0] + 1))
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    try:
        for _ in range(20):
            gone_on(run, length, lambda number: None)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert heard[0] > 50
    assert promises_broken(run, ["run.json", *BEFORE, *AFTER]) == ""


@pytest.mark.parametrize("limit", [0, 100, 1_000])
def test_a_limit_on_the_size_of_files_is_told_as_a_full_disk(
    limit: int, run: Path, length: int
) -> None:
    def work(acknowledge: Callable[[int], None]) -> None:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        gone_on(run, length, acknowledge)

    assert in_a_child(work) == (75, [])
    assert not list(run.glob(files.TEMPORARY_PREFIX + "*"))
    assert promises_broken(run, ["run.json", *BEFORE]) == ""


# Disks that are really full

SMALL_DISK = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_broken_saves import AFTER, BEFORE, begun, gone_on, promises_broken
from charrnn import files
from charrnn.errors import DiskFullError

disk = Path(sys.argv[1])
run, ballast = disk / "run", disk / "ballast"
run.mkdir()
length = begun(run)
refused = saved = 0
for free in range(0, 80_000, 4_096):
    with open(ballast, "wb") as stream:
        stream.truncate(0)
        room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        stream.write(bytes(max(0, room - free)))
    told = []
    try:
        gone_on(run, length, told.append)
        saved += 1
    except DiskFullError as error:
        assert str(run) in error.message and "No space left" in error.message, error
        refused += 1
    assert not list(run.glob(files.TEMPORARY_PREFIX + "*"))
    assert promises_broken(run, ["run.json", *BEFORE, *AFTER[: len(told)]]) == ""
    ballast.unlink()
    try:
        files.check_space(disk, 3_000_000)
        sys.exit("more room than there is")
    except DiskFullError as error:
        assert "3.0 MB needed" in error.message, error
print(refused > 1, saved > 1)
"""


def on_a_small_disk(directory: Path, *command: object) -> subprocess.CompletedProcess[str]:
    """Run a command that sees a disk of 2 MB in a directory, which nobody else sees."""
    mount = 'mount -t tmpfs -o size=2m none "$1" && shift && exec "$@"'
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    if os.geteuid() == 0:
        inside = ["unshare", "--mount", *inside[4:]]
    if shutil.which("unshare") is None:
        pytest.skip("no unshare to make a small disk with")
    if subprocess.run([*inside, directory, "true"], capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    return subprocess.run(
        [*inside, directory, *map(str, command)], capture_output=True, text=True, timeout=120
    )


def test_saves_on_a_disk_that_is_really_full(tmp_path: Path) -> None:
    done = on_a_small_disk(
        tmp_path, sys.executable, "-c", SMALL_DISK, tmp_path, Path(__file__).parent
    )
    assert (done.stdout, done.returncode) == ("True True\n", 0), done.stderr


@pytest.mark.parametrize("temporary", ["missing", pytest.param("full", marks=pytest.mark.torture)])
def test_training_needs_no_temporary_directory(
    temporary: str, tmp_path: Path, english_file: Path
) -> None:
    (tmp_path / "full").mkdir()
    command = [
        *("charrnn", "train", english_file, "--steps", 4, "--checkpoint-steps", 2, "--quiet"),
        *("--checkpoint-dir", tmp_path / "checkpoints", "--name", "x", "--threads", 1),
        *("--hidden-size", 8, "--embedding-size", 4, "--layers", 1),
    ]
    environment = os.environ | {"TMPDIR": str(tmp_path / temporary)}
    if temporary == "missing":
        done = charrnn(*command[1:], env=environment)
    else:
        fill = 'dd if=/dev/zero of="$0/x" bs=4k 2>/dev/null; TMPDIR="$0" exec "$@"'
        command[0] = COMMAND
        done = on_a_small_disk(tmp_path / "full", "sh", "-c", fill, tmp_path / "full", *command)
    assert done.returncode == 0, done.stderr
    assert runs.model_files(tmp_path / "checkpoints" / "x")[-1].name == "step-00000004.safetensors"
