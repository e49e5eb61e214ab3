"""Files: whole or absent, whatever happens while they are written."""

import errno
import fcntl
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from charrnn import files
from charrnn.errors import CharrnnError, DiskFullError, RunError

OLD, NEW = b"the old text\n", b"the new text, longer than the old one\n"

full_device = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="only Linux has a device that is always full"
)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file that is there already, alone in its directory."""
    path = tmp_path / "run" / "step.safetensors"
    path.parent.mkdir()
    path.write_bytes(OLD)
    return path


def beside(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


# Durable writes


def in_pieces(path: Path, data: bytes) -> None:
    """As a text that is written while it is drawn."""
    with files.whole_file(path) as stream:
        for at in range(0, len(data), 7):
            stream.write(data[at : at + 7])


def for_a_user(path: Path, data: bytes) -> None:
    with files.output_file(path) as stream:
        stream.write(data[:7])
        stream.write(data[7:])


Write = Callable[[Path, bytes], None]
each_write = pytest.mark.parametrize("write", [files.write_file, in_pieces, for_a_user])


@each_write
def test_a_write_makes_a_new_file(write: Write, tmp_path: Path) -> None:
    path = tmp_path / "new.bin"
    write(path, NEW)
    assert path.read_bytes() == NEW
    assert beside(path) == ["new.bin"]


@each_write
def test_a_write_replaces_an_old_file(write: Write, target: Path) -> None:
    write(target, NEW)
    assert target.read_bytes() == NEW
    assert beside(target) == [target.name]


def test_an_empty_file_can_be_written(target: Path) -> None:
    files.write_file(target, b"")
    assert target.read_bytes() == b""


@each_write
def test_the_file_is_synced_before_it_is_renamed_and_the_directory_after(
    write: Write, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renamed first, a power cut could leave the new name on an empty file."""
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        facts = os.fstat(descriptor)
        if os.path.samestat(facts, target.parent.stat()):
            events.append("sync the directory")
        else:
            events.append(f"sync a file of {facts.st_size} bytes")
        fsync(descriptor)

    def watched_replace(source: Any, destination: Any) -> None:
        assert Path(source).parent == target.parent, "a rename is atomic only within a directory"
        assert Path(source).name.startswith(files.TEMPORARY_PREFIX)
        assert target.read_bytes() == OLD
        events.append(f"rename to {Path(destination).name}")
        replace(source, destination)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    write(target, NEW)
    assert events == [
        f"sync a file of {len(NEW)} bytes",
        f"rename to {target.name}",
        "sync the directory",
    ]


Break = Callable[[pytest.MonkeyPatch, BaseException], None]


