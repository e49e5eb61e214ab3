"""A checkpoint and a prompt to new characters, with NumPy alone.

One character costs one step of each layer and, from its logits, one draw.
"""

from collections import deque
from collections.abc import Generator, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn import distribution
from charrnn.cells import State, states
from charrnn.errors import CheckpointError, UnknownCharacterError
from charrnn.seeds import derive
from charrnn.settings import ModelSettings, SamplingSettings
from charrnn.stream import Prepared, Stream
from charrnn.tokenizer import Vocabulary, name

Weights = dict[str, NDArray[np.float32]]

_BLOCK = 1024  # uniforms drawn at once
_TAIL = 1_000  # characters


class Place(NamedTuple):
    """Where a text stands: what decides how it goes on, but for the settings."""

    state: list[State]
    """by layer, after its last character"""
    seed: int
    number: int = 0
    """of the sample, among those of its seed"""
    drawn: int = 0
    """how many of the sample's uniforms are used up"""
    tail: str = ""
    """its last characters, since the prompt or a stop text: a stop text may begin in them"""


class Sampler:
    """A model that reads and writes one character at a time; it keeps no state."""

    def __init__(self, settings: ModelSettings, vocabulary: Vocabulary, weights: Weights) -> None:
        """Weights as in `checkpoints.expected_shapes`."""
        self.settings = settings
        self.vocabulary = vocabulary
        none = np.zeros((), dtype=np.float32)  # the b_ih of a model that has none
        w_ih, b_ih, w_hh, b_hh = (
            [weights.get(f"recurrent.{kind}_l{layer}", none) for layer in range(settings.layers)]
            for kind in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
        )
        with _no_warnings():
            self._prepared = Prepared(
                settings,
                weights["embedding.weight"],
                list(zip(w_ih, b_ih, w_hh, b_hh, strict=True)),
                (weights["output.weight"], weights["output.bias"]),
            )

    def start(self) -> list[State]:
        """The state before any character, by layer."""
        zero = np.zeros(self.settings.hidden_size, dtype=np.float32)
        return [(zero,) * states(self.settings.model)] * self.settings.layers

    def read(self, character: int, state: list[State]) -> list[State]:
        """The state after reading one more character (its id)."""
        stream = self._stream_from(state)
        stream.read(character)
        return stream.state()

    def logits(self, state: list[State]) -> NDArray[np.float32]:
        """The next character's logits, (V,)."""
        return self._stream_from(state).logits()

    def _stream_from(self, state: list[State]) -> Stream:
        stream = Stream(self._prepared)
        stream.load(state)
        return stream

    def read_prompt(self, prompt: str, state: list[State] | None = None) -> list[State]:
        """The state after a prompt, read on top of `state`; without either, as if after a newline.

        Raises UnknownCharacterError for a character the vocabulary lacks.
        """
        check_prompt(prompt, self.vocabulary)
        ids = [int(i) for i in self.vocabulary.encode(prompt)]
        if state is None:
            ids = ids or [self.vocabulary.start]
        stream = self._stream_from(self.start() if state is None else state)
        with _no_warnings():
            for character in ids:
                stream.read(character)
        return stream.state()

    def sample(
        self, state: list[State], settings: SamplingSettings, *, seed: int, number: int = 0
    ) -> "Text":
        """New characters after `state`.

        Sample `number` of a seed is the same however many are drawn.
        """
        return self.go_on(Place(state, seed, number), settings)

    def go_on(self, place: Place, settings: SamplingSettings) -> "Text":
        """New characters after a place: in any number of parts those that one text would have."""
        return Text(self._stream_from(place.state), self.vocabulary, place, settings)


