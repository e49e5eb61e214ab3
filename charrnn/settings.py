"""What can be set: frozen, validated dataclasses that go to JSON and back."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar, cast, get_origin

from charrnn.errors import UsageError

GATES = {"rnn": 1, "lstm": 4, "gru": 3, "gru-reset-before": 3, "product": 2, "qrnn": 3}
"""The cells by name, and G, how many blocks of H rows each one's weights have."""

RECURRENT = GATES | {"qrnn": 0}
"""How many of those blocks its W_hh has."""

BIASES = {"rnn": 2, "lstm": 2, "gru": 2, "gru-reset-before": 1, "product": 1, "qrnn": 1}
"""How many biases a gate has: torch.nn's cells b_ih and b_hh, the others b_hh alone."""

STACKS = {"gru-qrnn": ("gru", "qrnn")}
"""The models of two cells, and which they are: the first layer's, and that of all above it."""

MODELS = (*GATES, *STACKS)
"""Those of one cell in all layers have its name."""

NONLINEARITIES = ("tanh", "relu", "sigmoid")
OPTIMIZERS = ("adamw", "soap", "sgd")
ON_DIVERGENCE = ("retry", "stop", "continue")
WEIGHT_INITS = ("orthogonal", "xavier", "he", "normal")
PRECISIONS = ("fp32", "bf16")
DEVICES = ("cpu", "cuda", "mps")
PLANS = ("auto", "off")


@dataclass(frozen=True)
class ModelSettings:
    """What has to be known to compute with a model's weights.

    Raises UsageError for a value no model can have, naming its flag.
    """

    model: str = "gru"
    """one of MODELS"""
    nonlinearity: str = "tanh"
    """the rnn's φ, one of NONLINEARITIES"""
    embedding_size: int = 64
    """E"""
    hidden_size: int = 256
    """H"""
    layers: int = 2
    """L"""

    def __post_init__(self) -> None:
        _check_types(self)
        _check_choice("--model", self.model, MODELS)
        _check_choice("--nonlinearity", self.nonlinearity, NONLINEARITIES)
        _check_whole("--embedding-size", self.embedding_size, 1, 65_536)
        _check_whole("--hidden-size", self.hidden_size, 1, 65_536)
        _check_whole("--layers", self.layers, 1, 1_000)

    def __str__(self) -> str:
        kind = f"{self.model} ({self.nonlinearity})" if self.model == "rnn" else self.model
        return f"{self.layers} x {self.hidden_size} {kind}"

    def cell(self, layer: int) -> str:
        """The name of a layer's cell, one of GATES; layers count from 0."""
        first, above = STACKS.get(self.model, (self.model, self.model))
        return above if layer else first

    @property
    def multiplies_state(self) -> bool:
        """Whether any of its layers has a W_hh."""
        return any(RECURRENT[self.cell(layer)] for layer in (0, self.layers - 1))

    def parameters(self, vocabulary_size: int) -> int:
        """How many numbers the model learns, for V = `vocabulary_size` characters."""
        hidden = self.hidden_size
        found = vocabulary_size * (self.embedding_size + hidden + 1)
        for layer, count in (0, 1), (1, self.layers - 1):
            cell, inputs = self.cell(layer), hidden if layer else self.embedding_size
            gate = GATES[cell] * (inputs + BIASES[cell]) + RECURRENT[cell] * hidden
            found += count * hidden * gate
        return found


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained, but for how long.

    Raises UsageError for a value training cannot have, naming its flag.
    """

    seq_length: int = 64
    """T, the characters a gradient reaches back through"""
    batch_size: int = 32
    """B, the streams of text read side by side"""
    carry: bool = True
    """whether a window begins with the state the one before it ended in; else with zeros"""
    optimizer: str = "adamw"
    """one of OPTIMIZERS"""
    learning_rate: float = 7e-3
    """the optimizer's, at its highest"""
    weight_decay: float = 0.1
    """the decay of the matrices, decoupled, as a rate times the learning rate"""
    clip: float = 1.0
    """the gradient's largest norm; 0 leaves it alone"""
    dropout: float = 0.0
    """the share of each layer's outputs set to zero"""
    weight_drop: float = 0.0
    """the share of each layer's W_hh set to zero, other weights for each window"""
    weight_init: str = "orthogonal"
    """how recurrent weights begin, one of WEIGHT_INITS"""
    forget_bias: float = 1.0
    """where the lstm's forget gate's bias begins"""
    seed: int = 0
    """everything random follows from it"""
    precision: str = "fp32"
    """of the matrix products, one of PRECISIONS"""
    device: str = "cpu"
    """one of DEVICES"""
    threads: int = 1
    """processor threads"""
    keep: int = 1
    """checkpoints kept besides the best and the newest"""
    on_divergence: str = "retry"
    """what follows a loss that is no number or far off its past, one of ON_DIVERGENCE"""

    def __post_init__(self) -> None:
        _check_types(self)
        _check_whole("--seq-length", self.seq_length, 1, 1_000_000)
        _check_whole("--batch-size", self.batch_size, 1, 1_000_000)
        _check_choice("--optimizer", self.optimizer, OPTIMIZERS)
        _check_number("--learning-rate", self.learning_rate, above=0.0)
        _check_number("--weight-decay", self.weight_decay, least=0.0)
        _check_number("--clip", self.clip, least=0.0)
        _check_number("--dropout", self.dropout, least=0.0, below=1.0)
        _check_number("--weight-drop", self.weight_drop, least=0.0, below=1.0)
        _check_choice("--weight-init", self.weight_init, WEIGHT_INITS)
        _check_number("--forget-bias", self.forget_bias)
        _check_whole("--seed", self.seed, 0, 2**63 - 1)
        _check_choice("--precision", self.precision, PRECISIONS)
        _check_choice("--device", self.device, DEVICES)
        _check_whole("--threads", self.threads, 1, 4_096)
        _check_whole("--keep", self.keep, 0, 1_000_000)
        _check_choice("--on-divergence", self.on_divergence, ON_DIVERGENCE)