def _open_breaks(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(files, "open", broken, raising=False)


class _BrokenFile(io.FileIO):
    """A file that holds some of what is written to it, then fails."""

    error: BaseException

    def write(self, data: Any) -> int:
        super().write(bytes(data)[:5])
        raise self.error


def _write_breaks(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def opened(path: Any, mode: str) -> io.FileIO:
        stream = _BrokenFile(path, mode.replace("b", ""))
        stream.error = error
        return stream

    monkeypatch.setattr(files, "open", opened, raising=False)


def _sync_breaks(number: int) -> Break:
    def breaks(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
        fsync, calls = os.fsync, [0]

        def broken(descriptor: int) -> None:
            calls[0] += 1
            if calls[0] == number:
                raise error
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", broken)

    return breaks


def _rename_breaks(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "replace", broken)


STAGES = [
    pytest.param(_open_breaks, OLD, id="open"),
    pytest.param(_write_breaks, OLD, id="write"),
    pytest.param(_sync_breaks(1), OLD, id="sync-file"),
    pytest.param(_rename_breaks, OLD, id="rename"),
    pytest.param(_sync_breaks(2), NEW, id="sync-directory"),
]


@each_write
@pytest.mark.parametrize(("breaks", "left"), STAGES)
def test_a_full_disk_at_any_stage_leaves_a_whole_file_and_says_so(
    write: Write, breaks: Break, left: bytes, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(DiskFullError) as caught:
        write(target, NEW)
    monkeypatch.undo()
    assert target.read_bytes() == left
    assert beside(target) == [target.name]
    assert caught.value.exit_code == 75
    assert str(target) in caught.value.message
    assert "No space left" in caught.value.message
    assert "space" in caught.value.hint


@each_write
@pytest.mark.parametrize(("breaks", "left"), STAGES)
def test_ctrl_c_at_any_stage_leaves_a_whole_file_and_stays_ctrl_c(
    write: Write, breaks: Break, left: bytes, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        write(target, NEW)
    monkeypatch.undo()
    assert target.read_bytes() == left
    assert beside(target) == [target.name]


@pytest.mark.parametrize(
    ("number", "kind", "exit_code"),
    [
        (errno.ENOSPC, DiskFullError, 75),
        (errno.EDQUOT, DiskFullError, 75),
        (errno.EFBIG, DiskFullError, 75),
        (errno.EACCES, RunError, 1),
        (errno.EROFS, RunError, 1),
        (errno.EIO, RunError, 1),
    ],
)
def test_only_what_space_would_cure_is_worth_trying_again(
    number: int,
    kind: type[CharrnnError],
    exit_code: int,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _sync_breaks(1)(monkeypatch, OSError(number, os.strerror(number)))
    with pytest.raises(CharrnnError) as caught:
        files.write_file(target, NEW)
    assert type(caught.value) is kind
    assert caught.value.exit_code == exit_code
    assert os.strerror(number) in caught.value.message
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)  # --debug shows where it came from


@full_device
@each_write
@pytest.mark.parametrize("size", [10, 1_000_000], ids=["buffered", "unbuffered"])
def test_a_device_that_is_really_full_is_reported(
    write: Write, size: int, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own ENOSPC arrives through Python's buffers, which try again on close."""
    really_open = open

    def onto_the_full_device(path: Path, mode: str) -> Any:
        really_open(path, mode).close()
        return really_open("/dev/full", "wb")

    monkeypatch.setattr(files, "open", onto_the_full_device, raising=False)
    with pytest.raises(DiskFullError, match="No space left"):
        write(target, b"x" * size)
    monkeypatch.undo()
    assert target.read_bytes() == OLD
    assert beside(target) == [target.name]


def in_a_process(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a short program in which `path` is the first argument and `files` is imported."""
    opening = "import os, sys\nfrom pathlib import Path\nfrom charrnn import files\n"
    opening += "path = Path(sys.argv[1])\n"
    return subprocess.run(
        [sys.executable, "-c", opening + program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_limit_on_the_size_of_files_is_a_full_disk(target: Path) -> None:
    done = in_a_process(
        "import resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))\n"
        "try:\n"
        "    files.write_file(path, b'x' * 5_000)\n"
        "except files.CharrnnError as error:\n"
        "    print(type(error).__name__, error.exit_code)\n",
        target,
    )
    assert done.stdout == "DiskFullError 75\n", done.stderr
    assert target.read_bytes() == OLD
    assert beside(target) == [target.name]


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), OSError(5, "elsewhere")])
@pytest.mark.parametrize("open_file", [files.whole_file, files.output_file])
def test_what_fails_while_a_file_is_written_leaves_the_old_one(
    open_file: Callable[[Path], Any], error: BaseException, target: Path
) -> None:
    wanted = RunError if isinstance(error, OSError) else type(error)
    with pytest.raises(wanted), open_file(target) as stream:
        stream.write(NEW * 10_000)
        assert len(beside(target)) == 2, "under another name"
        assert target.read_bytes() == OLD
        raise error
    assert target.read_bytes() == OLD
    assert beside(target) == [target.name]


def test_a_file_is_written_while_it_grows_and_not_kept_in_memory(tmp_path: Path) -> None:
    with files.whole_file(tmp_path / "long") as stream:
        for _ in range(100):
            stream.write(b"x" * 1_000)
        (temporary,) = tmp_path.iterdir()
        assert temporary.stat().st_size > 80_000
    assert (tmp_path / "long").stat().st_size == 100_000


@pytest.mark.parametrize(
    ("call", "number", "left"),
    [
        pytest.param("fsync", 1, OLD, id="sync-file"),
        pytest.param("replace", 1, OLD, id="rename"),
        pytest.param("fsync", 2, NEW, id="sync-directory"),
    ],
)
def test_a_process_that_vanishes_leaves_the_old_file_or_the_new(
    call: str, number: int, left: bytes, target: Path
) -> None:
    done = in_a_process(
        f"really, calls = os.{call}, []\n"
        "def vanish(*arguments):\n"
        "    calls.append(arguments)\n"
        f"    if len(calls) == {number}:\n"
        "        os._exit(9)\n"
        "    really(*arguments)\n"
        f"os.{call} = vanish\n"
        f"files.write_file(path, {NEW!r})\n",
        target,
    )
    assert done.returncode == 9, done.stderr
    assert target.read_bytes() == left
    others = set(beside(target)) - {target.name}
    assert all(name.startswith(files.TEMPORARY_PREFIX) for name in others)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    path = tmp_path / "no" / "such" / "file"
    with pytest.raises(RunError) as caught:
        files.write_file(path, NEW)
    assert str(path) in caught.value.message
    assert "directory" in caught.value.hint


def test_a_file_where_a_directory_should_be_is_named(target: Path) -> None:
    with pytest.raises(RunError) as caught:
        files.write_file(target / "below", NEW)
    assert str(target / "below") in caught.value.message
    assert target.read_bytes() == OLD


def test_a_directory_is_not_overwritten(target: Path) -> None:
    with pytest.raises(RunError):
        files.write_file(target.parent, NEW)
    assert target.read_bytes() == OLD
    assert beside(target.parent) == [target.parent.name]


def test_json_is_written_durably_and_for_people(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = {"name": "café", "path": "not-utf-8-\udce9.txt", "steps": [1, 2]}
    files.write_json(target, value)
    text = target.read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.startswith('{\n  "name": ')
    assert text.endswith("}\n")
    _rename_breaks(monkeypatch, OSError(errno.ENOSPC, "full"))
    with pytest.raises(DiskFullError):
        files.write_json(target, {})
    assert target.read_text(encoding="utf-8") == text


def test_what_json_cannot_hold_leaves_the_old_file(target: Path) -> None:
    with pytest.raises(TypeError):
        files.write_json(target, {"path": target})
    assert target.read_bytes() == OLD
    assert beside(target) == [target.name]


def test_only_a_regular_file_is_opened_for_reading(target: Path) -> None:
    """A named pipe would wait for a writer, and a device may never end."""
    with files.open_regular(target) as stream:
        assert stream.read() == OLD
    pipe, link = target.parent / "pipe", target.parent / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    for path in pipe, link, target.parent:
        with pytest.raises(OSError, match="not a regular file"):
            files.open_regular(path)
    with pytest.raises(FileNotFoundError):
        files.open_regular(target.parent / "absent")


def test_syncing_a_directory_closes_it_even_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []

    def broken(descriptor: int) -> None:
        opened.append(descriptor)
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="broken"):
        files.sync_directory(tmp_path)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_a_digest_is_sha_256_in_hexadecimal() -> None:
    assert files.sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert files.sha256(NEW) == hashlib.sha256(NEW).hexdigest()


# Cleaning up, links and what is no file


def test_a_cleanup_that_fails_does_not_hide_what_failed(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "cannot remove")

    monkeypatch.setattr(os, "unlink", broken)
    _sync_breaks(1)(monkeypatch, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(DiskFullError, match="No space left"):
        files.write_file(target, NEW)
    _sync_breaks(1)(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        files.write_file(target, NEW)


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_file_has_the_permissions_that_a_new_one_gets(mask: int, target: Path) -> None:
    target.chmod(0o400)
    old = os.umask(mask)
    try:
        files.write_file(target, NEW)
    finally:
        os.umask(old)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_link_is_replaced_by_a_save_and_followed_for_a_user(target: Path) -> None:
    link = target.with_name("link")
    for there in True, False:
        link.unlink(missing_ok=True)
        link.symlink_to(target if there else "nowhere")
        files.write_output(link, NEW)
        assert link.is_symlink()
        assert link.read_bytes() == NEW
        files.write_file(link, OLD)
        assert not link.is_symlink()
        assert target.read_bytes() == NEW  # what it led to is as it was


def test_a_link_to_itself_and_a_place_that_is_none_are_named(target: Path) -> None:
    loop, leads_nowhere = target.with_name("loop"), target.with_name("leads-nowhere")
    loop.symlink_to("loop")
    leads_nowhere.symlink_to("no/such/directory")
    for path in loop, leads_nowhere, target / "below", target.parent:
        with pytest.raises(RunError, match=target.parent.name):
            files.write_output(path, NEW)
    assert loop.is_symlink()
    assert not list(target.parent.glob(files.TEMPORARY_PREFIX + "*"))


def test_the_output_may_be_a_pipe(target: Path) -> None:
    done = in_a_process("files.write_output(path, b'through a pipe')\n", "/dev/stdout")
    assert done.stdout == "through a pipe", done.stderr


def test_a_pipe_whose_reader_has_gone_is_told_by_what_caused_it(tmp_path: Path) -> None:
    """So that the command can end quietly."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(RunError) as caught, files.output_file(pipe) as stream:
        os.close(reader)
        stream.write(b"x" * 100_000)
    assert isinstance(caught.value.__cause__, BrokenPipeError)
    assert pipe.is_fifo()


def test_a_file_system_that_cannot_sync_a_directory_is_no_obstacle(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _sync_breaks(2)(monkeypatch, OSError(errno.EINVAL, "Invalid argument"))
    files.write_file(target, NEW)
    assert target.read_bytes() == NEW


def test_on_a_mac_the_drive_itself_is_told_to_sync(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fsync leaves what was written in the drive's memory."""
    told: list[int] = []
    monkeypatch.setattr(files.sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda descriptor, command: told.append(command))
    files.write_file(target, NEW)
    assert told == [51, 51]


def test_directories_are_made_durably_from_the_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut must not take the directory that everything was saved in."""
    synced: list[str] = []
    monkeypatch.setattr(files, "sync_directory", lambda path: synced.append(path.name))
    path = tmp_path / "a" / "b" / "c"
    for _ in range(2):
        files.make_directory(path)
        assert path.is_dir()
        assert synced == [tmp_path.name, "a", "b"]
    (path / "file").touch()
    for wrong in path / "file", path / "file" / "below":
        with pytest.raises(RunError, match="file"):
            files.make_directory(wrong)


# Room on the disk


def test_the_free_space_is_what_the_system_says(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    assert abs(files.free_space(tmp_path) - status.f_bavail * status.f_frsize) < 2**30
    files.check_space(tmp_path, 1)


@pytest.mark.parametrize(
    ("needed", "free", "said"),
    [
        (2_500_000_000, 1_200_000, "2.5 GB needed, 1.2 MB free"),
        (45_600, 0, "45.6 kB needed, 0 bytes free"),
    ],
)
def test_too_little_room_is_told_in_figures_people_read(
    needed: int, free: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "free_space", lambda _: free)
    with pytest.raises(DiskFullError) as caught:
        files.check_space(tmp_path, needed)
    assert caught.value.message == f"{tmp_path}: {said}"
    assert caught.value.hint
    files.check_space(tmp_path, free)


def test_a_file_system_that_cannot_tell_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.check_space(tmp_path / "none", 10**15)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(total=0, free=0))
    files.check_space(tmp_path, 10**15)


# Failures named


def test_a_failure_is_named_and_other_errors_pass(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match=r"metrics\.jsonl"),
        files.failures_named(tmp_path / "metrics.jsonl"),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(KeyError), files.failures_named(tmp_path):
        raise KeyError("x")


def test_a_failure_without_a_number_still_says_something(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="device unplugged"), files.failures_named(tmp_path):
        raise OSError("device unplugged")
