"""Whether a score may be set beside published ones, and if not, why."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from charrnn.catalogue import CATALOGUE, Protocol, Published, StandardText
from charrnn.reading import BYTES, Reading


class Comparability(NamedTuple):
    """What can be said of a score on a standard text."""

    text: str
    """its name in the catalogue"""
    because: str | None
    """why it is not comparable; None where it is"""
    published: tuple[Published, ...]
    """what it may be compared with; nothing where it is not comparable"""
    score: float
    unit: str
    """of the score, and of those"""

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.because is not None:
            return f"Not comparable with published scores on {self.text}, because {self.because}."
        return (
            f"Comparable with published scores on {self.text}: {self.score:.4f} {self.unit} is "
            f"{_verdicts(self.score, self.published)}."
        )

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "text": self.text,
            "comparable": self.because is None,
            "because": self.because,
            "sentence": self.sentence,
            "unit": self.unit,
            "published": [each._asdict() for each in self.published],
        }


def comparability(
    corpus: Mapping[str, Any],
    *,
    split: str,
    reading: Reading,
    nats_per_char: float,
    own_text: str | None = None,
    window: int | None = None,
) -> Comparability | None:
    """Whether a checkpoint's score was taken as the field does; None on any other text.

    `corpus` is what the checkpoint records of its corpus (`Corpus.record`), `split` the part of
    it that was scored, unless `own_text` is the SHA-256 of a file scored in its place, and
    `reading` how the model reads. `window` is that of cold windows, None where the state was
    carried.
    """
    apart = {"sha256": own_text} if own_text else corpus["splits"][split]["file"]
    text = _standard([apart] if apart else corpus["files"])
    if text is None:
        return None
    protocol = text.protocol
    if protocol is None or not protocol.published:
        none = "charrnn's catalogue has none"
        return Comparability(text.name, none, (), nats_per_char, "nats/char")
    if apart:
        because: str | None = (
            f"they are of models {_parts(protocol)}, and here a whole file was scored"
        )
    else:
        because = _trained_otherwise(text, protocol, corpus, reading)
    because = because or _scored_otherwise(protocol, split, window)
    published = () if because else tuple(p for p in protocol.published if p.window == window)
    bits = protocol.unit.startswith("bits")
    score = nats_per_char / math.log(2) if bits else nats_per_char
    return Comparability(text.name, because, published, score, protocol.unit)


def _standard(files: Sequence[Mapping[str, Any]]) -> StandardText | None:
    """The first standard text among files: by SHA-256, or by name where that is not known."""
    for file in files:
        for text in CATALOGUE:
            if text.sha256 == file["sha256"]:
                return text
            if text.sha256 is None and file.get("name") == f"{text.name}.txt":
                return text
    return None


def _trained_otherwise(
    text: StandardText,
    protocol: Protocol,
    corpus: Mapping[str, Any],
    reading: Reading,
) -> str | None:
    """How the model was not trained as the field trains."""
    if len(corpus["files"]) > 1:
        return "this model was trained on other texts, too"
    same = text.ascii and reading.encoding in ("utf-8", BYTES)
    if reading.encoding != protocol.encoding and not same:
        return f"they are of models that read {protocol.units}, and this one reads {reading}"
    if reading != Reading(reading.encoding):
        return f"this model does not read it as it is, but as {reading}"
    splits = [corpus["splits"][name] for name in ("train", "val", "test")]
    lengths = [split["end"] - split["start"] for split in splits]
    if not _is_split(protocol, lengths) or any(split["file"] for split in splits):
        return (
            f"they are of models {_parts(protocol)}; this one was trained on {lengths[0]:,} "
            f"(charrnn train {' '.join(protocol.flags)} splits as they do)"
        )
    return None


def _is_split(protocol: Protocol, lengths: Sequence[int]) -> bool:
    if protocol.parts is not None:
        return tuple(lengths) == protocol.parts
    shares = (protocol.train_fraction, protocol.val_fraction, protocol.test_fraction)
    wanted = [share * sum(lengths) for share in shares]
    return all(abs(one - other) < 2 for one, other in zip(lengths, wanted, strict=True))


def _scored_otherwise(protocol: Protocol, split: str, window: int | None) -> str | None:
    """How the score was not taken as the field takes it."""
    if split != protocol.scored:
        return f"they are of the {protocol.scored} part: --split {protocol.scored}"
    windows = [published.window for published in protocol.published]
    if window in windows:
        return None
    if window is not None and None in windows:
        return "they are taken with the state carried: leave --cold-windows out"
    named = " or ".join(f"{each}" for each in windows)
    return f"they are taken in cold windows of {named} characters: --cold-windows {windows[-1]}"


def _parts(protocol: Protocol) -> str:
    """How the field splits a text; what is scored stands last in it."""
    if protocol.parts is None:
        first, last = protocol.train_fraction, protocol.test_fraction or protocol.val_fraction
        return f"trained on its first {first:.0%} and scored on its last {last:.0%}"
    train, val, test = protocol.parts
    return f"trained on its first {train:,} {protocol.units} and scored on its last {test or val:,}"


def _verdicts(score: float, published: Sequence[Published]) -> str:
    """Which of the published scores one is better than, equal to and worse than."""
    groups: dict[str, list[str]] = {"better than": [], "the same as": [], "worse than": []}
    for each in published:
        digits = len(f"{each.score:g}".partition(".")[2])
        difference = round(score, digits) - each.score
        word = "the same as" if abs(difference) < 1e-9 else "better than"
        word = "worse than" if difference >= 1e-9 else word
        groups[word].append(f"{each.score:g} of {each.model} ({each.who})")
    return " and ".join(f"{word} {', '.join(names)}" for word, names in groups.items() if names)
