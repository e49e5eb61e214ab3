"""What a power cut leaves, at every moment of a run's saves: section "Files" of the design.

The model of the disk is in `power_cut`; it bites, as the last tests here show.
"""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from power_cut import Crash, Disk, KilledError, crash_states
from saves import SAVES, Save, promises_broken, save

from charrnn import checkpoints, files, metrics, pruning, runs
from charrnn.checkpoints import model_path, read_checkpoint, read_resume
from charrnn.metrics import Metrics


def live(run: Path, disk: Disk, saves: list[Save], keep: int) -> None:
    """A run from its first file to its last."""
    files.write_json(run / runs.RUN_FILE, {"keep": keep})
    disk.acknowledge("run.json")
    log = Metrics(run)
    for what in saves:
        save(run, log, what)
        disk.acknowledge(what)
        pruning.prune(run, keep, newest=model_path(run, what.step))
    log.close()
    disk.look()


def crashes(disk: Disk) -> Iterator[Crash]:
    return crash_states(disk, unimportant=lambda name: name.startswith(files.TEMPORARY_PREFIX))


Check = Callable[[Disk], Iterator[str]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """What each power cut that leaves something new would break, or nothing."""

    def checked(disk: Disk) -> Iterator[str]:
        left = tmp_path / "left"
        known: set[Any] = set()
        for crash in crashes(disk):
            key = (frozenset(crash.files.items()), len(crash.said))
            if key in known:
                continue
            known.add(key)
            left.mkdir()
            for name, data in crash.files.items():
                (left / name).write_bytes(data)
            wrong = promises_broken(left, crash.said)
            shutil.rmtree(left)
            done = disk.operations[crash.after - 1]
            yield wrong and f"after {crash.after}, {done.kind} {done.name} {done.to}: {wrong}"

    return checked


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A run's directory, empty, and what is done in it."""
    run = tmp_path / "run"
    run.mkdir()
    with monkeypatch.context() as patch:
        disk = Disk(run)
        disk.watch(patch)
        yield disk
    disk.close()


@pytest.mark.parametrize("keep", [0, 1])
def test_a_power_cut_at_any_moment_loses_nothing_that_was_saved(
    keep: int, disk: Disk, check: Check
) -> None:
    live(disk.directory, disk, SAVES, keep)
    tried = 0
    for wrong in check(disk):
        assert wrong == ""
        tried += 1
    assert tried > 150


def test_a_power_cut_while_a_text_is_drawn_leaves_the_old_one_or_all_of_it(tmp_path: Path) -> None:
    """`charrnn sample --output`, whose file grows for as long as there is more to say."""
    old, pieces = b"the old text", [bytes([n]) * 5_000 for n in range(5)]
    text = tmp_path / "text"
    text.write_bytes(old)
    disk, left = Disk(tmp_path), set()
    with pytest.MonkeyPatch.context() as patch:
        disk.watch(patch)
        with files.output_file(text) as stream:
            for piece in pieces:
                stream.write(piece)
                disk.look()
        disk.acknowledge("text")
    for crash in crashes(disk):
        left.add((crash.files.get("text"), bool(crash.said)))
    disk.close()
    assert left == {(old, False), (b"".join(pieces), False), (b"".join(pieces), True)}


def go_on(run: Path, disk: Disk) -> None:
    """What a resume does: the newest checkpoint is gone on from, and the next one saved."""
    pruning.remove_unfinished(run)
    done = runs.model_files(run)
    number, length = -1, 0
    if done:
        _, state = read_resume(done[-1], read_checkpoint(done[-1]).record)
        number, length = state["number"], state["metrics_bytes"]
    log = Metrics(run, length)
    save(run, log, SAVES[number + 1])
    disk.acknowledge(SAVES[number + 1])
    pruning.prune(run, 0, newest=model_path(run, SAVES[number + 1].step))
    log.close()
    disk.look()


def a_kill_and_a_power_cut(run: Path, after: int, check: Check) -> set[str]:
    """A run killed after so many operations, gone on with, and the power cut in that."""
    run.mkdir()
    disk = Disk(run, killed_after=after)
    with pytest.MonkeyPatch.context() as patch:
        disk.watch(patch)
        with pytest.raises(KilledError):
            live(run, disk, SAVES[:6], 0)
        disk.killed_after = float("inf")
        go_on(run, disk)
    found = set(check(disk))
    disk.close()
    return found


def test_a_power_cut_after_a_kill_loses_nothing_either(
    tmp_path: Path, disk: Disk, check: Check
) -> None:
    """What the next process finds may not be on the disk yet: it must not build on that."""
    live(disk.directory, disk, SAVES[:6], 0)
    done = disk.operations
    said = [n for n, each in enumerate(done) if each.said == SAVES[3]]
    # From the save at a stop to the end of the two that write its step anew.
    for after in range(said[0], len(done)):
        if done[after - 1].kind != "rename":
            continue
        assert a_kill_and_a_power_cut(tmp_path / f"killed-{after}", after, check) == {""}


@pytest.mark.torture
def test_a_power_cut_after_a_kill_at_every_moment_loses_nothing(
    tmp_path: Path, disk: Disk, check: Check
) -> None:
    live(disk.directory, disk, SAVES[:6], 0)
    for after in range(3, len(disk.operations) - 1):
        assert a_kill_and_a_power_cut(tmp_path / f"killed-{after}", after, check) == {""}


@pytest.mark.torture
def test_two_power_cuts_lose_nothing(tmp_path: Path, disk: Disk, check: Check) -> None:
    live(disk.directory, disk, SAVES[:6], 1)
    for number, crash in enumerate(list(crashes(disk))):
        run = tmp_path / f"cut-{number}"
        run.mkdir()
        for name, data in crash.files.items():
            (run / name).write_bytes(data)
        again = Disk(run)
        for said in crash.said:
            again.acknowledge(said)
        with pytest.MonkeyPatch.context() as patch:
            again.watch(patch)
            go_on(run, again)
        assert set(check(again)) == {""}
        again.close()


# It bites


def _no_sync_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    really = files.sync
    monkeypatch.setattr(
        files,
        "sync",
        lambda opened: really(opened) if stat.S_ISDIR(os.fstat(opened).st_mode) else 0,
    )


def _no_sync_of_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in files, checkpoints:
        monkeypatch.setattr(module, "sync_directory", lambda path: None)


def _no_sync_before_a_step_is_saved_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "sync_directory", lambda path: None)


