"""From a text, a machine and a budget to settings, with the reasons."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from charrnn import machine
from charrnn.schedule import EVALUATION_SHARE, Budget
from charrnn.settings import ModelSettings, TrainingSettings

DEFAULT_MINUTES = 10.0
MOST_EPOCHS = 100.0
"""The budget where none is given: these minutes, or these epochs of a text read sooner."""

REGULARISED = (
    *((40.0, 0.6, 0.3, 0.1), (25.0, 0.5, 0.0, 0.1), (16.0, 0.2, 0.0, 0.2)),
    *((8.0, 0.1, 0.0, 0.2), (4.0, 0.0, 0.0, 0.5), (0.0, 0.0, 0.0, 0.1)),
)
"""From so many readings of the text on, times the weights there are for each of its characters:
what share of outputs is dropped, and of recurrent weights, and the weight decay. What is
read often, by a model that has room for it, is learnt by heart unless something is left out."""

REGULARISED_DEEP = ((100.0, 0.4, 0.2, 0.2), (25.0, 0.25, 0.1, 0.2), (8.0, 0.05, 0.05, 0.2))
"""From two layers on these come first: outputs are dropped between them, too."""

DROPS = {"dropout", "weight_drop"}
REGULARISERS = {*DROPS, "weight_decay"}
"""The settings by which a plan keeps a model from learning by heart."""

LEARNING_RATES = {"adamw": 7e-3, "soap": 1e-2, "sgd": 4.0}
"""By optimizer."""

SGD_DECAY = 2e-4 / 0.1
"""Its decay as a share of the others', so that matrices shrink as much a step with each."""

QUICK, SELDOM, WIDE = "gru-qrnn", 6.0, 320
"""The model of a text that it would read fewer times than that, on a processor, by layers no
narrower than that. A layer of the qrnn's cells takes half as long as one of the gru's, and learns
as much from the first few readings; from more a gru learns more."""

ONE_LAYER = (64, 96, 128, 160, 192, 256, 320)
TWO_LAYERS = (256, 320, 384, 512, 768, 1024)
"""What H is chosen from. A second layer learns more, but only later."""

READ_A_WEIGHT = (4.0, 3.0)
"""A shape, of one layer or of more, is worth its time where each weight has so many characters
to learn from, read anew or again."""

READ_A_QUICK_WEIGHT = 2.0
"""But so few where the quick model's two narrowest layers take the place of a gru's one."""

OWN_A_WEIGHT = ((900_000, 0.5), (0, 0.3))
"""And so many of the text's own, from so many weights on, those of a gru where the cell is not
given; a text of fewer is learnt by heart, whatever is dropped."""


@dataclass(frozen=True)
class Plan:
    """What a run will be."""

    model: ModelSettings
    training: TrainingSettings
    budget: Budget
    mode: str = "off"
    """one of PLANS; what follows is empty where nothing was chosen"""
    reasons: dict[str, str] = field(default_factory=dict)
    """by setting, why it was chosen; of what was given, nothing"""
    facts: dict[str, float] = field(default_factory=dict)
    """what was known: `characters`, `multiplies_bf16`, and where it matters
    `operations_per_second`"""

    def to_json(self) -> dict[str, Any]:
        """What run.json keeps besides the settings themselves."""
        return {"mode": self.mode, "reasons": self.reasons, "facts": self.facts}


def fixed_plan(
    *, budget: Budget | None, model: Mapping[str, Any], training: Mapping[str, Any]
) -> Plan:
    """The same settings for every text, but for those that were given.

    Raises UsageError for a value that cannot be.
    """
    optimizer = TrainingSettings(**training).optimizer
    usual = {
        "learning_rate": LEARNING_RATES[optimizer],
        "weight_decay": _weight_decay(optimizer, 0.1),
    }
    settings = TrainingSettings(**(usual | dict(training)))
    return Plan(ModelSettings(**model), settings, budget or Budget(minutes=DEFAULT_MINUTES))


def depends_on_speed(
    budget: Budget | None, model: Mapping[str, Any], training: Mapping[str, Any]
) -> bool:
    """Whether a plan around these settings has to know how fast the machine is."""
    given = {*model, *training}
    settled = {"model", "hidden_size", "layers"} <= given and bool(DROPS & given)
    return budget is None or (budget.minutes is not None and not settled)


