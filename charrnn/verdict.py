"""A finished run in plain words: how good it is, and what to try next."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from charrnn.checkpoints import read_record
from charrnn.divergence import LOWERING
from charrnn.errors import CharrnnError, RunError
from charrnn.metrics import read_metrics
from charrnn.run_record import RunRecord, read_run
from charrnn.runs import find

LONGER = (1, 10, 60, 600)
"""Minutes, of which a run that was too short is told the next."""

OFTEN = 10.0
"""Readings of a text from which on more text is advised, and not more of them."""

_KINDS = {
    "report": ("step", "seconds"),
    "evaluation": ("step", "epoch", "seconds", "train_nats_per_char"),
    "divergence": ("step",),
}
"""By kind, the figures that a line has at least."""


def overfitting_since(evaluations: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The evaluation after which the held-out loss rose while training's fell, or None.

    A rise of less than 0.5% is not told from noise.
    """
    losses = "nats_per_char", "train_nats_per_char"
    scored = [e for e in evaluations if all(e.get(loss) is not None for loss in losses)]
    if len(scored) < 2:
        return None
    best = min(scored, key=lambda e: e["nats_per_char"])
    last = scored[-1]
    rose = last["nats_per_char"] > 1.005 * best["nats_per_char"]
    fell = last["train_nats_per_char"] < best["train_nats_per_char"]
    return best if rose and fell else None


def remedy(run: Path, name: str) -> str:
    """What may make a run's model better; empty where its files do not say.

    `name` is what the model is called.
    """
    try:
        evaluations = _evaluations(run)
    except CharrnnError:
        return ""
    known = [each for each in evaluations if None not in (each["seconds"], each["epoch"])]
    if not known:
        return ""
    since = overfitting_since(evaluations)
    if since is not None:
        return (
            f"{name} has been overfitting since step {since['step']:,}: more text or more "
            "--dropout may help."
        )
    seconds, epochs = known[-1]["seconds"], known[-1]["epoch"]
    if epochs >= OFTEN:
        return f"{name} has read its training part {epochs:,.0f} times: more text may help most."
    took = f"{seconds:,.0f} seconds" if seconds < 90 else f"{seconds / 60:,.1f} minutes"
    longer = [f"--minutes {minutes}" for minutes in LONGER if minutes * 60 >= 2 * seconds]
    return (
        f"{name} read its training part {epochs:,.1f} times in {took}: "
        f"{[*longer, 'a longer run'][0]} may bring it further."
    )


def result(run: Path) -> dict[str, Any]:
    """What a run came to: its best checkpoint's scores, by the names of `--json`.

    Raises CheckpointError or RunError where the run's files do not say.
    """
    record, best = read_run(run), find(str(run), run.parent)
    if record is None:
        raise RunError(f"{run}: has no run.json", "charrnn evaluate scores a checkpoint alone")
    header, lines = read_record(best), _log(run)
    seconds = next((line["seconds"] for line in reversed(lines) if "seconds" in line), 0.0)
    trained = record.schedule.steps * record.training.seq_length * record.training.batch_size
    return {
        "run": run.name,
        "checkpoint": str(best),
        "step": header.step,
        "steps": record.schedule.steps,
        "model": header.settings.model,
        "parameters": header.parameters,
        "seed": record.training.seed,
        "seconds": seconds,
        "characters_per_second": trained / seconds if seconds else 0.0,
        "split": "val" if "val" in header.scores else "train",
        "divergences": sum(line["kind"] == "divergence" for line in lines),
        "train_nats_per_char": header.scores.get("train", {}).get("nats_per_char"),
        **header.scores.get("val", {}),
    }


