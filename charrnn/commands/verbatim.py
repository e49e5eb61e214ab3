"""What `charrnn evaluate` says of a text that stands in the training part word for word."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn import console

if TYPE_CHECKING:
    from charrnn.checkpoints import ModelRecord
    from charrnn.scores import Observed
    from charrnn.strips import Text
    from charrnn.tokenizer import Vocabulary

_EXCERPT = 40  # characters


class Copied:
    """The passages of a text that the training part has, and the score on all the rest."""

    def __init__(self, text: "Text", training: "Text", vocabulary: "Vocabulary", quiet: bool):
        """Both are ids by the vocabulary."""
        from charrnn import verbatim

        first_unknown = len(vocabulary) if vocabulary.rare is None else vocabulary.rare
        with console.progress(len(training), "char", quiet=quiet) as bar:
            self._found = verbatim.find(
                text, training, first_unknown=first_unknown, read=bar.update
            )
        self._count = len(text)
        self._begins = ""
        if self._found.longest is not None:
            start, _, characters = self._found.longest
            ids = text[start : start + min(characters, _EXCERPT)]
            self._begins = vocabulary.decode(ids) + "…" * (characters > _EXCERPT)
        self._nats, self._rest = 0.0, 0

    def observe(self, observed: "Observed") -> None:
        """Count the characters that stand in no such passage."""
        import numpy as np

        rest = ~self._found.holds(observed.places)
        self._nats += float(observed.losses[rest].sum(dtype=np.float64))
        self._rest += int(rest.sum())

    def to_json(self) -> dict[str, Any]:
        """By the names of `--json`; places are counted from 0."""
        found, longest = self._found, None
        if found.longest is not None:
            start, place, characters = found.longest
            longest = {
                "characters": characters,
                "character": start,
                "training_character": place,
                "begins": self._begins,
            }
        nats = self._nats / self._rest if self._rest else None
        return {
            "least": found.least,
            "share": found.characters / self._count,
            "characters": found.characters,
            "runs": len(found.starts),
            "longest": longest,
            "rest": {"characters": self._rest, "nats_per_char": nats},
        }


def training_ids(checkpoint: Path, record: "ModelRecord", corpus: Sequence[Path] | None) -> "Text":
    """The text that a checkpoint was trained on; raises TextError where it is not there."""
    from charrnn.heldout import split_text

    return split_text(checkpoint, record, "train", corpus).ids


def show(rows: list[dict[str, Any]]) -> None:
    """Say of each checkpoint what its text has from its training part."""
    for row in rows:
        console.say()
        console.say_wrapped(console.one_line(_sentence(row, row["verbatim"])))


def _sentence(row: dict[str, Any], found: dict[str, Any]) -> str:
    longest, rest, least = found["longest"], found["rest"], found["least"]
    if longest is None:
        return (
            f"{row['run']}: no {least} characters of the text on end stand word for word in the "
            "training part."
        )
    begins = (
        f"the longest, {longest['characters']:,} characters, at character "
        f"{longest['character'] + 1:,} of the text and {longest['training_character'] + 1:,} of "
        f"the training part: {longest['begins']!r}."
    )
    share = f"{found['share']:.1%}" if rest["characters"] else "All"
    without = f" Without them {console.figure(rest['nats_per_char'] or 0.0, 4)} nats/char."
    return (
        f"{row['run']}: {share} of the text, in runs of {least} characters or more, stands word "
        f"for word in the training part; {begins}{without if rest['characters'] else ''}"
    )
