"""Where a model fails on a text: the kinds and places, its confidence, its worst passages."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from charrnn.anatomy import Anatomy
from charrnn.kinds import ends_line
from charrnn.passages import Passage, lines, passages
from charrnn.reliability import Reliability
from charrnn.scores import Observed
from charrnn.strips import Text
from charrnn.tokenizer import Vocabulary

MOST = 2**24
"""Characters of a text that are looked at, its first ones."""

PASSAGES = 3


class Where:
    """Looks at how each character of a text of N was predicted."""

    def __init__(self, text: Text, vocabulary: Vocabulary) -> None:
        """`text` is ids of the vocabulary's characters (N,)."""
        self._text = text[: min(len(text), MOST)]
        self._vocabulary = vocabulary
        self._anatomy = Anatomy(self._text, vocabulary)
        self._reliability = Reliability()

    def observe(self, observed: Observed) -> None:
        """Count how some characters were predicted."""
        inside = observed.places < len(self._text)
        self._anatomy.add(observed)
        self._reliability.add(observed.confidence[inside], observed.right[inside])

    def to_json(self, losses: NDArray[np.float32]) -> dict[str, Any]:
        """All that was found, by the names of `--json`; of losses (N,) or the first of them."""
        losses = losses[: len(self._text)]
        hardest, easiest = passages(losses, PASSAGES)
        return {
            "characters": len(self._text),
            **self._anatomy.to_json(),
            "calibration": self._reliability.to_json(),
            "hardest": self._rows(hardest, losses),
            "easiest": self._rows(easiest, losses),
        }

    def _rows(self, found: list[Passage], losses: NDArray[np.float32]) -> list[dict[str, Any]]:
        ends = ends_line(self._vocabulary)
        where = lines(self._text, ends, [passage.start for passage in found])
        return [
            {
                "line": line,
                "character": character,
                "nats_per_char": nats,
                "text": self._vocabulary.decode(self._text[start:end]),
                "losses": [round(loss, 3) for loss in losses[start:end].tolist()],
            }
            for (line, character), (start, end, nats) in zip(where, found, strict=True)
        ]
