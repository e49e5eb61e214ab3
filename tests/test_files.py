"""Files: whole or absent, whatever happens while they are written."""

import errno
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
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


def test_a_write_makes_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "new.bin"
    files.write_file(path, NEW)
    assert path.read_bytes() == NEW
    assert beside(path) == ["new.bin"]


def test_a_write_replaces_an_old_file(target: Path) -> None:
    files.write_file(target, NEW)
    assert target.read_bytes() == NEW
    assert beside(target) == [target.name]


def test_an_empty_file_can_be_written(target: Path) -> None:
    files.write_file(target, b"")
    assert target.read_bytes() == b""


def test_the_file_is_synced_before_it_is_renamed_and_the_directory_after(
    target: Path, monkeypatch: pytest.MonkeyPatch
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
    files.write_file(target, NEW)
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


@pytest.mark.parametrize(("breaks", "left"), STAGES)
def test_a_full_disk_at_any_stage_leaves_a_whole_file_and_says_so(
    breaks: Break, left: bytes, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with pytest.raises(DiskFullError) as caught:
        files.write_file(target, NEW)
    monkeypatch.undo()
    assert target.read_bytes() == left
    assert beside(target) == [target.name]
    assert caught.value.exit_code == 75
    assert str(target) in caught.value.message
    assert "No space left" in caught.value.message
    assert "space" in caught.value.hint


@pytest.mark.parametrize(("breaks", "left"), STAGES)
def test_ctrl_c_at_any_stage_leaves_a_whole_file_and_stays_ctrl_c(
    breaks: Break, left: bytes, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        files.write_file(target, NEW)
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
@pytest.mark.parametrize("size", [10, 1_000_000], ids=["buffered", "unbuffered"])
def test_a_device_that_is_really_full_is_reported(
    size: int, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own ENOSPC arrives through Python's buffers, which try again on close."""
    really_open = open

    def onto_the_full_device(path: Path, mode: str) -> Any:
        really_open(path, mode).close()
        return really_open("/dev/full", "wb")

    monkeypatch.setattr(files, "open", onto_the_full_device, raising=False)
    with pytest.raises(DiskFullError, match="No space left"):
        files.write_file(target, b"x" * size)
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
