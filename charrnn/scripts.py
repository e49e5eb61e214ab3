"""What kind of character one is, and of which script."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable

_NAMES = {"Cjk": "Han", "Halfwidth": "Katakana", "Fullwidth": "Latin"}
_OF_NO_SCRIPT = {"", "Combining", "Modifier", "Variation", "Feminine", "Masculine"}
_KINDS = {"L": "letters", "M": "letters", "N": "digits", "Z": "spaces", "P": "punctuation"}


def script(character: str) -> str | None:
    """The script of a letter, by the first word of its name in Unicode; None for no letter."""
    if kind(character) != "letters":
        return None
    first = unicodedata.name(character, "").partition(" ")[0].partition("-")[0].capitalize()
    return None if first in _OF_NO_SCRIPT else _NAMES.get(first, first)


def kind(character: str) -> str:
    """Whether it is one of the letters, digits, spaces, punctuation, line ends or others."""
    if character in "\n\r":
        return "line ends"
    if character == "\t":
        return "spaces"
    return _KINDS.get(unicodedata.category(character)[0], "others")


def shares(
    counts: Iterable[tuple[str, int]], of: Callable[[str], str | None]
) -> list[tuple[str, float]]:
    """The share of each kind among the characters that are of one, largest first."""
    found: Counter[str] = Counter()
    for character, count in counts:
        what = of(character)
        if what:
            found[what] += count
    total = found.total()
    return [(what, count / total) for what, count in found.most_common()]