def _no_sync_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "sync", lambda descriptor: None)


def _the_model_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is whole, and yet the pair is not."""
    kept: list[tuple[Path, bytes]] = []
    really = files.write_file

    def swapped(path: Path, data: bytes) -> None:
        kept.append((path, data))
        if path.name.endswith(checkpoints.RESUME_SUFFIX):
            return
        for each in reversed(kept):
            really(*each)
        kept.clear()

    monkeypatch.setattr(checkpoints, "write_file", swapped)


def _no_resume_file_kept_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_are_one", lambda *paths: False)


def _written_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_place(path: Path, data: bytes) -> None:
        with open(path, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        files.sync_directory(path.parent)

    monkeypatch.setattr(checkpoints, "write_file", in_place)


def _pruned_before_the_save(monkeypatch: pytest.MonkeyPatch) -> None:
    really = files.write_file

    def eager(path: Path, data: bytes) -> None:
        for old in runs.model_files(path.parent)[:-1]:
            old.unlink()
        really(path, data)

    monkeypatch.setattr(checkpoints, "write_file", eager)


@pytest.mark.parametrize(
    ("breaks", "found"),
    [
        (_no_sync_of_files, "a bad file under a good name"),
        (_no_sync_of_directories, "was promised"),
        (_no_sync_before_a_step_is_saved_anew, "cannot be gone on from"),
        (_no_sync_of_the_log, "the log of save"),
        (_the_model_first, "cannot be gone on from"),
        (_no_resume_file_kept_aside, "cannot be gone on from"),
        (_written_in_place, "a bad file under a good name"),
        (_pruned_before_the_save, "the best of"),
    ],
)
def test_code_without_its_care_is_found_out(
    breaks: Callable[[pytest.MonkeyPatch], None], found: str, disk: Disk, check: Check
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        breaks(patch)
        live(disk.directory, disk, SAVES[:6], 1)
    assert any(found in each for each in check(disk))
