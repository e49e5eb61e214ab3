"""charrnn sample: a checkpoint to text."""

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from charrnn import console
from charrnn.commands import novelty
from charrnn.commands.options import CHECKPOINTS, CheckpointDir, Json, Quiet, option
from charrnn.errors import UsageError
from charrnn.files import output_file
from charrnn.settings import SamplingSettings
from charrnn.signals import unwinding

_TEXT, _CHARACTERS, _OUTPUT = "What it goes on from", "How characters are drawn", "Output"
_COPIES = "Copies from the training text"


def sample(
    checkpoint: Annotated[
        str | None,
        typer.Argument(help="A file, a run's directory or name (default: the run written last)."),
    ] = None,
    prompt: Annotated[str | None, option("--prompt", "A text to go on from.", _TEXT)] = None,
    prompt_file: Annotated[
        str | None, option("--prompt-file", "A file to go on from; - is stdin.", _TEXT)
    ] = None,
    unknown: Annotated[
        str, option("--unknown", "Characters the model never saw: error or skip.", _TEXT)
    ] = "error",
    length: Annotated[int, option("--length", "New characters.", _CHARACTERS)] = 500,
    temperature: Annotated[
        float, option("--temperature", "0 takes the likeliest; below 1 is safer.", _CHARACTERS)
    ] = 1.0,
    top_k: Annotated[
        int, option("--top-k", "Only the k likeliest characters; 0: all.", _CHARACTERS)
    ] = 0,
    top_p: Annotated[
        float, option("--top-p", "Only the likeliest that make up this share.", _CHARACTERS)
    ] = 1.0,
    min_p: Annotated[
        float, option("--min-p", "Only those with this share of the likeliest.", _CHARACTERS)
    ] = 0.0,
    stop: Annotated[
        list[str] | None, option("--stop", "End before this text (repeatable).", _CHARACTERS)
    ] = None,
    seed: Annotated[
        int | None, option("--seed", "Drawn, and told, if left out.", _CHARACTERS)
    ] = None,
    num_samples: Annotated[int, option("--num-samples", "Samples to write.", _OUTPUT)] = 1,
    echo: Annotated[
        bool | None,
        typer.Option(
            "--echo/--no-echo",
            help="Show the prompt first (default: on a terminal).",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A file to write to, whole or not at all.",
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    report_copies: Annotated[
        bool,
        option("--report-copies", "Tell what stands in it word for word.", _COPIES),
    ] = False,
    max_copy: Annotated[
        int | None,
        option("--max-copy", "Never copy more characters than this on end.", _COPIES),
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        option("--corpus", "Where the corpus is, if it has moved (repeatable).", _COPIES),
    ] = None,
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
      charrnn sample hamlet-gru --num-samples 10 --stop $'\\n\\n' --json > samples.jsonl
      fortune | charrnn sample hamlet-gru --prompt-file - | head -n 5

    Temperature, --top-k, --top-p and --min-p apply in that order.
    """
    settings = SamplingSettings(
        length, temperature, top_k, top_p, min_p, tuple(map(_as_utf8, stop or ()))
    )
    if num_samples < 1:
        raise UsageError(f"--num-samples {num_samples}: must be at least 1")
    if unknown not in ("error", "skip"):
        raise UsageError(f"--unknown {unknown}: must be error or skip")
    if prompt is not None and prompt_file is not None:
        raise UsageError("--prompt and --prompt-file: give one of them")
    if seed is not None and seed < 0:
        raise UsageError(f"--seed {seed}: must be at least 0")
    novelty.check(report_copies, max_copy, corpus)

    from charrnn import runs
    from charrnn.checkpoints import read_checkpoint
    from charrnn.sampling import Sampler

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
        prompt = "".join(c for c in prompt if c in record.vocabulary)
    sampler = Sampler(record.settings, record.vocabulary, weights)
    state = sampler.read_prompt(prompt)
    if echo is None:
        echo = output is None and sys.stdout.isatty()

    index = None
    if report_copies or max_copy is not None:
        index = novelty.opened(path, record, corpus, max_copy, quiet)
    watched = novelty.watching(index, max_copy, record.vocabulary)

    def pieces() -> Iterator[str]:
        for number in range(num_samples):
            copies = novelty.reading(index, report_copies)
            watch = watched and watched()
            drawn = sampler.sample(state, settings, seed=seed, number=number, watch=watch)
            characters = novelty.followed(drawn, copies)
            if json:
                yield console.json_line(
                    {
                        "run": path.absolute().parent.name,
                        "checkpoint": str(path),
                        "step": record.step,
                        "seed": seed,
                        "number": number,
                        "prompt": prompt,
                        "text": "".join(characters),
                        **(novelty.to_json(copies.report()) if copies else {}),
                    }
                )
                continue
            if echo:
                yield prompt
            yield from characters
            yield "\n"
            if copies:
                novelty.tell(number, copies.report())

    if output is None:
        for piece in pieces():
            console.write(piece)
        return
    with unwinding(), output_file(output) as stream:
        for piece in pieces():
            # As console.use_utf8 has it: JSON may name a file whose name is no UTF-8.
            stream.write(piece.encode("utf-8", "surrogateescape"))


def _as_utf8(argument: str) -> str:
    """A word of the command line read as UTF-8, where the locale read it as something less."""
    return os.fsencode(argument).decode("utf-8", "surrogateescape")


def _read_prompt(name: str) -> str:
    """The text of --prompt-file, without the line end that ends it."""
    from charrnn.texts import decode, read_text

    if name == "-":
        text = decode(Path("stdin"), sys.stdin.buffer.read()).characters
    else:
        text = read_text(Path(name)).characters
    return text.removesuffix("\n")
