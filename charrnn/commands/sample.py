"""charrnn sample: a checkpoint to text."""

import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from charrnn import console
from charrnn.commands.options import CHECKPOINTS, CheckpointDir, Json, Quiet, option
from charrnn.errors import UsageError
from charrnn.files import failures_named, output_file
from charrnn.settings import SamplingSettings
from charrnn.signals import unwinding

_TEXT, _CHARACTERS, _OUTPUT = "What it goes on from", "How characters are drawn", "Output"


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
    interactive: Annotated[
        bool, option("--interactive", "Ask for one prompt after the other.", _TEXT)
    ] = False,
    load_state: Annotated[
        Path | None,
        option("--load-state", "Go on exactly where --save-state left a text.", _TEXT),
    ] = None,
    save_state: Annotated[
        Path | None,
        option("--save-state", "A file for where the text ends, to go on from.", _OUTPUT),
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
      charrnn sample hamlet-gru --num-samples 10 --stop $'\\n\\n' --json > samples.jsonl
      charrnn sample hamlet-gru --load-state here --length 100 --save-state here
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
    if interactive:
        _check_interactive(
            {
                "--prompt-file -": prompt_file == "-",
                "--num-samples": num_samples > 1,
                "--load-state": load_state is not None,
                "--save-state": save_state is not None,
                "--output": output is not None,
                "--json": json,
            }
        )
    _check_states(save_state, load_state, output, num_samples, seed)

    from charrnn import runs
    from charrnn.bookmark import read_bookmark, write_bookmark
    from charrnn.checkpoints import read_checkpoint
    from charrnn.continuation import Place
    from charrnn.sampling import Sampler

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
        prompt = "".join(c for c in prompt if c in record.vocabulary)
    sampler = Sampler(record.settings, record.vocabulary, weights)
    if echo is None:
        echo = output is None and sys.stdout.isatty()
    if interactive:
        from charrnn.commands import keyboard

        assert seed is not None
        session = keyboard.Session(sampler, settings, seed, skip_unknown=unknown == "skip")
        keyboard.sit(session, prompt, echo=echo, quiet=quiet)
        return
    if begin is None:
        assert seed is not None
        begin = Place(sampler.read_prompt(prompt), seed)
    else:
        if seed is not None:
            begin = begin._replace(seed=seed, number=0, drawn=0)
        if prompt:
            begin = begin._replace(state=sampler.read_prompt(prompt, begin.state), tail="")
    ended = begin

    def pieces() -> Iterator[str]:
        nonlocal ended
        for number in range(begin.number, begin.number + num_samples):
            characters = sampler.go_on(begin._replace(number=number), settings)
            if json:
                yield console.json_line(
                    {
                        "run": path.absolute().parent.name,
                        "checkpoint": str(path),
                        "step": record.step,
                        "seed": begin.seed,
                        "number": number,
                        "prompt": prompt,
                        "text": "".join(characters),
                    }
                )
            else:
                if echo:
                    yield prompt
                yield from characters
                yield "\n"
        ended = characters.place()

    if output is None:
        for piece in pieces():
            console.write(piece)
        console.flush()
    else:
        with unwinding(), output_file(output) as stream:
            for piece in pieces():
                # As console.use_utf8 has it: JSON may name a file whose name is no UTF-8.
                stream.write(piece.encode("utf-8", "surrogateescape"))
    if save_state is not None:
        write_bookmark(save_state, ended, record, name)


def _check_interactive(others: dict[str, bool]) -> None:
    """Raise UsageError for an option that makes no sense with --interactive."""
    for flag, given in others.items():
        if given:
            raise UsageError(f"--interactive and {flag}: give one of them")


def _check_states(
    save_state: Path | None,
    load_state: Path | None,
    output: Path | None,
    num_samples: int,
    seed: int | None,
) -> None:
    """Raise UsageError where the state of a sample cannot be meant so, and what no file can be."""
    if load_state is not None and num_samples > 1 and seed is None:
        raise UsageError(
            f"--load-state with --num-samples {num_samples}: only one sample can go on exactly",
            "--seed begins several from there",
        )
    if save_state is None:
        return
    if num_samples > 1:
        raise UsageError(f"--save-state with --num-samples {num_samples}: the state of which one?")
    if output is not None and os.path.realpath(output) == os.path.realpath(save_state):
        raise UsageError("--save-state and --output: give two files")
    if seed is not None and seed >= 2**63:
        raise UsageError(f"--seed {seed}: too large for --save-state", "give one below 2**63")
    with failures_named(save_state):  # before an hour of drawing, not after
        Path(os.path.realpath(save_state)).parent.stat()


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
