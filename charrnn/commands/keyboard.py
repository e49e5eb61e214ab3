"""charrnn sample --interactive: each line a prompt that is gone on from, or a command."""

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from charrnn import console
from charrnn.continuation import Place, Text
from charrnn.errors import UnknownCharacterError, UsageError
from charrnn.sampling import Sampler
from charrnn.settings import SamplingSettings
from charrnn.signals import Interruptions
from charrnn.spelling import known_part, rarities
from charrnn.wanted import Watch

WELCOME = (
    "Write how a text begins and press Enter: the model goes on.",
    "/more goes on, /temperature 0.5 is safer, /help has more.",
    "Ctrl-C stops an answer, Ctrl-D ends.",
)

_PROMPT = "> "
_SETTINGS: dict[str, tuple[type[int] | type[float], str]] = {
    "/temperature": (float, "below 1 is safer; 0: the likeliest alone"),
    "/top-k": (int, "only the k likeliest characters; 0: all"),
    "/top-p": (float, "only the likeliest of this share"),
    "/min-p": (float, "none below this share of the likeliest"),
    "/length": (int, "characters of an answer"),
}
_COMMANDS = ("/more", *_SETTINGS, "/seed", "/help", "/quit")


class Told(NamedTuple):
    """What a command has to tell."""

    lines: list[str]


class Session:
    """What was typed so far, as far as it decides what comes next."""

    def __init__(
        self,
        sampler: Sampler,
        settings: SamplingSettings,
        seed: int,
        unknown: str = "error",
        watch: Callable[[], Watch] | None = None,
        told: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Answer n, from 0, draws as sample n of the seed does.

        `watch` makes what looks at each answer as it is drawn; `told` gets what `rarities` says
        of the first prompt that has any.
        """
        self._sampler, self._settings, self._seed = sampler, settings, seed
        self._unknown, self._watch = unknown, watch
        self._told, self._has_told = told, False
        self._answers = 0
        self.prompt = ""
        """what the answer goes on from, if it begins a text"""
        self._last: Text | None = None

    def respond(self, line: str) -> Text | Told | None:
        """The answer to a line, to be drawn, or what a command has to tell; None ends it.

        Raises UsageError and UnknownCharacterError.
        """
        if not line.startswith("/") or line.startswith("//"):
            return self._answer(line.removeprefix("/"))
        command, _, value = (part.strip() for part in line.partition(" "))
        if command in _SETTINGS:
            return self._setting(command, value)
        if command == "/seed":
            return self._seeded(value)
        if command not in _COMMANDS:
            raise UsageError(
                f"{command}: there are {', '.join(_COMMANDS)}; // begins a prompt with a slash"
            )
        if value:
            raise UsageError(f"{command} {value}: {command} stands alone")
        if command == "/more":
            return self._more()
        return Told(self._help()) if command == "/help" else None

    def _answer(self, prompt: str) -> Text:
        if self._unknown == "skip":
            prompt = known_part(prompt, self._sampler.vocabulary)
        place = self._sampler.begin(prompt, self._seed, self._answers)
        rare = "" if self._has_told else rarities(prompt, self._sampler.vocabulary)
        if rare:
            self._told(rare)
            self._has_told = True
        self.prompt = self._sampler.shown(prompt)
        self._answers += 1
        self._last = self._going_on(place)
        return self._last

    def _more(self) -> Text:
        if self._last is None:
            raise UsageError("/more: there is no answer yet to go on with")
        self.prompt = ""
        self._last = self._going_on(self._last.place())
        return self._last

    def _going_on(self, place: Place) -> Text:
        watch = self._watch and self._watch()
        return self._sampler.go_on(place, self._settings, watch, ends=False)

    def _setting(self, command: str, value: str) -> Told:
        kind, name = _SETTINGS[command][0], command[1:].replace("-", "_")
        if value:
            change: dict[str, Any] = {name: _number(command, value, kind)}
            try:
                self._settings = replace(self._settings, **change)
            except UsageError as error:
                raise UsageError(error.message.replace("--", "/", 1)) from None
        return Told([self._now(command)[1:]])

    def _seeded(self, value: str) -> Told:
        if value:
            seed = int(_number("/seed", value, int))
            if seed < 0:
                raise UsageError(f"/seed {value}: must be at least 0")
            self._seed, self._answers = seed, 0
        return Told([f"seed {self._seed}"])

    def _now(self, command: str) -> str:
        return f"{command} {getattr(self._settings, command[1:].replace('-', '_'))}"

    def _help(self) -> list[str]:
        rows = [
            ("any other line", "how a text begins; empty: from nothing"),
            ("//", "begins a text that begins with a slash"),
            ("/more", "go on where the last answer ended"),
            *((self._now(command), what) for command, (_, what) in _SETTINGS.items()),
            (f"/seed {self._seed}", "begin the draws again, with this seed"),
            ("/quit", "end, as Ctrl-D does; Ctrl-C stops a text"),
        ]
        return [f"{command:16}  {what}" for command, what in rows]


def sit(session: Session, prompt: str, *, echo: bool, quiet: bool) -> None:
    """Answer a prompt, if there is one, and then the lines of stdin, a terminal or none.

    At a terminal Ctrl-C stops an answer; elsewhere nobody is there to go on with another.
    """
    first = [f"/{prompt}" if prompt.startswith("/") else prompt] if prompt else []
    if not sys.stdin.isatty():
        converse(session, itertools.chain(first, piped()), lambda: False, echo=echo)
        return
    if not quiet:
        for line in WELCOME:
            console.notice(line)
    with Interruptions() as interruptions:
        lines = itertools.chain(first, typed(interruptions))
        converse(session, lines, interruptions.noted, echo=echo)


def converse(
    session: Session, lines: Iterable[str], interrupted: Callable[[], bool], *, echo: bool
) -> None:
    """Answer one line after the other, until they or the session ends."""
    for line in lines:
        try:
            said = session.respond(line)
        except (UsageError, UnknownCharacterError) as error:
            console.show_error(error)
            continue
        if said is None:
            return
        if isinstance(said, Told):
            for told in said.lines:
                console.notice(told)
            continue
        if echo:
            console.write(session.prompt)
        for piece in said:
            console.write(piece)
            if interrupted():
                said.end()
        console.write("\n")
        interrupted()  # one that came too late stops nothing else


def piped() -> Iterator[str]:
    """The lines of stdin, which is no terminal."""
    for line in sys.stdin:
        yield line.removesuffix("\n")


def typed(interruptions: Interruptions) -> Iterator[str]:
    """Lines from the terminal, with editing and history where Python has them.

    Ctrl-C begins a line anew; Ctrl-D ends them.
    """
    with contextlib.suppress(ImportError):  # as on Windows
        import readline  # noqa: F401
    while True:
        try:
            with interruptions.raised():
                line = _asked()
        except KeyboardInterrupt:
            _end_line()
        except EOFError:
            _end_line()
            return
        else:
            yield line


def _asked() -> str:
    """A line from the terminal, where the prompt line is shown wherever stdout leads."""
    if sys.stdout.isatty() or not sys.stderr.isatty():
        return input(_PROMPT if sys.stdout.isatty() else "")
    # Python edits lines on stdout alone.
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        return input(_PROMPT)
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _end_line() -> None:
    terminal = sys.stdout if sys.stdout.isatty() else sys.stderr
    if terminal.isatty():
        terminal.write("\n")
        terminal.flush()


def _number(command: str, value: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"{command} {value}: must be {what}") from None
