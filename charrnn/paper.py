"""Scores as a table for a paper: GitHub's Markdown, or LaTeX with booktabs."""

import math
import re
from collections.abc import Iterable
from typing import Any

from charrnn.console import figure, one_line
from charrnn.rows import baseline, by_text, learned_from, model, scored_on

COLUMNS = ("run", "protocol", "nats/char", "bits/char", "bits/byte", "perplexity", "accuracy")

_NONE = "–"
_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{character: f"{{{character}}}" for character in "*[]"},  # a row's end reads them as its own
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
}


def markdown(rows: Iterable[dict[str, Any]]) -> str:
    """A table for each text that rows of `charrnn evaluate --json` are of, and its caption.

    Models stand as they come, then the baselines, best first.
    """
    return "\n".join(_markdown(models) for models in by_text(rows))


def latex(rows: Iterable[dict[str, Any]]) -> str:
    r"""The same as `table` environments, with the protocol in the caption.

    They need \usepackage{booktabs} and \usepackage[T1]{fontenc}.
    """
    tables = [_latex(models) for models in by_text(rows)]
    return "\n".join(["% \\usepackage{booktabs} \\usepackage[T1]{fontenc}\n", *tables])


def escaped_for_markdown(text: str) -> str:
    """Text on one line that Markdown shows as it is, in a table as well."""
    return re.sub(r"([\\`*_\[\]<>|~&$])", r"\\\1", one_line(text))


def escaped_for_latex(text: str) -> str:
    """Text on one line that LaTeX sets as it is, but for scripts that its fonts lack."""
    apart = re.sub(r"([-,])(?=\1)", "\\1\0", one_line(text))  # two would be set as another sign
    return "".join("{}" if c == "\0" else _LATEX.get(c, c) for c in apart)


def _markdown(models: list[dict[str, Any]]) -> str:
    rule = [":--", ":--", *["--:"] * (len(COLUMNS) - 2)]
    cells = [[escaped_for_markdown(cell) for cell in line] for line in _lines(models)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in [COLUMNS, rule, *cells])
    return f"{table}\n{escaped_for_markdown(_caption(models, protocol=False))}\n"


def _latex(models: list[dict[str, Any]]) -> str:
    lines = [[escaped_for_latex(cell) for cell in line] for line in _lines(models)]
    lines = [[run, *figures] for run, _, *figures in lines]  # the caption has the protocol
    heads = [name for name in COLUMNS if name != "protocol"]
    rows = [" & ".join(line) + r" \\" for line in lines]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escaped_for_latex(_caption(models, protocol=True))}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *rows[: len(models)],
            *([r"\midrule"] if rows[len(models) :] else []),
            *rows[len(models) :],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _lines(models: list[dict[str, Any]]) -> list[list[str]]:
    """What stands in the columns, not escaped: the models, then the baselines."""
    lines = []
    for row in models:
        limits = row["interval"]
        half = f" ± {figure((limits[1] - limits[0]) / 2, 4)}" if limits else ""
        accuracy = f"{row['accuracy']:.1%}"
        lines.append([model(row, models), row["protocol"], *_figures(row, half), accuracy])
    measured = [row for row in models[0].get("baselines", []) if "nats_per_char" in row]
    for row in sorted(measured, key=lambda row: float(row["nats_per_char"])):
        read = f"learned from {row['read_bytes']:,} bytes" if row["read_bytes"] else _NONE
        lines.append([baseline(row), read, *_figures(row, ""), _NONE])
    return lines


def _figures(row: dict[str, Any], half: str) -> list[str]:
    return [
        figure(row["nats_per_char"], 4) + half,
        figure(row["bits_per_char"], 4),
        figure(row["bits_per_byte"], 4),
        figure(math.exp(min(row["nats_per_char"], 700.0)), 3),
    ]


def _caption(models: list[dict[str, Any]], *, protocol: bool) -> str:
    """What was scored, how where that is asked for, what ± is and what was cut."""
    text = scored_on(models[0])
    parts = [text[0].upper() + text[1:] if text.startswith("the ") else text]
    if protocol:
        parts += [f"protocol: {how}" for how in dict.fromkeys(row["protocol"] for row in models)]
    length = models[0]["block_length"]
    if length:
        parts.append(
            f"± is half the width of a 95% interval by a bootstrap of blocks of {length:,} "
            "characters"
        )
    parts += [
        f"{baseline(row)} learned from {learned_from(row)}"
        for row in models[0].get("baselines", [])
        if row.get("cut")
    ]
    return "; ".join(parts) + "."
