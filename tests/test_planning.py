"""Planning: what is left out is chosen to fit the text, and what is given is obeyed."""

import os
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import machine
from charrnn.batches import windows_per_epoch
from charrnn.errors import UsageError
from charrnn.planning import (
    DEFAULT_MINUTES,
    LEARNING_RATES,
    MOST_EPOCHS,
    QUICK,
    REGULARISERS,
    SELDOM,
    WIDE,
    Plan,
    depends_on_speed,
    fixed_plan,
    learning_rate,
    plan,
    weights,
)
from charrnn.schedule import Budget
from charrnn.settings import (
    DEVICES,
    MODELS,
    NONLINEARITIES,
    OPTIMIZERS,
    PRECISIONS,
    WEIGHT_INITS,
    ModelSettings,
    TrainingSettings,
    to_json,
)

lengths = st.integers(2, 2_000) | st.integers(2, 10**9)


SPEED = 1.4e11
"""Operations a second of two processor threads."""


def chosen(characters: int, budget: Budget | None = None, **training: Any) -> Plan:
    return made_with(SPEED, characters=characters, budget=budget, training=training)


def made_with(speed: float, **given: Any) -> Plan:
    """A plan, of a machine of this speed."""
    return plan(**{"model": {}, "training": {}} | given, operations_per_second=speed)


# What is chosen


@settings(deadline=None, max_examples=150)
@given(lengths)
def test_whatever_the_text_the_choice_fits_it(characters: int) -> None:
    training = chosen(characters).training
    assert windows_per_epoch(characters, training.seq_length, training.batch_size) >= 1


@settings(deadline=None, max_examples=150)
@given(lengths, st.data())
def test_what_is_chosen_fits_around_a_size_that_is_given(
    characters: int, data: st.DataObject
) -> None:
    flag = data.draw(st.sampled_from(["seq_length", "batch_size"]))
    largest = min(characters - 1, 1_000_000)  # that any choice can fit around
    value = data.draw(st.integers(1, largest))
    training = chosen(characters, **{flag: value}).training
    assert getattr(training, flag) == value
    assert windows_per_epoch(characters, training.seq_length, training.batch_size) >= 1


