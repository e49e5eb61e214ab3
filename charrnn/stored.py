"""Ids in a file, for texts that are too large for memory: read where they lie, slice by slice."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.beside import Beside
from charrnn.cache import cache_directory, room, use
from charrnn.errors import DiskFullError, RunError, TextError
from charrnn.files import free_space, make_directory, open_regular, whole_file, write_json

Array = NDArray[np.integer[Any]]

_FOLDER = "ids"
_KINDS = {"u1": np.uint8, "u2": np.uint16, "u4": np.uint32}


class StoredIds:
    """N ids in a file, of which slices become arrays; as long as it is held, the file is open."""

    def __init__(self, path: Path, kind: str) -> None:
        """`kind` is u1, u2 or u4, the bytes of an id. Raises OSError."""
        self.path = path
        self.type: np.dtype[Any] = np.dtype(_KINDS[kind]).newbyteorder("<")
        self._stream = open_regular(path)
        self._begin = 0
        self._length = os.fstat(self._stream.fileno()).st_size // self.type.itemsize

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> Array:
        """The ids from part.start to before part.stop; raises TextError if they are gone."""
        start, stop, step = part.indices(self._length)
        assert step == 1
        found = np.empty(max(0, stop - start), dtype=self.type)
        self.read_into(found, start)
        return found

    def part(self, start: int, stop: int) -> "StoredIds":
        """The ids from `start` to before `stop`, as ids by themselves."""
        other = object.__new__(StoredIds)
        vars(other).update(vars(self))
        start, stop, _ = slice(start, stop).indices(self._length)
        other._begin, other._length = self._begin + start, max(0, stop - start)
        return other

    def will_need(self, start: int, stop: int) -> None:
        """Ask the system to have these ids ready, without waiting for them."""
        size = self.type.itemsize
        with contextlib.suppress(OSError, AttributeError):  # what macOS lacks
            os.posix_fadvise(
                self._stream.fileno(),
                (self._begin + start) * size,
                max(0, min(stop, self._length) - start) * size,
                os.POSIX_FADV_WILLNEED,
            )

    def read_into(self, found: Array, start: int) -> None:
        """Fill a contiguous (n,) of `type` with the ids from `start` on; raises TextError."""
        wanted = found.view(np.uint8).data
        place, done = (self._begin + start) * self.type.itemsize, 0
        while done < len(wanted):
            try:
                count = os.preadv(self._stream.fileno(), [wanted[done:]], place + done)
            except OSError as error:
                raise self._lost(error.strerror or str(error)) from None
            if not count:
                raise self._lost("it has been cut short")
            done += count

    def _lost(self, reason: str) -> TextError:
        return TextError(
            f"{self.path}: {reason}", "delete it, and the same command makes it anew from the text"
        )


Ids = Array | StoredIds
"""N ids: an array, or what gives arrays for slices."""


def part_of(ids: Ids, start: int, stop: int) -> Ids:
    """The ids from `start` to before `stop`, without reading any."""
    return ids.part(start, stop) if isinstance(ids, StoredIds) else ids[start:stop]


def find(key: str) -> tuple[StoredIds, dict[str, Any]] | None:
    """The ids that are kept under a key, and what was said of them; None where there are none."""
    folder = _folder()
    if folder is None:
        return None
    # What stands in the cache may be anything.
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        with open_regular(folder / f"{key}.json") as stream:
            facts = json.loads(stream.read(2**24))
        ids = StoredIds(folder / f"{key}.ids", facts["kind"])
        if len(ids) == facts["length"]:
            use(folder / f"{key}.json")
            use(ids.path)
            return ids, facts
    return None


@contextlib.contextmanager
def keeping(
    key: str, kind: type[np.unsignedinteger[Any]], length: int, facts: dict[str, Any]
) -> Iterator[Callable[[Array], object]]:
    """Keep N = `length` ids under a key: the block is given what takes them, in order.

    They are there once the block ends, whole, with what `facts` says by then, and not
    before. Raises DiskFullError or RunError; there must be a cache.
    """
    folder = room(_FOLDER)
    assert folder is not None
    stored = np.dtype(kind).newbyteorder("<")
    if free_space(folder) < length * stored.itemsize:
        raise DiskFullError(
            f"{folder}: no room for the {length * stored.itemsize:,} bytes of this text's ids",
            "free some space, or have them elsewhere: XDG_CACHE_HOME=DIR",
        )
    with (
        whole_file(folder / f"{key}.ids") as stream,
        contextlib.closing(Beside(stream.write)) as write,
    ):
        yield lambda ids: write(ids.astype(stored, copy=False).data)
        write.wait()
    describe(key, {"kind": f"u{stored.itemsize}", "length": length, **facts})


def describe(key: str, facts: dict[str, Any]) -> None:
    """Say of the ids that are kept under a key what `find` is to tell."""
    folder = _folder()
    assert folder is not None
    write_json(folder / f"{key}.json", facts)


def can_keep() -> bool:
    """Whether there is a place to keep ids in; raises DiskFullError."""
    folder = _folder()
    if folder is None:
        return False
    try:
        make_directory(folder)
    except RunError:
        return False
    return os.access(folder, os.W_OK)


def _folder() -> Path | None:
    cache = cache_directory()
    return cache and cache / _FOLDER
