"""A checkpoint and prompts to new characters, with NumPy alone.

One character costs one step of each layer and, from its logits, one draw. One stream is
drawn character by character, as soon as each is certain; many are drawn side by side. What is
given is text as people write it; each model reads it in its own way.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.arrays import State
from charrnn.cells import states
from charrnn.continuation import Place, Text, no_probabilities, no_warnings
from charrnn.seeds import derive
from charrnn.settings import ModelSettings, SamplingSettings
from charrnn.spelling import is_written, spelled
from charrnn.stream import Prepared, Stream
from charrnn.streams import draw_all, read_alike
from charrnn.stretches import read_long
from charrnn.tokenizer import Vocabulary
from charrnn.utf8 import Whole, as_text, readable, unfinished
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

    def __init__(
        self,
        settings: ModelSettings,
        vocabulary: Vocabulary,
        weights: Weights,
        *,
        raw: bool = False,
    ) -> None:
        """Weights as in `checkpoints.expected_shapes`; `raw` lets a model of bytes write any.

        Otherwise it writes whole characters of UTF-8. What is drawn is never one of the
        unknown, whose logit is left out.
        """
        self.settings = settings
        self.vocabulary = vocabulary
        self.raw = raw
        self._whole = vocabulary.of_bytes and not raw
        drawn = len(vocabulary.characters)
        absent = {  # of a cell that has none
            "bias_ih": np.zeros((), dtype=np.float32),
            "weight_hh": np.zeros((0, settings.hidden_size), dtype=np.float32),
        }
        w_ih, b_ih, w_hh, b_hh = (
            [
                weights.get(f"recurrent.{kind}_l{layer}", absent.get(kind))
                for layer in range(settings.layers)
            ]
            for kind in ("weight_ih", "bias_ih", "weight_hh", "bias_hh")
        )
        with no_warnings():
            self._prepared = Prepared(
                settings,
                weights["embedding.weight"],
                list(zip(w_ih, b_ih, w_hh, b_hh, strict=True)),
                (weights["output.weight"][:drawn], weights["output.bias"][:drawn]),
            )

    def start(self) -> list[State]:
        """The state before any character, by layer."""
        zero = np.zeros(self.settings.hidden_size, dtype=np.float32)
        layers = range(self.settings.layers)
        return [(zero,) * states(self.settings.cell(layer)) for layer in layers]

    def read(self, character: int, state: list[State]) -> list[State]:
        """The state after reading one more character (its id)."""
        stream = self._stream_from(state)
        stream.read(character)
        return stream.state()

    def logits(self, state: list[State]) -> NDArray[np.float32]:
        """The logits of the characters that may be drawn next, (V,) or (V - 1,)."""
        return self._stream_from(state).logits()

    def _stream_from(self, state: list[State]) -> Stream:
        stream = Stream(self._prepared)
        stream.load(state)
        return stream

    def read_prompt(
        self, prompt: str, state: list[State] | None = None, *, threads: int = 1
    ) -> list[State]:
        """The state after a prompt, read on top of `state`; without either, as if after a newline.

        Raises UnknownCharacterError as `spelled`.
        """
        if state is not None and not prompt:
            return state
        return self._read(
            self._ids(prompt), self.start() if state is None else state, threads=threads
        )

    def _ids(self, prompt: str) -> NDArray[np.integer[Any]]:
        """What is read for a prompt, one id or more; raises UnknownCharacterError."""
        read = spelled(prompt, self.vocabulary)
        return self.vocabulary.encode(read or self.vocabulary.characters[self.vocabulary.start])

    def _read(
        self, ids: NDArray[np.integer[Any]], state: list[State], *, threads: int = 1
    ) -> list[State]:
        with no_warnings():
            return read_long(self._prepared, ids, state, threads=threads)

    def begin(self, prompt: str, seed: int, number: int = 0, *, threads: int = 1) -> Place:
        """Where sample `number` of a seed begins after a prompt; raises as `read_prompt`."""
        state = self.read_prompt(prompt, threads=threads)
        return Place(state, seed, number, tail=self._begun(prompt))

    def prompted(self, place: Place, prompt: str, *, threads: int = 1) -> Place:
        """The place after a prompt that is read on top of one; raises as `read_prompt`."""
        state = self.read_prompt(prompt, place.state, threads=threads)
        return place._replace(state=state, tail=self._begun(prompt))

    def _begun(self, prompt: str) -> str:
        """What a prompt ends in of a character, which is then written whole."""
        return unfinished(self.vocabulary.reading.text_of(prompt[-4:])) if self._whole else ""

    def shown(self, prompt: str) -> str:
        """A prompt as it stands before what is written after it."""
        return readable(prompt) if self._whole else prompt

    def _stopped(self, settings: SamplingSettings) -> SamplingSettings:
        """The same with the stop texts as the model would write them."""
        text_of = self.vocabulary.reading.text_of
        written = [s for s in settings.stop if is_written(s, self.vocabulary, raw=self.raw)]
        return replace(settings, stop=tuple(map(text_of, written)))

    def _watching(self, watch: Watch | None, written: str, length: int | None) -> Watch | None:
        """What is told of what was written, and watches what is drawn after it."""
        if watch:
            for character in self.vocabulary.encode(written).tolist():
                watch.read(character)
        return Whole(unfinished(written), length, watch) if self._whole else watch

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

    def go_on(
        self,
        place: Place,
        settings: SamplingSettings,
        watch: Watch | None = None,
        *,
        ends: bool = True,
    ) -> Text:
        """New characters after a place: in any number of parts those that one text would have.

        `watch` is told of the place's tail. A text of bytes that `ends` does so with the end of
        a character; in one that is to be gone on with, as one text, the length may fall within
        a character, which the next part then writes.
        """
        watch = self._watching(watch, place.tail, settings.length if ends else None)
        stream, settings = self._stream_from(place.state), self._stopped(settings)
        return Text(stream, self.vocabulary, place, settings, watch, raw=self.raw)

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
        settings = self._stopped(settings)
        ending = {tuple(self.vocabulary.encode(stop).tolist()) for stop in settings.stop}
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
            text = text[: len(text) - cut]
            if self.vocabulary.of_bytes:
                text = "".join(as_text([text], raw=self.raw))
            yield Sample(sent.popleft(), text)

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
        ids, begun = self._ids(request.prompt), self._begun(request.prompt)
        length = settings.length if request.length is None else request.length
        temperature = request.temperature
        return Wanted(
            (ids if start is None else ids[-1:]).tolist(),
            derive(request.seed, "sample", request.number),
            length,
            settings.temperature if temperature is None else temperature,
            start,
            self._watching(watch, begun, length),
            tuple(map(ord, begun)),
        )
