"""One step of training: a batch, its gradient, and the weights a little further down it."""

import math

import torch
from torch import nn

from charrnn.batches import Batches
from charrnn.divergence import LOWERING
from charrnn.errors import DivergenceError
from charrnn.gradients import take_gradient
from charrnn.products import rounding
from charrnn.seeds import derive
from charrnn.settings import TrainingSettings
from charrnn.stored import Ids
from charrnn.training_state import TrainingState
from charrnn.workers import Workers


def take_step(
    state: TrainingState,
    batches: Batches,
    settings: TrainingSettings,
    learning_rate: float,
    workers: Workers | None = None,
) -> tuple[float, float]:
    """Take one step of truncated backpropagation through time.

    Returns the loss (nats per character) and the gradient's norm before clipping. Raises
    DivergenceError, the weights unchanged, where either is no number, unless training is
    to continue all the same.
    """
    read = batches.at(state.step)
    if read.first or not settings.carry:
        state.carried = state.model.start(settings.batch_size)

    def generator(purpose: str) -> torch.Generator:
        seed = derive(settings.seed, purpose, state.step)
        return torch.Generator(settings.device).manual_seed(seed)

    masks = None
    if settings.weight_drop:
        masks = state.model.draw_weight_masks(settings.weight_drop, generator("weight-drop"))
    with rounding(settings.precision, settings.device):
        loss, after = take_gradient(
            state.model,
            torch.from_numpy(read.inputs).to(settings.device),
            torch.from_numpy(read.targets).to(settings.device),
            state.carried,
            dropout=settings.dropout,
            generator=lambda stream: generator(f"dropout from stream {stream}"),
            weight_masks=masks,
            precision=settings.precision,
            workers=workers,
        )
    parameters = list(state.model.parameters())
    norm = float(nn.utils.clip_grad_norm_(parameters, settings.clip or math.inf))
    value = float(loss)
    finite = math.isfinite(value) and math.isfinite(norm)
    if not finite and settings.on_divergence != "continue":
        state.model.zero_grad()
        raise diverged(state, "the loss is no longer a number", settings)
    state.optimizer.step(learning_rate, workers)
    state.model.zero_grad()
    state.carried = after
    state.step += 1
    return value, norm


def batches_of(ids: Ids, settings: TrainingSettings) -> Batches:
    """A training text as settings say that it is read; raises as `Batches`."""
    return Batches(ids, settings.seq_length, settings.batch_size, settings.seed)


def diverged(state: TrainingState, how: str, settings: TrainingSettings) -> DivergenceError:
    """The error that says that training has gone wrong."""
    rate = settings.learning_rate * state.lowered
    return DivergenceError(
        f"after step {state.step:,} at a learning rate of {rate:.2g}: {how}",
        f"try --learning-rate {rate * LOWERING:.2g} under another --name; "
        "the checkpoints before it are kept",
    )
