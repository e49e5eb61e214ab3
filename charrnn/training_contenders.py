"""What the benchmark of training measures: three ways to take a step."""

import math
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from charrnn.benchmark import Step, contend
from charrnn.optimizer import BETAS
from charrnn.settings import GATES, RECURRENT, ModelSettings, TrainingSettings, from_json
from charrnn.step import batches_of, take_step
from charrnn.stored import Array
from charrnn.training_state import fresh_state
from charrnn.twins import Twin
from charrnn.workers import Workers, prepare

CHARRNN = "charrnn"
FP32 = "torch.nn fp32"
BF16 = "torch.nn bf16 autocast"
CEILING = "ceiling"

LEARNING_RATE = 1e-3

WINDOWS = 50
"""Steps in which the random text is read once."""


def build(
    contender: str, model: ModelSettings, training: TrainingSettings, vocabulary_size: int
) -> Step:
    """What takes one step as a contender does."""
    torch.set_num_threads(training.threads)
    if contender == CEILING:
        dtype = torch.bfloat16 if training.precision == "bf16" else torch.float32
        return ceiling_step(products(model, training, vocabulary_size), dtype)
    ids = random_text(training, vocabulary_size)
    if contender == CHARRNN:
        return charrnn_step(model, training, ids, vocabulary_size)
    autocast = {FP32: False, BF16: True}[contender]
    return torch_step(Twin(model, vocabulary_size), training, ids, autocast=autocast)


def random_text(training: TrainingSettings, vocabulary_size: int) -> Array:
    """Ids (N,) that are read in WINDOWS steps; how fast a step is does not depend on what it reads.

    Every contender reads the same.
    """
    count = WINDOWS * training.seq_length * training.batch_size + training.seq_length
    drawn = np.random.default_rng(0).integers(vocabulary_size, size=count, dtype=np.uint32)
    return drawn.astype(np.uint8) if vocabulary_size <= 256 else drawn


def charrnn_step(
    model: ModelSettings, training: TrainingSettings, ids: Array, vocabulary_size: int
) -> Step:
    """A step as `charrnn train` takes it."""
    prepare(training.threads)
    state, workers = fresh_state(model, training, vocabulary_size), Workers(training.threads)
    batches = batches_of(ids, training)
    return lambda: take_step(state, batches, training, LEARNING_RATE, workers)


def torch_step(twin: Twin, training: TrainingSettings, ids: Array, *, autocast: bool) -> Step:
    """The step of `training.take_step`, on torch.nn alone."""
    parameters = list(twin.parameters())
    decays = [(2, training.weight_decay), (1, 0.0)]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim == ndim], "weight_decay": decay}
            for ndim, decay in decays
        ],
        lr=LEARNING_RATE,
        betas=BETAS,
        fused=True,
    )
    number, state, batches = 0, None, batches_of(ids, training)

    def step() -> None:
        nonlocal number, state
        read = batches.at(number)
        if read.first:
            state = None
        targets = torch.from_numpy(read.targets)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logits, after = twin(torch.from_numpy(read.inputs), state)
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, training.clip or math.inf)
        optimizer.step()
        optimizer.zero_grad()
        state = tuple(s.detach() for s in after) if isinstance(after, tuple) else after.detach()
        number += 1

    return step


# The ceiling: a step's matrix products and nothing else.


class Product(NamedTuple):
    """The shape of a product (m, k) x (k, n)."""

    m: int
    k: int
    n: int


def products(
    model: ModelSettings, training: TrainingSettings, vocabulary_size: int
) -> Counter[Product]:
    """The products that one step cannot do without, and how often it takes each.

    For every product x W (m, k) x (k, n), the two of its derivative: (m, n) x (n, k) and
    (k, m) x (m, n). Those with W_hh are taken at each of T steps, forward and back, but
    the gradient of W_hh itself in one product over all steps. Layer 0 reads at most V
    different characters, so its input product needs no more than V rows.
    """
    rows = training.seq_length * training.batch_size
    hidden = model.hidden_size
    found: Counter[Product] = Counter()

    def all_at_once(m: int, k: int, n: int) -> None:
        found.update([Product(m, k, n), Product(m, n, k), Product(k, m, n)])

    for layer in range(model.layers):
        cell = model.cell(layer)
        if layer:
            all_at_once(rows, hidden, GATES[cell] * hidden)
        else:
            all_at_once(min(rows, vocabulary_size), model.embedding_size, GATES[cell] * hidden)
        # A reset before the product leaves its block of W_hh to wait for the others.
        blocks = (2, 1) if cell == "gru-reset-before" else (RECURRENT[cell],)
        for block in filter(None, blocks):
            found[Product(training.batch_size, hidden, block * hidden)] += training.seq_length
            found[Product(training.batch_size, block * hidden, hidden)] += training.seq_length
            found[Product(hidden, rows, block * hidden)] += 1
    all_at_once(rows, hidden, vocabulary_size)
    return found


def _mm(a: Tensor, b: Tensor) -> Step:
    out = a.new_empty(a.shape[0], b.shape[1])
    return lambda: torch.mm(a, b, out=out)


def _mm_by_columns(a: Tensor, b: Tensor) -> Step:
    return _mm(a, b.t().contiguous().t())


def _mm_of_columns(a: Tensor, b: Tensor) -> Step:
    return _mm(a.t().contiguous().t(), b)


WAYS: tuple[Callable[[Tensor, Tensor], Step], ...] = (_mm, _mm_by_columns, _mm_of_columns)
"""How charrnn can multiply a (m, k) by b (k, n): each prepares the operands and gives what
multiplies them once, over and over in the same memory."""


def ceiling_step(wanted: Counter[Product], dtype: torch.dtype) -> Step:
    """All products of a step, each in the way that is fastest at its shape.

    The first call finds the ways out, by timing them.
    """
    chosen: list[tuple[Step, int]] = []

    def step() -> None:
        for (m, k, n), times in () if chosen else wanted.items():
            a, b = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype)
            chosen.append((min((way(a, b) for way in WAYS), key=_best_seconds), times))
        for multiply, times in chosen:
            for _ in range(times):
                multiply()

    return step


def _best_seconds(run: Step) -> float:
    run()  # the first call prepares
    best, until = math.inf, time.perf_counter() + 0.02
    while True:
        began = time.perf_counter()
        run()
        ended = time.perf_counter()
        best = min(best, ended - began)
        if ended > until:
            return best


def main() -> None:
    """Be one of them."""
    contend(
        lambda task: build(
            task["contender"],
            from_json(ModelSettings, task["model"]),
            from_json(TrainingSettings, task["training"]),
            task["vocabulary_size"],
        )
    )
