"""The language model: embedding, recurrent layers, logits."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from charrnn import recurrence
from charrnn.buffers import Memory
from charrnn.cells import states
from charrnn.checkpoints import expected_shapes
from charrnn.recurrence import Characters, LayerMemory, LayerWeights, State
from charrnn.settings import GATES, RECURRENT, ModelSettings

ModelState = list[State]
"""The state of every layer."""


class CharacterModel(nn.Module):
    """Characters in, logits for the next character out.

    Its weights have torch.nn's names: where torch.nn has the model, those under
    `recurrent.` load into nn.RNN, nn.LSTM or nn.GRU as they are.
    """

    def __init__(self, settings: ModelSettings, vocabulary_size: int) -> None:
        """Weights are left uninitialised: see `initialise` and `load`."""
        super().__init__()
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        for part in "embedding", "recurrent", "output":
            self.add_module(part, nn.Module())
        for path, shape in expected_shapes(settings, vocabulary_size).items():
            part, name = path.split(".")
            self.get_submodule(part).register_parameter(name, nn.Parameter(torch.empty(shape)))
        scratch = Memory()
        self._memories = [LayerMemory(Memory(), scratch) for _ in range(settings.layers)]

    @property
    def parameter_count(self) -> int:
        """How many numbers it learns."""
        return self.settings.parameters(self.vocabulary_size)

    def layer(self, number: int) -> LayerWeights:
        """The weights of a recurrent layer, from 0."""
        weights = dict(self.get_submodule("recurrent").named_parameters())
        w_ih = weights[f"weight_ih_l{number}"]
        none = w_ih.new_empty(0, self.settings.hidden_size)
        return LayerWeights(
            w_ih,
            weights.get(f"weight_hh_l{number}", none),
            weights.get(f"bias_ih_l{number}"),
            weights[f"bias_hh_l{number}"],
        )

    def start(self, batch_size: int) -> ModelState:
        """The state before any character, for B streams."""
        zero = self.get_parameter("output.bias").new_zeros(batch_size, self.settings.hidden_size)
        layers = range(self.settings.layers)
        return [(zero,) * states(self.settings.cell(number)) for number in layers]

    def forward(
        self,
        ids: Tensor,
        state: ModelState,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
        weight_masks: Sequence[Tensor] | None = None,
        precision: str = "fp32",
    ) -> tuple[Tensor, ModelState]:
        """Logits (T, B, V) and the state after ids (T, B).

        An id of V is a character the vocabulary lacks; it is read as a vector of zeros.
        Dropout falls on every layer's outputs (Zaremba et al. 2014), from `generator`.
        Each layer's W_hh is multiplied by its one of `weight_masks`, if they are given.
        `precision` is that of the matrix products. May be called from several threads at
        once, each with streams of its own.
        """
        embedding: Tensor = self.get_parameter("embedding.weight")
        if not self.training:
            embedding = torch.cat([embedding, embedding.new_zeros(1, embedding.shape[1])])
        read: Tensor | Characters = Characters(ids, embedding)
        after: ModelState = []
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=precision == "bf16"):
            for number, before in enumerate(state):
                layer = self.layer(number)
                if weight_masks is not None:
                    layer = layer._replace(w_hh=layer.w_hh * weight_masks[number])
                x, last = recurrence.run(
                    self.settings.cell(number),
                    self.settings.nonlinearity,
                    read,
                    before,
                    layer,
                    precision=precision,
                    memory=self._memories[number],
                )
                after.append(last)
                if dropout:
                    x = _dropped(x, dropout, generator)
                read = x
            weight, bias = self.get_parameter("output.weight"), self.get_parameter("output.bias")
            return nn.functional.linear(x, weight, bias), after

    def draw_weight_masks(self, weight_drop: float, generator: torch.Generator) -> list[Tensor]:
        """For each layer's W_hh a mask of its shape: DropConnect, for all streams and steps alike.

        A share `weight_drop` of it is 0, the rest 1 / (1 - weight_drop) (Wan et al. 2013; of
        recurrent weights, Merity et al. 2018).
        """
        kept = 1.0 - weight_drop
        return [
            torch.empty_like(self.layer(number).w_hh, requires_grad=False)
            .bernoulli_(kept, generator=generator)
            .div_(kept)
            for number in range(self.settings.layers)
        ]

    def initialise(self, weight_init: str, forget_bias: float, seed: int) -> None:
        """Give every weight its first value, a function of the seed.

        Embeddings are normal (0, 1), input and output matrices as `xavier`, biases zero but
        the lstm's forget gate's; recurrent matrices, gate by gate, by `weight_init`:
        `orthogonal` (Saxe et al. 2014), `xavier` (Glorot and Bengio 2010), `he` (He et al.
        2015), `normal` (0, 0.02). The last two are for the input matrices too.
        """
        generator = torch.Generator().manual_seed(seed)
        fill: dict[str, Callable[..., Tensor]] = {
            "orthogonal": nn.init.orthogonal_,
            "xavier": nn.init.xavier_uniform_,
            "he": _he,
            "normal": _normal,
        }
        recurrent = fill[weight_init]
        inputs = nn.init.xavier_uniform_ if weight_init == "orthogonal" else recurrent
        with torch.no_grad(), _one_thread():
            nn.init.normal_(self.get_parameter("embedding.weight"), generator=generator)
            for number in range(self.settings.layers):
                layer, cell = self.layer(number), self.settings.cell(number)
                for gate in layer.w_ih.chunk(GATES[cell]):
                    inputs(gate, generator=generator)
                for gate in layer.w_hh.chunk(GATES[cell]) if RECURRENT[cell] else ():
                    recurrent(gate, generator=generator)
                layer.b_hh.zero_()
                if layer.b_ih is not None:
                    layer.b_ih.zero_()
                    if cell == "lstm":
                        layer.b_ih.chunk(4)[1].fill_(forget_bias)
            nn.init.xavier_uniform_(self.get_parameter("output.weight"), generator=generator)
            self.get_parameter("output.bias").zero_()

    def load(self, weights: dict[str, NDArray[np.float32]]) -> None:
        """Take every weight from arrays of the same names and shapes."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(torch.tensor(weights[name]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """A copy of every weight, as NumPy arrays in float32."""
        return {
            name: parameter.detach().to("cpu", torch.float32, copy=True).numpy()
            for name, parameter in self.named_parameters()
        }


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """A factorisation's last digits depend on how many threads it is divided among."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _dropped(x: Tensor, dropout: float, generator: torch.Generator | None) -> Tensor:
    """x with a share of its numbers set to zero, and the rest made larger for it.

    Sixteen random bits decide for each number, four numbers to a draw: as torch draws its
    masks, one double each, they would cost more than a layer does.
    """
    if x.device.type != "cpu":
        return x * torch.empty_like(x).bernoulli_(1.0 - dropout, generator=generator).div_(
            1.0 - dropout
        )
    draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64)
    draws.random_(-(2**63), None, generator=generator)
    bits = draws.view(torch.int16)[: x.numel()].view_as(x)
    least = min(round(dropout * 2**16), 2**16 - 1) - 2**15
    kept = (bits >= least).to(x.dtype)
    return x * kept.div_(1.0 - dropout)


def _he(weight: Tensor, generator: torch.Generator) -> Tensor:
    return nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)


def _normal(weight: Tensor, generator: torch.Generator) -> Tensor:
    return nn.init.normal_(weight, std=0.02, generator=generator)