def test_a_larger_text_gets_a_model_no_smaller() -> None:
    sizes = [weights(chosen(10**power).model) for power in range(1, 9)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_a_small_text_is_not_swallowed_in_a_few_steps() -> None:
    training = chosen(30_000).training
    assert windows_per_epoch(30_000, training.seq_length, training.batch_size) >= 40


@pytest.mark.parametrize("characters", [1_000_000, 30_000_000, 10**9])
def test_a_large_text_gets_full_batches(characters: int) -> None:
    training = chosen(characters).training
    assert training.seq_length * training.batch_size >= 1_000


def test_ten_minutes_are_spent_when_nothing_is_said() -> None:
    assert DEFAULT_MINUTES == 10.0
    assert chosen(10**7).budget == Budget(minutes=DEFAULT_MINUTES)


def test_a_small_text_is_done_sooner() -> None:
    assert chosen(3_000).budget == Budget(epochs=MOST_EPOCHS)


@pytest.mark.parametrize(
    "budgets",
    [
        [Budget(epochs=epochs) for epochs in (1.0, 8.0, 20.0)],
        [Budget(steps=steps) for steps in (100, 800, 2_000)],  # of 1,000 characters
        [Budget(minutes=minutes) for minutes in (0.001, 100.0)],
    ],
    ids=["epochs", "steps", "minutes"],
)
def test_the_more_often_a_text_is_read_the_more_is_dropped_out(budgets: list[Budget]) -> None:
    dropouts = [
        chosen(100_000, budget, seq_length=20, batch_size=50).training.dropout for budget in budgets
    ]
    assert dropouts[0] == 0.0
    assert dropouts == sorted(set(dropouts))


@pytest.mark.parametrize(("layers", "weight_drops"), [(1, [0.3, 0.3]), (2, [0.1, 0.2])])
def test_between_layers_outputs_are_dropped_so_fewer_weights_are(
    layers: int, weight_drops: list[float]
) -> None:
    shape = {"layers": layers, "hidden_size": 256}
    load = weights(ModelSettings(**shape)) / 10**6  # of one reading
    found = [
        made_with(
            SPEED, characters=10**6, budget=Budget(epochs=often / load), model=shape
        ).training.weight_drop
        for often in (50, 150)
    ]
    assert found == weight_drops


@pytest.mark.parametrize("characters", [0, 1])
@pytest.mark.parametrize("budget", [None, Budget(steps=10), Budget(minutes=1.0)])
def test_a_text_too_short_for_any_plan_is_planned_without_an_accident(
    characters: int, budget: Budget | None
) -> None:
    """A held-out share can leave no more; what then says so comes after the plan."""
    training = chosen(characters, budget).training
    assert (training.seq_length, training.batch_size) == (1, 1)


def test_each_optimizer_gets_a_learning_rate_and_a_decay_of_its_own() -> None:
    adamw, soap, sgd = (chosen(10_000, optimizer=name).training for name in OPTIMIZERS)
    assert [each.optimizer for each in (adamw, soap, sgd)] == ["adamw", "soap", "sgd"]
    assert chosen(10_000).training == soap
    assert sgd.learning_rate > 100 * adamw.learning_rate
    # What a step takes off the matrices is about the same.
    shares = [t.learning_rate * t.weight_decay for t in (adamw, sgd)]
    assert shares[0] == pytest.approx(shares[1], rel=0.5)
    given = chosen(10_000, optimizer="sgd", learning_rate=0.5, weight_decay=0.0).training
    assert (given.learning_rate, given.weight_decay) == (0.5, 0.0)


def test_wide_layers_and_the_rnn_learn_slower() -> None:
    def rate(**model: Any) -> float:
        return learning_rate("soap", ModelSettings(**model), 0.0)

    small, usual, wide = (rate(layers=1, hidden_size=size) for size in (320, 384, 768))
    assert small > usual == 2 * wide
    assert rate(model="rnn", layers=2, hidden_size=256) < rate(layers=2, hidden_size=256)
    assert rate(model="rnn", layers=1, hidden_size=3072) == rate(layers=1, hidden_size=3072)


@pytest.mark.parametrize(
    ("flags", "dropouts"),
    [({}, [0.0, 0.05]), ({"dropout": 0.3}, [0.3, 0.3]), ({"weight_drop": 0.3}, [0.0, 0.0])],
)
def test_where_outputs_are_dropped_the_rate_is_higher(
    flags: dict[str, float], dropouts: list[float]
) -> None:
    for epochs, dropout in zip((1.0, 12.0), dropouts, strict=True):
        made = made_with(
            SPEED,
            characters=10**6,
            budget=Budget(epochs=epochs),
            model={"layers": 2, "hidden_size": 384},
            training=flags,
        )
        assert made.training.dropout == dropout
        assert made.training.learning_rate == (0.014 if dropout else 0.01)


def in_time(minutes: float, characters: int = 30_000_000, speed: float = SPEED) -> Plan:
    return made_with(speed, characters=characters, budget=Budget(minutes=minutes))


@pytest.mark.parametrize(
    ("characters", "layers", "hidden_size"),
    [
        (45_000, 1, 192),
        (228_000, 2, 256),
        (485_000, 2, 256),
        (495_000, 2, 320),
        (700_000, 2, 320),
        (1_000_000, 2, 384),
        (1_300_000, 2, 512),
    ],
)
def test_however_much_time_there_is_a_text_teaches_so_large_a_model(
    characters: int, layers: int, hidden_size: int
) -> None:
    made = in_time(600.0, characters)
    assert (made.model.layers, made.model.hidden_size) == (layers, hidden_size)
    assert made.reasons["model"] == "as much as so short a text can teach"


def test_the_model_grows_with_the_budget() -> None:
    models = [in_time(minutes).model for minutes in (0.1, 1, 10, 60)]
    sizes = [weights(model) for model in models]
    assert sizes == sorted(set(sizes))
    assert (models[0].layers, models[-1].layers) == (1, 2)


@pytest.mark.parametrize(
    ("cell", "shape", "read"),
    [
        ("gru", (1, 320), 4),
        ("gru", (2, 256), 3),
        ("gru", (2, 320), 3),
        ("gru", (2, 768), 3),
        (QUICK, (2, 320), 2),
        (QUICK, (2, 384), 3),
    ],
)
def test_a_model_is_chosen_where_each_of_its_weights_reads_so_many_characters(
    cell: str, shape: tuple[int, int], read: int
) -> None:
    layers, hidden_size = shape
    enough = read * weights(ModelSettings(cell, layers=layers, hidden_size=hidden_size))
    for characters, expected in (enough, True), (enough - 1, False):
        model = made_with(
            SPEED,
            characters=10**9,
            budget=Budget(steps=characters),
            model={"model": cell},
            training={"seq_length": 1, "batch_size": 1},
        ).model
        assert ((model.layers, model.hidden_size) == shape) is expected


def test_in_time_for_a_few_readings_the_model_is_the_quick_one() -> None:
    models = [in_time(minutes, 1_000_000).model for minutes in (0.3, 1.3, 30.0)]
    assert [model.model for model in models] == ["gru", QUICK, "gru"]
    assert [model.layers for model in models] == [1, 2, 2]
    assert models[1].hidden_size >= WIDE


@pytest.mark.parametrize("given", [{}, {"hidden_size": 320, "layers": 2}, {"layers": 3}])
def test_a_text_that_is_read_a_few_times_is_read_by_the_quick_model(given: dict[str, int]) -> None:
    for epochs, expected in (SELDOM - 0.1, QUICK), (SELDOM, "gru"):
        made = made_with(
            SPEED, characters=10**6, budget=Budget(epochs=epochs), model=given, training={}
        )
        assert made.model.model == expected
        assert made.model.layers > 1


@pytest.mark.parametrize(
    ("model", "device", "expected"),
    [
        ({"layers": 1}, "cpu", "gru"),
        ({"layers": 2, "hidden_size": WIDE - 1}, "cpu", "gru"),
        ({"model": "gru"}, "cpu", "gru"),
        ({"model": "lstm"}, "cpu", "lstm"),
        ({}, "cuda", "gru"),
        ({}, "cpu", QUICK),
    ],
)
def test_elsewhere_the_model_is_the_gru_or_the_one_that_is_given(
    model: dict[str, Any], device: str, expected: str
) -> None:
    made = made_with(
        SPEED,
        characters=10**6,
        budget=Budget(epochs=4.0),
        model=model,
        training={"device": device},
    )
    assert made.model.model == expected


def size_in(minutes: float, speed: float = SPEED, **given: Any) -> int:
    return weights(made_with(speed, budget=Budget(minutes=minutes), **given).model)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([{}, {"model": "gru"}, {"model": QUICK}]),
    st.booleans(),
    st.floats(0.01, 1e4),
    st.floats(1, 2) | st.floats(1, 50),
    st.floats(1e8, 1e14),
    lengths | st.integers(100_000, 3_000_000),
)
def test_more_time_or_a_faster_machine_never_means_a_smaller_model(
    model: dict[str, str], able: bool, minutes: float, more: float, speed: float, characters: int
) -> None:
    text: dict[str, Any] = {"characters": characters, "model": model, "multiplies_bf16": able}
    size = size_in(minutes, speed, **text)
    assert size_in(minutes * more, speed, **text) >= size
    assert size_in(minutes, speed * more, **text) >= size