def sentences(run: Path) -> list[str]:
    """What a run came to, for a person; raises as `result`."""
    found, record = result(run), read_run(run)
    assert record is not None
    reference = run.name if run.parent == Path("checkpoints") else str(run)
    next_command = f"Next: charrnn sample {shlex.quote(reference)} --temperature 0.8"
    train = found["train_nats_per_char"]
    part = record.corpus["splits"]["val"]
    if "nats_per_char" not in found and part["start"] < part["end"]:
        return [
            f"Its loss on {_held_out(record)}, is no number: learning went wrong.",
            "Try a lower --learning-rate, or a --clip.",
            next_command,
        ]
    if "nats_per_char" not in found:
        hesitates = "" if train is None else f" ({math.exp(train):.1f} letters on its own text)"
        return [
            "Nothing was held out, so how well it predicts a new text is unknown" + hesitates + ".",
            next_command,
        ]
    evaluations = _evaluations(run)
    header = read_record(Path(found["checkpoint"]))
    if found["nats_per_char"] > math.log(len(header.vocabulary)):
        return [
            f"It predicts {_held_out(record)}, worse than guessing evenly among the "
            f"{len(header.vocabulary):,} characters it knows would "
            f"({found['nats_per_char']:.4g} against {math.log(len(header.vocabulary)):.4g} nats).",
            "It has not learned yet, or learning went wrong: train longer, or try a lower "
            "--learning-rate.",
            *_divergences(found["divergences"], record),
            next_command,
        ]
    unit = "byte" if header.vocabulary.of_bytes else "letter"
    return [
        f"The next {unit} is right {found['accuracy']:.0%} of the time; on average the model "
        f"hesitates between {found['perplexity']:.1f} {unit}s "
        f"({found['nats_per_char']:.3f} nats or {found['bits_per_char']:.3f} bits each).",
        f"Measured on {_held_out(record)}.",
        _fit(found["nats_per_char"], train, evaluations),
        *_divergences(found["divergences"], record),
        next_command,
    ]


def _divergences(count: int, record: RunRecord) -> list[str]:
    if not count:
        return []
    rate = record.training.learning_rate * LOWERING**count
    times = "once" if count == 1 else f"{count} times"
    return [
        f"Training diverged {times} and went back each time; its learning rate was "
        f"{rate:.2g} in the end, and not {record.training.learning_rate:.2g}."
    ]


def _held_out(record: RunRecord) -> str:
    own = record.held_out_paths.get("val")
    part = record.corpus["splits"]["val"]
    where = Path(own).name if own else f"the last {record.val_fraction:.0%} of the corpus"
    if not own and record.test_fraction:
        where = f"{record.val_fraction:.0%} of the corpus near its end"
    known = {file["sha256"] for file in record.corpus["files"]}
    seen = own and part["file"]["sha256"] in known
    which = "which it was trained on as well" if seen else "which training never saw"
    count, most = part["end"] - part["start"], record.schedule.evaluation_characters
    characters = f"{count:,} characters" if count <= most else f"{most:,} of {count:,} characters"
    return f"{where} ({characters}), {which}"


def _fit(held_out: float, train: float | None, evaluations: Sequence[dict[str, Any]]) -> str:
    since = overfitting_since(evaluations)
    losses = f"{held_out:.3f} nats on held-out text"
    if train is not None:
        losses += f", {train:.3f} while training for it"
    if since is not None:
        return (
            f"It has been overfitting since step {since['step']:,} (epoch {since['epoch']:.1f}), "
            "where the best checkpoint is from: more text, more --dropout or a smaller "
            "--hidden-size may help."
        )
    if len(evaluations) < 2:
        return f"Scored once, so whether it overfits cannot be told ({losses})."
    epochs = evaluations[-1]["epoch"] or 0.0
    if epochs >= OFTEN:
        losses += f"; the text was read {epochs:,.0f} times"
    further = "more text" if epochs >= OFTEN else "a longer run"
    return f"It is not overfitting ({losses}): {further} may bring it further."


def _log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log that say what they should; somebody may have edited it."""
    return [line for line in read_metrics(run) if _is_line(line)]


def _evaluations(run: Path) -> list[dict[str, Any]]:
    return [line for line in _log(run) if line["kind"] == "evaluation"]


def _is_line(line: dict[str, Any]) -> bool:
    if not isinstance(line.get("kind"), str):
        return False
    figures = {name: value for name, value in line.items() if name != "kind"}
    return all(name in figures for name in _KINDS.get(line["kind"], ("kind",))) and all(
        value is None or isinstance(value, int | float) for value in figures.values()
    )