class Text(Iterator[str]):
    """New characters, in pieces as soon as they are certain.

    A piece raises CheckpointError where the model's weights give no probabilities.
    """

    def __init__(
        self, stream: Stream, vocabulary: Vocabulary, begin: Place, settings: SamplingSettings
    ) -> None:
        """`stream` stands at `begin`."""
        self._stream, self._vocabulary = stream, vocabulary
        self._begin, self._settings = begin, settings
        self._left, self._drawn = settings.length, begin.drawn
        self._unread: int | None = None  # the last character drawn, while the stream lacks it
        self._tail = deque(begin.tail, max(_TAIL, *map(len, settings.stop), 0))
        self._pieces = self._before_stop()

    def __next__(self) -> str:
        return next(self._pieces)

    def end(self) -> None:
        """Draw no more; what is held back, because a stop text may begin so, is still given."""
        self._left = 0

    def place(self) -> Place:
        """Where the text stands: after all that was drawn, a stop text included."""
        with _no_warnings():
            self._read()
        tail = "".join(self._tail)
        return self._begin._replace(state=self._stream.state(), drawn=self._drawn, tail=tail)

    def _read(self) -> None:
        if self._unread is not None:
            self._stream.read(self._unread)
            self._unread = None

    def _before_stop(self) -> Iterator[str]:
        if (yield from before_stop(self._characters(), self._settings.stop, self._begin.tail)):
            self._tail.clear()

    def _characters(self) -> Iterator[str]:
        draws = uniforms(derive(self._begin.seed, "sample", self._begin.number), self._drawn)
        drawn = distribution.drawer(len(self._vocabulary), self._settings)
        characters = self._vocabulary.characters
        while self._left > 0:
            self._left -= 1
            with _no_warnings():
                self._read()
                character = drawn(self._stream.logits(), next(draws))
            if character < 0:
                raise no_probabilities()
            self._unread = character
            self._drawn += 1
            self._tail.append(characters[character])
            yield characters[character]


def no_probabilities() -> CheckpointError:
    """The error that says that a model's weights are no use: training went astray."""
    return CheckpointError(
        "the model's weights give no probabilities (not a number)",
        "use an earlier checkpoint, or train again with a lower --learning-rate",
    )


def _no_warnings() -> np.errstate:
    """Let numbers overflow in silence: the logits, where all of it ends, are looked at."""
    return np.errstate(over="ignore", invalid="ignore")


def uniforms(seed: int, skipped: int = 0) -> Iterator[float]:
    """Numbers from [0, 1), 53 bits each, the same in every version of NumPy.

    Those after the first `skipped`.
    """
    source = np.random.PCG64(seed)
    source.advance(skipped)
    while True:
        yield from (source.random_raw(_BLOCK) >> np.uint64(11)) * 2.0**-53


def before_stop(
    characters: Iterator[str], stops: tuple[str, ...], written: str = ""
) -> Generator[str, None, bool]:
    """The characters before the first of the stop texts; returns whether there was one.

    It may begin in what was `written` before: the rest of it is left out then.
    """
    if not stops:
        yield from characters
        return False
    most = max(map(len, stops)) - 1
    held = written[-most:] if most else ""
    shown = len(held)  # of what is held
    for character in characters:
        held += character
        found = [len(stop) for stop in stops if held.endswith(stop)]
        if found:
            yield held[shown : len(held) - max(found)]
            return True
        # Hold back the longest end that may turn out to begin a stop text.
        sizes = range(min(len(held), most), 0, -1)
        kept = next((n for n in sizes if any(s.startswith(held[-n:]) for s in stops)), 0)
        certain = len(held) - kept
        if certain > shown:
            yield held[shown:certain]
        held, shown = held[certain:], max(0, shown - certain)
    yield held[shown:]
    return False


def check_prompt(prompt: str, vocabulary: Vocabulary) -> None:
    """Raise UnknownCharacterError, naming them, for characters the vocabulary lacks."""
    missing = vocabulary.missing(prompt)
    if not missing:
        return
    named = []
    for character in missing[:5]:
        twin = vocabulary.look_alike(character)
        named.append(name(character) + (f" (it knows {name(twin)})" if twin else ""))
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    raise UnknownCharacterError(
        f"the model never saw: {', '.join(named)}{more}",
        "change the prompt, or leave such characters out with --unknown skip",
    )
