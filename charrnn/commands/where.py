"""What `charrnn evaluate --where` shows: tables and passages of where a model fails."""

from collections.abc import Iterable
from typing import Any

from charrnn import console

_BAR = 20  # columns
_TITLE = len("character of the line")  # so that the tables stand under one another
_MOST_KINDS = 12
_MARKS = ((".", 10), ("^", 100))  # under what had less than one chance in so many


def show(rows: list[dict[str, Any]]) -> None:
    """Draw what `where.Where` found of each checkpoint."""
    for row in rows:
        found = row["where"]
        if rows[1:]:
            console.say()
            console.say(console.one_line(row["checkpoint"]))
        if found["characters"] < row["characters"]:
            console.say()
            console.say_wrapped(f"Of the text's first {found['characters']:,} characters:")
        _show(found)


def _show(found: dict[str, Any]) -> None:
    kinds = found["kinds"]
    _show_groups("kind of character", "kind", kinds[:_MOST_KINDS])
    if kinds[_MOST_KINDS:]:
        console.say(f"and {len(kinds) - _MOST_KINDS} kinds more, in --json")
    _show_groups("character of the line", "place", found["line"])
    _show_groups("place in the word", "place", found["word"])
    _show_calibration(found["calibration"])
    for title in "hardest", "easiest":
        if found[title]:
            _show_passages(title, found[title])


def _show_groups(title: str, name: str, rows: list[dict[str, Any]]) -> None:
    console.say()
    console.show_table(
        [title.ljust(_TITLE), "of the text", "of the nats", "nats/char", "accuracy"],
        [
            [
                row[name],
                f"{row['share']:.1%}",
                f"{row['share_of_nats']:.1%}",
                console.figure(row["nats_per_char"], 3),
                f"{row['accuracy']:.1%}",
            ]
            for row in rows
        ],
    )


def _show_calibration(calibration: dict[str, Any]) -> None:
    console.say()
    console.show_table(
        ["its first guess at", "of the text", "on average", "is right", "█ right, │ it says"],
        [
            [
                f"{row['from']:.0%} to {row['to']:.0%}",
                f"{row['share']:.1%}",
                f"{row['confidence']:.1%}",
                f"{row['accuracy']:.1%}",
                bar(row["accuracy"], row["confidence"]),
            ]
            for row in calibration["bins"]
        ],
    )
    error, too_sure = 100 * calibration["error"], 100 * calibration["too_sure"]
    how = "too sure" if too_sure > 0 else "not sure enough"
    console.say_wrapped(
        f"What it says and how often it is right are {error:.1f} points apart (the expected "
        f"calibration error); on average it is {abs(too_sure):.1f} points {how}."
    )


def bar(right: float, said: float) -> str:
    """A bar as long as the share that is right, with a line where it was said to end."""
    cells = ["█" if cell < round(right * _BAR) else "·" for cell in range(_BAR)]
    cells[min(_BAR - 1, round(said * _BAR))] = "│"
    return "".join(cells)


def _show_passages(title: str, passages: list[dict[str, Any]]) -> None:
    console.say()
    legend = ", ".join(f"{mark} below 1/{chances}" for mark, chances in _MARKS)
    console.say(f"the {title} passages (a character's chance: {legend})")
    for passage in passages:
        place = f"line {passage['line']:,}, character {passage['character']:,}"
        console.say(f"{place}: {console.figure(passage['nats_per_char'], 3)} nats/char")
        for line in marked(passage["text"], passage["losses"], min(100, console.width()) - 2):
            if line.strip():
                console.say(f"  {line}".rstrip())


def marked(text: str, losses: Iterable[float], columns: int) -> list[str]:
    """Text in lines so wide, each with a line under it that marks what had little chance.

    `losses` are its N characters', in nats.
    """
    from math import log

    lines, shown, marks = [], "", ""
    for character, loss in zip(text, losses, strict=True):
        cell = console.one_line(character)
        width = console.cells(cell)
        if console.cells(shown) + width > columns:
            lines += [shown, marks]
            shown = marks = ""
        mark = [" ", *(mark for mark, chances in _MARKS if loss > log(chances))][-1]
        shown, marks = shown + cell, marks + mark * width
    return [*lines, shown, marks]
