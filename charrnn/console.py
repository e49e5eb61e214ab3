"""Streams, colour, tables: what the commands say, drawn in one place.

What was asked for goes to stdout; progress, notices and errors go to stderr. Colour and
bars appear on a terminal alone, and not under NO_COLOR or TERM=dumb. Rich and tqdm are
imported by what draws with them, so that help and samples start without them.
"""

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from charrnn.errors import CharrnnError
from charrnn.files import failure

if TYPE_CHECKING:
    from rich.console import Console
    from tqdm import tqdm


def use_utf8() -> None:
    """Make the standard streams UTF-8, whatever the locale says, and open those that are closed."""
    for name, mode in ("stdin", "r"), ("stdout", "w"), ("stderr", "w"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads the stream on a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def is_coloured(stream: TextIO) -> bool:
    """Whether colour and weight may be used on the stream."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def width() -> int:
    """The columns there are to write in; 80 where nobody says."""
    return shutil.get_terminal_size((80, 24)).columns


def cells(text: str) -> int:
    """The columns that text takes on a terminal: a Chinese character two, an accent none."""
    from rich.cells import cell_len

    return cell_len(text)


class PipeClosed(Exception):  # noqa: N818
    """Whoever read our output has had enough, as `head` does: a reason to end, not a failure."""


def write(text: str) -> None:
    """Write generated text to stdout, at once on a terminal and by lines when piped.

    Piped, it is written as it is; on a terminal, as `harmless` shows it. Raises
    PipeClosed where nobody reads any more, DiskFullError or CharrnnError where stdout
    is a file that cannot take it.
    """
    _put(harmless(text) if sys.stdout.isatty() else text)


def flush() -> None:
    """See that all that was written to stdout is out; raises as `write`."""
    _put("", flush=True)


def _put(text: str, *, flush: bool = False) -> None:
    try:
        sys.stdout.write(text)
        if flush or sys.stdout.isatty() or "\n" in text:
            sys.stdout.flush()
    except BrokenPipeError:
        raise PipeClosed from None
    except OSError as error:
        raise failure("stdout", error) from None


def harmless(text: str) -> str:
    """Text of any lines, with escapes for what could move a cursor, recolour or hide.

    Carriage returns are left out: before a line end they do nothing, and elsewhere they
    would let what follows overwrite the line.
    """
    return _ACTS.sub(lambda found: _escaped(found[0]), text.replace("\r", ""))


# C0 without tab and newline, DEL and C1; separators of lines; what turns writing round;
# and the halves of characters in which Python keeps bytes that are no UTF-8.
_ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def say(line: str = "") -> None:
    """Write a line of what was asked for to stdout; raises PipeClosed."""
    write(line + "\n")


def say_wrapped(sentence: str) -> None:
    """Write a sentence to stdout, wrapped to the terminal's width (at most 100)."""
    import textwrap

    say(textwrap.fill(sentence, min(100, width()), break_long_words=False, break_on_hyphens=False))


def say_json(value: dict[str, Any]) -> None:
    """Write one JSON object as a line to stdout."""
    write(json_line(value))


def json_line(value: dict[str, Any]) -> str:
    """One JSON object as a line, which a terminal may be shown."""
    text = json.dumps(value, ensure_ascii=False)
    # Python keeps the bytes of file names that are no UTF-8 in U+DC80 to U+DCFF.
    return (
        _ACTS.sub(lambda c: c[0] if "\udc80" <= c[0] <= "\udcff" else _in_json(c[0]), text) + "\n"
    )


def _in_json(character: str) -> str:
    return f"\\u{ord(character):04x}"


def notice(line: str) -> None:
    """Write a line beside the point to stderr; on a terminal dim."""
    _to_stderr(one_line(line), "2")


def warn(line: str) -> None:
    """Write a warning to stderr."""
    _to_stderr(f"warning: {one_line(line)}", "33")


def show_error(error: CharrnnError) -> None:
    """Write an error to stderr: one line saying what and where, then the hint."""
    _to_stderr(f"charrnn: {one_line(error.message)}", "31")
    if error.hint:
        _to_stderr(f"hint: {one_line(error.hint)}", "2")


def one_line(text: str) -> str:
    """Text on one line, with escapes for what could move a cursor or turn its direction."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _to_stderr(line: str, style: str) -> None:
    """Write a line to stderr, on a terminal wrapped between words."""
    if is_terminal(sys.stderr):
        import textwrap

        line = textwrap.fill(line, max(20, width()), break_on_hyphens=False, break_long_words=False)
    with contextlib.suppress(OSError):  # what cannot be told stops nothing
        sys.stderr.write(
            f"\x1b[{style}m{line}\x1b[0m\n" if is_coloured(sys.stderr) else line + "\n"
        )
        sys.stderr.flush()


def rich_console(stream: TextIO) -> "Console":
    """A Rich console on a stream: plain, and so wide that nothing is cut, off a terminal."""
    from rich.console import Console

    return Console(
        file=stream,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=is_terminal(stream),
        color_system="auto" if is_coloured(stream) else None,
        width=None if stream.isatty() else 500,
    )


def show_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to stdout: names left, figures right and whole.

    Where the terminal is too narrow, columns are left out from the right.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(headers, *cells, strict=True)]
    widths[0] = min(widths[0], 24)
    fitting, columns = len(widths), rich_console(sys.stdout).width
    while fitting > 2 and sum(widths[:fitting]) + 2 * fitting + 1 > columns:
        fitting -= 1
    table.add_column(headers[0], overflow="fold", min_width=widths[0])
    for header in headers[1:fitting]:
        table.add_column(header, justify="right", no_wrap=True)
    for row in cells:
        table.add_row(*map(Text, row[:fitting]))
    _say_drawn(table)


def show_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Write names and values to stdout, a line each, the values aligned and wrapped."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(Text(one_line(name), style="dim"), Text(one_line(value)))
    _say_drawn(table)


def _say_drawn(drawing: Any) -> None:
    # Drawn first and written after: Rich would end the program where a pipe closes.
    console = rich_console(sys.stdout)
    with console.capture() as capture:
        console.print(drawing)
    # A table's box begins and ends with an empty line, which `head -n 1` should not get.
    for line in filter(None, map(str.rstrip, capture.get().split("\n"))):
        _put(line + "\n")


def progress(total: int, unit: str, *, quiet: bool = False) -> "tqdm[Any]":
    """A tqdm bar on stderr, for what takes longer than a blink; none off a terminal."""
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # no thread of its own, which a process could not fork beside
    return tqdm(
        total=total,
        unit=unit,
        unit_scale=True,
        leave=False,
        delay=0.5,
        miniters=1,
        dynamic_ncols=True,
        disable=quiet or not is_terminal(sys.stderr),
        file=sys.stderr,
    )


def confirm(question: str) -> bool:
    """Ask on the terminal; no without one."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{one_line(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def number(value: float) -> str:
    """A count a person can read at a glance: 950, 12.3k, 4.1M."""
    for size, least, unit in ((1e9, 0.9995, "G"), (1e6, 0.9995, "M"), (1e3, 9.9995, "k")):
        scaled = value / size
        if abs(scaled) >= least:
            return f"{scaled:.0f}{unit}" if abs(scaled) >= 99.95 else f"{scaled:.1f}{unit}"
    return f"{value:,.0f}"


def figure(value: float, digits: int) -> str:
    """A score with so many digits, or in scientific notation where it is absurdly large."""
    return f"{value:.{digits}f}" if abs(value) < 1e6 else f"{value:.2e}"


def duration(seconds: float) -> str:
    """A time a person can read at a glance: 8s, 2m 05s, 3h 20m, 4d 02h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3_600}h {whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3_600:02d}h"
