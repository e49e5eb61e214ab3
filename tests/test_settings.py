"""Errors and settings: what cannot be meant is refused by the name of its flag."""

import dataclasses
import inspect
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import errors
from charrnn.errors import CharrnnError, StoppedError, UsageError
from charrnn.settings import (
    BIASES,
    DEVICES,
    GATES,
    MODELS,
    NONLINEARITIES,
    ON_DIVERGENCE,
    OPTIMIZERS,
    PRECISIONS,
    RECURRENT,
    WEIGHT_INITS,
    ModelSettings,
    SamplingSettings,
    TrainingSettings,
    check_nonlinearity,
    check_weight_drop,
    from_json,
    to_json,
)

KINDS = (ModelSettings, TrainingSettings, SamplingSettings)

BAD_VALUES: dict[type, dict[str, list[Any]]] = {
    ModelSettings: {
        "model": ["", "transformer", "GRU"],
        "nonlinearity": ["", "swish"],
        "embedding_size": [0, -1, 65_537],
        "hidden_size": [0, -1, 65_537],
        "layers": [0, -1, 1_001],
    },
    TrainingSettings: {
        "seq_length": [0, -5],
        "batch_size": [0, -1],
        "learning_rate": [0.0, -1e-3, math.nan, math.inf],
        "weight_decay": [-0.1, math.nan, math.inf],
        "clip": [-1.0, math.nan, math.inf],
        "carry": [],
        "optimizer": ["", "adam"],
        "dropout": [-0.1, 1.0, 2.0, math.nan],
        "weight_drop": [-0.1, 1.0, 2.0, math.nan],
        "weight_init": ["", "zeros"],
        "forget_bias": [math.nan, math.inf, -math.inf],
        "seed": [-1, 2**63],
        "precision": ["auto", "fp64"],
        "device": ["auto", "tpu"],
        "threads": [0, -2],
        "keep": [-1],
        "on_divergence": ["", "ignore"],
    },
    SamplingSettings: {
        "length": [-1],
        "temperature": [-1.0, -1e-9, math.nan, math.inf],
        "top_k": [-1],
        "top_p": [0.0, -0.1, 1.0001, math.nan],
        "min_p": [-0.1, 1.5, math.nan],
        "stop": [("",), ("end", "")],
    },
}
"""For every setting, values just outside its bounds and values far from them."""

EDGES: dict[type, dict[str, list[Any]]] = {
    ModelSettings: {
        "model": [*MODELS],
        "nonlinearity": [*NONLINEARITIES],
        "embedding_size": [1, 65_536],
        "hidden_size": [1, 65_536],
        "layers": [1, 1_000],
    },
    TrainingSettings: {
        "seq_length": [1],
        "batch_size": [1],
        "learning_rate": [1e-12, 1],
        "weight_decay": [0.0, 0],
        "clip": [0.0, 0],
        "carry": [True, False],
        "optimizer": [*OPTIMIZERS],
        "dropout": [0.0, 0.999],
        "weight_drop": [0.0, 0.999],
        "weight_init": [*WEIGHT_INITS],
        "forget_bias": [-3.0, 0],
        "seed": [0, 2**63 - 1],
        "precision": [*PRECISIONS],
        "device": [*DEVICES],
        "threads": [1],
        "keep": [0],
        "on_divergence": [*ON_DIVERGENCE],
    },
    SamplingSettings: {
        "length": [0],
        "temperature": [0.0, 1e-300, 1e300],
        "top_k": [0],
        "top_p": [1e-12, 1.0],
        "min_p": [0.0, 1.0],
        "stop": [(), ("\n", "THE END")],
    },
}
"""For every setting, the last values that are still allowed."""


def rows(table: dict[type, dict[str, list[Any]]]) -> list[Any]:
    return [
        pytest.param(kind, name, value, id=f"{name}={value!r}")
        for kind, names in table.items()
        for name, values in names.items()
        for value in values
    ]


@pytest.mark.parametrize("table", [BAD_VALUES, EDGES])
@pytest.mark.parametrize("kind", KINDS)
def test_no_setting_is_left_out_of_these_tables(
    kind: type, table: dict[type, dict[str, list[Any]]]
) -> None:
    assert set(table[kind]) == {field.name for field in dataclasses.fields(kind)}


