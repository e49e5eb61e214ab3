"""Safetensors files that say what they are and prove that they are whole.

The header has one metadata key, `charrnn`, holding ASCII JSON with at least the format
version and the file's digest: the SHA-256 of its bytes with the digest's own 64 digits
zeroed. The JSON is compact, so that they follow `\\"digest\\":\\"` in the header, once.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.errors import CheckpointError, DamagedError, FormatError
from charrnn.files import sha256

FORMAT = 1
"""The format version this program writes; it reads this one and all before it."""

FIND_WHOLE = "charrnn checkpoints verify finds the checkpoints that are whole"
"""The hint where one file is no use."""

Tensors = Mapping[str, NDArray[Any]]

_LARGEST_HEADER = 16 * 2**20
_ZEROS = "0" * 64


def seal(tensors: Tensors, metadata: dict[str, Any]) -> tuple[bytes, str]:
    """The bytes of a safetensors file and its digest; the metadata gets the format version."""
    from safetensors.numpy import save

    text = json.dumps(
        {"format": FORMAT} | metadata | {"digest": _ZEROS}, ensure_ascii=True, separators=(",", ":")
    )
    data = save({n: np.ascontiguousarray(t) for n, t in tensors.items()}, {"charrnn": text})
    digest = sha256(data)
    start = _digest_at(data[: 8 + int.from_bytes(data[:8], "little")], _ZEROS)
    assert start is not None
    return b"".join((data[:start], digest.encode(), data[start + 64 :])), digest


def _digest_at(head: bytes, digest: str) -> int | None:
    """Where the digest's digits stand in a header: the JSON in it is a JSON string."""
    key = rb"\"digest\":\""
    places = [match.end() for match in re.finditer(re.escape(key + digest.encode()), head)]
    return places[0] - 64 if len(places) == 1 else None


def read_metadata(path: Path) -> dict[str, Any]:
    """The JSON of a file's header; no more of the file is read, and nothing verified.

    Raises FormatError, DamagedError or CheckpointError.
    """
    with _opened(path) as stream:
        length = _header_length(path, stream.read(8), path.stat().st_size)
        return _metadata(path, stream.read(length))


def read_sealed(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The JSON and the tensors of a file, verified and parsed from the same bytes.

    Raises FormatError, DamagedError or CheckpointError.
    """
    with _opened(path) as stream:
        data = stream.read()
    metadata = _verified(path, data)
    return metadata, _tensors(path, data)


def whole_number(value: object, least: int = 0) -> int:
    """A value of a stranger's JSON, if it is a whole number; raises TypeError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise TypeError(f"{value!r} where a whole number belongs")
    return value


def _opened(path: Path) -> Any:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: no such file", "charrnn checkpoints list shows what there is"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}", "check the path") from None


def _header_length(path: Path, head: bytes, size: int) -> int:
    """The length of a safetensors header, or the error that says what the file is."""
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length > _LARGEST_HEADER:
        if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
            raise FormatError(
                f"{path}: is a pickle, which could run a program; charrnn never opens one",
                "charrnn reads the .safetensors files that charrnn train writes",
            )
        raise FormatError(f"{path}: not a safetensors file", "give a checkpoint of charrnn's")
    if 8 + length > size:
        raise DamagedError(f"{path}: cut off after {size:,} bytes", FIND_WHOLE)
    return length


def _metadata(path: Path, header: bytes) -> dict[str, Any]:
    """The JSON under the key `charrnn` of a safetensors header."""
    try:
        outer = json.loads(header)["__metadata__"]["charrnn"]
        metadata = json.loads(outer)
        version = whole_number(metadata["format"], least=1)
        if not re.fullmatch("[0-9a-f]{64}", metadata["digest"], re.ASCII):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(
            f"{path}: not a checkpoint of charrnn's", "give a file that charrnn train wrote"
        ) from None
    if version > FORMAT:
        raise FormatError(
            f"{path}: written in format {version}; this charrnn reads up to {FORMAT}",
            "install a newer charrnn",
        )
    return dict(metadata)


def _verified(path: Path, data: bytes) -> dict[str, Any]:
    """The metadata of a whole file whose digest is right."""
    length = _header_length(path, data[:8], len(data))
    metadata = _metadata(path, data[8 : 8 + length])
    digest = metadata["digest"]
    start = _digest_at(data[: 8 + length], digest) if len(digest) == 64 else None
    if start is None or digest != sha256(data[:start] + _ZEROS.encode() + data[start + 64 :]):
        raise DamagedError(f"{path}: its bytes are not the bytes that were written", FIND_WHOLE)
    return metadata


def _tensors(path: Path, data: bytes) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise DamagedError(f"{path}: {error}", FIND_WHOLE) from None