@pytest.mark.parametrize("able", [False, True])
@pytest.mark.parametrize("characters", [250_000, 480_000, 600_000, 710_000, 10**6, 10**7])
def test_from_minute_to_minute_the_model_never_shrinks(characters: int, able: bool) -> None:
    minutes = [1.03**n for n in range(-100, 200)]
    sizes = [size_in(m, characters=characters, model={}, multiplies_bf16=able) for m in minutes]
    assert sizes == sorted(sizes)


@settings(deadline=None, max_examples=100)
@given(st.floats(0.01, 1e4), lengths)
def test_a_plan_follows_from_its_facts_and_keeps_them(minutes: float, characters: int) -> None:
    made = in_time(minutes, characters)
    assert made == in_time(minutes, characters)
    assert made.facts == {
        "characters": characters,
        "multiplies_bf16": False,
        "operations_per_second": SPEED,
    }
    assert set(made.reasons) == {"model", *REGULARISERS}
    assert made.mode == "auto"


SIZES = {"model": "gru", "hidden_size": 7, "layers": 1}
SHARES = {"dropout": 0.1}


def test_a_reason_is_given_for_what_was_chosen_alone() -> None:
    given: dict[str, Any] = {"characters": 10_000, "budget": Budget(minutes=3.0)}
    assert made_with(SPEED, **given, model=SIZES, training=SHARES).reasons == {}
    assert set(made_with(SPEED, **given, model=SIZES).reasons) == REGULARISERS
    decaying = made_with(SPEED, **given, model=SIZES, training={"weight_decay": 0.0})
    assert set(decaying.reasons) == REGULARISERS - {"weight_decay"}


