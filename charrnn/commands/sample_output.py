"""How charrnn sample writes what it has drawn: raw or as JSON, to stdout or to a file."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn import console
from charrnn.commands import novelty
from charrnn.commands.options import unescaped
from charrnn.files import output_file
from charrnn.signals import unwinding

if TYPE_CHECKING:
    from charrnn.copies import Copies
    from charrnn.sampling import Request

Drawn = Iterable[tuple["Request", Iterable[str]]]
"""Each request and the text drawn for it, in pieces."""


def as_json(
    drawn: Drawn, facts: dict[str, Any], reading: "Callable[[], Copies] | None"
) -> Iterator[str]:
    """A line of JSON a sample; `reading` makes what reads each, if copies are to be told."""
    for request, pieces in drawn:
        copies = reading and reading()
        text = "".join(novelty.followed(pieces, copies))
        yield console.json_line(
            {
                **facts,
                "seed": request.seed,
                "number": request.number,
                **({} if request.id is None else {"id": request.id}),
                "prompt": request.prompt,
                "text": text,
                **(novelty.to_json(copies.report()) if copies else {}),
            }
        )


def raw(
    drawn: Drawn,
    separator: str,
    reading: "Callable[[], Copies] | None",
    *,
    echo: bool,
    shown: bool,
) -> Iterator[str]:
    """Texts as they are, their pieces as they come, each with the separator after it.

    So whoever waits for a text knows at once that it is whole, and texts that are drawn later
    can be put after these. `echo` puts the prompt before it. `shown` is whether all of it goes
    to a terminal, where nothing should follow on its last line.
    """
    end = unescaped(separator)
    for request, pieces in drawn:
        if echo:
            yield request.prompt
        copies = reading and reading()
        yield from novelty.followed(pieces, copies)
        yield end
        if copies:
            novelty.tell(request.number, copies.report())
    if shown and not end.endswith("\n"):
        yield "\n"


def write(pieces: Iterable[str], output: Path | None) -> None:
    """Write to stdout as it comes, or to a file that is whole at the end."""
    if output is None:
        for piece in pieces:
            console.write(piece)
        console.flush()
        return
    with unwinding(), output_file(output) as stream:
        for piece in pieces:
            # As console.use_utf8 has it: JSON may name a file whose name is no UTF-8.
            stream.write(piece.encode("utf-8", "surrogateescape"))