def batched(characters: int, training: Mapping[str, Any]) -> TrainingSettings:
    """The settings given, with optimizer, T and B for a text of N = `characters`.

    Raises UsageError for a value that cannot be.
    """
    TrainingSettings(**training)  # what is given must be possible before anything fits around it
    chosen: dict[str, Any] = {"seq_length": _seq_length(characters, training)} | dict(training)
    chosen.setdefault("batch_size", _batch_size(characters, chosen["seq_length"]))
    chosen.setdefault("optimizer", "soap")
    return TrainingSettings(**chosen)


def plan(
    *,
    characters: int,
    budget: Budget | None,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    operations_per_second: float | None = None,
    multiplies_bf16: bool = False,
) -> Plan:
    """Choose what was not given for a training text of N = `characters`.

    `model` and `training` are the settings that were given, by name; they are obeyed and
    the rest fits around them. What the machine is asked for is its speed while it trains a
    model of 2 x 256 (see `calibration.speed`), where the plan depends on that, and whether
    it has instructions for bfloat16. Raises UsageError for a value that cannot be.
    """
    settled = batched(characters, training)
    spent = budget or Budget(minutes=DEFAULT_MINUTES)
    reasons: dict[str, str] = {}

    def precision_of(model: ModelSettings) -> str:
        if multiplies_bf16 and "precision" not in training:
            return precision(model, settled)
        return settled.precision

    def read(settings: ModelSettings, budget: Budget) -> float:
        """About how many characters the budget reads."""
        if budget.epochs is not None:
            return budget.epochs * max(1, characters)
        if budget.steps is not None:
            return float(budget.steps * settled.seq_length * settled.batch_size)
        assert budget.minutes is not None and operations_per_second is not None
        seconds = budget.minutes * 60 * (1 - EVALUATION_SHARE)
        precisions = precision_of(settings), precision_of(ModelSettings())
        return seconds * _characters_per_second(settings, operations_per_second, *precisions)

    def quickest(settings: ModelSettings) -> ModelSettings:
        wide = settings.layers > 1 and settings.hidden_size >= WIDE
        free = "model" not in model and settled.device == "cpu"
        return replace(settings, model=QUICK) if wide and free else settings

    settings, why = ModelSettings(**model), []
    if not {"hidden_size", "layers"} <= set(model):
        settings, reason = _shaped(characters, model, lambda shape: read(shape, spent), quickest)
        why.append(reason)
    quick = quickest(settings)
    if quick != settings and read(quick, spent) < SELDOM * characters:
        settings = quick
        why.append(f"fewer than {SELDOM:g} readings")
    if why:
        reasons["model"] = "; ".join(why)
    if budget is None and read(settings, spent) > MOST_EPOCHS * characters:
        spent = Budget(epochs=MOST_EPOCHS)
    chosen: dict[str, Any] = {"weight_decay": _weight_decay(settled.optimizer, 0.1)}
    if not DROPS & set(training):  # else whoever gave one has taken the matter in hand
        epochs = read(settings, spent) / max(1, characters)
        # What is read for the first time cannot have been learnt by heart.
        load = epochs * weights(settings) / max(1, characters) if epochs > 1 else 0.0
        shares = (REGULARISED_DEEP if settings.layers > 1 else ()) + REGULARISED
        _, dropout, weight_drop, decay = next(each for each in shares if load >= each[0])
        chosen["dropout"] = dropout
        if settings.multiplies_state:
            chosen["weight_drop"] = weight_drop
        chosen["weight_decay"] = _weight_decay(settled.optimizer, decay)
        said = f"text read {_times(epochs)}"
        dropped = sorted(REGULARISERS & set(chosen))
        reasons |= {name: said for name in dropped if name not in training}
    dropout = chosen.get("dropout", settled.dropout)
    chosen["learning_rate"] = learning_rate(settled.optimizer, settings, dropout)
    chosen["precision"] = precision_of(settings)
    settled = replace(settled, **{n: v for n, v in chosen.items() if n not in training})
    facts: dict[str, float] = {"characters": characters, "multiplies_bf16": multiplies_bf16}
    if operations_per_second is not None:
        facts["operations_per_second"] = operations_per_second
    return Plan(settings, settled, spent, "auto", reasons, facts)


