"""What the benchmark of sampling measures: ways to write characters, with one model's weights.

Those that are NumPy's alone never import torch.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.benchmark import Step, contend
from charrnn.checkpoints import expected_shapes
from charrnn.sampling import Request, Sampler
from charrnn.settings import ModelSettings, SamplingSettings, from_json
from charrnn.tokenizer import Vocabulary

ONE_STREAM = "charrnn"
TORCH_NN = "torch.nn"
BY_HAND = "torch by hand"
BOUND = "bound"
MANY = "charrnn, 64 streams"
PROMPT = "charrnn, a prompt"
SINGLY = "charrnn, a prompt read singly"

TWINS = ("rnn", "lstm", "gru")
"""The models that torch.nn has too."""

STREAMS, LENGTH = 64, 500
"""Of MANY: so many samples of so many characters."""

CHARACTERS = {
    ONE_STREAM: 32,
    TORCH_NN: 32,
    BY_HAND: 32,
    BOUND: 32,
    MANY: STREAMS * LENGTH,
    PROMPT: 100_000,
    SINGLY: 500,  # too few to be read in any other way
}
"""How many characters a contender's step writes, or reads."""

Weights = dict[str, NDArray[np.float32]]


def build(contender: str, model: ModelSettings, vocabulary_size: int, threads: int) -> Step:
    """What takes one step as a contender does."""
    weights, characters = random_weights(model, vocabulary_size), CHARACTERS[contender]
    if contender == BOUND:
        return bound_step(model, weights, characters)
    if contender == ONE_STREAM:
        return one_stream_step(sampler(model, weights), characters)
    if contender == MANY:
        return many_step(sampler(model, weights), threads)
    if contender in (PROMPT, SINGLY):
        return prompt_step(sampler(model, weights), characters, threads)
    from charrnn import textbook  # which imports torch

    textbook.use_threads(threads)
    written = textbook.ByHand if contender == BY_HAND else textbook.Textbook
    return textbook.step(written(model, weights), characters)


def random_weights(model: ModelSettings, vocabulary_size: int) -> Weights:
    """Weights as torch.nn begins with; how fast a step is does not depend on them.

    Every contender has the same.
    """
    generator = np.random.default_rng(0)
    bound = model.hidden_size**-0.5
    return {
        name: generator.uniform(-bound, bound, shape).astype(np.float32)
        for name, shape in expected_shapes(model, vocabulary_size).items()
    }


def sampler(model: ModelSettings, weights: Weights) -> Sampler:
    """charrnn's, for V different characters."""
    return Sampler(model, vocabulary(len(weights["output.bias"])), weights)


def vocabulary(size: int) -> Vocabulary:
    """V = `size` characters, the newline first and the surrogates left out."""
    points = (point for point in range(0x110000) if not 0xD800 <= point < 0xE000)
    rest = (chr(point) for point in points if point != 0x0A and point >= 0x20)
    return Vocabulary("\n" + "".join(next(rest) for _ in range(size - 1)))


def one_stream_step(own: Sampler, characters: int) -> Step:
    """As `charrnn sample` writes them: temperature 1, and nothing is cut off."""
    written: Iterator[str] = own.sample(own.start(), SamplingSettings(length=10**12), seed=0)

    def step() -> None:
        for _ in range(characters):
            next(written)

    return step


def many_step(own: Sampler, threads: int) -> Step:
    """As `charrnn sample --num-samples 64` writes them."""
    settings = SamplingSettings(length=LENGTH)

    def step() -> None:
        requests = (Request("", seed=0, number=number) for number in range(STREAMS))
        for _ in own.sample_many(requests, settings, threads=threads):
            pass

    return step


def prompt_step(own: Sampler, characters: int, threads: int) -> Step:
    """What reads a prompt of so many characters, drawn at random."""
    ids = np.random.default_rng(0).integers(len(own.vocabulary), size=characters)
    prompt = own.vocabulary.decode(ids)
    return lambda: own.read_prompt(prompt, threads=threads)


def bound_step(model: ModelSettings, weights: Weights, characters: int) -> Step:
    """The products of matrix and vector that no step can do without, and nothing else.

    Each weight is read once a character from wherever it lives; layer 0's input needs none,
    for it can be looked up.
    """
    names = [name for name in weights if name.startswith("recurrent.weight_hh")]
    names += [f"recurrent.weight_ih_l{layer}" for layer in range(1, model.layers)]
    products: list[tuple[Any, Any, Any]] = []
    for name in [*names, "output.weight"]:
        rows, columns = weights[name].shape
        # Not zeros, which some processors multiply faster.
        vector = np.full(columns, 0.1, np.float32)
        products.append((weights[name], vector, np.empty(rows, np.float32)))
    dot: Callable[..., Any] = np.dot

    def step() -> None:
        for _ in range(characters):
            for matrix, vector, out in products:
                dot(matrix, vector, out)

    return step


def main() -> None:
    """Be one of them."""
    contend(
        lambda task: build(
            task["contender"],
            from_json(ModelSettings, task["model"]),
            task["vocabulary_size"],
            task["threads"],
        )
    )
