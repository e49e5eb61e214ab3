"""General compressors as predictors of text: what a stretch adds to what stands before it."""

import importlib.util
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

PPMD_ORDER = 6
_PPMD_MEMORY = 2**28  # bytes; what is not needed is not touched
_BZ2_BLOCK = 855_000  # bytes; of 900,000 that it sorts at once, but four alike take up five
_XZ_DICTIONARY = 2**26  # bytes


class Compressor(NamedTuple):
    """One way to make bytes fewer."""

    name: str
    window: int
    """bytes behind which it forgets"""
    fixed: bool
    """whether the window is a block that the text itself takes room in"""
    module: str
    """what it comes from, which may not be installed"""
    size: Callable[[bytes], int]
    """how many bytes it makes of some"""
    sizes: Callable[[bytes, Sequence[bytes]], list[int]] | None = None
    """how many bytes it has made after some, after each of some more, and at the end; of
    those that hold back much of what they make nobody can tell"""


def added_bits(compressor: Compressor, before: bytes, text: bytes) -> int:
    """C(before + text) - C(before) in bits, where C is the compressed size."""
    return 8 * (compressor.size(before + text) - compressor.size(before))


def added_by_part(
    compressor: Compressor, before: bytes, parts: Sequence[bytes]
) -> tuple[int, list[int]]:
    """What a text in parts adds in bits, and what each part does, give or take a few bytes.

    Where the compressor does not tell of parts, there are none.
    """
    if compressor.sizes is None:
        return added_bits(compressor, before, b"".join(parts)), []
    made = compressor.sizes(before, parts)
    return 8 * (made[-1] - compressor.size(before)), [
        8 * (after - earlier) for earlier, after in itertools.pairwise(made[:-1])
    ]


def room_before(compressor: Compressor, text_bytes: int) -> int:
    """How many bytes before a text the compressor can make use of."""
    taken = text_bytes if compressor.fixed else 0
    return max(0, compressor.window - taken)


def is_installed(compressor: Compressor) -> bool:
    """Whether this Python has what it comes from."""
    try:
        return importlib.util.find_spec(compressor.module) is not None
    except (ImportError, ValueError):
        return False


def _xz(data: bytes) -> int:
    import lzma

    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def _bz2(data: bytes) -> int:
    import bz2

    return len(bz2.compress(data, 9))


def _ppmd(data: bytes) -> int:
    import pyppmd

    encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, _PPMD_MEMORY)
    return len(encoder.encode(data)) + len(encoder.flush())


def _ppmd_sizes(before: bytes, parts: Sequence[bytes]) -> list[int]:
    import pyppmd

    encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, _PPMD_MEMORY)
    written = [len(encoder.encode(data)) for data in (before, *parts)]
    return list(itertools.accumulate([*written, len(encoder.flush())]))


XZ = Compressor("xz", _XZ_DICTIONARY, False, "_lzma", _xz)
"""As `xz -9e`."""

BZ2 = Compressor("bz2", _BZ2_BLOCK, True, "_bz2", _bz2)
"""As `bzip2 -9`."""

PPMD = Compressor("ppmd", _PPMD_MEMORY // 4, False, "pyppmd", _ppmd, _ppmd_sizes)
"""PPMd variant H (Shkarin 2002) as in 7-Zip, with 256 MiB of memory for its contexts."""
