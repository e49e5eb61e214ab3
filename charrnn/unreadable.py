"""Why bytes cannot be read as text, what they are instead, and the flag that reads them."""

from collections.abc import Iterable
from dataclasses import dataclass

from charrnn.damage import Damage, damage
from charrnn.guess import Guess, for_iconv, guesses
from charrnn.reading import canonical

_SHOWN = 3  # guesses


@dataclass(frozen=True)
class Unreadable:
    """What can be said of bytes that are not in the encoding that was expected."""

    what: str
    """what they are, to be put behind the name of a file"""
    way_out: str
    details: list[tuple[str, str]]
    """how they read in the likeliest encodings, or where they are broken"""


def unreadable(
    encoding: str, *, head: bytes, near: bytes, chunks: Iterable[bytes], file: str
) -> Unreadable:
    """Look at bytes that are not in `encoding`.

    `head` are the first of them, `near` some before and after where they cannot be read on,
    `chunks` all, read only where they are UTF-8 with broken places; `file` is their name for
    a shell.
    """
    # The space keeps apart what does not follow; `near` may begin within a character.
    sample = head if near in head else head + b" " + near.lstrip(_CONTINUING)
    found = [g for g in guesses(sample) if canonical(g.encoding) != encoding or g.broken]
    if not found:
        return Unreadable(
            f"not {encoding.upper()}, and no text in any other encoding that was tried",
            f"charrnn train {file} --encoding bytes takes anything",
            [],
        )
    best = found[0]
    if best.encoding == encoding == "utf-8":
        return _broken(damage(chunks), file)
    what = f"not {encoding.upper()} but probably {best.encoding}"
    details = [(f"as {guess.encoding}", guess.line) for guess in found[:_SHOWN]]
    if best.broken:
        return Unreadable(f"{what} with some broken bytes", _dropping(best, file), details)
    return Unreadable(
        f"{what}: “{best.line}”",
        f"charrnn train {file} --encoding {best.encoding}"
        + "".join(f", or {guess.encoding}" for guess in found[1:_SHOWN]),
        details,
    )


_CONTINUING = bytes(range(0x80, 0xC0))  # which begin no character of UTF-8


def _dropping(guess: Guess, file: str) -> str:
    name = for_iconv(guess.encoding)
    return f"to leave the broken bytes out: iconv -c -f {name} -t UTF-8 {file} > repaired.txt"


def _broken(found: Damage, file: str) -> Unreadable:
    first, *_ = found.first
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
    return Unreadable(
        f"UTF-8 that is broken in {found.places:,} place{'s' * (found.places != 1)}, first in line "
        f"{first.line:,}, column {first.column:,}: “{first.around}”",
        "to leave the broken bytes out: "
        f"iconv -c -f UTF-8 -t UTF-8 {file} > repaired.txt; or --encoding bytes",
        details,
    )


def _in_windows(broken: bytes) -> str:
    """What broken bytes often are: a few words out of another file."""
    letters = broken.decode("windows-1252", "replace")
    return f"  ({letters} in windows-1252)" if letters.isalpha() else ""