@dataclass(frozen=True)
class SamplingSettings:
    """How characters are drawn.

    Raises UsageError for a value sampling cannot have, naming its flag.
    """

    length: int = 500
    """new characters"""
    temperature: float = 1.0
    """the logits are divided by it; 0 takes the likeliest character"""
    top_k: int = 0
    """only this many likeliest characters; 0 for all"""
    top_p: float = 1.0
    """only the likeliest characters that make up this share"""
    min_p: float = 0.0
    """only characters at least this likely, as a share of the likeliest one"""
    stop: tuple[str, ...] = ()
    """a sample ends before the first of these texts"""

    def __post_init__(self) -> None:
        _check_types(self)
        _check_whole("--length", self.length, 0, 10**12)
        _check_number("--temperature", self.temperature, least=0.0)
        _check_whole("--top-k", self.top_k, 0, 10**12)
        _check_number("--top-p", self.top_p, above=0.0, most=1.0)
        _check_number("--min-p", self.min_p, least=0.0, most=1.0)
        for text in self.stop:
            if not text:
                raise UsageError("--stop '': an empty text would end every sample at once")


Settings = TypeVar("Settings")


def to_json(settings: Any) -> dict[str, Any]:
    """Settings as a dictionary that JSON can hold."""
    return asdict(settings)


def from_json(kind: Callable[..., Settings], data: object) -> Settings:
    """Settings from what `to_json` gave.

    Raises UsageError for a name, a type or a value that does not belong there.
    """
    names = {field.name for field in fields(cast("type[ModelSettings]", kind))}
    if not isinstance(data, dict) or set(data) != names:
        raise UsageError(f"not the settings of this version: expected {sorted(names)}")
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
    try:
        return kind(**values)
    except OverflowError:  # JSON's whole numbers have no bounds
        raise UsageError("a number is larger than any that can be computed with") from None


def check_plan(plan: str) -> None:
    """Raise UsageError for what `--plan` cannot be."""
    _check_choice("--plan", plan, PLANS)


def check_nonlinearity(model: str, nonlinearity: str | None) -> None:
    """Raise UsageError where a nonlinearity is given for a model that has none to choose."""
    if nonlinearity is not None and model != "rnn":
        raise UsageError(
            f"--nonlinearity {nonlinearity}: of the rnn alone, and the model is {model}",
            "leave it out, or give --model rnn",
        )


def check_weight_drop(model: ModelSettings, weight_drop: float) -> None:
    """Raise UsageError where weights are to be dropped of a model that has none recurrent."""
    if weight_drop and not model.multiplies_state:
        raise UsageError(
            f"--weight-drop {weight_drop:g}: a {model.model} has no recurrent weights",
            "leave it out, or give --dropout",
        )


def _check_types(settings: Any) -> None:
    for field in fields(settings):
        value = getattr(settings, field.name)
        accepted = (int, float) if field.type is float else get_origin(field.type) or field.type
        # To Python, True is a whole number.
        stray = isinstance(value, bool) and field.type is not bool
        if stray or not isinstance(value, cast(Any, accepted)):
            raise UsageError(f"{field.name} {value!r}: not of the right type")


def _check_choice(flag: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{flag} {value}: must be one of {', '.join(choices)}")


def _check_whole(flag: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise UsageError(f"{flag} {value}: must be a whole number from {least} to {most}")


def _check_number(
    flag: str,
    value: float,
    *,
    least: float | None = None,
    above: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> None:
    kept = [
        math.isfinite(value),
        least is None or value >= least,
        above is None or value > above,
        below is None or value < below,
        most is None or value <= most,
    ]
    if not all(kept):
        bounds = {"at least": least, "above": above, "below": below, "at most": most}
        words = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
        raise UsageError(f"{flag} {value:g}: must be a number {' and '.join(words)}".rstrip())
