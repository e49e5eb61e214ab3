"""charrnn sample: a checkpoint to text."""

import contextlib
import itertools
import os
import re
import secrets
import sys
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from charrnn import console
from charrnn.commands import novelty
from charrnn.commands import sample_options as options
from charrnn.commands.options import CHECKPOINTS, CheckpointDir, Json, Quiet
from charrnn.errors import TextError, UsageError
from charrnn.files import output_file
from charrnn.settings import SamplingSettings
from charrnn.signals import unwinding

if TYPE_CHECKING:
    pass


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
    max_copy: options.MaxCopy = None,
    report_copies: options.ReportCopies = False,
    corpus: options.Corpus = None,
    num_samples: options.NumSamples = 1,
    batch: options.Batch = None,
    skip: options.Skip = 0,
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
      charrnn sample hamlet-gru --num-samples 1000 --stop $'\\n\\n' --json > samples.jsonl
      charrnn sample hamlet-gru --batch prompts.txt --length 80 > answers.txt
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
    novelty.check(report_copies, max_copy, corpus)

    from charrnn import machine

    machine.one_thread_a_product()
    threads = threads or machine.processors()

    from charrnn import runs
    from charrnn.checkpoints import read_checkpoint
    from charrnn.prompts import known_part, read_prompts
    from charrnn.sampling import Request, Sampler

    path, (record, weights) = runs.open_found(checkpoint, checkpoint_dir, read_checkpoint)
    if checkpoint is None and not quiet:
        console.notice(f"checkpoint {path}")
    if seed is None:
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
    if echo is None:
        echo = output is None and sys.stdout.isatty()

    index = None
    if report_copies or max_copy is not None:
        index = novelty.opened(path, record, corpus, max_copy, quiet)
    watch = novelty.watching(index, max_copy, record.vocabulary)

    def drawn() -> Iterator[tuple[Request, Iterable[str]]]:
        """Each request and the text drawn for it, in pieces."""
        if batch is None and num_samples == 1 and not skip:
            state = sampler.read_prompt(prompt)
            own = watch and watch()
            yield Request(prompt, seed), sampler.sample(state, settings, seed=seed, watch=own)
            return
        with contextlib.ExitStack() as stack:
            requests: Iterable[Request]
            if batch is None:
                requests = (Request(prompt, seed, number) for number in range(num_samples))
            else:
                requests = read_prompts(
                    stack.enter_context(_opened(batch)),
                    batch,
                    record.vocabulary,
                    seed=seed,
                    samples=num_samples,
                    skip_unknown=unknown == "skip",
                )
            wanted = itertools.islice(requests, skip, None)
            samples = sampler.sample_many(wanted, settings, threads=threads, watch=watch)
            for sample in stack.enter_context(contextlib.closing(samples)):
                yield sample.request, [sample.text]

    def pieces() -> Generator[str, None, None]:
        between = _unescaped(_as_utf8(separator))
        for number, (request, characters) in enumerate(drawn()):
            copies = novelty.reading(index, report_copies)
            text = novelty.followed(characters, copies)
            if json:
                yield console.json_line(
                    {
                        "run": path.absolute().parent.name,
                        "checkpoint": str(path),
                        "step": record.step,
                        "seed": request.seed,
                        "number": request.number,
                        **({} if request.id is None else {"id": request.id}),
                        "prompt": request.prompt,
                        "text": "".join(text),
                        **(novelty.to_json(copies.report()) if copies else {}),
                    }
                )
                continue
            if number and between != "\n":
                yield between
            if echo:
                yield request.prompt
            yield from text
            if between == "\n":  # at once, since whoever asked may wait for it
                yield between
            if copies:
                novelty.tell(skip + number, copies.report())
        if not json and between != "\n" and output is None and sys.stdout.isatty():
            yield "\n"

    with contextlib.closing(pieces()) as written:
        if output is None:
            for piece in written:
                console.write(piece)
            return
        with unwinding(), output_file(output) as stream:
            for piece in written:
                # As console.use_utf8 has it: JSON may name a file whose name is no UTF-8.
                stream.write(piece.encode("utf-8", "surrogateescape"))


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