@pytest.mark.parametrize(("kind", "name", "value"), rows(BAD_VALUES))
def test_a_bad_value_is_refused_by_the_name_of_its_flag(kind: type, name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        kind(**{name: value})
    assert caught.value.exit_code == 2
    flag, _, rest = caught.value.message.partition(" ")
    assert flag == f"--{name.replace('_', '-')}"
    assert ":" in rest  # the value, and after it what may stand there
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("kind", "name", "value"), rows(EDGES))
def test_the_last_allowed_value_is_allowed(kind: type, name: str, value: Any) -> None:
    assert getattr(kind(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("flag", "settings", "allowed"),
    [
        ("--temperature -1", lambda: SamplingSettings(temperature=-1.0), "at least 0"),
        ("--top-p 0", lambda: SamplingSettings(top_p=0.0), "above 0 and at most 1"),
        ("--hidden-size 0", lambda: ModelSettings(hidden_size=0), "from 1 to 65536"),
        ("--dropout 1", lambda: TrainingSettings(dropout=1.0), "at least 0 and below 1"),
        ("--model elman", lambda: ModelSettings(model="elman"), ", ".join(MODELS)),
    ],
)
def test_the_message_says_what_was_given_and_what_is_allowed(
    flag: str, settings: Any, allowed: str
) -> None:
    with pytest.raises(UsageError) as caught:
        settings()
    assert caught.value.message.startswith(f"{flag}: ")
    assert caught.value.message.endswith(allowed)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_cannot_be_changed(kind: type) -> None:
    made = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(made, dataclasses.fields(kind)[0].name, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_defaults_survive_a_round_trip_through_json(kind: type) -> None:
    assert from_json(kind, json.loads(json.dumps(to_json(kind())))) == kind()


@settings(deadline=None, max_examples=60)
@given(
    st.builds(
        ModelSettings,
        model=st.sampled_from(MODELS),
        nonlinearity=st.sampled_from(NONLINEARITIES),
        embedding_size=st.integers(1, 65_536),
        hidden_size=st.integers(1, 65_536),
        layers=st.integers(1, 1_000),
    )
    | st.builds(
        TrainingSettings,
        learning_rate=st.floats(0, exclude_min=True, allow_infinity=False),
        carry=st.booleans(),
        optimizer=st.sampled_from(OPTIMIZERS),
        dropout=st.floats(0, 1, exclude_max=True),
        weight_drop=st.floats(0, 1, exclude_max=True),
        forget_bias=st.floats(allow_nan=False, allow_infinity=False),
        weight_init=st.sampled_from(WEIGHT_INITS),
        seed=st.integers(0, 2**63 - 1),
    )
    | st.builds(
        SamplingSettings,
        temperature=st.floats(0, 1e3),
        top_p=st.floats(0, 1, exclude_min=True),
        stop=st.lists(st.text(min_size=1), max_size=3).map(tuple),
    )
)
def test_settings_survive_a_round_trip_through_json(made: Any) -> None:
    assert from_json(type(made), json.loads(json.dumps(to_json(made)))) == made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [None, [], "gru", 3, {}, {"model": "gru"}])
def test_what_is_no_settings_is_refused(kind: type, data: object) -> None:
    with pytest.raises(UsageError):
        from_json(kind, data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_too_many_is_refused(kind: type) -> None:
    with pytest.raises(UsageError):
        from_json(kind, to_json(kind()) | {"attention_heads": 8})


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_too_few_is_refused(kind: type) -> None:
    data = to_json(kind())
    data.popitem()
    with pytest.raises(UsageError):
        from_json(kind, data)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, field.name, id=field.name)
        for kind in KINDS
        for field in dataclasses.fields(kind)
    ],
)
def test_a_value_of_another_type_is_refused_by_its_name(kind: type, name: str) -> None:
    default = getattr(kind(), name)
    textual = isinstance(default, (str, tuple))
    for value in (None, 1 if isinstance(default, bool) else True, {}, 3 if textual else "3"):
        with pytest.raises(UsageError, match=name.replace("_", "[_-]")):
            from_json(kind, to_json(kind()) | {name: value})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, field.name, id=field.name)
        for kind in KINDS
        for field in dataclasses.fields(kind)
        if isinstance(field.default, int)
    ],
)
def test_a_fraction_is_no_whole_number(kind: type, name: str) -> None:
    with pytest.raises(UsageError):
        from_json(kind, to_json(kind()) | {name: 1.5})


