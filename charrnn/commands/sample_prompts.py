"""What charrnn sample goes on from: prompts on the command line, in a file, a line each."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from charrnn import console
from charrnn.errors import TextError, UsageError

if TYPE_CHECKING:
    from charrnn.sampling import Request
    from charrnn.tokenizer import Vocabulary


def check(prompt: str | None, prompt_file: str | None, batch: str | None, unknown: str) -> None:
    """Raise UsageError where the flags cannot be meant."""
    if sum(given is not None for given in (prompt, prompt_file, batch)) > 1:
        raise UsageError("--prompt, --prompt-file and --batch: give one of them")
    if unknown not in ("error", "skip"):
        raise UsageError(f"--unknown {unknown}: must be error or skip")


def read(
    prompt: str | None, prompt_file: str | None, vocabulary: "Vocabulary", unknown: str
) -> str:
    """The one prompt there is, or none; raises TextError."""
    from charrnn.spelling import known_part

    if prompt is not None:
        prompt = as_utf8(prompt)
    elif prompt_file is not None:
        prompt = _of_file(prompt_file)
    prompt = prompt or ""
    return known_part(prompt, vocabulary) if unknown == "skip" else prompt


def requests(
    batch: str | None,
    prompt: str,
    vocabulary: "Vocabulary",
    unknown: str,
    told: Callable[[str], object],
    *,
    seed: int,
    num_samples: int,
    skip: int,
) -> Iterator["Request"]:
    """What is asked for: by the lines of --batch, or so many samples of one prompt.

    The first `skip` samples are left out.
    """
    from charrnn.prompts import read_prompts
    from charrnn.sampling import Request

    if batch is None:
        yield from (Request(prompt, seed, number) for number in range(skip, num_samples))
        return
    with _opened(batch) as stream:
        yield from read_prompts(
            stream,
            "stdin" if batch == "-" else batch,
            vocabulary,
            seed=seed,
            samples=num_samples,
            skip=skip,
            skip_unknown=unknown == "skip",
            told=told,
        )


def check_stops(stops: tuple[str, ...], vocabulary: "Vocabulary", raw: bool) -> None:
    """Warn of stop texts that can never come."""
    from charrnn.spelling import is_written

    for stop in stops:
        if is_written(stop, vocabulary, raw=raw):
            continue
        missing = vocabulary.missing(vocabulary.reading.text_of(stop))
        newline = "\\n" in stop and "\\" in missing
        console.warn(
            f"--stop {stop!r}: the model never writes "
            + (repr(missing[0]) if missing else "half a character without --raw")
            + ("; in most shells $'\\n' is a line end" if newline else "")
        )


def check_raw(vocabulary: "Vocabulary") -> None:
    """Raise UsageError where --raw cannot change anything."""
    if not vocabulary.of_bytes:
        raise UsageError(
            "--raw: this model writes characters, which are always whole",
            "leave it out; it is for models of --encoding bytes",
        )


def as_utf8(argument: str) -> str:
    """A word of the command line read as UTF-8, where the locale read it as something less."""
    return os.fsencode(argument).decode("utf-8", "surrogateescape")


def _of_file(name: str) -> str:
    """The text of --prompt-file, without the line end that ends it."""
    from charrnn.texts import decode, read_text

    piped = name == "-"
    text = decode(Path("stdin"), sys.stdin.buffer.read()) if piped else read_text(Path(name))
    return text.removesuffix("\n").removesuffix("\r")


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """The file of --batch, or stdin."""
    try:
        # Not sys.stdin, which Python cannot close at its end while a thread waits for a line.
        stream = open(os.dup(0) if name == "-" else name, "rb")
    except OSError as error:
        raise TextError(f"{name}: {error.strerror}", "--batch FILE: one prompt a line") from None
    with stream:
        yield stream
