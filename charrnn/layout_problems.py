"""What may be wrong with a text as a whole: that it is small, not prose, or laid out for print.

`file` is where the text stands.
"""

import re
from pathlib import Path

from charrnn.problem import Problem, Problems, mended, times
from charrnn.survey import Survey

_SMALL = 10_000  # characters


def small(found: Survey, _: Path) -> Problems:
    """Too little to learn from."""
    if found.characters < _SMALL:
        yield Problem(
            f"only {found.characters:,} characters: a model will learn them by heart",
            "some hundred thousand are a beginning, a million is better",
        )


def blob(found: Survey, _: Path) -> Problems:
    """What looks like noise."""
    inside = sum(map(len, _UNBROKEN.findall(found.passages)))
    if inside > 0.05 * len(found.passages):
        yield Problem(
            f"{inside / len(found.passages):.0%} of it are letters and digits on end without a "
            "space: base64, keys or a minified program, and no language",
            "leave those parts out",
        )


_UNBROKEN = re.compile(r"[A-Za-z0-9+/=_\-,;:(){}\[\].]{200,}")


def markup(found: Survey, file: Path) -> Problems:
    """Formats that hold text among other things."""
    text = found.passages
    for kind, pattern, least, command in _MARKUP:
        inside = sum(len(each) for each in pattern.findall(text))
        if inside > least * len(text):
            yield Problem(
                f"it is {kind}: {inside / len(text):.0%} of it are marks, which the model would "
                "learn to write",
                f"if you want the text alone: {mended(file, 'text', command)}"
                + (", where text names the field" if kind == "JSON" else ""),
            )
            return


_MARKUP = (
    (
        "HTML or XML",
        re.compile(r"</?[A-Za-z!?][^<>\n]{0,400}>|&#?\w{2,8};"),
        0.03,
        "pandoc -f html -t plain --wrap=none",
    ),
    (
        "JSON",
        re.compile(r'^\s*\{"[^"\n]*":|"[\w ]{1,30}":', re.MULTILINE),
        0.02,
        "jq -r '.. | .text? // empty'",
    ),
    (
        "LaTeX",
        re.compile(r"\\[A-Za-z]{2,}\*?(?:\[[^\]\n]{0,80}\])?\{?"),
        0.03,
        "pandoc -f latex -t plain --wrap=none",
    ),
)


def licence(found: Survey, file: Path) -> Problems:
    """The licence around books of Project Gutenberg."""
    if _LICENCE.search(found.passages):
        yield Problem(
            "names Project Gutenberg: the model would learn to write its licence",
            f"keep what stands between its marks: {mended(file, 'text', _BOOKS)}"
            if "*** START OF" in found.passages
            else "cut what is said before the book and after it",
        )


_LICENCE = re.compile("project gutenberg", re.IGNORECASE)
_BOOKS = r"sed -n '/\*\*\* START OF/,/\*\*\* END OF/{//!p;}'"


def repeats(found: Survey, file: Path) -> Problems:
    """Passages that stand there again."""
    repeated = found.layout.repeated
    if repeated is not None and repeated > 0.1:
        yield Problem(
            f"{repeated:.0%} of its longer lines stand in it before, word for word: scores flatter "
            "where what is held out stands in what is learned",
            mended(file, "without-repeats", "awk 'length < 40 || !seen[$0]++'"),
        )


def one_line(found: Survey, _: Path) -> Problems:
    """A text without line ends."""
    if found.layout.lines == 1 and found.characters > _SMALL:
        yield Problem(
            "the whole text is one line: a sample will be, too",
            "if it had lines once, go back to the file that has them",
        )


def line_ends(found: Survey, _: Path) -> Problems:
    """Line ends other than LF."""
    crlf = found.layout.crlf
    kinds = {
        "CR LF (Windows)": crlf,
        "LF (Unix)": found.number("\n") - crlf,
        "CR (old Macintosh)": found.number("\r") - crlf,
    }
    kinds = {kind: number for kind, number in kinds.items() if number}
    if set(kinds) - {"LF (Unix)"}:
        told = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
        yield Problem(
            f"{'line ends of several kinds' if len(kinds) > 1 else 'line ends'}: {told}",
            "--newlines lf makes all of them LF",
        )


def broken_words(found: Survey, file: Path) -> Problems:
    """Words that a printer broke."""
    broken = len(_BROKEN_WORD.findall(found.passages))
    lines = found.passages.count("\n")
    if broken > max(5, 0.01 * lines):
        yield Problem(
            f"words are broken over {broken / lines:.0%} of the line ends: it was printed once",
            mended(file, "whole-words", "perl -CSD -0pe 's/(\\p{Ll})-\\n(?=\\p{Ll})/$1/g'"),
        )


_BROKEN_WORD = re.compile(r"[^\W\d_][-\u00ad]\n[^\W\d_]")


def wrapped(found: Survey, file: Path) -> Problems:
    """Paragraphs broken into lines of equal length."""
    layout = found.layout
    widest = layout.quantile(0.98)
    if not 50 <= widest <= 100 or layout.lines - layout.blank < 200:
        return
    near = int(layout.lengths[int(0.8 * widest) : widest + 1].sum())
    if near > 0.6 * (layout.lines - layout.blank):
        yield Problem(
            f"its lines are broken at some {widest} characters: the model will learn to break "
            "them there",
            "if you want each paragraph on a line of its own: "
            + mended(file, "unwrapped", "fmt -w 2500"),
        )


def trailing(found: Survey, file: Path) -> Problems:
    """Spaces that nobody sees at the ends of lines."""
    written = found.layout.lines - found.layout.blank
    if found.layout.trailing > 0.05 * written:
        yield Problem(
            f"{found.layout.trailing / written:.0%} of its lines end in spaces or tabs",
            mended(file, "trimmed", "sed 's/[ \\t]*$//'"),
        )


def tabs(found: Survey, file: Path) -> Problems:
    """A few tabs in a text without."""
    tabs, lines = found.number("\t"), found.layout.lines
    if tabs and lines and tabs < 0.05 * lines:
        yield Problem(
            f"{times(tabs, 'tab')} among {lines:,} lines: rare, so badly learned",
            mended(file, "without-tabs", "expand"),
        )
