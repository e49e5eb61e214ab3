"""What the contenders of sampling compute, and that those without torch do without it."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from charrnn import sampling_contenders as contenders
from charrnn import stream, twins
from charrnn.sampling_contenders import BOUND, BY_HAND, ONE_STREAM, TORCH_NN
from charrnn.settings import GATES, MODELS, ModelSettings

TINY = ModelSettings("gru", embedding_size=3, hidden_size=4, layers=2)


def test_the_models_that_torch_has_are_named_without_it() -> None:
    assert sorted(contenders.TWINS) == sorted(twins.TWINS)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("contender", [ONE_STREAM, BOUND])
def test_every_model_can_take_a_step(model: str, contender: str) -> None:
    step = contenders.build(contender, ModelSettings(model, hidden_size=4), 7, 1)
    step()
    step()


@pytest.mark.parametrize("contender", [TORCH_NN, BY_HAND])
def test_torch_takes_a_step_with_so_many_threads(
    contender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    contenders.build(contender, TINY, 7, 3)()
    assert given == [3]


def test_one_stream_is_what_the_sampler_writes() -> None:
    read: list[str] = []

    class Sampler:
        def start(self) -> None:
            return None

        def sample(self, state: None, settings: Any, *, seed: int) -> Any:
            assert (settings.temperature, settings.top_k, settings.top_p) == (1.0, 0, 1.0)
            for number in range(settings.length):
                read.append(str(number))
                yield str(number)

    step = contenders.one_stream_step(Sampler(), 5)  # type: ignore[arg-type]
    step()
    step()
    assert read == [*"0123456789"]


def test_many_streams_are_64_samples_of_one_seed() -> None:
    asked: list[Any] = []

    class Sampler:
        def sample_many(self, requests: Any, settings: Any, *, threads: int) -> Any:
            assert (settings.length, settings.temperature, threads) == (500, 1.0, 3)
            for request in requests:
                asked.append(request)
                yield "text"

    contenders.many_step(Sampler(), 3)()  # type: ignore[arg-type]
    assert [(request.prompt, request.seed) for request in asked] == [("", 0)] * 64
    assert [request.number for request in asked] == [*range(64)]
    assert contenders.CHARACTERS[contenders.MANY] == 64 * 500


def test_a_prompt_is_read_and_a_short_one_character_by_character(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []
    monkeypatch.setattr(stream.Stream, "read", lambda self, character: read.append(character))
    singly = contenders.build(contenders.SINGLY, TINY, 7, 1)
    singly()
    assert len(read) == contenders.CHARACTERS[contenders.SINGLY]
    assert set(read) == {*range(7)}
    monkeypatch.setitem(contenders.CHARACTERS, contenders.PROMPT, 20_000)
    read.clear()
    contenders.build(contenders.PROMPT, TINY, 7, 1)()
    assert not read


@pytest.mark.parametrize("model", ["gru", "gru-reset-before"])
def test_the_bound_reads_each_weight_once_a_character(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    settings = ModelSettings(model, embedding_size=3, hidden_size=4, layers=3)
    weights = contenders.random_weights(settings, 7)

    def dot(matrix: Any, vector: Any, out: Any) -> None:
        assert vector.all()
        assert any(matrix is weight for weight in weights.values())
        np.matmul(matrix, vector, out=out)
        read.append(id(matrix))

    monkeypatch.setattr(np, "dot", dot)
    contenders.bound_step(settings, weights, 2)()
    recurrent, rest = 3 + 2, 1  # W_hh of three layers, W_ih of two, the output's
    assert len(read) == 2 * (recurrent + rest)
    assert len(set(read)) == recurrent + rest
    size = sum(w.size for w in weights.values() if id(w) in read)
    assert size == 4 * (GATES[model] * 4 * recurrent) + 4 * 7


def test_weights_are_the_same_for_all_and_no_larger_than_torchs() -> None:
    one, other = (contenders.random_weights(TINY, 7) for _ in range(2))
    for name, weight in one.items():
        np.testing.assert_array_equal(weight, other[name])
        assert 0.1 < np.abs(weight).max() <= 0.5
        assert weight.dtype == np.float32


@pytest.mark.parametrize("size", [1, 65, 70_000])
def test_a_vocabulary_of_any_size(size: int) -> None:
    characters = contenders.vocabulary(size)
    assert len(characters) == size
    assert characters.start == 0


@pytest.mark.parametrize(("contender", "torch"), [(ONE_STREAM, False), (BY_HAND, True)])
def test_what_is_numpys_alone_never_imports_torch(contender: str, torch: bool) -> None:
    code = f"""
import sys
sys.path = {sys.path!r}
from charrnn import sampling_contenders as c
c.build({contender!r}, c.ModelSettings(hidden_size=4), 7, 1)()
assert ("torch" in sys.modules) == {torch}
"""
    subprocess.run([sys.executable, "-c", code], check=True)