@pytest.mark.parametrize("given", [{"dropout": 0.0}, {"weight_drop": 0.2}])
def test_who_says_what_is_dropped_is_not_helped(given: dict[str, float]) -> None:
    """A text of three thousand characters would have the most of all dropped."""
    training, usual = chosen(3_000, **given).training, TrainingSettings(**given)
    assert (training.dropout, training.weight_drop) == (usual.dropout, usual.weight_drop)
    assert training.weight_decay == 0.1


def test_the_machine_s_speed_is_not_asked_for_where_nothing_depends_on_it() -> None:
    minutes, steps = Budget(minutes=3.0), Budget(steps=3)
    assert depends_on_speed(None, SIZES, SHARES)
    assert depends_on_speed(minutes, SIZES, {}) and depends_on_speed(minutes, {}, SHARES)
    assert depends_on_speed(minutes, {"hidden_size": 7, "layers": 2}, SHARES)
    assert not depends_on_speed(steps, {}, {}) and not depends_on_speed(minutes, SIZES, SHARES)
    for budget, model, training in (steps, {}, {}), (minutes, SIZES, SHARES):
        plan(characters=10**6, budget=budget, model=model, training=training)


def test_without_a_plan_neither_text_nor_budget_changes_a_setting() -> None:
    budgets = [None, Budget(steps=3), Budget(minutes=60.0)]
    plans = [fixed_plan(budget=budget, model={}, training={}) for budget in budgets]
    assert {(made.model, made.training) for made in plans} == {
        (ModelSettings(), TrainingSettings(learning_rate=LEARNING_RATES["adamw"]))
    }
    assert [made.budget for made in plans] == [Budget(minutes=DEFAULT_MINUTES), *budgets[1:]]
    assert not any(made.reasons or made.facts for made in plans)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_without_a_plan_what_is_given_is_obeyed(optimizer: str) -> None:
    given = {"optimizer": optimizer, "dropout": 0.2}
    made = fixed_plan(budget=None, model={"model": "lstm"}, training=given)
    assert made.model == ModelSettings(model="lstm")
    assert made.training == TrainingSettings(
        optimizer=optimizer,
        dropout=0.2,
        learning_rate=LEARNING_RATES[optimizer],
        weight_decay=2e-4 if optimizer == "sgd" else 0.1,
    )


SHORT = "as much as so short a text can teach"
HURRIED = "as much as this budget can teach; fewer than 6 readings"


@pytest.mark.parametrize(
    ("characters", "minutes", "model", "training", "said"),
    [
        (3_000, None, (1, 64, "gru"), (8, 0.014, 0.1, 0.6, 0.3, "fp32"), (SHORT, "100")),
        (50_000, None, (1, 192, "gru"), (20, 0.014, 0.1, 0.6, 0.3, "fp32"), (SHORT, "100")),
        (250_000, 1.3, (2, 256, "gru"), (48, 0.014, 0.2, 0.25, 0.1, "bf16"), (SHORT, "10")),
        (250_000, 10, (2, 256, "gru"), (48, 0.014, 0.2, 0.4, 0.2, "bf16"), (SHORT, "80")),
        (418_543, 1.3, (2, 256, "gru"), (48, 0.014, 0.2, 0.05, 0.05, "bf16"), (SHORT, "6.2")),
        (
            *(600_000, 1.3, (2, 320, QUICK), (48, 0.01, 0.5, 0.0, 0.0, "bf16")),
            (f"{SHORT}; fewer than 6 readings", "5.0"),
        ),
        (600_000, 10, (2, 320, "gru"), (48, 0.014, 0.2, 0.25, 0.1, "bf16"), (SHORT, "27")),
        (
            *(1_003_854, 0.07, (1, 160, "gru"), (48, 0.014, 0.1, 0.0, 0.0, "fp32")),
            ("as much as this budget can teach", "0.6"),
        ),
        (1_003_854, 1.3, (2, 320, QUICK), (48, 0.01, 0.1, 0.0, 0.0, "bf16"), (HURRIED, "3.0")),
        (1_003_854, 10, (2, 384, "gru"), (48, 0.014, 0.2, 0.05, 0.05, "bf16"), (SHORT, "13")),
        (28_368_468, 10, (2, 512, QUICK), (48, 0.0075, 0.1, 0.0, 0.0, "bf16"), (HURRIED, "0.4")),
        (28_368_468, 60, (2, 768, QUICK), (48, 0.005, 0.1, 0.0, 0.0, "bf16"), (HURRIED, "1.2")),
    ],
)
def test_texts_and_budgets_that_people_have_get_these_plans(
    characters: int,
    minutes: float | None,
    model: tuple[int, int, str],
    training: tuple[int, float, float, float, float, str],
    said: tuple[str, str],
) -> None:
    """A change to any of them should be meant, and measured."""
    budget = Budget(minutes=minutes) if minutes else None
    made = made_with(
        SPEED, characters=characters, budget=budget, training={"threads": 2}, multiplies_bf16=True
    )
    assert (made.model.layers, made.model.hidden_size, made.model.model) == model
    t = made.training
    drops = (t.learning_rate, t.weight_decay, t.dropout, t.weight_drop)
    assert (t.batch_size, *drops, t.precision) == training
    assert (t.seq_length, t.optimizer) == (48, "soap")
    reason, times = said
    assert made.reasons["model"] == reason
    assert {made.reasons[name] for name in REGULARISERS} == {f"text read about {times} times"}
    assert made.budget == (budget or Budget(epochs=100.0))


