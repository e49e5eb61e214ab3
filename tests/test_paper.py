"""Tables for a paper, read back as a reader of Markdown and of LaTeX would."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.console import one_line
from charrnn.paper import COLUMNS, escaped_for_latex, escaped_for_markdown, latex, markdown

NAMES = ["m1", "a_b&c|d%e", "x--y", "*[$#{}~^\\]", "中文 «é»", "a`b'c\"d<e>,,f"]


def row(run="m1", **more):
    return {
        "run": run,
        "step": 40,
        "split": "val",
        "characters": 1_234,
        "protocol": "carried state, 32 stretches",
        "nats_per_char": 1.5,
        "bits_per_char": 2.16404,
        "bits_per_byte": 2.1,
        "accuracy": 0.5512,
        "interval": [1.45, 1.56],
        "block_length": 123,
    } | more


def baseline(name, nats, **more):
    figures = dict.fromkeys(("nats_per_char", "bits_per_char", "bits_per_byte"), nats)
    read = {"read_bytes": 9_000, "training_bytes": 9_000, "cut": ""}
    return {"name": name} | figures | read | more


BASELINES = [
    baseline("uniform", 4.0, read_bytes=0),
    baseline("ngram", 1.6, order=7),
    baseline("bz2", 1.7, cut="window", training_bytes=12_000),
    {"name": "ppmd", "reason": "is not installed"},
]


def read_markdown(table):
    """Cells as GitHub reads them: first of a table, then of Markdown."""
    for line in table.splitlines():
        if line.startswith("| "):
            assert line.endswith(" |")
            cells = re.split(r"(?<!\\) \| ", line[2:-2])
            yield [
                re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cell.replace(r"\|", "|")) for cell in cells
            ]


COMMANDS = {
    "textbackslash": "\\",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textquotedbl": '"',
    "textquotesingle": "'",
    "textasciigrave": "`",
}


def read_latex(text):
    """What LaTeX sets, by what of its syntax is used; fails on what would act."""
    token = re.compile(
        r"\\(?P<command>[a-z]+)\{\}|\\(?P<symbol>[&%$#_{}])|\{(?P<group>[*\[\]]?)\}"
        r"|(?P<pm>\$\\pm\$)|(?P<plain>(?!--|,,)[^\\&%$#_{}~^<>|\"'`*\[\]])"
    )
    made, at = "", 0
    while at < len(text):
        found = token.match(text, at)
        assert found, text[at:]
        kind = found.lastgroup
        made += {"command": COMMANDS.get(found[1], ""), "pm": "±"}.get(kind, found[kind])
        at = found.end()
    return made


@settings(deadline=None, max_examples=200)
@given(st.text("ab-,|\\`*_[]<>~&$%#{}^\"'±–\n\x1b é中", max_size=12))
def test_any_text_is_shown_as_it_is(text):
    shown = one_line(text)
    ((cell,),) = read_markdown(f"| {escaped_for_markdown(text)} |")
    assert cell == shown
    assert not re.search(r"(?<!\\)(\\\\)*[`*_\[\]<>|~&$]", escaped_for_markdown(text))
    assert read_latex(escaped_for_latex(text)) == shown


def test_markdown_has_every_figure_in_its_column():
    table = list(read_markdown(markdown([row(baselines=BASELINES)])))
    assert table[0] == list(COLUMNS)
    assert all(re.fullmatch(":?--:?", cell) for cell in table[1])
    figures = ["1.5000 ± 0.0550", "2.1640", "2.1000", "4.482", "55.1%"]
    assert table[2] == ["m1", "carried state, 32 stretches", *figures]
    ngram = ["1.6000", "1.6000", "1.6000", "4.953", "–"]
    assert table[3] == ["7-gram, Kneser-Ney", "learned from 9,000 bytes", *ngram]
    assert [line[:2] for line in table[4:]] == [
        *(["bz2 -9", "learned from 9,000 bytes"], ["uniform", "–"])
    ]


def read_table(text):
    """The rows of a tabular, read back."""
    (body,) = re.findall(r"\\toprule\n(.*)\n\\bottomrule", text, re.DOTALL)
    lines = [line for line in body.splitlines() if line != r"\midrule"]
    assert all(line.endswith(r" \\") for line in lines)
    return [[read_latex(cell) for cell in line[:-3].split(" & ")] for line in lines]


@pytest.mark.parametrize("name", NAMES)
def test_latex_has_the_figures_of_markdown_and_the_protocol_in_its_caption(name):
    rows = [row(name, baselines=BASELINES), row("m2", baselines=BASELINES, interval=None)]
    text = latex(rows)
    there = list(read_markdown(markdown(rows)))
    assert read_table(text) == [[run, *figures] for run, _, *figures in [there[0], *there[2:]]]
    assert there[2][0] == name
    caption = read_latex(re.search(r"\\caption\{(.*)\}\n", text)[1])
    assert caption.startswith("The held-out part, 1,234 characters; protocol: carried state")
    assert "95% interval by a bootstrap of blocks of 123 characters" in caption
    assert caption.endswith(
        "bz2 -9 learned from the last 9,000 of 12,000 bytes of the training part."
    )
    environments = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    assert environments == [
        *(("begin", "table"), ("begin", "tabular"), ("end", "tabular"), ("end", "table"))
    ]
    assert r"\begin{tabular}{lrrrrr}" in text


def test_a_score_without_interval_or_baselines_is_a_row():
    alone = row(interval=None, block_length=None)
    *_, line = read_markdown(markdown([alone]))
    assert line[2] == "1.5000"
    assert "±" not in markdown([alone])
    assert r"\pm" not in latex([alone])
    assert latex([alone]).count(r"\midrule") == 1


def test_two_texts_are_two_tables():
    rows = [row(), row("m2", split="novel_1.txt")]
    assert markdown(rows).count("perplexity") == latex(rows).count(r"\toprule") == 2
    assert "novel\\_1.txt, 1,234 characters" in markdown(rows)
    assert latex(rows).count("usepackage{booktabs}") == 1
