"""A plan in words: three lines for a person, and the one command that says all of it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from charrnn.batches import windows_per_epoch
from charrnn.corpus import Corpus
from charrnn.documents import title
from charrnn.planning import REGULARISERS, Plan
from charrnn.settings import to_json

_NAMED = 5  # files


def describe(chosen: Plan, corpus: Corpus) -> list[str]:
    """A plan in three lines: what is read, what learns, and how; with the reasons."""
    model, training = chosen.model, chosen.training
    names = ", ".join(title(text.path) for text in corpus.texts[:_NAMED])
    if len(corpus.texts) > _NAMED:
        names += f" and {len(corpus.texts) - _NAMED:,} more files"
    train, held_out = len(corpus.ids["train"]), len(corpus.ids["val"])
    epoch = windows_per_epoch(train, training.seq_length, training.batch_size)
    how = [f"{training.optimizer} {training.learning_rate:g}"]
    how.append(f"decay {training.weight_decay:g}, dropout {training.dropout:g}")
    if training.weight_drop:
        how.append(f"weight drop {training.weight_drop:g}")
    if said := sorted(REGULARISERS & set(chosen.reasons)):  # all for the same reason
        how[-1] += f" ({chosen.reasons[said[0]]})"
    if not training.carry:
        how.append("no state carried")
    how.append(f"{training.precision} on {training.device}")
    if training.device == "cpu":
        how.append(f"{training.threads} thread{'s' if training.threads > 1 else ''}")
    size = f"{model}, {model.parameters(len(corpus.vocabulary)):,} parameters"
    if "model" in chosen.reasons:
        size += f" ({chosen.reasons['model']})"
    return [
        f"corpus    {names}: {train:,} characters to train on, {held_out:,} held out",
        f"model     {size}, {len(corpus.vocabulary):,} characters known",
        f"training  {chosen.budget}, {epoch:,} steps of {training.batch_size} x "
        f"{training.seq_length} characters an epoch, {', '.join(how)}",
    ]


def explicit_command(paths: Sequence[Path], chosen: Plan, flags: Sequence[str]) -> str:
    """The one command that says all of a plan and leaves no default to choose.

    `flags` are the words of what is no part of a plan.
    """
    # A file whose name begins with a dash must not be taken for a flag.
    files = [f"./{path}" if str(path).startswith("-") else str(path) for path in paths]
    words = ["charrnn", "train", *files, *flags]
    values = to_json(chosen.model) | to_json(chosen.training) | chosen.budget.to_json()
    if chosen.model.model != "rnn":
        del values["nonlinearity"]
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return shlex.join(words)
