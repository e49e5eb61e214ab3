"""What any model must beat: how well simple predictors do on the text that a model is scored on.

They learn from the training part alone, from its end backwards as far as each can: what
is nearest to the held-out text is kept. A character that the vocabulary lacks is told
apart and named as in evaluation, at the same price; compressors spell it out in bytes.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charrnn.compressors import (
    BZ2,
    PPMD,
    PPMD_ORDER,
    XZ,
    Compressor,
    added_bits,
    added_by_part,
    is_installed,
    room_before,
)
from charrnn.intervals import block_edges
from charrnn.ngram import Ngram, choose_order, unigram_losses
from charrnn.prices import Prices, parts, spent
from charrnn.strips import Text
from charrnn.tokenizer import Ids, Vocabulary

SECONDS = 10.0
"""What each may take to learn from the training part, about."""

NAMES = ("uniform", "unigram", "ngram", "xz", "bz2", "ppmd")

_PROBE = 2**20  # bytes; what is not larger is read without looking at the clock
_SLOWER = 1.5  # times as long as a probe's takes each byte of a text that fits in no cache
_MOST = 2**26  # bytes
_MOST_SCORED = 2**26  # bytes, of a text to be scored by what takes seconds for a million
_MOST_COUNTED = 2**23  # bytes, of which each takes some 150 more to count n-grams


class Bytes(Protocol):
    """A training part of `size` bytes, such as `original.Original`."""

    size: int

    def slice(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`."""
        ...


class Scored(Protocol):
    """A text to be scored, such as `heldout.HeldOut`."""

    @property
    def ids(self) -> Text:
        """(N,)"""
        ...

    @property
    def bytes(self) -> int:
        """of its UTF-8; where it is read as bytes, of these"""
        ...

    @property
    def pieces(self) -> Callable[[], Iterator[str]]:
        """The text itself, piece by piece."""
        ...


@dataclass(frozen=True)
class Baseline:
    """What one predictor spent on a text."""

    name: str
    nats: float | None
    """summed over the text's characters; None where it was not measured"""
    reason: str = ""
    """why it was not"""
    order: int = 0
    """the characters of its longest grams, or contexts"""
    read: int = 0
    """bytes of the training part it learned from, its last ones"""
    available: int = 0
    """bytes of the training part"""
    cut: str = ""
    """what kept it from reading all: its "window", "memory" or "time\""""
    seconds: float = 0.0
    """what it took"""
    blocks: tuple[float, ...] = ()
    """nats per character of each of `intervals.block_edges`, where that can be told"""

    def to_json(self, characters: int, byte_count: int) -> dict[str, Any]:
        """The baseline by the names of `--json`, for a text of so many characters and bytes."""
        if self.nats is None:
            return {"name": self.name, "reason": self.reason}
        bits = self.nats / math.log(2)
        return {
            "name": self.name,
            **({"order": self.order} if self.order else {}),
            "nats_per_char": self.nats / characters,
            "bits_per_char": bits / characters,
            "bits_per_byte": bits / byte_count,
            "read_bytes": self.read,
            "training_bytes": self.available,
            "cut": self.cut,
            "seconds": round(self.seconds, 3),
        }


def measure(
    text: Scored,
    training: Bytes | str,
    vocabulary: Vocabulary,
    *,
    escape: float,
    known: Mapping[str, Baseline] | None = None,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.perf_counter,
    measured: Callable[[int], object] = lambda _: None,
) -> list[Baseline]:
    """What each of NAMES spends on a text of N characters, N > 0.

    `training` is the part to learn from, or in words why there is none; `escape` how
    likely a character is that the vocabulary lacks. What is `known` is not measured
    again. `measured` is told 1 after each. A text of more than 64 MB is too long for all
    but uniform and unigram, and is never held as a whole.
    """
    ids = text.ids
    prices = Prices.of(ids, vocabulary, escape)
    found = []
    for name in NAMES:
        baseline = (known or {}).get(name)
        if baseline is None:
            begun = clock()
            if name == "uniform":
                each = math.log(len(vocabulary))
                losses = (np.full(len(part), each) for part in parts(ids))
                nats, blocks = spent(ids, losses, prices)
                baseline = Baseline(name, nats, blocks=blocks)
            elif isinstance(training, str):
                baseline = Baseline(name, None, training)
            elif name == "unigram":
                baseline = _unigram(training, ids, vocabulary, prices, seconds, clock)
            elif text.bytes > _MOST_SCORED:
                reason = f"a text of more than {_MOST_SCORED:,} bytes would take too long"
                baseline = Baseline(name, None, reason)
            elif name == "ngram":
                baseline = _ngram(training, ids, vocabulary, prices, seconds, clock)
            else:
                (compressor,) = (each for each in (XZ, BZ2, PPMD) if each.name == name)
                baseline = _compressed(training, text, vocabulary, compressor, seconds, clock)
            baseline = replace(baseline, seconds=clock() - begun)
        found.append(baseline)
        measured(1)
    return found


