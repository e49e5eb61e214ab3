"""charrnn sample: a checkpoint to text."""

import contextlib
import errno
import itertools
import os
import secrets
import sys
from pathlib import Path

from charrnn import console
from charrnn.commands import novelty, sample_output, sample_prompts
from charrnn.commands import sample_options as options
from charrnn.commands.options import CHECKPOINTS, CheckpointDir, Json, Quiet
from charrnn.errors import UsageError
from charrnn.files import failures_named
from charrnn.settings import SamplingSettings


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
    interactive: options.Interactive = False,
    load_state: options.LoadState = None,
    save_state: options.SaveState = None,
    threads: options.Threads = None,
    separator: options.Separator = r"\n",
    echo: options.Echo = None,
    raw: options.Raw = False,
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
    stops = tuple(map(sample_prompts.as_utf8, stop or ()))
    settings = SamplingSettings(length, temperature, top_k, top_p, min_p, stops)
    for flag, value, least in (
        ("--num-samples", num_samples, 1),
        ("--skip", skip, 0),
        ("--seed", seed or 0, 0),
        ("--threads", 1 if threads is None else threads, 1),
    ):
        if value < least:
            raise UsageError(f"{flag} {value}: must be at least {least}")
    if interactive:
        _check_interactive(
            {
                "--prompt-file -": prompt_file == "-",
                "--num-samples": num_samples > 1,
                "--report-copies": report_copies,
                "--batch": batch is not None,
                "--skip": skip > 0,
                "--load-state": load_state is not None,
                "--save-state": save_state is not None,
                "--output": output is not None,
                "--json": json,
            }
        )
    if raw and json:
        raise UsageError("--raw and --json: JSON holds text, not bytes", "leave one of them out")
    if output == Path("-"):
        output = None
    many = batch is not None or num_samples > 1 or skip > 0
    sample_prompts.check(prompt, prompt_file, batch, unknown)
    novelty.check(report_copies, max_copy, corpus)
    _check_states(save_state, load_state, output, many, seed, max_copy)

    from charrnn import machine

    machine.threads_a_product(1 if many or threads is None else threads)
    threads = threads or machine.processors()

    from charrnn import runs
    from charrnn.bookmark import read_bookmark, write_bookmark
    from charrnn.checkpoints import read_checkpoint
    from charrnn.sampling import Request, Sampler
    from charrnn.spelling import rarities

    path, (record, weights) = runs.open_found(checkpoint, checkpoint_dir, read_checkpoint)
    if checkpoint is None and not quiet:
        console.notice(f"checkpoint {path}")
    name = "/".join(path.absolute().parts[-2:])
    begin = read_bookmark(load_state, record, name) if load_state is not None else None
    seed_is_drawn = seed is None and begin is None
    if seed_is_drawn:
        seed = secrets.randbelow(2**31)
    if raw:
        sample_prompts.check_raw(record.vocabulary)
    told = (lambda _: None) if quiet else console.notice
    prompt = sample_prompts.read(prompt, prompt_file, record.vocabulary, unknown)
    sample_prompts.check_stops(stops, record.vocabulary, raw)
    index = None
    if report_copies or max_copy is not None:
        index = novelty.opened(path, record, corpus, max_copy, quiet)
    watch = novelty.watching(index, max_copy, record.vocabulary)
    sampler = Sampler(record.settings, record.vocabulary, weights, raw=raw)
    shown = output is None and sys.stdout.isatty()
    echo = shown if echo is None else echo
    if interactive:
        from charrnn.commands import keyboard

        assert seed is not None
        if seed_is_drawn and not quiet:
            console.notice(f"seed {seed}")
        session = keyboard.Session(sampler, settings, seed, unknown, watch, told)
        keyboard.sit(session, prompt, echo=echo, quiet=quiet)
        return

    rare = rarities(prompt, record.vocabulary)
    if rare:
        told(rare)
    with contextlib.ExitStack() as stack:
        text = None
        drawn: sample_output.Drawn
        if many:
            assert seed is not None
            wanted = sample_prompts.requests(
                *(batch, prompt, record.vocabulary, unknown, told),
                seed=seed,
                num_samples=num_samples,
                skip=skip,
            )
            first = next(wanted, None)
            if first is None:
                console.notice(f"--skip {skip}: no sample is left to draw")
                return
            samples = sampler.sample_many(
                itertools.chain([first], wanted), settings, threads=threads, watch=watch
            )
            stack.callback(samples.close)
            drawn = ((sample.request, [sample.text]) for sample in samples)
        else:
            if begin is None:
                assert seed is not None
                begin = sampler.begin(prompt, seed, threads=threads)
            else:
                if seed is not None:
                    begin = begin._replace(seed=seed, number=0, drawn=0)
                if prompt:
                    begin = sampler.prompted(begin, prompt, threads=threads)
            ends = save_state is None
            text = sampler.go_on(begin, settings, watch and watch(), ends=ends)
            drawn = [(Request(prompt, begin.seed, begin.number), text)]

        if seed_is_drawn and not quiet:
            console.notice(f"seed {seed}")
        drawn = ((each._replace(prompt=sampler.shown(each.prompt)), text) for each, text in drawn)
        copies = novelty.reading(index, record.vocabulary) if report_copies else None
        if json:
            run = path.absolute().parent.name
            facts = {"run": run, "checkpoint": str(path), "step": record.step}
            pieces = sample_output.as_json(drawn, facts, copies)
        else:
            between = sample_prompts.as_utf8(separator)
            pieces = sample_output.raw(drawn, between, copies, echo=echo, shown=shown)
        sample_output.write(pieces, output)
    if save_state is not None and text is not None:
        write_bookmark(save_state, text.place(), record, name)


_LONGEST_COPY = 1_000
"""No more than `continuation.TAIL`, which takes NumPy to look up."""


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
    max_copy: int | None,
) -> None:
    """Raise UsageError where the state of a sample cannot be meant so, and what no file can be."""
    for flag, state in ("--load-state", load_state), ("--save-state", save_state):
        if state is not None and many:
            raise UsageError(
                f"{flag} with many samples: one alone has a state",
                "leave --batch, --num-samples and --skip out",
            )
        if state is not None and (max_copy or 0) > _LONGEST_COPY:
            raise UsageError(
                f"--max-copy {max_copy} with {flag}: no more than {_LONGEST_COPY:,} characters of "
                "a text are remembered"
            )
    if save_state is None:
        return
    if output is not None and os.path.realpath(output) == os.path.realpath(save_state):
        raise UsageError("--save-state and --output: give two files")
    if seed is not None and seed >= 2**63:
        raise UsageError(f"--seed {seed}: too large for --save-state", "give one below 2**63")
    with failures_named(save_state):  # before an hour of drawing, not after
        Path(os.path.realpath(save_state)).parent.stat()
        if save_state.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not os.access(Path(os.path.realpath(save_state)).parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