def test_a_number_larger_than_any_float_is_refused() -> None:
    with pytest.raises(UsageError):
        from_json(TrainingSettings, to_json(TrainingSettings()) | {"clip": 10**400})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("layers", [1, 3])
def test_parameters_are_those_that_torch_would_have(model: str, layers: int) -> None:
    """Counted weight by weight: per layer W_ih, W_hh and its biases, each of G blocks."""
    made = ModelSettings(model=model, embedding_size=5, hidden_size=7, layers=layers)
    cells = {
        "rnn": (1, 1, 2),
        "gru": (3, 3, 2),
        "lstm": (4, 4, 2),
        "gru-reset-before": (3, 3, 1),
        "product": (2, 2, 1),
        "qrnn": (3, 0, 1),
    }
    assert cells == {cell: (GATES[cell], RECURRENT[cell], BIASES[cell]) for cell in GATES}
    stack = {"gru-qrnn": ("gru", "qrnn", "qrnn")}.get(model, (model,) * 3)
    assert [made.cell(layer) for layer in range(layers)] == [*stack[:layers]]
    count = 11 * 5 + 11 * 7 + 11  # the embedding, the output's weight and bias
    for layer, cell in enumerate(stack[:layers]):
        inputs = 7 if layer else 5
        gates, recurrent, biases = cells[cell]
        count += 7 * (gates * (inputs + biases) + recurrent * 7)
    assert made.parameters(11) == count


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_a_nonlinearity_is_refused_where_there_is_none_to_choose(
    model: str, nonlinearity: str
) -> None:
    check_nonlinearity(model, None)
    if model == "rnn":
        check_nonlinearity(model, nonlinearity)
        return
    with pytest.raises(UsageError, match=f"--nonlinearity {nonlinearity}: .*{model}") as caught:
        check_nonlinearity(model, nonlinearity)
    assert "--model rnn" in caught.value.hint


def test_a_model_is_named_by_its_size_and_kind() -> None:
    assert str(ModelSettings("gru", "tanh", hidden_size=24, layers=3)) == "3 x 24 gru"
    assert str(ModelSettings("rnn", "relu", hidden_size=24, layers=1)) == "1 x 24 rnn (relu)"


# Errors


def error_classes() -> list[type[CharrnnError]]:
    members = vars(errors).values()
    return [kind for kind in members if inspect.isclass(kind) and issubclass(kind, CharrnnError)]


def drawn_tree() -> dict[str, tuple[int, str]]:
    """The module's drawing: each class's depth in it, and its exit code as it stands there."""
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([ │├└─]+)(\w+Error)\s+(\d+|128 \+ signal)\s", line)
        if found:
            drawn[found[2]] = (len(found[1]) // 4, found[3])
    return drawn


def test_the_drawn_tree_is_the_tree() -> None:
    drawn = drawn_tree()
    assert {kind.__name__ for kind in error_classes()} == set(drawn)
    for kind in error_classes():
        depth, code = drawn[kind.__name__]
        assert depth == len(kind.__mro__) - len(CharrnnError.__mro__) + 1, kind
        if kind is not StoppedError:
            assert kind("what").exit_code == int(code), kind


@pytest.mark.parametrize(("signal_number", "code"), [(1, 129), (2, 130), (15, 143)])
def test_a_stop_exits_as_the_shell_says_of_its_signal(signal_number: int, code: int) -> None:
    assert StoppedError(signal_number, "stopped").exit_code == code


def test_an_error_carries_its_line_and_its_hint() -> None:
    error = CharrnnError("hamlet.txt: no such file", "did you mean Hamlet.txt?")
    assert (error.message, error.hint) == ("hamlet.txt: no such file", "did you mean Hamlet.txt?")
    assert str(error) == "hamlet.txt: no such file"
    assert CharrnnError("what").hint == ""


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("layers", [1, 2])
def test_weights_are_dropped_where_there_are_any(model: str, layers: int) -> None:
    made = ModelSettings(model, layers=layers)
    check_weight_drop(made, 0.0)
    if model != "qrnn":
        check_weight_drop(made, 0.2)
        return
    with pytest.raises(UsageError, match=r"--weight-drop 0\.2: a qrnn has no") as caught:
        check_weight_drop(made, 0.2)
    assert "--dropout" in caught.value.hint
