"""The header of a safetensors file, believed only after everything in it was checked.

A file is 8 bytes that give the header's length, the header (a JSON object: the tensors by
name, and under `__metadata__` texts by name), and the tensors' bytes to the file's end. A
stranger may have written it: what is parsed is bounded first, and nothing is allocated by
a number that it gives.
"""

import json
import math
import re
import reprlib
from typing import Any, NamedTuple

from charrnn.errors import DamagedError, FormatError

FORMAT = 3
"""The format version this program writes; it reads this one and all before it."""

FIND_WHOLE = "charrnn checkpoints verify finds the checkpoints that are whole"
"""The hint where one file is no use."""

LARGEST = 16 * 2**20
"""A header's length at most, in bytes."""

_MOST_PARTS = 2**18  # lists, objects, members and items; each may cost a hundred bytes
_MOST_TENSORS = 2**14
_LONGEST_NAME = 200
_MOST_DIMENSIONS = 8
_LARGEST_NUMBER = 2**63 - 1


class Header(NamedTuple):
    """What a file's header says, checked."""

    metadata: dict[str, Any]
    """the JSON under the key `charrnn`, with a format and a digest; else unchecked"""
    shapes: dict[str, tuple[int, ...]]
    """the tensors, all float32, by name"""

    @property
    def digest(self) -> str:
        """The digest that the file gives itself."""
        return str(self.metadata["digest"])


def header_length(path: object, head: bytes, size: int) -> int:
    """The header's length from a file's first 8 bytes, or the error that says what it is.

    `size` is the file's, in bytes. Raises FormatError or DamagedError, naming `path`.
    """
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length > LARGEST:
        if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
            raise FormatError(
                f"{path}: is a pickle, which could run a program; charrnn never opens one",
                "charrnn reads the .safetensors files that charrnn train writes",
            )
        raise FormatError(f"{path}: not a safetensors file", "give a checkpoint of charrnn's")
    if 8 + length > size:
        raise DamagedError(f"{path}: cut off after {size:,} bytes", FIND_WHOLE)
    return length


def parse(path: object, text: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON under the key `charrnn` and the tensors' entries, which are unchecked yet.

    Raises FormatError, naming `path`.
    """
    try:
        entries = _object(text.decode("ascii"))
        texts = entries.pop("__metadata__")
        if not isinstance(texts, dict) or set(texts) != {"charrnn"}:
            raise TypeError("metadata of another program")
        metadata = _object(texts["charrnn"])
        version = whole_number(metadata["format"], least=1)
        if not re.fullmatch("[0-9a-f]{64}", metadata["digest"], re.ASCII):
            raise TypeError("a digest that is none")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(
            f"{path}: not a checkpoint of charrnn's", "give a file that charrnn train wrote"
        ) from None
    if version > FORMAT:
        raise FormatError(
            f"{path}: written in format {version}; this charrnn reads up to {FORMAT}",
            "install a newer charrnn",
        )
    return metadata, entries


def check_tensors(path: object, entries: dict[str, Any], size: int) -> dict[str, tuple[int, ...]]:
    """The tensors' shapes by name, if they are float32 and fill `size` bytes without a gap.

    Raises FormatError, or DamagedError where bytes are missing or left over.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    places = []
    try:
        if len(entries) > _MOST_TENSORS:
            raise TypeError(f"{len(entries):,} tensors")
        for name, entry in entries.items():
            shapes[name], place = _tensor(name, entry)
            places.append(place)
        end = 0
        for begin, following in sorted(places):
            if begin != end:
                raise TypeError("tensors that overlap or leave a gap")
            end = following
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{path}: its header is not one that charrnn writes ({brief(error)})", FIND_WHOLE
        ) from None
    if end != size:
        what = "bytes are missing at its end" if end > size else "bytes follow its end"
        raise DamagedError(f"{path}: {abs(end - size):,} {what}", FIND_WHOLE)
    return shapes


def whole_number(value: object, least: int = 0) -> int:
    """A value of a stranger's JSON, if it is a whole number of 63 bits; raises TypeError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{reprlib.repr(value)} where a whole number belongs")
    if not least <= value <= _LARGEST_NUMBER:
        raise TypeError(f"a number that is not from {least} to {_LARGEST_NUMBER}")
    return value


def brief(error: Exception) -> str:
    """What an error says, cut short: it may quote a stranger."""
    return str(error.args[0] if error.args else type(error).__name__)[:200]


def _tensor(name: str, entry: Any) -> tuple[tuple[int, ...], tuple[int, int]]:
    """A tensor's shape, and where its bytes begin and end; raises TypeError or the like."""
    if not name.isascii() or not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        raise TypeError("a tensor's name that is none")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise TypeError(f"{name} is no tensor")
    if entry["dtype"] != "F32":
        raise TypeError(f"{name} is not float32")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not isinstance(shape, list) or not isinstance(offsets, list):
        raise TypeError(f"{name} is no tensor")
    if len(shape) > _MOST_DIMENSIONS or len(offsets) != 2:
        raise TypeError(f"{name} is no tensor")
    begin = whole_number(offsets[0])
    end = whole_number(offsets[1], least=begin)
    sizes = tuple(whole_number(size) for size in shape)
    if end - begin != 4 * math.prod(sizes):
        raise TypeError(f"{name} has not the bytes of its shape")
    return sizes, (begin, end)


def _object(text: Any) -> dict[str, Any]:
    """A JSON object that no two readers can read differently; raises ValueError or the like."""
    if not isinstance(text, str) or not text.isascii():
        raise TypeError("not a text in ASCII")
    # A list takes 3 bytes of JSON and 64 of memory.
    if sum(text.count(sign) for sign in "[{,:") > _MOST_PARTS:
        raise ValueError("too much in it")
    found = json.loads(text, object_pairs_hook=_distinct)
    if not isinstance(found, dict):
        raise TypeError("not an object")
    return found


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("the same key twice")  # which of them counts?
    return members
