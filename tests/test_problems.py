"""What may be wrong with a text: each problem is told, in words, and sound text has none."""

import base64
import gzip
import os
import random
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from charrnn.problem import Problem, mended
from charrnn.problems import MOST, problems
from charrnn.survey import survey

DRAW = random.Random(1)
WORDS = re.findall(r"\w+", "the old bridge was quiet again and nobody came to drink tea at noon")


def prose(lines: int = 400) -> str:
    """Text with nothing wrong: lines of many lengths, none like another."""
    draw = random.Random(7)
    return "".join(
        " ".join(draw.choices(WORDS, k=draw.randrange(1, 40))).capitalize() + ".\n"
        for _ in range(lines)
    )


PROSE = prose()


def found(text: str) -> list[Problem]:
    return problems(survey([text]), Path("a.txt"))


def test_sound_text_has_none() -> None:
    assert found(PROSE) == []


@pytest.mark.parametrize(
    "text",
    [
        "«Où êtes-vous, Âme pâle ?» 3 € — château, bâtiment\n",
        "NÃO SEI, IRMÃO: A MANHÃ E O CORAÇÃO. São 5 €.\n",
        "“It’s a naïve façade,” said Zoë—“œuvre™”.\n",
        "我家門前有一條小河，河水清清。春天來了，橋邊的茶館又開門了。\n",
        "x < y, y > z & {z} [1] \\ a/b: if (a) { return; }\n",
    ],
    ids=["french", "portuguese", "english", "chinese", "program"],
)
def test_accents_and_signs_are_no_problem(text: str) -> None:
    assert found(PROSE + text * 6) == []


@pytest.mark.parametrize(
    ("text", "words", "way_out"),
    [
        (PROSE + "a line\0\n" * 3, "3 NUL characters", "tr -d '\\0' < a.txt"),
        (PROSE.replace("e", "e\0"), "NUL characters", "--encoding utf-16"),
        (
            PROSE + ("“Café”, naïve—“voilà”\n" * 20).encode().decode("cp1252", "ignore"),
            "read as Windows-1252, and saved so",
            "ftfy < a.txt > a-repaired.txt",
        ),
        (
            PROSE
            + ("déjà vu à l'été\n" * 20).encode().decode("latin-1").encode().decode("latin-1"),
            "Latin-1, twice",
            "iconv -f UTF-8 -t LATIN1 < a.txt | iconv -f UTF-8 -t LATIN1 > a-repaired.txt",
        ),
        (PROSE + "".join(map(chr, range(0x3400, 0x5C00))), "different characters", "--min-count 2"),
        (PROSE + "caf\ufffd, na\ufffdve\n", "2 replacement characters", "go back"),
        ("too little\n", "only 11 characters", "million"),
        (PROSE + base64.b64encode(DRAW.randbytes(9_000)).decode() + "\n", "base64", "leave"),
        (
            "".join(f"<p class='x'>{line}</p>\n" for line in PROSE.splitlines()),
            "it is HTML or XML",
            "pandoc -f html",
        ),
        (
            "".join(f'{{"id": 1, "text": "{line}"}}\n' for line in PROSE.splitlines()),
            "it is JSON",
            "jq -r '.. | .text? // empty' < a.txt > a-text.txt",
        ),
        (PROSE.replace("tea", "\\emph{tea}"), "it is LaTeX", "pandoc -f latex"),
        ("The Project Gutenberg EBook\n" + PROSE, "Gutenberg", "cut what is said"),
        ("Project Gutenberg\n*** START OF IT ***\n" + PROSE, "Gutenberg", "sed -n"),
        (PROSE + PROSE[:9_000], "of its longer lines stand in it before", "awk"),
        (PROSE.replace("\n", " ").strip(), "one line", "go back"),
        (PROSE.replace("\n", "\r\n"), "line ends: 400 CR LF (Windows)", "--newlines lf"),
        (PROSE.replace("\n", "\r"), "400 CR (old Macintosh)", "--newlines lf"),
        (
            PROSE.replace("\n", "\r\n", 100),
            "line ends of several kinds: 100 CR LF (Windows), 300 LF (Unix)",
            "--newlines lf",
        ),
        (PROSE + "\ufeffPart two\n", "1 byte-order mark (U+FEFF) inside", "sed"),
        (PROSE + "\x0c\x1b[31m\n", "2 control characters: ", "tr -d"),
        (PROSE + "caf\x85\x85\n", "2 control characters: U+0085", "--encoding windows-1252"),
        (PROSE + unicodedata.normalize("NFD", "déjà vu\n"), "accents", "--normalize nfc"),
        (PROSE + "the ﬁrst ﬂoor\n", "2 letters of printers and keyboards: ﬁ ﬂ", "nfkc"),
        (PROSE + "it's it’s\n" * 9, "two kinds of apostrophe: ' 9 times and ’ 9", "sed"),
        (PROSE + "zero\u200bwidth\n", "nobody sees: U+200B zero width space 1", "perl"),
        (PROSE.replace("ridge w", "rid-\nge w"), "words are broken over", "perl"),
        (
            "".join(" ".join(DRAW.choices(WORDS, k=13))[:66] + "\n" for _ in range(300)),
            "its lines are broken at some ",
            "fmt -w 2500 < a.txt",
        ),
        (PROSE.replace(".\n", ". \n"), "100% of its lines end in spaces or tabs", "sed"),
        (PROSE + "a\tb\n", "1 tab among 401 lines", "expand"),
    ],
)
def test_a_problem_is_told_with_a_way_out_and_only_it(text: str, words: str, way_out: str) -> None:
    (problem,) = found(text)
    assert words in problem.what
    assert way_out in problem.way_out


