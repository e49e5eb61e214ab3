"""Text that was UTF-8, was read in another encoding, and was saved so: café as cafÃ©."""

import re
from collections import Counter
from dataclasses import dataclass

_SLOPPY = "windows-1252, latin-1"  # as many programs have it: what the one lacks is the other's
_ENCODINGS = (
    *("windows-1252", "latin-1", _SLOPPY),
    *("windows-1251", "mac-roman", "cp437", "cp850", "koi8-r"),
)
_LEAST = 5  # different places may be chance
_LEAST_SHARE = 0.05
_MOST_TIMES = 4
_LOOKED_AT = 2_000  # different runs of characters


@dataclass(frozen=True)
class Mojibake:
    """How a text was spoilt."""

    encoding: str
    """in which it was read though it was UTF-8"""
    times: int
    """one reading after the other"""
    everywhere: bool
    """whether it is so of all characters beyond ASCII, so that reading back repairs the text"""
    example: str
    meant: str
    """what the example was at first"""


def mojibake(text: str) -> Mojibake | None:
    """How a text was spoilt, or None: undone, its characters are to be UTF-8 again."""
    runs = Counter(_BEYOND_ASCII.findall(text))
    undone = {encoding: _undone(runs, encoding) for encoding in _ENCODINGS}
    numbers = {encoding: sum(runs[run] for run in undone[encoding]) for encoding in undone}
    encoding = max(numbers, key=lambda each: numbers[each])
    if numbers[encoding] < max(_LEAST, _LEAST_SHARE * runs.total()):
        return None
    example = max(undone[encoding], key=lambda run: (runs[run], run))
    meant, times = undone[encoding][example], 1
    while times < _MOST_TIMES and (again := _undone(Counter([meant]), encoding)):
        meant, times = again[meant], times + 1
    everywhere = encoding != _SLOPPY and len(undone[encoding]) == len(runs)
    return Mojibake(encoding.split(",")[0], times, everywhere, example, meant)


_BEYOND_ASCII = re.compile("[^\x00-\x7f]+")


def _undone(runs: Counter[str], encoding: str) -> dict[str, str]:
    """Those of the runs that were UTF-8 before they were read in an encoding, and as what."""
    undone = {}
    for run, _ in runs.most_common(_LOOKED_AT):
        try:
            undone[run] = _bytes_of(run, encoding).decode()
        except UnicodeError:
            continue
    return undone


def _bytes_of(run: str, encoding: str) -> bytes:
    if encoding != _SLOPPY:
        return run.encode(encoding)
    return b"".join(
        each.encode("latin-1" if "\x80" <= each < "\xa0" else "windows-1252") for each in run
    )
