"""charrnn checkpoints: what there is, whether it is whole, and what can go."""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charrnn import console
from charrnn.commands.options import (
    CHECKPOINTS,
    CheckpointDir,
    Command,
    Json,
    help_alone,
    option,
)
from charrnn.errors import DamagedError, UsageError

if TYPE_CHECKING:
    from charrnn.checkpoints import ModelRecord

app = typer.Typer(rich_markup_mode=None)

_SORTS = ("run", "step", "loss", "size", "age")


@app.callback(invoke_without_command=True)
def checkpoints(context: typer.Context) -> None:
    """List, show, verify and prune checkpoints.

    \b
    Examples:
      charrnn checkpoints list --sort loss
      charrnn checkpoints verify
    """
    help_alone(context)


@app.command("list", cls=Command)
def list_(
    sort: Annotated[str, option("--sort", "By run, step, loss, size or age.")] = "run",
    checkpoint_dir: CheckpointDir = CHECKPOINTS,
    json: Json = False,
) -> None:
    """List every checkpoint, reading headers only.

    \b
    Examples:
      charrnn checkpoints list
      charrnn checkpoints list --sort loss
      charrnn checkpoints list --json | head -n 1
    """
    if sort not in _SORTS:
        raise UsageError(f"--sort {sort}: must be one of {', '.join(_SORTS)}")

    from charrnn import runs

    rows, unreadable = [], 0
    for run in runs.all_runs(checkpoint_dir):
        files = runs.model_files(run)
        found = runs.records(files)
        unreadable += sum(path.exists() for path in files) - len(found)
        best = runs.best_of(found)
        for path, record in found:
            with contextlib.suppress(FileNotFoundError):  # pruned at this moment
                rows.append(_row(path, record) | {"best": path == best})
    keys = {"run": ("run", "step"), "loss": ("nats_per_char",), "age": ("age_seconds",)}
    rows.sort(key=lambda row: [_order(row[key]) for key in keys.get(sort, (sort,))])
    if json:
        for row in rows:
            console.say_json(row)
    elif not rows:
        console.notice(f"{checkpoint_dir}: no checkpoints; train one: charrnn train FILE.txt")
    else:
        console.show_table(
            ["run", "", "model", "step", "nats", "params", "bits", "size", "age"],
            [_cells(row) for row in rows],
        )
    if unreadable:
        console.warn(f"{unreadable} unreadable; charrnn checkpoints verify says which and why")


def _order(value: Any) -> Any:
    return float("inf") if value is None else value


def _row(path: Path, record: "ModelRecord") -> dict[str, Any]:
    """A checkpoint by the names of `--json`, from its header."""
    status = path.stat()
    score = record.scores.get("val", {})
    return {
        "run": path.absolute().parent.name,
        "checkpoint": str(path),
        "step": record.step,
        "model": record.settings.model,
        "layers": record.settings.layers,
        "hidden_size": record.settings.hidden_size,
        "parameters": record.parameters,
        "corpus": ", ".join(file["name"] for file in record.corpus["files"]),
        "nats_per_char": score.get("nats_per_char"),
        "bits_per_char": score.get("bits_per_char"),
        "size": status.st_size,
        "age_seconds": max(0.0, time.time() - status.st_mtime),
    }


def _cells(row: dict[str, Any]) -> list[str]:
    loss, bits = row["nats_per_char"], row["bits_per_char"]
    return [
        row["run"],
        "best" if row["best"] else "",
        f"{row['model']} {row['layers']}x{row['hidden_size']}",
        f"{row['step']:,}",
        "-" if loss is None else console.figure(loss, 4),
        console.number(row["parameters"]),
        "-" if bits is None else console.figure(bits, 4),
        console.number(row["size"]) + "B",
        console.duration(row["age_seconds"]).split()[0],
    ]


