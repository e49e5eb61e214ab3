"""Files that a stranger might send: whole checkpoints, changed in their structure.

`mutated` takes its choices from outside, so that hypothesis, atheris and a plain random
generator all drive the same changes.
"""

import copy
import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any

Pick = Callable[[int], int]
"""A whole number from 0 to n - 1."""

ZEROS = b"0" * 64


class Members(list[tuple[str, Any]]):
    """A JSON object whose keys may come twice."""


class Raw(str):
    """JSON as it is, which may be none."""


ODD: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 3, 4, 7, 8, 255, 2**31, 2**62, 2**63, 2**64, 10**30),
    *(0.0, 1.0, 1.5, -0.5, 1e308, float("nan"), float("inf"), Raw("1e999"), Raw("-0")),
    *(Raw("9" * 5_000), Raw("0x10"), Raw("01"), Raw("[" * 3_000), Raw("{}{}"), Raw("")),
    *("", "a", "aa", "F32", "F64", "F16", "BF16", "I64", "U8", "BOOL", "F4", "f32"),
    *("gru", "lstm", "product", "relu", "utf-16", "NFC", "__metadata__", "charrnn", "resume"),
    *("\x1b[2J", "\x9b31m", "\x1b]0;owned\x07", "\u202e", "\0", "\n", "\r", "../../etc/passwd"),
    *("\ud800", "\udcff", "é", "𝄞", "x" * 5_000, "1" * 64, "0" * 64, "g" * 64),
    *([], {}, [[]], [{}], {"a": {}}, [0], [0, 0], [-1, 0], [0, 4], [2**62, 2**62], [1] * 40),
    *([None], ["a"], [1.0], [[1]], Raw("[" + "[]," * 2_000 + "[]]")),
)


def parsed(text: str) -> Any:
    """JSON, its objects as Members."""
    return json.loads(text, object_pairs_hook=Members)


_ENCODED = json.JSONEncoder(separators=(",", ":")).encode


def written(value: Any) -> str:
    """JSON of what `parsed` gave, in the compact form that charrnn writes."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Members):
        return "{" + ",".join(f"{_ENCODED(k)}:{written(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return _ENCODED(value)


def places(tree: Any) -> list[tuple[Any, int]]:
    """Every value in a tree, as its container and its number in it."""
    found: list[tuple[Any, int]] = []
    for number in range(len(tree)) if isinstance(tree, list) else ():
        found.append((tree, number))
        found += places(_value(tree, number))
    return found


def _value(container: Any, number: int) -> Any:
    return container[number][1] if isinstance(container, Members) else container[number]


def _put(container: Any, number: int, value: Any) -> None:
    is_object = isinstance(container, Members)
    container[number] = (container[number][0], value) if is_object else value


def _replace(tree: Any, pick: Pick) -> None:
    container, number = _chosen(tree, pick)
    _put(container, number, copy.deepcopy(ODD[pick(len(ODD))]))


def _remove(tree: Any, pick: Pick) -> None:
    container, number = _chosen(tree, pick)
    del container[number]


def _repeat(tree: Any, pick: Pick) -> None:
    container, number = _chosen(tree, pick)
    container.insert(pick(len(container) + 1), copy.deepcopy(container[number]))


def _rename(tree: Any, pick: Pick) -> None:
    container, number = _chosen(tree, pick)
    if isinstance(container, Members):
        names = [odd for odd in ODD if isinstance(odd, str)] + [name for name, _ in container]
        container[number] = (names[pick(len(names))], container[number][1])


def _swap(tree: Any, pick: Pick) -> None:
    (one, first), (other, second) = _chosen(tree, pick), _chosen(tree, pick)
    value = _value(one, first)
    if not _holds(value, other) and not _holds(_value(other, second), one):
        _put(one, first, _value(other, second))
        _put(other, second, value)


def _holds(tree: Any, container: Any) -> bool:
    return tree is container or any(inner is container for inner, _ in places(tree))


def _shift(tree: Any, pick: Pick) -> None:
    container, number = _chosen(tree, pick)
    value = _value(container, number)
    if isinstance(value, int):
        _put(container, number, value + pick(17) - 8)
    elif isinstance(value, str) and not isinstance(value, Raw):
        at, odd = pick(len(value) + 1), ODD[pick(len(ODD))]
        if isinstance(odd, str):
            _put(container, number, value[:at] + odd + value[at:])


def _wrap(tree: Any, pick: Pick) -> None:
    container, number = _chosen(tree, pick)
    _put(container, number, [_value(container, number)])


CHANGES = (_replace, _remove, _repeat, _rename, _swap, _shift, _wrap)


def _chosen(tree: Any, pick: Pick) -> tuple[Any, int]:
    every = places(tree)
    return every[pick(len(every))]


def mutated(base: bytes, pick: Pick) -> bytes:
    """A checkpoint's bytes with a few changes; half of them sealed anew, so that they pass."""
    length = int.from_bytes(base[:8], "little")
    outer, body = parsed(base[8 : 8 + length].decode()), base[8 + length :]
    metadata = next(value for name, value in outer if name == "__metadata__")
    inner = parsed(metadata[0][1])
    sealed = pick(4) > 0
    if sealed:
        inner[-1] = ("digest", ZEROS.decode())
    for _ in range(pick(3) + (1 if pick(8) else 0)):
        tree = (outer, inner)[pick(2)]
        if places(tree):
            CHANGES[pick(len(CHANGES))](tree, pick)
    if metadata and isinstance(metadata[0], tuple) and isinstance(metadata[0][1], str):
        metadata[0] = (metadata[0][0], written(inner))
    kind = pick(12)
    if kind == 0:
        body = body[: pick(len(body) + 1)]
    elif kind == 1:
        body += bytes(pick(20))
    elif kind == 2:
        body += base
    header = written(outer).encode("utf-8", "surrogatepass")
    if kind == 3 and header:
        at = pick(len(header))
        header = header[:at] + bytes([pick(256)]) + header[at + 1 :]
    size = len(header)
    if kind == 4:
        size = (0, 1, size - 1, size + 1, 2**24, 2**24 + 1, 2**31, 2**63, 2**64 - 1)[pick(9)]
    data = struct.pack("<Q", size % 2**64) + header + body
    if sealed and data.count(ZEROS) == 1:
        data = data.replace(ZEROS, hashlib.sha256(data).hexdigest().encode())
    if kind == 5:
        data = data[: pick(len(data) + 1)]
    if kind == 6:
        at = pick(len(data))
        data = data[:at] + bytes([pick(256)]) + data[at + 1 :]
    return data
