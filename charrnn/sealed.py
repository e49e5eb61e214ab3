"""Safetensors files that say what they are and prove that they are whole.

The header has one metadata key, `charrnn`, holding ASCII JSON with at least the format
version and the file's digest: the SHA-256 of its bytes with the digest's own 64 digits
zeroed. The JSON is compact, so that they follow `\\"digest\\":\\"` in the header, once.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.errors import CheckpointError, DamagedError
from charrnn.files import open_regular, sha256
from charrnn.header import (
    FIND_WHOLE,
    FORMAT,
    Header,
    check_tensors,
    header_length,
    parse,
)

Tensors = Mapping[str, NDArray[Any]]

_ZEROS = "0" * 64
_OWN = "a checkpoint that is to be written"


class Sealed(NamedTuple):
    """A whole file whose digest and header are right; its tensors are bytes yet."""

    path: Path
    header: Header
    data: bytes

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The tensors; raises DamagedError."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            return load(self.data)
        except (SafetensorError, KeyError, ValueError) as error:
            raise DamagedError(f"{self.path}: {error}", FIND_WHOLE) from None


def seal(tensors: Tensors, metadata: dict[str, Any]) -> tuple[bytes, str]:
    """The bytes of a safetensors file and its digest; the metadata gets the format version.

    Raises FormatError for what `read_sealed` would not take back.
    """
    from safetensors.numpy import save

    text = json.dumps(
        {"format": FORMAT} | metadata | {"digest": _ZEROS}, ensure_ascii=True, separators=(",", ":")
    )
    data = save({n: np.ascontiguousarray(t) for n, t in tensors.items()}, {"charrnn": text})
    digest = sha256(data)
    head = data[: 8 + header_length(_OWN, data[:8], len(data))]
    _, entries = parse(_OWN, head[8:])
    check_tensors(_OWN, entries, len(data) - len(head))
    start = _digest_at(head, _ZEROS)
    assert start is not None
    return b"".join((data[:start], digest.encode(), data[start + 64 :])), digest


def _digest_at(head: bytes, digest: str) -> int | None:
    """Where the digest's digits stand in a header: the JSON in it is a JSON string."""
    key = rb"\"digest\":\""
    place = key + digest.encode()
    return head.find(place) + len(key) if head.count(place) == 1 else None


def read_header(path: Path) -> Header:
    """What a file's header says, checked; no more of the file is read.

    Raises FormatError, DamagedError or CheckpointError.
    """
    stream, size = _opened(path)
    with stream:
        head = _head(path, stream, size)
    metadata, entries = parse(path, head[8:])
    return Header(metadata, check_tensors(path, entries, size - len(head)))


def read_metadata(path: Path) -> dict[str, Any]:
    """The JSON of a file's header; raises as `read_header`."""
    return read_header(path).metadata


def read_sealed(path: Path) -> Sealed:
    """A whole file, verified against its digest, and then its header checked.

    Raises FormatError, DamagedError or CheckpointError.
    """
    stream, size = _opened(path)
    with stream:
        head = _head(path, stream, size)
        metadata, entries = parse(path, head[8:])
        if 2 * size > _memory():  # a hole in a file is cheap to send
            raise CheckpointError(
                f"{path}: {size:,} bytes do not fit into memory", "use a machine with more of it"
            )
        stream.seek(0)
        try:
            data = stream.read(size)  # and no more, should it grow meanwhile
        except OSError as error:
            raise _unreadable(path, error) from None
    if len(data) != size or not data.startswith(head):
        raise DamagedError(f"{path}: was changed while it was read", FIND_WHOLE)
    start = _digest_at(head, metadata["digest"])
    if start is None or metadata["digest"] != _digest(data, start):
        raise DamagedError(f"{path}: its bytes are not the bytes that were written", FIND_WHOLE)
    shapes = check_tensors(path, entries, size - len(head))
    return Sealed(path, Header(metadata, shapes), data)


def _memory() -> int:
    """The machine's memory in bytes; without end where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return sys.maxsize


def _digest(data: bytes, start: int) -> str:
    """The digest of a file whose own digits begin at `start`, without a copy of it."""
    whole = memoryview(data)
    found = hashlib.sha256(whole[:start])
    found.update(_ZEROS.encode())
    found.update(whole[start + 64 :])
    return found.hexdigest()


def _head(path: Path, stream: BinaryIO, size: int) -> bytes:
    """The header with the 8 bytes before it."""
    try:
        first = stream.read(8)
        head = first + stream.read(header_length(path, first, size))
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(head) != 8 + int.from_bytes(first, "little"):
        raise DamagedError(f"{path}: was cut off while it was read", FIND_WHOLE)
    return head


def _opened(path: Path) -> tuple[BinaryIO, int]:
    """A file to read, and its size in bytes."""
    try:
        stream = open_regular(path)
        return stream, os.fstat(stream.fileno()).st_size
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: no such file", "charrnn checkpoints list shows what there is"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    reason = "is a directory" if path.is_dir() else error.strerror
    return CheckpointError(f"{path}: {reason}", "check the path")
