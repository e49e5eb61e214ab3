"""What makes a step of a gradient, and what it remembers from step to step."""

import torch
from torch import Tensor

from charrnn.model import CharacterModel
from charrnn.settings import TrainingSettings
from charrnn.soap import WIDEST, Soap
from charrnn.workers import Workers

BETAS = (0.9, 0.99)
"""AdamW's averaging; the second is shorter than usual, for runs of a few thousand steps."""


class Optimizer:
    """The optimizer that `--optimizer` names, of a model's weights.

    `adamw` is AdamW (Loshchilov and Hutter 2019), `sgd` plain gradient descent without
    momentum, and `soap` SOAP for the matrices, but AdamW for the widest and for the biases.
    The matrices decay, by the same rule for all three, and the biases do not.
    """

    def __init__(self, model: CharacterModel, settings: TrainingSettings) -> None:
        self._others = dict(model.named_parameters())
        self._decay, self._soap = settings.weight_decay, None
        if settings.optimizer == "soap":
            matrices = [n for n, w in self._others.items() if w.ndim > 1 and w.shape[1] <= WIDEST]
            taken = {name: self._others.pop(name) for name in matrices}
            if taken:
                self._soap = Soap(taken, settings.precision)
        others = self._others.values()
        groups = [
            {"params": [p for p in others if p.ndim > 1], "weight_decay": self._decay},
            {"params": [p for p in others if p.ndim == 1], "weight_decay": 0.0},
        ]
        self._torch: torch.optim.Optimizer
        if settings.optimizer == "sgd":
            self._torch = torch.optim.SGD(groups)
            return
        self._torch = torch.optim.AdamW(groups, betas=BETAS, fused=True)
        for parameter in others:  # as it would itself, but only at the first step
            self._torch.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    def step(self, learning_rate: float, workers: Workers | None = None) -> None:
        """Change every weight by its gradient."""
        for group in self._torch.param_groups:
            group["lr"] = learning_rate
        self._torch.step()
        if self._soap is not None:
            self._soap.step(learning_rate, self._decay, workers)

    def remembered(self) -> dict[str, Tensor]:
        """What the next step needs of those before, by name, besides how many they were.

        What is written into these tensors is remembered.
        """
        found = {
            f"{kind}.{name}": moment
            for name, parameter in self._others.items()
            for kind, moment in self._torch.state[parameter].items()
            if kind != "step"
        }
        return found | (self._soap.remembered() if self._soap else {})

    def go_on(self, steps: int) -> None:
        """Take what is remembered for what so many steps left."""
        for state in self._torch.state.values():
            if "step" in state:
                state["step"].fill_(steps)
        if self._soap is not None:
            self._soap.steps = steps