@pytest.mark.parametrize("minutes", [0.1, 1.3, 30.0])
def test_a_plan_is_a_function_of_its_arguments_alone(
    minutes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the machine nor the clock is asked."""
    before = in_time(minutes, 10**6)

    def unasked(*_: object, **__: object) -> object:
        raise AssertionError("asked")

    for module, name in (
        *((machine, name) for name in ("processors", "processor_name", "choose_device")),
        *((machine, name) for name in ("multiplies_bf16", "has_matrix_units")),
        *((time, name) for name in ("time", "monotonic", "perf_counter")),
        *((random, "random"), (os, "cpu_count"), (os, "sched_getaffinity")),
    ):
        monkeypatch.setattr(module, name, unasked)
    assert in_time(minutes, 10**6) == before


@pytest.mark.parametrize("size", [{"hidden_size": 2_000}, {"hidden_size": 2_000, "layers": 2}])
def test_of_what_is_read_once_at_most_nothing_is_dropped(size: dict[str, int]) -> None:
    """However many weights there are for each character: it is new each time."""
    for epochs, dropped in (1.0, False), (1.1, True):
        training = made_with(
            SPEED, characters=10**5, budget=Budget(epochs=epochs), model=size
        ).training
        assert (training.dropout > 0.0) is dropped


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "as much as so short a text can teach"),
        ({"hidden_size": 2_000}, "1 layer: as much as so short a text can teach"),
        ({"hidden_size": 64}, "2 layers: the most that is chosen"),
        ({"layers": 3}, "128 units: as much as so short a text can teach"),
    ],
)
def test_where_one_size_is_given_the_reason_is_for_the_other(
    given: dict[str, int], reason: str
) -> None:
    made = made_with(SPEED, characters=100_000, budget=Budget(epochs=50.0), model=given)
    assert made.reasons["model"] == reason


@pytest.mark.parametrize("model", ["qrnn", QUICK])
def test_recurrent_weights_are_dropped_where_there_are_any(model: str) -> None:
    training = made_with(
        SPEED, characters=10**5, budget=Budget(epochs=200.0), model={"model": model, "layers": 2}
    ).training
    assert (training.weight_drop > 0.0) is (model == QUICK)


# What is given

sizes = {
    "embedding_size": st.integers(1, 4_000),
    "hidden_size": st.integers(1, 4_000),
    "layers": st.integers(1, 10),
}
models = st.fixed_dictionaries(
    {}, optional=sizes | {"model": st.sampled_from(MODELS)}
) | st.fixed_dictionaries(
    {"model": st.just("rnn"), "nonlinearity": st.sampled_from(NONLINEARITIES)}, optional=sizes
)
trainings = st.fixed_dictionaries(
    {},
    optional={
        "seq_length": st.integers(1, 5_000),
        "batch_size": st.integers(1, 5_000),
        "carry": st.booleans(),
        "optimizer": st.sampled_from(OPTIMIZERS),
        "learning_rate": st.floats(0, 1, exclude_min=True),
        "weight_decay": st.floats(0, 1),
        "clip": st.floats(0, 1e6),
        "dropout": st.floats(0, 1, exclude_max=True),
        "weight_drop": st.floats(0, 1, exclude_max=True),
        "weight_init": st.sampled_from(WEIGHT_INITS),
        "forget_bias": st.floats(-1e6, 1e6),
        "seed": st.integers(0, 2**63 - 1),
        "precision": st.sampled_from(PRECISIONS),
        "device": st.sampled_from(DEVICES),
        "threads": st.integers(1, 4_096),
        "keep": st.integers(0, 1_000),
    },
)
budgets = st.one_of(
    st.builds(Budget, epochs=st.floats(0, 1e6, exclude_min=True)),
    st.builds(Budget, steps=st.integers(1, 10**9)),
    st.builds(Budget, minutes=st.floats(0, 1e6, exclude_min=True)),
)


@settings(deadline=None, max_examples=150)
@given(lengths, models, trainings, budgets)
def test_what_is_given_is_obeyed(
    characters: int, model: dict[str, Any], training: dict[str, Any], budget: Budget
) -> None:
    made = made_with(SPEED, characters=characters, budget=budget, model=model, training=training)
    assert model.items() <= to_json(made.model).items()
    assert training.items() <= to_json(made.training).items()
    assert made.budget == budget


@pytest.mark.parametrize(
    ("model", "training"),
    [
        ({"hidden_size": 0}, {}),
        ({"model": "elman"}, {}),
        ({}, {"dropout": 1.0}),
        ({}, {"seq_length": 0}),
        ({}, {"seq_length": -3}),
        ({}, {"batch_size": 0}),
        ({}, {"batch_size": -3}),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_flag(
    model: dict[str, Any], training: dict[str, Any]
) -> None:
    (name,) = model | training
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} "):
        made_with(SPEED, characters=10_000, budget=None, model=model, training=training)


@pytest.mark.parametrize(
    ("model", "layers", "hidden_size", "batch_size", "threads", "expected"),
    [
        ("gru", 2, 256, 48, 2, "bf16"),
        ("gru", 1, 256, 48, 2, "fp32"),
        ("gru", 1, 320, 48, 2, "bf16"),
        ("gru", 1, 320, 48, 3, "fp32"),  # 16 streams each
        ("rnn", 2, 256, 48, 2, "fp32"),
        ("lstm", 1, 256, 64, 2, "bf16"),
    ],
)
def test_bf16_is_chosen_where_the_products_are_large(
    model: str, layers: int, hidden_size: int, batch_size: int, threads: int, expected: str
) -> None:
    flags = {"batch_size": batch_size, "threads": threads}
    sizes = {"model": model, "layers": layers, "hidden_size": hidden_size}
    options: dict[str, Any] = {"characters": 100_000, "budget": Budget(steps=10), "model": sizes}
    able = plan(**options, training=flags, multiplies_bf16=True)
    assert able.training.precision == expected
    assert plan(**options, training=flags).training.precision == "fp32"
    asked = plan(**options, training=flags | {"precision": "fp32"}, multiplies_bf16=True)
    assert asked.training.precision == "fp32"
    gpu = plan(**options, training=flags | {"device": "cuda"}, multiplies_bf16=True)
    assert gpu.training.precision == "bf16"


@pytest.mark.parametrize(
    ("layers", "hidden_size", "ratio"), [(1, 128, 0.85), (2, 256, 1.0), (2, 512, 1.39)]
)
def test_how_often_a_text_is_read_follows_the_precision(
    layers: int, hidden_size: int, ratio: float
) -> None:
    """2 x 256 is what the speed was measured with; bf16 gains most where models are large."""
    model = {"layers": layers, "hidden_size": hidden_size}

    def readings(*, able: bool) -> float:
        made = made_with(
            SPEED,
            characters=1_000_000,
            budget=Budget(minutes=600.0),
            model=model,
            multiplies_bf16=able,
        )
        return float(made.reasons["dropout"].split()[3].replace(",", ""))

    assert readings(able=True) / readings(able=False) == pytest.approx(ratio, rel=0.01)
