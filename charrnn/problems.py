"""What may be wrong with a text, the worst first."""

from collections.abc import Callable
from pathlib import Path

from charrnn import character_problems as characters
from charrnn import layout_problems as layout
from charrnn.problem import Problem, Problems
from charrnn.survey import Survey

MOST = 8
"""how many problems are told"""

_LOOKS: tuple[Callable[[Survey, Path], Problems], ...] = (
    characters.nuls,
    characters.mojibake,
    characters.vocabulary,
    characters.replacements,
    layout.small,
    layout.blob,
    layout.markup,
    layout.licence,
    layout.repeats,
    layout.one_line,
    layout.line_ends,
    characters.marks,
    characters.controls,
    characters.normal_form,
    characters.compatibility,
    characters.twins,
    characters.invisible,
    layout.broken_words,
    layout.wrapped,
    layout.trailing,
    layout.tabs,
)


def problems(found: Survey, file: Path) -> list[Problem]:
    """Those of a text, the worst first, MOST at most; `file` is where it stands."""
    return [problem for look in _LOOKS for problem in look(found, file)][:MOST]
