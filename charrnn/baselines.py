"""What any model must beat: how well simple predictors do on the text that a model is scored on.

They learn from the training part alone, from its end backwards as far as each can: what
is nearest to the held-out text is kept. A character that the vocabulary lacks is told
apart and named as in evaluation, at the same price; compressors spell it out in bytes.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from charrnn.compressors import (
    BZ2,
    PPMD,
    PPMD_ORDER,
    XZ,
    Compressor,
    added_bits,
    is_installed,
    room_before,
)
from charrnn.ngram import Ids, Ngram, choose_order, unigram_losses
from charrnn.tokenizer import CODE_POINTS, Vocabulary

SECONDS = 10.0
"""What each may take to learn from the training part, about."""

NAMES = ("uniform", "unigram", "ngram", "xz", "bz2", "ppmd")

_PROBE = 2**20  # bytes; what is not larger is read without looking at the clock
_SLOWER = 1.5  # times as long as a probe's takes each byte of a text that fits in no cache
_MOST = 2**26  # bytes
_MOST_COUNTED = 2**23  # bytes, of which each takes some 150 more to count n-grams
_AT_ONCE = 2**20  # characters


class Bytes(Protocol):
    """A training part of `size` bytes of UTF-8, such as `original.Original`."""

    size: int

    def slice(self, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`."""
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
    text: str,
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
    again. `measured` is told 1 after each.
    """
    ids, data = vocabulary.encode(text), text.encode()
    unknown = int(np.count_nonzero(ids >= len(vocabulary)))
    penalty = _penalty(unknown, len(ids), len(vocabulary), escape)
    found = []
    for name in NAMES:
        baseline = (known or {}).get(name)
        if baseline is None:
            begun = clock()
            if name == "uniform":
                spent = (len(ids) - unknown) * math.log(len(vocabulary))
                baseline = Baseline(name, spent + penalty)
            elif isinstance(training, str):
                baseline = Baseline(name, None, training)
            elif name == "unigram":
                baseline = _unigram(training, ids, vocabulary, penalty, seconds, clock)
            elif name == "ngram":
                baseline = _ngram(training, ids, vocabulary, penalty, seconds, clock)
            else:
                (compressor,) = (each for each in (XZ, BZ2, PPMD) if each.name == name)
                baseline = _compressed(training, data, compressor, seconds, clock)
            baseline = replace(baseline, seconds=clock() - begun)
        found.append(baseline)
        measured(1)
    return found


def _unigram(
    training: Bytes,
    ids: Ids,
    vocabulary: Vocabulary,
    penalty: float,
    seconds: float,
    clock: Callable[[], float],
) -> Baseline:
    def nats(before: bytes, ids: Ids) -> float:
        return _sum([unigram_losses(vocabulary.encode(before.decode()), ids, len(vocabulary))])

    size, cut = _affordable(
        lambda before: nats(before, ids[:1]), training, _MOST, "memory", seconds, clock
    )
    before = tail(training, size)
    return Baseline(
        "unigram",
        nats(before, ids) + penalty,
        read=len(before),
        available=training.size,
        cut=cut,
    )


def _ngram(
    training: Bytes,
    ids: Ids,
    vocabulary: Vocabulary,
    penalty: float,
    seconds: float,
    clock: Callable[[], float],
) -> Baseline:
    def nats(before: bytes, ids: Ids) -> tuple[float, int]:
        counted = vocabulary.encode(before.decode())
        order = choose_order(counted, len(vocabulary))
        model = Ngram(counted, len(vocabulary), order)
        parts = []
        for start in range(0, len(ids), _AT_ONCE):
            behind = ids[max(0, start - order) : start] if start else counted
            parts.append(model.losses(ids[start : start + _AT_ONCE], behind, [order])[order])
        return _sum(parts), order

    size, cut = _affordable(
        lambda before: nats(before, ids[:1]), training, _MOST_COUNTED, "memory", seconds, clock
    )
    before = tail(training, size)
    spent, order = nats(before, ids)
    return Baseline(
        "ngram",
        spent + penalty,
        order=order,
        read=len(before),
        available=training.size,
        cut=cut,
    )


def _compressed(
    training: Bytes,
    data: bytes,
    compressor: Compressor,
    seconds: float,
    clock: Callable[[], float],
) -> Baseline:
    name = compressor.name
    if not is_installed(compressor):
        own = f"pip install {compressor.module}"
        where = own if compressor is PPMD else "it comes with most builds of Python"
        return Baseline(name, None, f"{compressor.module} is not installed ({where})")
    size, cut = _affordable(
        lambda before: added_bits(compressor, before, data[:1]),
        training,
        room_before(compressor, len(data)),
        "window",
        seconds,
        clock,
    )
    before = tail(training, size)
    bits = added_bits(compressor, before, data)
    if bits < 0:  # it compresses the whole in another way, which outweighs a few characters
        return Baseline(name, None, "the text is too short to tell what it adds")
    return Baseline(
        name,
        bits * math.log(2),
        order=PPMD_ORDER if compressor is PPMD else 0,
        read=len(before),
        available=training.size,
        cut=cut,
    )


def tail(training: Bytes, size: int) -> bytes:
    """The last `size` bytes of a training part, without a character's second half at the front."""
    if size <= 0:
        return b""
    data = training.slice(max(0, training.size - size), training.size)
    halves = next((i for i, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)
    return data[halves:]


def _affordable(
    learn: Callable[[bytes], object],
    training: Bytes,
    most: int,
    limit: str,
    seconds: float,
    clock: Callable[[], float],
) -> tuple[int, str]:
    """How many of the training part's last bytes can be learned from, and what cut it."""
    size, cut = (training.size, "") if training.size <= most else (most, limit)
    if size > _PROBE:
        begun = clock()
        learn(tail(training, _PROBE))
        taken = max(clock() - begun, 1e-9)
        # Whole probes, so that one machine comes to one figure.
        in_time = max(1, int(seconds / (taken * _SLOWER))) * _PROBE
        if in_time < size:
            return in_time, "time"
    return size, cut


def _penalty(unknown: int, count: int, vocabulary_size: int, escape: float) -> float:
    """The nats that `count` characters pay for those among them that the vocabulary lacks."""
    if not unknown:
        return 0.0
    which = math.log(max(1, CODE_POINTS - vocabulary_size))
    return unknown * (which - math.log(escape)) - (count - unknown) * math.log1p(-escape)


def _sum(parts: Iterable[Any]) -> float:
    """The sum of losses; those of characters that the vocabulary lacks are infinite, left out."""
    return float(sum(part[np.isfinite(part)].sum() for part in parts))
