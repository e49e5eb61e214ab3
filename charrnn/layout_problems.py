"""What may be wrong with a text as a whole: that it is small, not prose, or laid out for print.

`file` is the text's name for a shell.
"""

import re

from charrnn.problem import Problem, Problems, times
from charrnn.survey import Survey

_SMALL = 10_000  # characters


def small(found: Survey, _: str) -> Problems:
    """Too little to learn from."""
    if found.characters < _SMALL:
        yield Problem(
            f"only {found.characters:,} characters: a model will learn them by heart",
            "some hundred thousand are a beginning, a million is better",
        )


def blob(found: Survey, _: str) -> Problems:
    """What looks like noise."""
    inside = sum(map(len, _UNBROKEN.findall(found.passages)))
    if inside > 0.05 * len(found.passages):
        yield Problem(
            f"{inside / len(found.passages):.0%} of it are letters and digits on end without a "
            "space: base64, keys or a minified program, and no language",
            "leave those parts out",
        )


_UNBROKEN = re.compile(r"[A-Za-z0-9+/=_\-,;:(){}\[\].]{200,}")


def markup(found: Survey, file: str) -> Problems:
    """Formats that hold text among other things."""
    text = found.passages
    for kind, pattern, least, way_out in _MARKUP:
        inside = sum(len(each) for each in pattern.findall(text))
        if inside > least * len(text):
            yield Problem(
                f"it is {kind}: {inside / len(text):.0%} of it are marks, which the model would "
                "learn to write",
                f"if you want the text alone: {way_out.format(file=file)}",
            )
            return


_MARKUP = (
    (
        "HTML or XML",
        re.compile(r"</?[A-Za-z!?][^<>\n]{0,400}>|&#?\w{2,8};"),
        0.03,
        "pandoc -f html -t plain --wrap=none {file} -o text.txt",
    ),
    (
        "JSON, one object a line",
        re.compile(r'^\s*\{"[^"\n]*":|"[\w ]{1,30}":', re.MULTILINE),
        0.02,
        "jq -r .text {file} > text.txt (where .text names the field)",
    ),
    (
        "LaTeX",
        re.compile(r"\\[A-Za-z]{2,}\*?(?:\[[^\]\n]{0,80}\])?\{?"),
        0.03,
        "pandoc -f latex -t plain --wrap=none {file} -o text.txt",
    ),
)


def licence(found: Survey, _: str) -> Problems:
    """The licence around books of Project Gutenberg."""
    if _LICENCE.search(found.passages):
        yield Problem(
            "names Project Gutenberg: the model would learn to write its licence",
            "cut all before *** START OF and all from *** END OF",
        )


_LICENCE = re.compile("project gutenberg", re.IGNORECASE)


def repeats(found: Survey, file: str) -> Problems:
    """Passages that stand there again."""
    repeated = found.layout.repeated
    if repeated is not None and repeated > 0.1:
        yield Problem(
            f"{repeated:.0%} of its longer lines stand in it before, word for word: scores flatter "
            "where what is held out stands in what is learned",
            f"awk 'length < 40 || !seen[$0]++' {file} > without-repeats.txt",
        )


def one_line(found: Survey, _: str) -> Problems:
    """A text without line ends."""
    if found.layout.lines == 1 and found.characters > _SMALL:
        yield Problem(
            "the whole text is one line: a sample will be, too",
            "if it had lines once, go back to the file that has them",
        )


def line_ends(found: Survey, _: str) -> Problems:
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


def broken_words(found: Survey, file: str) -> Problems:
    """Words that a printer broke."""
    broken = len(_BROKEN_WORD.findall(found.passages))
    lines = found.passages.count("\n")
    if broken > max(5, 0.01 * lines):
        yield Problem(
            f"words are broken over {broken / lines:.0%} of the line ends: it was printed once",
            f"perl -0pe 's/(\\p{{Ll}})-\\n(?=\\p{{Ll}})/$1/g' {file} > whole-words.txt",
        )


_BROKEN_WORD = re.compile(r"[^\W\d_][-\u00ad]\n[^\W\d_]")


def wrapped(found: Survey, file: str) -> Problems:
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
            f"if you want each paragraph on a line of its own: fmt -w 2500 {file} > unwrapped.txt",
        )


def trailing(found: Survey, file: str) -> Problems:
    """Spaces that nobody sees at the ends of lines."""
    written = found.layout.lines - found.layout.blank
    if found.layout.trailing > 0.05 * written:
        yield Problem(
            f"{found.layout.trailing / written:.0%} of its lines end in spaces or tabs",
            f"sed 's/[ \\t]*$//' {file} > trimmed.txt",
        )


def tabs(found: Survey, file: str) -> Problems:
    """A few tabs in a text without."""
    tabs, lines = found.number("\t"), found.layout.lines
    if tabs and lines and tabs < 0.05 * lines:
        yield Problem(
            f"{times(tabs, 'tab')} among {lines:,} lines: rare, so badly learned",
            f"expand {file} > without-tabs.txt",
        )
