"""A checkpoint and prompts to new characters, with NumPy alone.

One character costs one step of each layer and, from its logits, one draw. One stream is
drawn character by character, as soon as each is certain; many are drawn side by side.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.cells import State, states
from charrnn.continuation import Place, Text, no_probabilities, no_warnings
from charrnn.errors import UnknownCharacterError
from charrnn.seeds import derive
from charrnn.settings import ModelSettings, SamplingSettings
from charrnn.stream import Prepared, Stream
from charrnn.streams import draw_all, read_alike
from charrnn.stretches import read_long
from charrnn.tokenizer import Vocabulary, name
from charrnn.wanted import Wanted, Watch

Weights = dict[str, NDArray[np.float32]]

LONG = 8_192
"""Characters of a prompt from which on it is read in stretches, before its stream joins the
others."""

_REPEATED = 100
"""Characters of a prompt beyond which it is read once for all samples in a row that have it."""


class Request(NamedTuple):
    """A sample that is wanted: number `number` of a seed."""

    prompt: str
    seed: int
    number: int = 0
    length: int | None = None
    """characters, where it is not that of the others"""
    temperature: float | None = None
    """where it is not that of the others"""
    id: Any = None
    """what it is called where it comes from"""


class Sample(NamedTuple):
    """What was drawn for a request."""

    request: Request
    text: str


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
        with no_warnings():
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

    def read_prompt(
        self, prompt: str, state: list[State] | None = None, *, threads: int = 1
    ) -> list[State]:
        """The state after a prompt, read on top of `state`; without either, as if after a newline.

        Raises UnknownCharacterError for a character the vocabulary lacks.
        """
        if state is not None and not prompt:
            return state
        return self._read(
            self._ids(prompt), self.start() if state is None else state, threads=threads
        )

    def _ids(self, prompt: str) -> NDArray[np.integer[Any]]:
        """What is read for a prompt, one id or more; raises UnknownCharacterError."""
        check_prompt(prompt, self.vocabulary)
        return self.vocabulary.encode(prompt or self.vocabulary.characters[self.vocabulary.start])

    def _read(
        self, ids: NDArray[np.integer[Any]], state: list[State], *, threads: int = 1
    ) -> list[State]:
        with no_warnings():
            return read_long(self._prepared, ids, state, threads=threads)

    def sample(
        self,
        state: list[State],
        settings: SamplingSettings,
        *,
        seed: int,
        number: int = 0,
        watch: Watch | None = None,
    ) -> Text:
        """New characters after `state`.

        Sample `number` of a seed is the same however many are drawn.
        """
        return self.go_on(Place(state, seed, number), settings, watch)

    def go_on(self, place: Place, settings: SamplingSettings, watch: Watch | None = None) -> Text:
        """New characters after a place: in any number of parts those that one text would have."""
        return Text(self._stream_from(place.state), self.vocabulary, place, settings, watch)

    def sample_many(
        self,
        requests: Iterable[Request],
        settings: SamplingSettings,
        *,
        threads: int = 1,
        watch: Callable[[], Watch] | None = None,
    ) -> Generator[Sample, None, None]:
        """The samples that are requested, in order, as soon as they are complete.

        Each depends on its request alone, to the last character, however many there are, on
        the same machine with the same libraries; from that of `sample` it may part where two
        characters are equally likely but for rounding. `watch` makes what looks at each text
        as it is drawn. Raises UnknownCharacterError and CheckpointError, like `sample`, once
        what was requested before has been given out.
        """
        stops = [self.vocabulary.encode(stop).tolist() for stop in settings.stop]
        ending = {tuple(stop) for stop in stops if len(self.vocabulary) not in stop}
        sent: deque[Request] = deque()

        def wanted() -> Iterator[Wanted]:
            prompt, start = None, None  # of the request before, if it has been read
            for request in requests:
                if request.prompt != prompt:
                    prompt = request.prompt
                    start = self._before_end(prompt, threads)
                elif start is None and len(prompt) > _REPEATED:
                    start = read_alike(self._prepared, self._ids(prompt)[:-1].tolist())
                each = self._wanted(request, settings, start, watch and watch())
                sent.append(request)
                yield each

        for ids in draw_all(
            self._prepared, wanted(), settings, stops=tuple(sorted(ending)), threads=threads
        ):
            if ids is None:
                raise no_probabilities()
            text = self.vocabulary.decode(np.asarray(ids))
            cut = max((len(stop) for stop in settings.stop if text.endswith(stop)), default=0)
            yield Sample(sent.popleft(), text[: len(text) - cut])

    def _before_end(self, prompt: str, threads: int) -> list[State] | None:
        """The state before the last character of a long prompt; None for others."""
        ids = self._ids(prompt)
        if len(ids) <= LONG:
            return None
        return self._read(ids[:-1], self.start(), threads=threads)

    def _wanted(
        self,
        request: Request,
        settings: SamplingSettings,
        start: list[State] | None,
        watch: Watch | None,
    ) -> Wanted:
        """`start` is the state before the prompt's last character, if that is all to be read."""
        ids = self._ids(request.prompt)
        length, temperature = request.length, request.temperature
        return Wanted(
            (ids if start is None else ids[-1:]).tolist(),
            derive(request.seed, "sample", request.number),
            settings.length if length is None else length,
            settings.temperature if temperature is None else temperature,
            start,
            watch,
        )


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
