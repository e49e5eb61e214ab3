"""The loss of a window and its gradient, computed by workers side by side."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from charrnn.model import CharacterModel, ModelState
from charrnn.workers import Workers


class _Part(NamedTuple):
    loss: Tensor
    gradients: tuple[Tensor, ...]
    after: ModelState


def take_gradient(
    model: CharacterModel,
    inputs: Tensor,
    targets: Tensor,
    before: ModelState,
    *,
    dropout: float,
    generator: Callable[[int], torch.Generator],
    weight_masks: Sequence[Tensor] | None,
    precision: str,
    workers: Workers | None = None,
) -> tuple[Tensor, ModelState]:
    """Set every weight's `grad`; give the loss (nats per character) and the state after.

    Inputs and targets are ids (T, B). `generator` is asked for dropout's, by the number of
    the first stream that is to be served by it. Without workers the caller computes alone.
    """
    weights = list(model.parameters())

    def compute(streams: slice) -> _Part:
        logits, after = model(
            inputs[:, streams],
            [tuple(part[streams] for part in layer) for layer in before],
            dropout,
            generator(streams.start) if dropout else None,
            weight_masks,
            precision,
        )
        losses = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), targets[:, streams].flatten(), reduction="sum"
        )
        loss = losses / targets.numel()
        return _Part(loss.detach(), torch.autograd.grad(loss, weights), _detached(after))

    streams = inputs.shape[1]
    if workers is None or inputs.device.type != "cpu":
        found = [compute(slice(0, streams))]
    else:
        parts = workers.parts(streams)
        found = workers.map(compute, parts, weights=model.parameter_count)
    for weight, *gradients in zip(weights, *(part.gradients for part in found), strict=True):
        weight.grad = gradients[0]
        for gradient in gradients[1:]:
            weight.grad += gradient
    loss = torch.stack([part.loss for part in found]).sum()
    layers = zip(*(part.after for part in found), strict=True)
    return loss, [tuple(map(torch.cat, zip(*layer, strict=True))) for layer in layers]


def _detached(state: ModelState) -> ModelState:
    return [tuple(part.detach().float() for part in layer) for layer in state]
