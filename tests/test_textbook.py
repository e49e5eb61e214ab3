"""What torch's contenders write: the model's own logits, and draws by their probabilities."""

import numpy as np
import pytest
import torch

from charrnn import sampling_contenders as contenders
from charrnn.settings import ModelSettings
from charrnn.textbook import ByHand, Textbook, Written, step

V = 7


def settings_of(model: str) -> ModelSettings:
    return ModelSettings(model, embedding_size=3, hidden_size=5, layers=3)


@pytest.mark.parametrize("written", [Textbook, ByHand])
@pytest.mark.parametrize("model", contenders.TWINS)
def test_the_logits_are_those_of_the_sampler(model: str, written: type[Written]) -> None:
    settings = settings_of(model)
    # So large that gates are anywhere between open and shut.
    weights = {n: 3 * w for n, w in contenders.random_weights(settings, V).items()}
    own = contenders.sampler(settings, weights)
    theirs = written(settings, weights)  # type: ignore[call-arg]
    state = own.start()
    with torch.inference_mode():
        for character in [0, 3, 3, 6, 1, 2]:
            state = own.read(character, state)
            logits = theirs.logits(character).numpy()
            np.testing.assert_allclose(logits, own.logits(state), atol=1e-4)
    assert np.ptp(logits) > 0.1


@pytest.mark.parametrize("written", [Textbook, ByHand])
def test_a_character_is_drawn_as_often_as_it_is_likely(written: type[Written]) -> None:
    settings = settings_of("gru")
    theirs = written(settings, contenders.random_weights(settings, V))  # type: ignore[call-arg]
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    torch.manual_seed(0)
    drawn = np.bincount([theirs.draw(logits) for _ in range(4_000)], minlength=4) / 4_000
    np.testing.assert_allclose(drawn, torch.softmax(logits, 0), atol=0.03)


def test_a_step_reads_what_was_drawn_before() -> None:
    read: list[int] = []

    class Counting:
        def logits(self, character: int) -> torch.Tensor:
            read.append(character)
            assert torch.is_inference_mode_enabled()
            return torch.tensor([character])

        def draw(self, logits: torch.Tensor) -> int:
            return int(logits) + 1

    write = step(Counting(), 3)
    write()
    write()
    assert read == [0, 1, 2, 3, 4, 5]