def precision(model: ModelSettings, training: TrainingSettings) -> str:
    """Of the products, where a device has instructions for bf16: bf16 where it pays.

    What is rounded and prepared for a product takes longer than it saves where a step of a
    worker's streams multiplies fewer than eight million times. (GPUs do all at once.)
    """
    if training.device != "cpu":
        return "bf16"
    streams = training.batch_size / machine.workers(training.batch_size, training.threads)
    return "bf16" if streams * weights(model) >= 2**23 else "fp32"


def weights(model: ModelSettings) -> int:
    """How many weights a character passes, whatever the alphabet."""
    return model.parameters(0)


def learning_rate(optimizer: str, model: ModelSettings, dropout: float) -> float:
    """The optimizer's; SOAP's is lower for large layers and the rnn.

    It is higher for one small layer, and where outputs are dropped: in a run as long as
    calls for that, a high rate is behind at first, and learns less by heart.
    """
    usual = LEARNING_RATES[optimizer]
    if optimizer != "soap":
        return usual
    if model.model == "rnn":
        return round(usual * min(0.4, 384 / model.hidden_size), 4)
    if dropout or (model.layers == 1 and model.hidden_size <= 320):
        usual *= 1.4
    return round(usual * min(1.0, 384 / model.hidden_size), 4)


def _characters_per_second(
    model: ModelSettings, speed: float, precision: str, speed_precision: str
) -> float:
    """About how fast a model trains where one of 2 x 256 does so many operations a second.

    A character's forward pass multiplies and adds once for each weight, its backward pass
    twice; larger products are done at a higher rate, in bf16 the more so.
    """
    wider = model.hidden_size / 256
    # Below 128 units what is no product takes most of the time, and no less of it.
    fp32 = min(1.15, wider**0.4, 1.52 * wider)
    rate: float = min(1.6, wider**0.9) if precision == "bf16" else fp32
    if precision != speed_precision:
        rate *= 0.85 if precision == "fp32" else 1 / 0.85
    return rate * speed / (6 * weights(model))


def _shaped(
    characters: int,
    given: Mapping[str, Any],
    read: Callable[[ModelSettings], float],
    quickest: Callable[[ModelSettings], ModelSettings],
) -> tuple[ModelSettings, str]:
    """The largest model that text and budget can teach, and why no larger.

    What is given, L or H or another cell, takes its place in each shape. `read` is about
    how many characters the budget reads, with the `quickest` cell that there is for a shape.
    """
    sizes = [*((1, size) for size in ONE_LAYER), *((2, size) for size in TWO_LAYERS)]
    shapes = [{"layers": layers, "hidden_size": size} | dict(given) for layers, size in sizes]
    settings, why = ModelSettings(**shapes[0]), ""
    for shape in shapes[1:]:
        larger = ModelSettings(**shape)
        if weights(larger) <= weights(settings):
            continue
        own = next(own for least, own in OWN_A_WEIGHT if weights(larger) >= least)
        trial = quickest(larger)
        least = READ_A_WEIGHT[larger.layers > 1]
        if trial.model == QUICK and (trial.layers, trial.hidden_size) == (2, WIDE):
            least = READ_A_QUICK_WEIGHT
        if characters < own * weights(larger):
            why = why or "as much as so short a text can teach"
        elif read(trial) < least * weights(trial):
            why = why or "as much as this budget can teach"
        else:
            settings, why = larger, ""
    why = why or "the most that is chosen"
    # Where the one was given, it is the other that was chosen.
    if "hidden_size" in given:
        why = f"{settings.layers} layer{'s' if settings.layers > 1 else ''}: {why}"
    elif "layers" in given:
        why = f"{settings.hidden_size} units: {why}"
    return settings, why


def _weight_decay(optimizer: str, decay: float) -> float:
    return decay * SGD_DECAY if optimizer == "sgd" else decay


def _seq_length(characters: int, training: Mapping[str, Any]) -> int:
    """T: with the state carried, short windows cost little context and give more steps."""
    return max(1, min(48, (characters - 1) // int(training.get("batch_size", 1))))


def _batch_size(characters: int, seq_length: int) -> int:
    """B: 48, or so many fewer that a small text still gives fifty steps an epoch."""
    windows = (characters - 1) // max(1, seq_length)
    return max(1, min(48, max(windows // 50, min(8, windows))))


def _times(epochs: float) -> str:
    return f"about {epochs:,.1f} times" if epochs < 9.95 else f"about {epochs:,.0f} times"
