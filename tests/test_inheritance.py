"""A model that begins with another's weights: by the names of characters."""

from pathlib import Path

import numpy as np
import pytest
import torch

from charrnn.checkpoints import Checkpoint, ModelRecord, read_checkpoint
from charrnn.errors import RunError, UsageError
from charrnn.inheritance import check_settings, inherit, parent
from charrnn.model import CharacterModel
from charrnn.reading import Reading
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.tokenizer import ALL_BYTES, Vocabulary
from charrnn.training_state import fresh_state

SMALL = ModelSettings("gru", "tanh", 3, 4, 2)
BY_CHARACTER = ("embedding.weight", "output.weight", "output.bias")


def model_of(vocabulary: Vocabulary, seed: int) -> CharacterModel:
    return fresh_state(SMALL, TrainingSettings(seed=seed), len(vocabulary)).model


def checkpoint_of(vocabulary: Vocabulary) -> Checkpoint:
    model = model_of(vocabulary, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter)
    weights = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    return Checkpoint(ModelRecord(SMALL, vocabulary, 5, {}, {}, ""), weights)


def rows(model: CharacterModel, name: str, row: int) -> np.ndarray:
    return model.get_parameter(name).detach().numpy()[row]


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("learned_unknown", [False, True])
def test_weights_go_by_name_and_the_rest_stay_as_they_are(
    unknown: bool, learned_unknown: bool
) -> None:
    theirs = checkpoint_of(Vocabulary("abcd\n", unknown=learned_unknown))
    vocabulary = Vocabulary("\nzdéa", unknown=unknown)
    model, fresh = model_of(vocabulary, 2), model_of(vocabulary, 2)
    inherit(model, vocabulary, theirs)
    for name, values in theirs.weights.items():
        if name not in BY_CHARACTER:
            assert (model.get_parameter(name).detach().numpy() == values).all()
            continue
        for row, character in enumerate(vocabulary.characters):
            known = "abcd\n".find(character)
            expected = values[known] if known >= 0 else rows(fresh, name, row)
            assert (rows(model, name, row) == expected).all(), (name, character)
        if unknown:
            expected = values[5] if learned_unknown else rows(fresh, name, 5)
            assert (rows(model, name, 5) == expected).all()


def test_the_same_vocabulary_gives_the_same_model() -> None:
    vocabulary = Vocabulary("xyz", unknown=True)
    theirs, model = checkpoint_of(vocabulary), model_of(vocabulary, 9)
    inherit(model, vocabulary, theirs)
    for name, values in theirs.weights.items():
        assert (model.get_parameter(name).detach().numpy() == values).all()


def test_bytes_go_to_bytes() -> None:
    vocabulary = Vocabulary(ALL_BYTES, Reading("bytes"))
    theirs, model = checkpoint_of(vocabulary), model_of(vocabulary, 9)
    inherit(model, vocabulary, theirs)
    bias = model.get_parameter("output.bias").detach().numpy()
    assert (bias == theirs.weights["output.bias"]).all()


def test_what_is_inherited_can_be_learned_further() -> None:
    vocabulary = Vocabulary("ab")
    model = model_of(vocabulary, 2)
    inherit(model, vocabulary, checkpoint_of(vocabulary))
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"hidden_size": 5}, "--hidden-size 5: the model of --init-from has 4"),
        ({"model": "lstm"}, "--model lstm: the model of --init-from has gru"),
        ({"layers": 2, "embedding_size": 9}, "--embedding-size 9"),
    ],
)
def test_a_flag_that_asks_for_another_model_is_refused(
    given: dict[str, object], named: str
) -> None:
    with pytest.raises(UsageError, match=named) as caught:
        check_settings(SMALL, given)
    assert "out" in caught.value.hint


def test_a_flag_that_asks_for_the_same_is_not() -> None:
    check_settings(SMALL, {"hidden_size": 4, "model": "gru"})
    check_settings(SMALL, {})


def test_a_parent_is_the_very_checkpoint_or_none(tmp_path: Path) -> None:
    golden = Path(__file__).parent / "golden" / "run-3" / "step-00000007.safetensors"
    path = tmp_path / "step-00000007.safetensors"
    path.write_bytes(golden.read_bytes())
    digest = read_checkpoint(path).record.digest
    assert parent(path, digest).record.digest == digest
    with pytest.raises(RunError, match="not the checkpoint that the run began with"):
        parent(path, "0" * 64)
    path.unlink()
    with pytest.raises(RunError) as caught:
        parent(path, digest)
    assert "put it back" in caught.value.hint
