"""charrnn sample: a checkpoint to text."""

import contextlib
import itertools
import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from charrnn import console
from charrnn.commands import sample_options as options
from charrnn.commands.options import CHECKPOINTS, CheckpointDir, Json, Quiet
from charrnn.errors import TextError, UsageError
from charrnn.files import failures_named, output_file
from charrnn.settings import SamplingSettings
from charrnn.signals import unwinding

if TYPE_CHECKING:
    from charrnn.continuation import Text
    from charrnn.sampling import Request
    from charrnn.tokenizer import Vocabulary


def sample(
    checkpoint: options.Checkpoint = None,
    prompt: options.Prompt = None,
    prompt_file: options.PromptFile = None,
    unknown: options.Unknown = "error",
    length: options.Length = 500,
    temperature: options.Temperature = 1.0,
    top_k: options.TopK = 0,
    top_p: options.TopP = 1.0,
    min_p: options.MinP = 0.0,
    stop: options.Stop = None,
    seed: options.Seed = None,
    num_samples: options.NumSamples = 1,
    batch: options.Batch = None,
    skip: options.Skip = 0,
    interactive: options.Interactive = False,
    load_state: options.LoadState = None,
    save_state: options.SaveState = None,
    threads: options.Threads = None,
    separator: options.Separator = r"\n",
    echo: options.Echo = None,
    output: options.Output = None,
    checkpoint_dir: CheckpointDir = CHECKPOINTS,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write text from a checkpoint.

    \b
    Examples:
      charrnn sample
      charrnn sample hamlet-gru --temperature 0.8 --length 2000
      charrnn sample hamlet-gru --prompt "To be" --seed 7 --echo
      charrnn sample hamlet-gru --interactive
      charrnn sample hamlet-gru --num-samples 1000 --stop $'\\n\\n' --json > samples.jsonl
      charrnn sample hamlet-gru --batch prompts.txt --length 80 > answers.txt
      charrnn sample hamlet-gru --load-state here --length 100 --save-state here
      fortune | charrnn sample hamlet-gru --prompt-file - | head -n 5

    Temperature, --top-k, --top-p and --min-p apply in that order. Of several samples each
    depends on its prompt and its seed alone, however many there are.
    """
    settings = SamplingSettings(
        length, temperature, top_k, top_p, min_p, tuple(map(_as_utf8, stop or ()))
    )
    for flag, value, least in (
        ("--num-samples", num_samples, 1),
        ("--skip", skip, 0),
        ("--seed", seed or 0, 0),
        ("--threads", 1 if threads is None else threads, 1),
    ):
        if value < least:
            raise UsageError(f"{flag} {value}: must be at least {least}")
    if unknown not in ("error", "skip"):
        raise UsageError(f"--unknown {unknown}: must be error or skip")
    given = {"--prompt": prompt, "--prompt-file": prompt_file, "--batch": batch}
    if len([flag for flag, value in given.items() if value is not None]) > 1:
        raise UsageError("--prompt, --prompt-file and --batch: give one of them")

    if interactive:
        _check_interactive(
            {
                "--prompt-file -": prompt_file == "-",
                "--num-samples": num_samples > 1,
                "--batch": batch is not None,
                "--skip": skip > 0,
                "--load-state": load_state is not None,
                "--save-state": save_state is not None,
                "--output": output is not None,
                "--json": json,
            }
        )
    many = batch is not None or num_samples > 1 or skip > 0
    _check_states(save_state, load_state, output, many, seed)

    from charrnn import machine

    machine.one_thread_a_product()
    threads = threads or machine.processors()

    from charrnn import runs
    from charrnn.bookmark import read_bookmark, write_bookmark
    from charrnn.checkpoints import read_checkpoint
    from charrnn.continuation import Place
    from charrnn.prompts import known_part
    from charrnn.sampling import Request, Sampler

    path, (record, weights) = runs.open_found(checkpoint, checkpoint_dir, read_checkpoint)
    if checkpoint is None and not quiet:
        console.notice(f"checkpoint {path}")
    name = "/".join(path.absolute().parts[-2:])
    begin = read_bookmark(load_state, record, name) if load_state is not None else None
    if seed is None and begin is None:
        seed = secrets.randbelow(2**31)
        if not quiet:
            console.notice(f"seed {seed}")
    if prompt is not None:
        prompt = _as_utf8(prompt)
    elif prompt_file is not None:
        prompt = _read_prompt(prompt_file)
    prompt = prompt or ""
    if unknown == "skip":
        prompt = known_part(prompt, record.vocabulary)
    sampler = Sampler(record.settings, record.vocabulary, weights)
    shown = output is None and sys.stdout.isatty()
    echo = shown if echo is None else echo
    if interactive:
        from charrnn.commands import keyboard

        assert seed is not None
        session = keyboard.Session(sampler, settings, seed, skip_unknown=unknown == "skip")
        keyboard.sit(session, prompt, echo=echo, quiet=quiet)
        return

    text: Text | None = None
    drawn: Iterable[tuple[Request, Iterable[str]]]
    if many:
        assert seed is not None
        requests = _requests(
            batch, prompt, record.vocabulary, seed, num_samples, skip_unknown=unknown == "skip"
        )
        samples = sampler.sample_many(
            itertools.islice(requests, skip, None), settings, threads=threads
        )
        drawn = ((sample.request, [sample.text]) for sample in samples)
    else:
        if begin is None:
            assert seed is not None
            begin = Place(sampler.read_prompt(prompt, threads=threads), seed)
        else:
            if seed is not None:
                begin = begin._replace(seed=seed, number=0, drawn=0)
            if prompt:
                state = sampler.read_prompt(prompt, begin.state, threads=threads)
                begin = begin._replace(state=state, tail="")
        text = sampler.go_on(begin, settings)
        drawn = [(Request(prompt, begin.seed, begin.number), text)]

    facts = {"run": path.absolute().parent.name, "checkpoint": str(path), "step": record.step}
    between = _unescaped(_as_utf8(separator))
    pieces = _as_json(drawn, facts) if json else _raw(drawn, between, echo=echo, shown=shown)
    try:
        _write(pieces, output)
    finally:
        if many:
            samples.close()
    if save_state is not None and text is not None:
        write_bookmark(save_state, text.place(), record, name)


def _requests(
    batch: str | None,
    prompt: str,
    vocabulary: "Vocabulary",
    seed: int,
    num_samples: int,
    *,
    skip_unknown: bool,
) -> Iterator["Request"]:
    """What is asked for, by the lines of --batch or by number."""
    from charrnn.prompts import read_prompts
    from charrnn.sampling import Request

    if batch is None:
        yield from (Request(prompt, seed, number) for number in range(num_samples))
        return
    with _opened(batch) as stream:
        yield from read_prompts(
            stream, batch, vocabulary, seed=seed, samples=num_samples, skip_unknown=skip_unknown
        )


def _as_json(
    drawn: Iterable[tuple["Request", Iterable[str]]], facts: dict[str, Any]
) -> Iterator[str]:
    for request, text in drawn:
        yield console.json_line(
            {
                **facts,
                "seed": request.seed,
                "number": request.number,
                **({} if request.id is None else {"id": request.id}),
                "prompt": request.prompt,
                "text": "".join(text),
            }
        )


def _raw(
    drawn: Iterable[tuple["Request", Iterable[str]]], between: str, *, echo: bool, shown: bool
) -> Iterator[str]:
    """Texts as they are; `shown` on a terminal, where nothing should follow on their last line."""
    for number, (request, text) in enumerate(drawn):
        if number and between != "\n":
            yield between
        if echo:
            yield request.prompt
        yield from text
        if between == "\n":  # at once, since whoever asked may wait for it
            yield between
    if shown and between != "\n":
        yield "\n"


def _write(pieces: Iterable[str], output: Path | None) -> None:
    """Write to stdout as it comes, or to a file that is whole at the end."""
    if output is None:
        for piece in pieces:
            console.write(piece)
        console.flush()
        return
    with unwinding(), output_file(output) as stream:
        for piece in pieces:
            # As console.use_utf8 has it: JSON may name a file whose name is no UTF-8.
            stream.write(piece.encode("utf-8", "surrogateescape"))


def _check_interactive(others: dict[str, bool]) -> None:
    """Raise UsageError for an option that makes no sense with --interactive."""
    for flag, given in others.items():
        if given:
            raise UsageError(f"--interactive and {flag}: give one of them")


def _check_states(
    save_state: Path | None,
    load_state: Path | None,
    output: Path | None,
    many: bool,
    seed: int | None,
) -> None:
    """Raise UsageError where the state of a sample cannot be meant so, and what no file can be."""
    for flag, state in ("--load-state", load_state), ("--save-state", save_state):
        if state is not None and many:
            raise UsageError(
                f"{flag} with many samples: one alone has a state",
                "leave --batch, --num-samples and --skip out",
            )
    if save_state is None:
        return
    if output is not None and os.path.realpath(output) == os.path.realpath(save_state):
        raise UsageError("--save-state and --output: give two files")
    if seed is not None and seed >= 2**63:
        raise UsageError(f"--seed {seed}: too large for --save-state", "give one below 2**63")
    with failures_named(save_state):  # before an hour of drawing, not after
        Path(os.path.realpath(save_state)).parent.stat()


def _as_utf8(argument: str) -> str:
    """A word of the command line read as UTF-8, where the locale read it as something less."""
    return os.fsencode(argument).decode("utf-8", "surrogateescape")


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "\\": "\\"}


def _unescaped(text: str) -> str:
    """A text with its escapes resolved, since no shell passes on a NUL."""
    return re.sub(r"\\([ntr0\\])", lambda found: _ESCAPES[found[1]], text)


def _read_prompt(name: str) -> str:
    """The text of --prompt-file, without the line end that ends it."""
    from charrnn.texts import decode, read_text

    if name == "-":
        text = decode(Path("stdin"), sys.stdin.buffer.read()).characters
    else:
        text = read_text(Path(name)).characters
    return text.removesuffix("\n").removesuffix("\r")


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """The file of --batch, or stdin."""
    if name == "-":
        yield sys.stdin.buffer
        return
    try:
        stream = open(name, "rb")
    except OSError as error:
        raise TextError(f"{name}: {error.strerror}", "--batch FILE: one prompt a line") from None
    with stream:
        yield stream
