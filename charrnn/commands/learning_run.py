"""One run of the benchmark of learning: trained, scored as `charrnn evaluate` does, removed."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from charrnn import console
from charrnn.commands import comparison
from charrnn.commands.differences import Scored
from charrnn.commands.scoring import Scoring

if TYPE_CHECKING:
    from tqdm import tqdm

    from charrnn.checkpoints import ModelRecord
    from charrnn.corpus import Corpus
    from charrnn.heldout import HeldOut
    from charrnn.learning_benchmark import Learned
    from charrnn.planning import Plan

_KEPT = (
    *("protocol", "characters", "nats_per_char", "bits_per_char", "bits_per_byte"),
    *("perplexity", "accuracy", "interval", "unknown", "comparable"),
)
"""What of a score by the names of `charrnn evaluate --json` is kept."""


class Run(NamedTuple):
    """A run, done and scored."""

    learned: "Learned"
    row: dict[str, Any]
    """by the names of `--json`"""
    scored: Scored | None
    """its best checkpoint with the state carried; None where it diverged"""

    @property
    def nats_per_char(self) -> float:
        """Of its best checkpoint; infinite where it diverged."""
        return float(self.scored.row["nats_per_char"]) if self.scored else float("inf")


class Bench:
    """Where runs on one text are made, one after the other."""

    def __init__(self, text: Path, corpus: "Corpus", windows: Sequence[int], place: Path) -> None:
        """Scores are taken in cold windows of these sizes, too; `place` is a directory."""
        self._text, self._vocabulary = text, len(corpus.vocabulary)
        self._windows, self._place = windows, place
        self._last: tuple[Path, ModelRecord, HeldOut] | None = None

    def run(self, plan: "Plan", name: str) -> Run:
        """Train and score; `name` is shown meanwhile. Raises CharrnnError."""
        from charrnn import learning_benchmark, runs
        from charrnn.checkpoints import read_checkpoint

        # The name of its directory is what a model is called beside the baselines.
        directory = self._place / str(plan.training.seed) / plan.model.model
        directory.mkdir(parents=True)
        with console.progress(0, "step") as bar:
            bar.set_description(name)
            learned = learning_benchmark.learn(
                plan, self._text, directory, lambda said: _show(bar, said)
            )
        row = learning_benchmark.row(learned, self._text, self._vocabulary)
        if learned.diverged:
            shutil.rmtree(directory)
            return Run(learned, row, None)
        path, checkpoint = runs.open_found(str(directory), self._place, read_checkpoint)
        cold = {}
        for window in (None, *self._windows):
            scoring = Scoring(
                *(None, "val", None, False, window, "fp32", plan.training.threads, None),
                where=False,
                verbatim=False,
                dynamic=False,
                context=False,
                quiet=True,
            )
            cold[window], held_out = scoring.of(path, checkpoint)
        carried = cold.pop(None)
        row |= {"best_step": checkpoint.record.step, **_kept(carried)}
        row["cold_windows"] = [{"window": w, **_kept(scored)} for w, scored in cold.items()]
        if self._last:  # only the last run's text is asked for again, and of others their logs
            for weights in self._last[0].parent.glob("*.safetensors"):
                weights.unlink()
        self._last = path, checkpoint.record, held_out
        return Run(learned, row, carried)

    def beside(self, run: Run) -> dict[str, Any]:
        """The score of a run that was not given up, beside baselines: for `comparison.show`."""
        assert self._last is not None and run.scored is not None
        path, record, held_out = self._last
        found = comparison.beside(path, record, held_out, None, {}, quiet=False)
        return comparison.against(run.scored, held_out, found).row


def _show(bar: "tqdm[Any]", said: dict[str, Any]) -> None:
    """Show on a bar what a run has said."""
    if said["kind"] == "begun":
        bar.reset(total=said["steps"])
    elif said["kind"] == "evaluated":
        bar.set_postfix_str(f"{said['nats_per_char']:.3f} nats/char")
    if "step" in said:
        bar.update(said["step"] - bar.n)


def _kept(scored: Scored) -> dict[str, Any]:
    return {name: scored.row[name] for name in _KEPT if name in scored.row}
