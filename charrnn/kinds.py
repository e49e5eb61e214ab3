"""What kind of character each is: a letter by script and case, a digit, a space, a sign."""

import re
import sys
import unicodedata

import numpy as np
from numpy.typing import NDArray

from charrnn.tokenizer import Vocabulary

LINE_END = "line ends"
SPACE = "spaces"
LOWER = "lower case"
UPPER = "upper case"
DIGIT = "digits"
PUNCTUATION = "punctuation"
SYMBOL = "symbols"
MARK = "combining marks"
CONTROL = "control characters"
BYTE = "bytes from 128 on"
UNKNOWN = "unknown characters"

_MOST = 200
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_BY_CATEGORY = {"N": DIGIT, "P": PUNCTUATION, "S": SYMBOL, "M": MARK, "Z": SPACE, "C": CONTROL}
_UNSPACED = {"Han", "Hiragana", "Katakana", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"}
_LATIN = ("MATHEMATICAL ", "DOUBLE-STRUCK ", "SCRIPT ", "BLACK-LETTER ", "MODIFIER ")
_SCRIPT = re.compile(  # what a letter's name begins with
    r"(.+?) (?:SMALL|CAPITAL|LETTER|SYLLABLE|SYLLABICS|CHARACTER|VOWEL|SIGN|IDEOGRAPH|LIGATURE)\b"
)


def kind(character: str) -> str:
    """The kind of a character, by its category and its name in Unicode.

    Letters of Latin are of lower or of upper case; those of other scripts are called after
    them, such as "Han" or "Greek lower case".
    """
    category = unicodedata.category(character)
    if character in _LINE_ENDS:
        return LINE_END
    if character == "\t":
        return SPACE
    if category[0] != "L":
        return _BY_CATEGORY[category[0]]
    case = {"Ll": LOWER, "Lu": UPPER, "Lt": UPPER}.get(category, "")
    name = script(character)
    return f"{name} {case}".strip() if name != "Latin" else case or "Latin"


def script(letter: str) -> str:
    """The script of a letter, as far as its name in Unicode tells."""
    name = unicodedata.name(letter, "OTHER LETTER")
    if name.startswith(("CJK ", "IDEOGRAPHIC ")):
        return "Han"
    if "LATIN" in name or letter in "ªºµ" or name.startswith(_LATIN):
        return "Latin"
    found = _SCRIPT.match(name.removeprefix("HALFWIDTH ").removeprefix("FULLWIDTH "))
    return re.split("[ -]", found[1] if found else name)[0].capitalize()


def kinds(vocabulary: Vocabulary) -> tuple[list[str], NDArray[np.uint8]]:
    """The different kinds of a vocabulary's characters, and by id which it is, (V+1,).

    The last id stands for characters that the vocabulary lacks. What is of none of the
    first 200 kinds goes by "others".
    """
    found = [
        BYTE if vocabulary.of_bytes and character > "\x7f" else kind(character)
        for character in vocabulary.characters
    ]
    names = list(dict.fromkeys([UNKNOWN, *found]))
    if len(names) > _MOST:
        names = [*names[:_MOST], "others"]
    number = {name: i for i, name in enumerate(names)}
    table = [number.get(name, len(names) - 1) for name in [*found, UNKNOWN]]
    return names, np.array(table, dtype=np.uint8)


def in_words(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """By id, (V+1,), whether it is a letter or a mark on one, but for scripts without spaces."""
    last = "\x7f" if vocabulary.of_bytes else chr(sys.maxunicode)
    found = [
        character <= last
        and unicodedata.category(character)[0] in "LM"
        and script(character) not in _UNSPACED
        for character in vocabulary.characters
    ]
    return np.array([*found, False])


def ends_line(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """By id, (V+1,), whether a line begins after it: the newline, or without one the CR."""
    end = "\n" if "\n" in vocabulary.characters else "\r"
    return np.array([*(character == end for character in vocabulary.characters), False])
