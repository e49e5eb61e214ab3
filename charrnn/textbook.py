"""One character at a time with torch: the loop of the textbooks, and the step by hand.

Both are what charrnn's one stream is measured against, with the same weights.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from charrnn.settings import ModelSettings
from charrnn.twins import Twin

Weights = dict[str, Any]
"""NumPy's arrays under torch.nn's names."""


class Written(Protocol):
    """A way to read a character and to draw the next."""

    def logits(self, character: int) -> Tensor:
        """The logits, (V,), after one more character, by its id."""

    def draw(self, logits: Tensor) -> int:
        """The id of a character drawn from logits (V,)."""


class Textbook:
    """The loop that everybody writes: `torch.nn`'s module, called for each character."""

    def __init__(self, settings: ModelSettings, weights: Weights) -> None:
        self._twin = Twin(settings, len(weights["output.bias"]))
        self._twin.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        self._state: Any = None

    def logits(self, character: int) -> Tensor:
        """The logits, (V,), after one more character, by its id."""
        logits, self._state = self._twin(torch.tensor([[character]]), self._state)
        return logits[0, 0]  # type: ignore[no-any-return]

    def draw(self, logits: Tensor) -> int:
        """The id of a character drawn from logits (V,)."""
        return int(torch.multinomial(torch.softmax(logits, dim=0), 1).item())


class ByHand:
    """The step written out: products of matrix and vector, biases summed, layer 0 looked up."""

    def __init__(self, settings: ModelSettings, weights: Weights) -> None:
        own = {name: torch.from_numpy(w) for name, w in weights.items()}
        size = settings.hidden_size
        gru, self._cell = settings.model == "gru", _CELLS[settings.model]
        self._layers: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for layer in range(settings.layers):
            w_ih, b_ih, w_hh, b_hh = (
                own[f"recurrent.{kind}_l{layer}"]
                for kind in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
            )
            bias, b_n = b_ih + b_hh, b_hh[2 * size :]
            if gru:  # its last is multiplied by the reset
                bias[2 * size :] = b_ih[2 * size :]
            self._layers.append((w_ih, bias, w_hh, b_n))
        w_ih, bias, *_ = self._layers[0]
        self._table = own["embedding.weight"] @ w_ih.t() + bias
        self._weight, self._bias = own["output.weight"], own["output.bias"]
        self._state = [(torch.zeros(size), torch.zeros(size))] * settings.layers

    def logits(self, character: int) -> Tensor:
        """The logits, (V,), after one more character, by its id."""
        x = self._table[character]
        for number, (w_ih, bias, w_hh, b_n) in enumerate(self._layers):
            if number:
                x = torch.addmv(bias, w_ih, self._state[number - 1][0])
            self._state[number] = self._cell(x, self._state[number], w_hh, b_n)
        return torch.addmv(self._bias, self._weight, self._state[-1][0])

    def draw(self, logits: Tensor) -> int:
        """The id of a character drawn from logits (V,)."""
        # Half of what multinomial takes: p / e, e exponential, is largest where p would be drawn.
        p = torch.softmax(logits, dim=0)
        return int((p / torch.empty_like(p).exponential_()).argmax().item())


_State = tuple[Tensor, Tensor]
"""h and c, each (H,); only the lstm has the c."""


def _rnn(x: Tensor, state: _State, w_hh: Tensor, _: Tensor) -> _State:
    h, c = state
    return torch.tanh(torch.addmv(x, w_hh, h)), c


def _lstm(x: Tensor, state: _State, w_hh: Tensor, _: Tensor) -> _State:
    h, c = state
    a = torch.addmv(x, w_hh, h).view(4, -1)
    i, f, _g, o = torch.sigmoid(a).unbind()
    c = torch.addcmul(f * c, i, torch.tanh(a[2]))
    return o * torch.tanh(c), c


def _gru(x: Tensor, state: _State, w_hh: Tensor, b_n: Tensor) -> _State:
    h, c = state
    size = len(h)
    a = torch.mv(w_hh, h)
    r, z = torch.sigmoid(a[: 2 * size] + x[: 2 * size]).view(2, -1).unbind()
    n = torch.tanh(torch.addcmul(x[2 * size :], r, a[2 * size :] + b_n))
    return torch.lerp(n, h, z), c


_CELLS: dict[str, Callable[[Tensor, _State, Tensor, Tensor], _State]] = {
    "rnn": _rnn,
    "lstm": _lstm,
    "gru": _gru,
}


def step(written: Written, characters: int) -> Callable[[], None]:
    """What writes so many characters, each read, and the next one drawn."""
    character = 0

    @torch.inference_mode()
    def write() -> None:
        nonlocal character
        for _ in range(characters):
            character = written.draw(written.logits(character))

    return write


def use_threads(threads: int) -> None:
    """Let each operation of this process have so many threads."""
    torch.set_num_threads(threads)
