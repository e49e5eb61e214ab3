"""Planning: what is left out is chosen to fit the text, and what is given is obeyed."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.batches import windows_per_epoch
from charrnn.cli import app
from charrnn.corpus import read_corpus
from charrnn.errors import UsageError
from charrnn.planning import DEFAULT_MINUTES, MOST_EPOCHS, Plan, describe, explicit_command, plan
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


def chosen(characters: int, budget: Budget | None = None, **training: Any) -> Plan:
    return plan(characters=characters, budget=budget, model={}, training=training)


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
    sizes = [chosen(10**power).model.hidden_size for power in range(1, 9)]
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


@pytest.mark.parametrize("characters", [0, 1])
@pytest.mark.parametrize("budget", [None, Budget(steps=10), Budget(minutes=1.0)])
def test_a_text_too_short_for_any_plan_is_planned_without_an_accident(
    characters: int, budget: Budget | None
) -> None:
    """A held-out share can leave no more; what then says so comes after the plan."""
    training = chosen(characters, budget).training
    assert (training.seq_length, training.batch_size) == (1, 1)


def test_each_optimizer_gets_a_learning_rate_and_a_decay_of_its_own() -> None:
    adamw, sgd = (chosen(10_000, optimizer=name).training for name in OPTIMIZERS)
    assert (adamw.optimizer, sgd.optimizer) == ("adamw", "sgd")
    assert chosen(10_000).training == adamw
    assert sgd.learning_rate > 100 * adamw.learning_rate
    # What a step takes off the matrices is about the same.
    shares = [t.learning_rate * t.weight_decay for t in (adamw, sgd)]
    assert shares[0] == pytest.approx(shares[1], rel=0.5)
    given = chosen(10_000, optimizer="sgd", learning_rate=0.5, weight_decay=0.0).training
    assert (given.learning_rate, given.weight_decay) == (0.5, 0.0)


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
    made = plan(characters=characters, budget=budget, model=model, training=training)
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
        plan(characters=10_000, budget=None, model=model, training=training)


# The explicit command


def parsed(command: str) -> dict[str, Any]:
    """What `charrnn train` understands of a command, by the name of each flag."""
    program, subcommand, *arguments = shlex.split(command)
    assert (program, subcommand) == ("charrnn", "train")
    group: Any = typer.main.get_command(app)
    values: dict[str, Any] = group.commands["train"].make_context("train", arguments).params
    return values


def planned(values: dict[str, Any]) -> Plan:
    """The plan that parsed values are, none of them chosen by anyone else."""
    model = {name: values[name] for name in to_json(ModelSettings())}
    if model["model"] != "rnn":
        assert model.pop("nonlinearity") is None
    return Plan(
        ModelSettings(**model),
        TrainingSettings(**{name: values[name] for name in to_json(TrainingSettings())}),
        Budget(values["epochs"], values["steps"], values["minutes"]),
    )


@settings(deadline=None, max_examples=60)
@given(lengths, models, trainings, budgets)
def test_the_explicit_command_parses_back_to_the_same_plan(
    characters: int, model: dict[str, Any], training: dict[str, Any], budget: Budget
) -> None:
    made = plan(characters=characters, budget=budget, model=model, training=training)
    assert planned(parsed(explicit_command([Path("a.txt")], made, []))) == made


@pytest.mark.parametrize(
    "name", ["hamlet.txt", "my plays/king lear.txt", 'it\'s "quoted" & $HOME.txt', "茶.txt"]
)
def test_the_explicit_command_survives_the_shell_whatever_the_file_is_called(name: str) -> None:
    paths = [Path("first.txt"), Path(name)]
    values = parsed(explicit_command(paths, chosen(10_000), ["--name", name]))
    assert values["corpus"] == paths
    assert values["name"] == name
    assert planned(values) == chosen(10_000)


def test_the_explicit_command_survives_a_file_that_is_called_like_a_flag() -> None:
    command = explicit_command([Path("--dry-run"), Path("-q.txt")], chosen(10_000), [])
    values = parsed(command)
    assert list(map(str, values["corpus"])) == ["--dry-run", "-q.txt"]
    assert not values["dry_run"]


@pytest.mark.parametrize("model", MODELS)
def test_the_explicit_command_leaves_no_setting_out(model: str) -> None:
    made = plan(characters=10_000, budget=None, model={"model": model}, training={})
    flags = {word for word in shlex.split(explicit_command([], made, [])) if word[:2] == "--"}
    names = {*to_json(made.model), *to_json(made.training), *made.budget.to_json()}
    names -= set() if model == "rnn" else {"nonlinearity"}  # refused where there is none
    assert flags == {f"--{name.replace('_', '-')}" for name in names}


def test_the_explicit_command_says_which_way_a_switch_stands() -> None:
    for carry, flag in (True, "--carry"), (False, "--no-carry"):
        words = shlex.split(explicit_command([], chosen(10_000, carry=carry), []))
        assert {"--carry", "--no-carry"} & set(words) == {flag}


# The description


def test_a_plan_is_described_in_three_lines_with_true_numbers(
    english: str, english_file: Path
) -> None:
    corpus = read_corpus([english_file])
    train, held_out = len(corpus.ids["train"]), len(corpus.ids["val"])
    made = chosen(train, Budget(steps=40), threads=2)
    lines = describe(made, corpus)
    assert len(lines) == 3
    text, model, training = lines
    assert english_file.name in text
    assert f"{train:,} characters" in text
    assert f"{held_out:,} held out" in text
    assert f"{made.model.layers} x {made.model.hidden_size} {made.model.model}" in model
    assert f"{made.model.parameters(len(set(english))):,} parameters" in model
    assert "--steps 40" in training
    sizes = made.training.seq_length, made.training.batch_size
    assert f"{windows_per_epoch(train, *sizes):,} steps" in training
    assert {str(size) for size in sizes} <= set(training.replace(",", " ").split())


def test_a_plan_says_what_is_unusual_about_it(english_file: Path) -> None:
    corpus = read_corpus([english_file])
    usual = " ".join(describe(chosen(10_000), corpus))
    unusual = {"optimizer": "sgd", "weight_drop": 0.25, "carry": False}
    made = plan(
        characters=10_000,
        budget=None,
        model={"model": "rnn", "nonlinearity": "sigmoid"},
        training=unusual,
    )
    lines = " ".join(describe(made, corpus))
    for part in "rnn (sigmoid)", "sgd", "weight drop 0.25", "no state carried":
        assert part in lines
        assert part not in usual


@pytest.mark.parametrize(
    ("model", "hidden_size", "batch_size", "threads", "expected"),
    [
        ("gru", 256, 48, 2, "bf16"),
        ("gru", 32, 48, 2, "fp32"),
        ("rnn", 256, 32, 2, "bf16"),  # a million multiplications and no fewer
        ("rnn", 256, 32, 3, "fp32"),
        ("rnn", 128, 50, 2, "fp32"),
        ("lstm", 128, 50, 2, "bf16"),
    ],
)
def test_bf16_is_chosen_where_the_products_are_large(
    model: str, hidden_size: int, batch_size: int, threads: int, expected: str
) -> None:
    flags = {"batch_size": batch_size, "threads": threads}
    sizes = {"model": model, "hidden_size": hidden_size}
    options: dict[str, Any] = {"characters": 100_000, "budget": Budget(steps=10), "model": sizes}
    able = plan(**options, training=flags, multiplies_bf16=True)
    assert able.training.precision == expected
    assert plan(**options, training=flags).training.precision == "fp32"
    asked = plan(**options, training=flags | {"precision": "fp32"}, multiplies_bf16=True)
    assert asked.training.precision == "fp32"
    gpu = plan(**options, training=flags | {"device": "cuda"}, multiplies_bf16=True)
    assert gpu.training.precision == "bf16"
