"""The same models written with torch.nn, as one would without charrnn."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from charrnn.settings import ModelSettings

TWINS: dict[str, Callable[..., nn.Module]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
"""The models that torch.nn has too."""


class Twin(nn.Module):
    """Embedding, recurrent layers and linear, under the names of our weights."""

    def __init__(self, model: ModelSettings, vocabulary_size: int) -> None:
        super().__init__()
        own = {"nonlinearity": model.nonlinearity} if model.model == "rnn" else {}
        layer = TWINS[model.model]
        self.embedding = nn.Embedding(vocabulary_size, model.embedding_size)
        self.recurrent = layer(model.embedding_size, model.hidden_size, model.layers, **own)
        self.output = nn.Linear(model.hidden_size, vocabulary_size)

    def forward(self, ids: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Logits (T, B, V) and the state after ids (T, B); None is the state before any."""
        hidden, after = self.recurrent(self.embedding(ids), state)
        return self.output(hidden), after