def test_the_worst_come_first_and_no_more_than_anyone_reads() -> None:
    text = (
        "The Project Gutenberg\r\n\ufeffcaf\ufffd \0 \x1b[0m e\u0301 ﬁ \u200b \n"
        + "it's it’s\t \n" * 9
    )
    told = [problem.what for problem in found(text)]
    assert len(told) == MOST
    assert [
        next(n for n, what in enumerate(told) if word in what)
        for word in ("NUL", "replacement", "only", "Gutenberg", "line ends")
    ] == [0, 1, 2, 3, 4]


def test_every_problem_is_one_line_and_every_way_out_is_there() -> None:
    text = "\ufeffone\r\ntwo\ufffd\0\x07\n"
    for problem in found(text):
        assert re.fullmatch(r"[^\n]+[^.\n]", problem.what)
        assert problem.way_out


@pytest.mark.parametrize(
    ("spoilt", "repaired"),
    [
        ("caf\ufeffé\n", "café\n"),
        ("it's it’s\n" * 9, "it's it's\n" * 9),
        ("it's ‘never mind’\n" * 9, "it's 'never mind'\n" * 9),
        ("it's “it’s\" “so” é\n" * 9, 'it\'s "it\'s" "so" é\n' * 9),
        ('say "so" “so”\n' * 9, 'say "so" "so"\n' * 9),
        ("bell\x07 page\x0c \x7ftab\n", "bell page tab\n"),
        ("zero\u200bwidth é\n", "zerowidth é\n"),
        (" a  \nb\t\n" * 300, " a\nb\n" * 300),
        ("déjà vu à Paris\n".encode().decode("cp1252") * 9, "déjà vu à Paris\n" * 9),
    ],
    ids=[
        "marks",
        "apostrophes",
        "pairs",
        "both",
        "quotes",
        "controls",
        "invisible",
        "trailing",
        "mojibake",
    ],
)
def test_the_commands_do_what_they_say(spoilt: str, repaired: str, tmp_path: Path) -> None:
    """Those that every Linux has."""
    file = tmp_path / "a file's.txt"
    file.write_bytes((PROSE + spoilt).encode())
    (problem,) = problems(survey([PROSE + spoilt]), file)
    assert pasted(problem.way_out.split(", unless")[0], file) == PROSE + repaired


def pasted(command: str, file: Path) -> str:
    """What a command makes of a file, in the locale that knows the least; the file stays."""
    before = file.read_bytes()
    plain = {**os.environ, "LC_ALL": "C"}
    subprocess.run(["/bin/sh", "-ec", command], cwd=file.parent, env=plain, check=True)
    assert file.read_bytes() == before
    (made,) = (path for path in file.parent.iterdir() if path != file)
    return made.read_text(encoding="utf-8")


def test_commands_read_compressed_files(tmp_path: Path) -> None:
    file, text = tmp_path / "a file.txt.gz", PROSE + "it's it’s\n" * 9
    file.write_bytes(gzip.compress(text.encode()))
    (problem,) = problems(survey([text]), file)
    assert pasted(problem.way_out, file) == text.replace("’", "'")
    assert (tmp_path / "a file-quotes.txt").exists()


@pytest.mark.parametrize("name", ["a.txt", "a-quotes.txt", "a-quotes", "-quotes.txt", "a.txt.xz"])
def test_no_command_writes_what_it_reads(name: str) -> None:
    source, target = mended(Path(name), "quotes", "sed").rsplit(" > ")
    assert target.endswith("-quotes.txt")
    assert target not in source.split()


def test_a_licence_is_cut_from_every_book(tmp_path: Path) -> None:
    book = "Project Gutenberg\n*** START OF THIS BOOK ***\n{}\n*** END OF THIS BOOK ***\nPay\n"
    text = book.format(PROSE) + book.format("Chapter 1\n")
    file = tmp_path / "a.txt"
    file.write_text(text, encoding="utf-8")
    (problem,) = problems(survey([text]), file)
    _, _, command = problem.way_out.partition(": ")
    assert pasted(command, file) == PROSE + "\nChapter 1\n\n"


@pytest.mark.parametrize(
    "form",
    ["{}", "{}\n{}\n", "[{}, {}]", '{{"pages": [{}]}}'],
    ids=["one", "lines", "array", "deep"],
)
@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_json_in_any_form_gives_its_text(form: str, tmp_path: Path) -> None:
    an_object = '{"id": 1, "text": "' + PROSE[:30].strip() + '", "to": null}'
    file = tmp_path / "a.json"
    file.write_text(form.replace("{}", an_object).replace("{{", "{").replace("}}", "}"))
    found = [p for p in problems(survey([file.read_text()]), file) if "JSON" in p.what]
    command = found[0].way_out.partition(": ")[2].split(", where")[0]
    assert set(pasted(command, file).splitlines()) == {PROSE[:30].strip()}
