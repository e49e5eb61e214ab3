"""Threads that each take some of a batch's streams, one processor to each.

A step's products are too small to be worth dividing among processors; a batch's streams
are not. So each worker takes its streams through a whole window by itself, and only the
gradients are summed.
"""

import itertools
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

import torch

from charrnn import machine

Result = TypeVar("Result")


class Workers:
    """Computing threads, to be closed."""

    def __init__(self, threads: int) -> None:
        """`threads` is how many processors all of them may use."""
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "charrnn-worker")
        self._calls: list[Future[Any]] = []
        self._done_before: set[object] = set()

    def close(self) -> None:
        """End the threads, when they have done what they are at."""
        # Python 3.11 takes a thread for ended if a signal interrupts waiting for that, and
        # the process then ends around it, which aborts it. So nothing is left for it to do.
        wait(self._calls)
        self._pool.shutdown()

    def parts(self, streams: int) -> list[slice]:
        """B streams, divided among as many workers as are worth it."""
        return _divided(streams, machine.workers(streams, self._threads))

    def shares(self, things: int) -> list[slice]:
        """So many things, each worth a worker, divided among as many as there are."""
        return _divided(things, min(things, self._threads))

    def map(
        self, function: Callable[[slice], Result], parts: list[slice], *, weights: int = 0
    ) -> list[Result]:
        """What `function` gives for each part, in order; one alone is done by the caller.

        PyTorch may use as many threads in each as are left for it, and the caller as many
        afterwards, where a part multiplies by so many `weights` that it is worth it; else
        one. What a part raises is raised when all have ended.
        """
        divided = weights >= machine.DIVISIBLE
        threads = max(1, self._threads // len(parts)) if divided else 1

        def work(part: slice) -> Result:
            prepare(threads)
            return function(part)

        prepare(threads)
        if len(parts) == 1:
            return [function(parts[0])]
        # Threads that are the first to call a library's function, and do so at once, were
        # given other last digits in one process of twenty (tanh or σ: never, once called).
        # So what was not done before is done one by one.
        code = getattr(function, "__code__", function)
        groups = [parts] if code in self._done_before else [[part] for part in parts]
        results = [result for group in groups for result in self._together(work, group)]
        self._done_before.add(code)
        return results

    def _together(self, function: Callable[[slice], Result], parts: list[slice]) -> list[Result]:
        self._calls = [self._pool.submit(function, part) for part in parts]
        try:
            wait(self._calls)
            return list(map(Future.result, self._calls))
        finally:  # an error would hold what is kept here; but what a signal left is waited for
            self._calls = [call for call in self._calls if not call.done()]


def _divided(things: int, count: int) -> list[slice]:
    edges = [things * number // count for number in range(count + 1)]
    return [slice(*pair) for pair in itertools.pairwise(edges)]


def prepare(threads: int) -> None:
    """Set how many threads PyTorch may use in the calling one, and take denormals for 0.

    Numbers that near to 0 would slow a product many times over. What threads PyTorch
    starts later take after the one that starts them; so this comes before all arithmetic.
    """
    torch.set_num_threads(min(threads, os.cpu_count() or 1))  # a thousand can end in a crash
    torch.set_flush_denormal(True)
