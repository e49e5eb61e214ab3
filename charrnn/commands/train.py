"""charrnn train: a corpus to a model."""

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from charrnn import console
from charrnn.commands import sitting
from charrnn.commands import train_options as options
from charrnn.commands.options import CHECKPOINTS, CheckpointDir, Json, Quiet
from charrnn.errors import UsageError
from charrnn.settings import (
    ModelSettings,
    TrainingSettings,
    check_nonlinearity,
    check_plan,
    check_weight_drop,
    to_json,
)

if TYPE_CHECKING:
    from charrnn.commands.corpus_reading import Parent
    from charrnn.corpus import Corpus
    from charrnn.planning import Plan
    from charrnn.run_record import RunRecord

SHORT_TEXT = 20_000
"""Characters below which a user is told not to expect much."""


def train(
    corpus: options.Corpus = None,
    model: options.Model = None,
    hidden_size: options.HiddenSize = None,
    layers: options.Layers = None,
    embedding_size: options.EmbeddingSize = None,
    nonlinearity: options.Nonlinearity = None,
    minutes: options.Minutes = None,
    epochs: options.Epochs = None,
    steps: options.Steps = None,
    seq_length: options.SeqLength = None,
    batch_size: options.BatchSize = None,
    carry: options.Carry = None,
    plan: options.Plan = None,
    optimizer: options.Optimizer = None,
    learning_rate: options.LearningRate = None,
    weight_decay: options.WeightDecay = None,
    clip: options.Clip = None,
    dropout: options.Dropout = None,
    weight_drop: options.WeightDrop = None,
    on_divergence: options.OnDivergence = None,
    weight_init: options.WeightInit = None,
    forget_bias: options.ForgetBias = None,
    seed: options.Seed = None,
    val_frac: options.ValFrac = None,
    val_file: options.ValFile = None,
    test_frac: options.TestFrac = None,
    test_file: options.TestFile = None,
    encoding: options.Encoding = None,
    newlines: options.Newlines = None,
    normalize: options.Normalize = None,
    lowercase: options.Lowercase = None,
    document_separator: options.DocumentSeparator = None,
    min_count: options.MinCount = None,
    rehash: options.Rehash = False,
    init_from: options.InitFrom = None,
    precision: options.Precision = None,
    device: options.Device = None,
    threads: options.Threads = None,
    name: options.Name = None,
    checkpoint_dir: CheckpointDir = CHECKPOINTS,
    checkpoint_steps: options.CheckpointSteps = None,
    evaluation_steps: options.EvaluationSteps = None,
    keep: options.Keep = None,
    deadline: options.Deadline = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on text.

    \b
    Examples:
      charrnn train hamlet.txt
      charrnn train hamlet.txt --model lstm --hidden-size 512 --minutes 60
      charrnn train part1.txt part2.txt --epochs 10 --dropout 0.2 --name both
      charrnn train hamlet.txt --name night --resume     # one line for a queue
      charrnn train books/ notes.txt.gz --encoding windows-1252
      charrnn train hamlet.txt --dry-run                 # what would be done

    What is left out is chosen to fit text, budget and machine.
    """
    given = {flag: value for flag, value in locals().items() if value is not None}
    began = time.monotonic()
    ModelSettings(**_named(given, ModelSettings))  # before anything is read
    TrainingSettings(**_named(given, TrainingSettings))
    for flag in "checkpoint_steps", "evaluation_steps":
        if given.get(flag, 1) < 1:
            raise UsageError(f"--{flag.replace('_', '-')} {given[flag]}: must be at least 1")
    check_plan(plan or "auto")
    if deadline is not None and not (math.isfinite(deadline) and deadline > 0):
        raise UsageError(f"--deadline {deadline:g}: must be a number of minutes above 0")

    from charrnn import documents, run_record, runs, verdict
    from charrnn.commands import corpus_reading
    from charrnn.locks import locked
    from charrnn.schedule import Budget
    from charrnn.signals import Signals

    limits: dict[str, Any] = {
        unit: given[unit] for unit in ("epochs", "steps", "minutes") if unit in given
    }
    budget = Budget(**limits) if limits else None
    if name is not None:
        runs.check_name(name)
    asked = corpus_reading.asked(given)
    if resume and overwrite:
        raise UsageError("--resume and --overwrite: give one of them")
    if not corpus and not (resume and name):
        raise UsageError("no corpus given", "charrnn train FILE.txt")
    if corpus:
        default = runs.default_name(corpus[0], model or "gru")
        given["corpus"] = corpus = [documents.spooled(path) for path in corpus]
    if not corpus and not (checkpoint_dir / (name or "") / run_record.RUN_FILE).exists():
        raise UsageError(
            f"{checkpoint_dir / (name or '')}: no run of that name",
            f"start it: charrnn train FILE.txt --name {name}",
        )
    run = checkpoint_dir / (name or default)
    if name and run.is_dir() and not (resume or overwrite or dry_run):
        raise runs.taken(run)
    with Signals() as signals:
        record = run_record.read_run(run) if resume else None
        if record is not None:
            run_record.check_same(run.name, record, given | asked, limits)
            if dry_run:
                _say_choice(record, record.command, record.budget, record.plan, json)
                return
        else:
            check_nonlinearity(model or "gru", nonlinearity)
            parent = corpus_reading.parent(given)
            text = corpus_reading.read(given, parent)
            chosen = _chosen(text, budget, given, parent, quiet)
            if dry_run:
                kept = name or resume or overwrite
                free = run.name if kept else runs.free_name(checkpoint_dir, run.name)
                command = sitting.explicit_command(chosen, given, free)
                _say_choice(chosen, command, chosen.budget.to_json(), chosen.to_json(), json)
                return
            if overwrite and run.is_dir():
                aside = runs.set_aside(run)
                if not quiet:
                    console.notice(f"the old run is moved aside to {aside}")
            run = runs.claim(checkpoint_dir, run.name, numbered=not (name or resume), reuse=resume)
        watch = sitting.Watch(signals, began + 60 * deadline if deadline else math.inf, quiet)
        with locked(run / runs.LOCK_FILE, str(run)) as held:
            if not held:
                console.warn(
                    f"{run}: this file system has no locks: see to it that nobody else trains there"
                )
            if resume:  # another process may have begun it since, or gone on with it
                record = run_record.read_run(run)
            if record is not None:
                sitting.go_on(run, record, given, watch)
            else:
                try:
                    initial = corpus_reading.initial(parent)
                    sitting.begin(run, text, chosen, initial, given, watch)
                finally:
                    runs.abandon(run)  # what was not begun leaves no trace
    if json:
        console.say_json(verdict.result(run))
    elif not quiet:
        console.say()
        *sentences, command = verdict.sentences(run)
        for sentence in sentences:
            console.say_wrapped(sentence)
        console.say(command)  # unwrapped, to be copied


def _say_choice(
    of: "Plan | RunRecord",
    command: str,
    budget: dict[str, Any],
    plan: dict[str, Any],
    json: bool,
) -> None:
    """What --dry-run prints; in JSON by the names of run.json."""
    settings = {"model": to_json(of.model), "training": to_json(of.training)}
    if json:
        console.say_json({"command": command, **settings, "budget": budget, "plan": plan})
    else:
        console.say(command)


def _named(given: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """The flags that settings of a kind have; "auto" leaves its one to the machine."""
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: given[name] for name in given if name in names and given[name] != "auto"}


def _chosen(
    text: "Corpus",
    budget: Any,
    given: Mapping[str, Any],
    parent: "Parent | None",
    quiet: bool,
) -> "Plan":
    """What the run will be, said on stderr before it is begun."""
    from charrnn import calibration, explanation
    from charrnn.inheritance import check_settings

    model = _named(given, ModelSettings)
    if parent is not None:
        check_settings(parent.checkpoint.record.settings, model)
        model = to_json(parent.checkpoint.record.settings)
    characters = len(text.ids["train"])
    chosen = calibration.plan(
        characters,
        budget=budget,
        model=model,
        training=_named(given, TrainingSettings),
        mode=given.get("plan", "auto"),
    )
    check_weight_drop(chosen.model, chosen.training.weight_drop)
    if not quiet:
        for line in explanation.describe(chosen, text):
            console.notice(line)
        if characters < SHORT_TEXT:
            console.warn(f"{characters:,} characters are too few to learn much from")
    return chosen
