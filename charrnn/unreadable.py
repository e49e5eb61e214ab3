"""What bytes are that cannot be read as the text they were taken for."""

from collections.abc import Iterable
from dataclasses import dataclass

from charrnn.damage import Damage, damage
from charrnn.guess import guesses
from charrnn.reading import canonical

_SHOWN = 3  # guesses


@dataclass(frozen=True)
class Unreadable:
    """What can be said of bytes that are not in the encoding that was expected."""

    what: str
    """in words, to go on with after the place where they could not be read on"""
    encoding: str | None
    """in which they make most sense, the expected one included; None for no text"""
    broken: bool
    """whether some of them are wrong in that one, too"""
    details: list[tuple[str, str]]
    """how they read in the likeliest encodings, or where they are broken"""


def unreadable(expected: str, head: bytes, near: bytes, chunks: Iterable[bytes]) -> Unreadable:
    """Look at bytes that are not in the `expected` encoding.

    `head` are the first of them, `near` some before and after where they cannot be read on,
    `chunks` all, read only where they are UTF-8 with broken places.
    """
    # The space keeps apart what does not follow; `near` may begin within a character.
    sample = head if near in head else head + b" " + near.lstrip(_CONTINUING)
    found = [g for g in guesses(sample) if canonical(g.encoding) != expected or g.broken]
    if not found:
        return Unreadable("no text in any encoding that was tried", None, False, [])
    best = found[0]
    if best.encoding == "utf-8" and best.broken:
        return _broken(damage(chunks))
    details = [(f"as {guess.encoding}", guess.line) for guess in found[:_SHOWN]]
    what = f"probably {best.encoding}"
    what += " with some broken bytes" if best.broken else f": “{best.line}”"
    return Unreadable(what, best.encoding, best.broken > 0, details)


_CONTINUING = bytes(range(0x80, 0xC0))  # which begin no character of UTF-8


def _broken(found: Damage) -> Unreadable:
    details = [
        (
            f"line {place.line:,}, column {place.column:,}",
            place.around + _in_windows(place.broken),
        )
        for place in found.first
    ]
    more = found.places - len(found.first)
    if more:
        details.append(("and", f"{more:,} more"))
    places = f"{found.places:,} place{'s' * (found.places != 1)}"
    first = "".join(f", the first “{place.around}”" for place in found.first[:1])
    return Unreadable(f"it is UTF-8 but for {places}{first}", "utf-8", True, details)


def _in_windows(broken: bytes) -> str:
    """What broken bytes often are: a few words out of another file."""
    letters = broken.decode("windows-1252", "replace")
    return f"  ({letters} in windows-1252)" if letters.isalpha() else ""
