"""Scores of checkpoints for a person: as facts of one, as a table of several."""

from typing import Any

from charrnn import console
from charrnn.commands import context_table, dynamic_score, precision
from charrnn.commands.differences import margin, named, sentences
from charrnn.rows import scored_on


def show(rows: list[dict[str, Any]]) -> None:
    """Draw the scores of one checkpoint, or of several beside one another."""
    if len(rows) == 1:
        console.show_facts(_facts(rows[0]))
    else:
        _show_several(rows)
    for row in rows:
        if "context" in row:
            console.say()
            context_table.show(row["context"], named(rows)[row["checkpoint"]])


def _show_several(rows: list[dict[str, Any]]) -> None:
    console.show_table(
        ["run", "step", "on", "nats/char", "bits/char", "perplexity", "accuracy", "in five"],
        [
            [
                row["run"],
                f"{row['step']:,}",
                row["split"],
                margin(row["nats_per_char"], row["interval"]),
                console.figure(row["bits_per_char"], 4),
                console.figure(row["perplexity"], 3),
                f"{row['accuracy']:.1%}",
                f"{row['accuracy_top5']:.1%}",
            ]
            for row in rows
        ],
    )
    for sentence in [*sentences(rows), *dynamic_score.sentences(rows)]:
        console.say_wrapped(console.one_line(sentence))


def comparable(rows: list[dict[str, Any]]) -> list[str]:
    """Whether published scores may be set beside these, once where it is the same of several."""
    found = [(row["run"], row["comparable"]["sentence"]) for row in rows if row["comparable"]]
    alone = len({sentence for _, sentence in found}) < 2
    return list(
        dict.fromkeys(sentence if alone else f"{run}: {sentence}" for run, sentence in found)
    )


def _facts(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("checkpoint", row["checkpoint"]),
        ("scored on", scored_on(row)),
        ("protocol", row["protocol"]),
        *([("precision", precision.words(row))] if row["precision"] != "fp32" else []),
        ("nats/char", f"{margin(row['nats_per_char'], row['interval'])}{_explained(row)}"),
        ("bits/char", console.figure(row["bits_per_char"], 4)),
        ("bits/byte", console.figure(row["bits_per_byte"], 4)),
        ("perplexity", f"{console.figure(row['perplexity'], 3)}  (letters it hesitates between)"),
        ("accuracy", f"{row['accuracy']:.1%}  (its first guess is right)"),
        ("in five", f"{row['accuracy_top5']:.1%}  (one of its first five is)"),
        *dynamic_score.facts(row),
    ]


def _explained(row: dict[str, Any]) -> str:
    length = row["block_length"]
    return f"  (95%, by blocks of {length:,} characters)" if length else ""