def _unigram(
    training: Bytes,
    ids: Text,
    vocabulary: Vocabulary,
    prices: Prices,
    seconds: float,
    clock: Callable[[], float],
) -> Baseline:
    def learned(before: bytes, ids: Text) -> Baseline:
        counted = _ids(before, vocabulary)
        losses = (unigram_losses(counted, part, len(vocabulary)) for part in parts(ids))
        nats, blocks = spent(ids, losses, prices)
        return Baseline("unigram", nats, read=len(before), blocks=blocks)

    size, cut = _affordable(
        lambda before: learned(before, ids[0:1]),
        *(training, vocabulary, _MOST, "memory", seconds, clock),
    )
    before = tail(training, size, vocabulary)
    return replace(learned(before, ids), available=training.size, cut=cut)


def _ngram(
    training: Bytes,
    ids: Text,
    vocabulary: Vocabulary,
    prices: Prices,
    seconds: float,
    clock: Callable[[], float],
) -> Baseline:
    def learned(before: bytes, ids: Text) -> Baseline:
        counted = _ids(before, vocabulary)
        order = choose_order(counted, len(vocabulary))
        model = Ngram(counted, len(vocabulary), order)

        def losses() -> Iterator[NDArray[np.float64]]:
            behind: Ids = counted
            for part in parts(ids):
                yield model.losses(part, behind, [order])[order]
                behind = part

        nats, blocks = spent(ids, losses(), prices)
        return Baseline("ngram", nats, order=order, read=len(before), blocks=blocks)

    size, cut = _affordable(
        lambda before: learned(before, ids[0:1]),
        *(training, vocabulary, _MOST_COUNTED, "memory", seconds, clock),
    )
    before = tail(training, size, vocabulary)
    return replace(learned(before, ids), available=training.size, cut=cut)


def _compressed(
    training: Bytes,
    text: Scored,
    vocabulary: Vocabulary,
    compressor: Compressor,
    seconds: float,
    clock: Callable[[], float],
) -> Baseline:
    name = compressor.name
    if not is_installed(compressor):
        own = f"pip install {compressor.module}"
        where = own if compressor is PPMD else "it comes with most builds of Python"
        return Baseline(name, None, f"{compressor.module} is not installed ({where})")
    characters, utf8_of = "".join(text.pieces()), vocabulary.reading.utf8_of
    edges = block_edges(len(characters)).tolist()
    pieces = [utf8_of(characters[start:end]) for start, end in itertools.pairwise(edges)]
    pieces = pieces or [utf8_of(characters)]
    size, cut = _affordable(
        lambda before: added_bits(compressor, before, pieces[0][:1]),
        *(training, vocabulary, room_before(compressor, text.bytes), "window", seconds, clock),
    )
    before = tail(training, size, vocabulary)
    bits, by_part = added_by_part(compressor, before, pieces)
    if bits <= 0:  # chance, such as how the whole is cut up, outweighs a few characters
        return Baseline(name, None, "the text is too short to tell what it adds")
    return Baseline(
        name,
        bits * math.log(2),
        order=PPMD_ORDER if compressor is PPMD else 0,
        read=len(before),
        available=training.size,
        cut=cut,
        blocks=tuple(
            part * math.log(2) / (end - start)
            for part, (start, end) in zip(by_part, itertools.pairwise(edges), strict=False)
        ),
    )


def _ids(data: bytes, vocabulary: Vocabulary) -> Ids:
    """The ids of bytes of a training part."""
    return vocabulary.encode(data.decode("latin-1" if vocabulary.of_bytes else "utf-8"))


def tail(training: Bytes, size: int, vocabulary: Vocabulary) -> bytes:
    """The last `size` bytes of a training part, without a character's second half at the front."""
    if size <= 0:
        return b""
    data = training.slice(max(0, training.size - size), training.size)
    if vocabulary.of_bytes:
        return data
    halves = next((i for i, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)
    return data[halves:]


def _affordable(
    learn: Callable[[bytes], object],
    training: Bytes,
    vocabulary: Vocabulary,
    most: int,
    limit: str,
    seconds: float,
    clock: Callable[[], float],
) -> tuple[int, str]:
    """How many of the training part's last bytes can be learned from, and what cut it."""
    size, cut = (training.size, "") if training.size <= most else (most, limit)
    if size > _PROBE:
        begun = clock()
        learn(tail(training, _PROBE, vocabulary))
        taken = max(clock() - begun, 1e-9)
        # Whole probes, so that one machine comes to one figure.
        in_time = max(1, int(seconds / (taken * _SLOWER))) * _PROBE
        if in_time < size:
            return in_time, "time"
    return size, cut
