"""A plan in words: three true lines, and a command that says all of it."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from test_planning import SPEED, budgets, chosen, lengths, made_with, models, trainings

from charrnn.batches import windows_per_epoch
from charrnn.cli import app
from charrnn.corpus import read_corpus
from charrnn.explanation import describe, explicit_command
from charrnn.planning import Plan
from charrnn.schedule import Budget
from charrnn.settings import MODELS, ModelSettings, TrainingSettings, to_json

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
    assert f"({made.reasons['model']})" in model
    assert f"{made.training.optimizer} {made.training.learning_rate:g}, " in training
    assert f"dropout {made.training.dropout:g}, " in training
    assert f" ({made.reasons['dropout']}), " in training


def test_what_was_given_needs_no_reason(english_file: Path) -> None:
    given = {"dropout": 0.1, "weight_drop": 0.2, "weight_decay": 0.3}
    sizes = {"hidden_size": 8, "layers": 3}
    made = made_with(SPEED, characters=2_000, budget=None, model=sizes, training=given)
    lines = describe(made, read_corpus([english_file]))
    assert "3 x 8 gru" in lines[1]
    assert "decay 0.3, dropout 0.1, weight drop 0.2, " in lines[2]
    assert not any("(" in line for line in lines)


def test_a_plan_says_what_is_unusual_about_it(english_file: Path) -> None:
    corpus = read_corpus([english_file])
    usual = " ".join(describe(chosen(10_000), corpus))
    unusual = {"optimizer": "sgd", "weight_drop": 0.25, "carry": False}
    made = made_with(
        SPEED,
        characters=10_000,
        budget=None,
        model={"model": "rnn", "nonlinearity": "sigmoid"},
        training=unusual,
    )
    lines = " ".join(describe(made, corpus))
    for part in "rnn (sigmoid)", "sgd", "weight drop 0.25", "no state carried":
        assert part in lines
        assert part not in usual


# The explicit command


def parsed(command: str) -> dict[str, Any]:
    """What `charrnn train` understands of a command, by the name of each flag."""
    program, subcommand, *arguments = shlex.split(command)
    assert (program, subcommand) == ("charrnn", "train")
    group: Any = typer.main.get_command(app)
    values: dict[str, Any] = group.commands["train"].make_context("train", arguments).params
    return values


def settled(made: Plan) -> Plan:
    """A plan without its reasons, which a command does not say."""
    return Plan(made.model, made.training, made.budget)


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
    made = made_with(SPEED, characters=characters, budget=budget, model=model, training=training)
    assert planned(parsed(explicit_command([Path("a.txt")], made, []))) == settled(made)


@pytest.mark.parametrize(
    "name", ["hamlet.txt", "my plays/king lear.txt", 'it\'s "quoted" & $HOME.txt', "茶.txt"]
)
def test_the_explicit_command_survives_the_shell_whatever_the_file_is_called(name: str) -> None:
    paths = [Path("first.txt"), Path(name)]
    values = parsed(explicit_command(paths, chosen(10_000), ["--name", name]))
    assert values["corpus"] == paths
    assert values["name"] == name
    assert planned(values) == settled(chosen(10_000))


def test_the_explicit_command_survives_a_file_that_is_called_like_a_flag() -> None:
    command = explicit_command([Path("--dry-run"), Path("-q.txt")], chosen(10_000), [])
    values = parsed(command)
    assert list(map(str, values["corpus"])) == ["--dry-run", "-q.txt"]
    assert not values["dry_run"]


@pytest.mark.parametrize("model", MODELS)
def test_the_explicit_command_leaves_no_setting_out(model: str) -> None:
    made = made_with(SPEED, characters=10_000, budget=None, model={"model": model})
    flags = {word for word in shlex.split(explicit_command([], made, [])) if word[:2] == "--"}
    names = {*to_json(made.model), *to_json(made.training), *made.budget.to_json()}
    names -= set() if model == "rnn" else {"nonlinearity"}  # refused where there is none
    assert flags == {f"--{name.replace('_', '-')}" for name in names}


def test_the_explicit_command_says_which_way_a_switch_stands() -> None:
    for carry, flag in (True, "--carry"), (False, "--no-carry"):
        words = shlex.split(explicit_command([], chosen(10_000, carry=carry), []))
        assert {"--carry", "--no-carry"} & set(words) == {flag}
