"""What charrnn evaluate does with one checkpoint: text, score, and what was asked besides."""

import contextlib
import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn import console
from charrnn.commands import context_table, dynamic_score
from charrnn.commands import precision as precisions
from charrnn.commands import verbatim as copied
from charrnn.commands.differences import Scored, scored
from charrnn.errors import UsageError

if TYPE_CHECKING:
    from charrnn.checkpoints import Checkpoint, ModelRecord
    from charrnn.heldout import HeldOut
    from charrnn.losses import Losses
    from charrnn.scores import Observed, Score


@dataclass(frozen=True)
class Scoring:
    """How checkpoints are scored: the flags of charrnn evaluate."""

    text: Path | None
    split: str
    corpus: list[Path] | None
    exact: bool
    window: int | None
    """characters of a window that is entered cold"""
    precision: str
    threads: int
    losses: Path | None
    where: bool
    verbatim: bool
    dynamic: bool
    context: bool
    quiet: bool

    def of(self, path: Path, checkpoint: "Checkpoint") -> tuple[Scored, "HeldOut"]:
        """A checkpoint's score by the names of `--json`, and the text; raises CharrnnError."""
        from charrnn import evaluation
        from charrnn.intervals import BlockSums
        from charrnn.losses import room_for
        from charrnn.model import CharacterModel
        from charrnn.where import Where
        from charrnn.workers import Workers, prepare

        prepare(self.threads)
        record, weights = checkpoint
        vocabulary, held_out = record.vocabulary, self._held_out(path, record)
        ids = held_out.ids
        model = CharacterModel(record.settings, len(vocabulary))
        model.load(weights)
        escape = evaluation.escape_probability(
            len(vocabulary), int(record.corpus["splits"]["train"]["end"])
        )
        each = room_for(len(ids), whole=self.losses is not None or self.context)
        blocks = BlockSums(len(ids))
        look = Where(ids, vocabulary) if self.where else None
        copies = None
        if self.verbatim:
            training = copied.training_ids(path, record, self.corpus)
            copies = copied.Copied(ids, training, vocabulary, self.quiet)

        def observe(observed: "Observed") -> None:
            blocks.add(observed.places, observed.losses)
            if look:
                look.observe(observed)
            if copies:
                copies.observe(observed)

        precision = precisions.choose(self.precision, record.settings, self.threads)
        with (
            contextlib.closing(Workers(self.threads)) as workers,
            console.progress(len(ids), "char", quiet=self.quiet) as bar,
        ):
            scoring = functools.partial(
                evaluation.score,
                model,
                ids,
                start=vocabulary.start,
                byte_count=held_out.bytes,
                rare=vocabulary.rare,
                escape=escape,
                exact=self.exact,
                window=self.window,
                workers=workers,
            )
            score = scoring(
                precision=precision,
                losses=each,
                observe=observe,
                scored=bar.update,
            )
            changed = precisions.difference(precision, scoring)
        self._check(score, record)
        if self.losses is not None:
            _write(self.losses, each)
        row = {
            "run": path.absolute().parent.name,
            "checkpoint": str(path),
            "step": record.step,
            "split": str(self.text or self.split),
            "exact": self.exact,
            "protocol": evaluation.protocol(len(ids), exact=self.exact, window=self.window),
            "unknown": score.unknown,
            "comparable": self._comparable(record, held_out, score),
            **score.to_json(),
            **changed,
        }
        escape = escape if score.unknown else 0.0
        if look:
            row["where"] = look.to_json(each)
        if copies:
            row["verbatim"] = copies.to_json()
        if self.context:
            row["context"] = context_table.measured(
                model, ids, each, escape, vocabulary.rare, self.threads, self.quiet
            )
        if self.dynamic:
            row["dynamic"] = dynamic_score.measured(
                path, record, model, held_out, escape, self.corpus, self.quiet
            )
        return scored(row, held_out.sha256, len(ids), blocks.means()), held_out

    def _held_out(self, path: Path, record: "ModelRecord") -> "HeldOut":
        from charrnn import heldout

        with console.progress(0, "B", quiet=self.quiet) as bar:
            if self.text is not None:
                found = heldout.own_text([self.text], record, told=bar.update)
            else:
                found = heldout.split_text(path, record, self.split, self.corpus, told=bar.update)
        if found.remark:
            console.warn(found.remark)
        count = len(found.ids)
        if self.window is not None and self.window > count:
            raise UsageError(
                f"--cold-windows {self.window}: the text has {count:,} characters",
                f"--cold-windows {count}, or --exact to read it as one stream",
            )
        return found

    def _check(self, score: "Score", record: "ModelRecord") -> None:
        """Raise CheckpointError for a score that is none; say how many were unknown."""
        from charrnn.continuation import no_probabilities

        if not math.isfinite(score.nats):
            raise no_probabilities()
        if score.unknown and not self.quiet:
            rare = record.vocabulary.unknown
            console.warn(
                f"{score.unknown:,} of {score.characters:,} characters are "
                f"{'rarer than --min-count' if rare else 'ones training never saw'}; "
                "each pays for being unknown and for which one it was"
            )

    def _comparable(
        self, record: "ModelRecord", held_out: "HeldOut", score: "Score"
    ) -> dict[str, Any] | None:
        from charrnn.comparability import comparability

        found = comparability(
            record.corpus,
            split=self.split,
            reading=record.vocabulary.reading,
            nats_per_char=score.nats_per_char,
            own_text=None if self.text is None else held_out.sha256,
            window=self.window,
        )
        return found and found.to_json()


def _write(path: Path, losses: "Losses") -> None:
    from charrnn.files import output_file
    from charrnn.losses import write_losses

    with output_file(path) as stream:
        write_losses(stream, losses)
