"""A disk that forgets: what a power cut may leave of what was not synced.

A `Disk` stands between a program and one flat directory and keeps what is done there, in
order. `crash_states` then gives what may be left if the power fails at each moment:

- the bytes of a file that were not synced may be there, missing, cut short, zeros or
  rubbish;
- a name that was made, moved or removed since the directory was last synced may or may
  not be so, whatever became of the others. A rename is one thing: the name that it leads
  to is the old file or the new one.

No real file system is as careless, and none promises to be less.
"""

import itertools
import math
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class KilledError(BaseException):
    """The process is no more; the disk lets it do nothing else."""


EXHAUSTIVE = 7
"""Of so many things in doubt every combination is tried, of more as many, drawn."""


class Operation(NamedTuple):
    """One thing that was done; a file has a number, because its name changes."""

    kind: str
    """make, write, sync, rename, unlink, sync-directory or acknowledge"""
    file: int = -1
    name: str = ""
    to: str = ""
    data: bytes = b""
    """for write: all that the file holds"""
    said: Any = None


@dataclass
class Disk:
    """What is done in a directory, in order; what is there at first is synced.

    What was made and written is seen by looking, before anything that orders it.
    """

    directory: Path
    operations: list[Operation] = field(default_factory=list)
    _open: list[int] = field(default_factory=list)
    """a descriptor of each file, by number: so that no inode is used twice"""
    _data: list[bytes] = field(default_factory=list)
    killed_after: float = float("inf")
    """of so many operations none more is done, as if the process had been killed"""

    def __post_init__(self) -> None:
        self.look()
        self.operations += [Operation("sync", file) for file in range(len(self._open))]
        self.operations.append(Operation("sync-directory"))
        self.first = len(self.operations)

    def look(self) -> None:
        """Note what was made and written since the last look."""
        for path in sorted(self.directory.iterdir()):
            if self._number(path) is None:
                self._open.append(os.open(path, os.O_RDONLY))
                self._data.append(b"")
                self.operations.append(Operation("make", len(self._open) - 1, path.name))
        for file, descriptor in enumerate(self._open):
            data = os.pread(descriptor, 1 << 24, 0)
            if data != self._data[file]:
                self._data[file] = data
                self.operations.append(Operation("write", file, data=data))

    def _number(self, path: Path | int) -> int | None:
        facts = os.stat(path)
        for file, descriptor in enumerate(self._open):
            if os.path.samestat(os.fstat(descriptor), facts):
                return file
        return None

    def acknowledge(self, said: Any) -> None:
        """From this moment on the program has promised `said`."""
        self.look()
        self.operations.append(Operation("acknowledge", said=said))

    def _live(self) -> None:
        if len(self.operations) >= self.killed_after:
            raise KilledError

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand behind `os`, through which all of it goes."""
        fsync, unlink, replace = os.fsync, os.unlink, os.replace

        def watched_fsync(descriptor: int) -> None:
            self.look()
            self._live()
            fsync(descriptor)
            if os.path.samestat(os.fstat(descriptor), self.directory.stat()):
                self.operations.append(Operation("sync-directory"))
            elif (file := self._number(descriptor)) is not None:
                self.operations.append(Operation("sync", file))

        def watched_unlink(path: Any, *rest: Any, **more: Any) -> None:
            self.look()
            self._live()
            file = self._number(path) if Path(path).exists() else None
            unlink(path, *rest, **more)
            if file is not None:
                self.operations.append(Operation("unlink", file, Path(path).name))

        def watched_replace(source: Any, target: Any) -> None:
            self.look()
            self._live()
            file = self._number(source)
            replace(source, target)
            if file is not None:
                self.operations.append(
                    Operation("rename", file, Path(source).name, Path(target).name)
                )

        monkeypatch.setattr(os, "fsync", watched_fsync)
        monkeypatch.setattr(os, "unlink", watched_unlink)
        for name in "replace", "rename":
            monkeypatch.setattr(os, name, watched_replace)

    def close(self) -> None:
        """Let go of the files."""
        for descriptor in self._open:
            os.close(descriptor)


class Crash(NamedTuple):
    """What one power cut left."""

    after: int
    """how many operations were done"""
    files: dict[str, bytes]
    said: list[Any]
    """what had been promised"""


def crash_states(
    disk: Disk, *, unimportant: Callable[[str], bool], seed: int = 0
) -> Iterator[Crash]:
    """What may be on the disk after a power cut at any moment, each state once a moment.

    The bytes under an `unimportant` name are not varied.
    """
    draw = random.Random(seed)
    for after in range(disk.first, len(disk.operations) + 1):
        done = disk.operations[:after]
        said = [each.said for each in done if each.kind == "acknowledge"]
        seen = set()
        contents: dict[int, list[bytes]] = {}
        for names in _namespaces(done, draw):
            for file in names.values():
                if file not in contents:
                    contents[file] = _contents(done, file, draw)
            choices = [
                contents[file][:1] if unimportant(name) else contents[file]
                for name, file in names.items()
            ]
            if math.prod(map(len, choices)) <= 2**EXHAUSTIVE:
                chosen_all = list(itertools.product(*choices))
            else:
                chosen_all = [tuple(map(draw.choice, choices)) for _ in range(2**EXHAUSTIVE)]
            for chosen in chosen_all:
                state = dict(zip(names, chosen, strict=True))
                key = frozenset(state.items())
                if key not in seen:
                    seen.add(key)
                    yield Crash(after, state, said)


def _namespaces(done: list[Operation], draw: random.Random) -> Iterator[dict[str, int]]:
    """Which file each name may lead to."""
    certain: dict[str, int] = {}
    doubtful: list[Operation] = []
    for each in done:
        if each.kind == "sync-directory":
            _apply(certain, doubtful)
            doubtful = []
        elif each.kind in ("make", "rename", "unlink"):
            doubtful.append(each)
    if len(doubtful) <= EXHAUSTIVE:
        subsets = list(itertools.product((False, True), repeat=len(doubtful)))
    else:
        subsets = [tuple(draw.random() < 0.5 for _ in doubtful) for _ in range(2**EXHAUSTIVE)]
        subsets += [(True,) * len(doubtful), (False,) * len(doubtful)]
    for subset in subsets:
        names = dict(certain)
        _apply(names, itertools.compress(doubtful, subset))
        yield names


def _apply(names: dict[str, int], operations: Any) -> None:
    for each in operations:
        if each.kind != "make" and names.get(each.name) == each.file:
            del names[each.name]
        if each.kind != "unlink":
            names[each.to or each.name] = each.file


def _contents(done: list[Operation], file: int, draw: random.Random) -> list[bytes]:
    """What a file may hold: all that was written, and what may be left of it."""
    synced, data, certain = b"", b"", True
    for each in done:
        if each.file == file and each.kind == "write":
            data, certain = each.data, False
        elif each.file == file and each.kind == "sync":
            synced, certain = data, True
    if certain:
        return [data]
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(synced, data, strict=False))
    safe = sum(1 for _ in same)
    lost = len(data) - safe
    cut = data[: safe + draw.randrange(lost + 1)]
    return list(
        dict.fromkeys(
            [data, synced, cut, data[:safe] + bytes(lost), data[:safe] + draw.randbytes(lost)]
        )
    )