@app.command(cls=Command)
def show(
    checkpoint: Annotated[
        str | None,
        typer.Argument(help="A file, a run's directory or name (default: the run written last)."),
    ] = None,
    checkpoint_dir: CheckpointDir = CHECKPOINTS,
    json: Json = False,
) -> None:
    """Show what a checkpoint's header says.

    \b
    Examples:
      charrnn checkpoints show hamlet-gru
      charrnn checkpoints show hamlet-gru --json
    """
    from charrnn import runs
    from charrnn.checkpoints import read_record
    from charrnn.settings import to_json

    path, record = runs.open_found(checkpoint, checkpoint_dir, read_record)
    row = _row(path, record)
    if json:
        console.say_json(
            row
            | to_json(record.settings)
            | {"scores": record.scores, "digest": record.digest, "corpus": record.corpus}
            | {"vocabulary": record.vocabulary.to_json()}
        )
        return
    settings, vocabulary = record.settings, record.vocabulary
    facts = [
        ("checkpoint", str(path)),
        ("model", str(settings)),
        ("embedding", f"{settings.embedding_size} numbers a character"),
        ("parameters", f"{record.parameters:,}"),
        ("step", f"{record.step:,}"),
        ("vocabulary", f"{len(vocabulary):,} characters: {vocabulary.characters[:200]}"),
        ("text", str(vocabulary.reading)),
    ]
    for split, score in record.scores.items():
        facts.append((split, "  ".join(f"{name} {value:.6g}" for name, value in score.items())))
    files = ", ".join(file["name"] for file in record.corpus["files"])
    facts += [
        ("corpus", f"{files} ({record.corpus['characters']:,} characters)"),
        ("corpus SHA-256", record.corpus["sha256"]),
        ("digest", record.digest),
        ("size", f"{row['size']:,} bytes"),
    ]
    console.show_facts(facts)


@app.command(cls=Command)
def verify(
    checkpoints: Annotated[
        list[str] | None,
        typer.Argument(help="Files, runs' directories or names (default: every one)."),
    ] = None,
    checkpoint_dir: CheckpointDir = CHECKPOINTS,
) -> None:
    """Check that files hold the bytes that were written; exit 1 if one does not.

    Each model file, each resume file and run.json has a line of its own.

    \b
    Examples:
      charrnn checkpoints verify
      charrnn checkpoints verify hamlet-gru
      charrnn checkpoints verify mailed.safetensors
    """
    from charrnn import verification

    bad = 0
    paths = verification.places(checkpoints, checkpoint_dir)
    with console.progress(len(paths), "file") as bar:
        for path in paths:
            found = verification.check(path)
            bar.clear()
            if found is not None:
                console.say(console.one_line(found.fault or f"{path}: whole ({found.kind})"))
                bad += bool(found.fault)
            bar.update()
    if bad:
        raise DamagedError(
            f"{bad} of {len(paths)} files are no use",
            "charrnn train --resume goes on from the newest whole checkpoint",
        )


@app.command(cls=Command)
def prune(
    run_names: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Runs (default: every one).")
    ] = None,
    keep: Annotated[int, option("--keep", "Kept besides the best and the newest.")] = 0,
    yes: Annotated[bool, option("--yes", "Do not ask.")] = False,
    checkpoint_dir: CheckpointDir = CHECKPOINTS,
) -> None:
    """Remove all but the best and the newest checkpoints of runs.

    \b
    Examples:
      charrnn checkpoints prune
      charrnn checkpoints prune hamlet-gru --keep 3 --yes
    """
    if keep < 0:
        raise UsageError(f"--keep {keep}: must be at least 0")

    from charrnn import pruning, runs
    from charrnn.locks import locked

    for run in runs.select_runs(run_names, checkpoint_dir):
        doomed = pruning.prune(run, keep, dry_run=True)
        if not doomed:
            continue
        size = sum(path.lstat().st_size for path in doomed if path.exists())
        question = f"{run}: remove {len(doomed)} files ({console.number(size)}B)?"
        if not yes and not console.confirm(question):
            console.notice(f"{run}: nothing removed (--yes removes without asking)")
            continue
        with locked(run / runs.LOCK_FILE, str(run)):
            removed = pruning.prune(run, keep)
        told = f"{run}: removed {len(removed)} files ({console.number(size)}B)"
        console.say(console.one_line(told))
