"""What is drawn: numbers at a glance, lines safe to show, and the live picture by its width."""

import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import SHIPPED
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from charrnn import console, dashboard
from charrnn.corpus import read_corpus
from charrnn.errors import CharrnnError
from charrnn.events import Evaluated, Event, Progressed, Reported, Saved, Stopped
from charrnn.schedule import Schedule
from charrnn.scores import Score
from charrnn.session import Session
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.training_state import fresh_state

quick = settings(deadline=None, max_examples=100)

UNITS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


# Numbers and times at a glance.


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (950, "950"),
        (9_999, "9,999"),
        (12_345, "12.3k"),
        (236_700, "237k"),
        (4_100_000, "4.1M"),
        (2.5e9, "2.5G"),
    ],
)
def test_a_number_is_short(value: float, shown: str) -> None:
    assert console.number(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(999_999, "1.0M"), (999_999_999, "1.0G")])
def test_a_number_rounded_up_takes_the_next_unit(value: float, shown: str) -> None:
    assert console.number(value) == shown


@quick
@given(st.integers(0, 10**12))
def test_a_number_is_true_to_five_percent(value: int) -> None:
    found = re.fullmatch(r"([\d,.]+)([kMG]?)", console.number(value))
    assert found
    told = float(found[1].replace(",", "")) * UNITS[found[2]]
    assert told == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0s"),
        (8.4, "8s"),
        (59.7, "1m 00s"),
        (125, "2m 05s"),
        (3_599.6, "1h 00m"),
        (12_000, "3h 20m"),
        (86_400 * 4 + 7_300, "4d 02h"),
    ],
)
def test_a_duration_has_two_units(seconds: float, shown: str) -> None:
    assert console.duration(seconds) == shown


@quick
@given(st.floats(0, 1e8))
def test_a_duration_is_true_to_its_smaller_unit(seconds: float) -> None:
    shown = console.duration(seconds)
    parts = [(int(part[:-1]), part[-1]) for part in shown.split()]
    told = sum(count * SECONDS[unit] for count, unit in parts)
    assert told - 0.5 <= seconds < told + SECONDS[parts[-1][1]] + 0.5


# Lines that are safe to show.


@quick
@given(st.text())
def test_one_line_holds_nothing_that_moves_a_cursor(text: str) -> None:
    shown = console.one_line(text)
    assert shown.isprintable()
    assert "\n" not in shown


@quick
@given(st.text(st.characters(categories=["L", "N", "P", "Zs"], max_codepoint=0x7E)))
def test_one_line_leaves_printable_text_alone(text: str) -> None:
    assert console.one_line(text) == text


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\r", "\u202e", "\u2028", "\udcff"])
def test_one_line_keeps_a_control_character_readable(character: str) -> None:
    shown = console.one_line(f"a{character}b")
    assert f"{ord(character):x}" in shown or "\\r" in shown


def test_an_error_is_one_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_error(CharrnnError("a\nb\x1b[31m.txt: no", "try\nthis"))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == ["charrnn", "hint"]
    assert "\x1b" not in err


@pytest.mark.parametrize("say", [console.notice, console.warn])
def test_a_notice_holds_no_control_characters(
    say: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Names of files and runs reach notices too."""
    say("corpus    ctl\x1b[31mname.txt\rx")
    assert capsys.readouterr().err.rstrip("\n").isprintable()


def test_a_table_off_a_terminal_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """What a script greps for stands whole on its line."""
    name = "a-run-with-a-name-of-some-length-" * 4
    console.show_table(["run", *"abcdefg"], [[name, *["1,234,567.8901"] * 7]])
    out = capsys.readouterr().out
    assert any(name in line and line.count("1,234,567.8901") == 7 for line in out.splitlines())


def test_a_table_off_a_terminal_begins_with_its_headers(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_table(["run", "loss"], [["a", "1"]])
    assert capsys.readouterr().out.splitlines()[0].split() == ["run", "loss"]


def test_a_table_shows_cells_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_table(["run", "loss"], [["[bold]x[/bold] :smile:", "\x1b[31m\n"]])
    out = capsys.readouterr().out
    assert "[bold]x[/bold] :smile:" in out
    assert "\x1b" not in out


class Stream(io.StringIO):
    """A stdout that counts how often it was flushed."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal, self.flushes = terminal, 0

    def isatty(self) -> bool:
        return self.terminal

    def flush(self) -> None:
        self.flushes += 1


@pytest.mark.parametrize(("terminal", "flushes"), [(True, 8), (False, 2)])
def test_text_comes_by_characters_on_a_terminal_and_by_lines_in_a_pipe(
    terminal: bool, flushes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(terminal)
    monkeypatch.setattr("sys.stdout", stream)
    for character in "abc\nde\nf":
        console.write(character)
    assert (stream.getvalue(), stream.flushes) == ("abc\nde\nf", flushes)


@pytest.mark.parametrize("terminal", [True, False])
def test_text_on_a_terminal_moves_no_cursor_and_piped_is_as_it_was_generated(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(terminal)
    monkeypatch.setattr("sys.stdout", stream)
    text = "a\x1b[2J\x9b1m\x07\x7f\r\n\tb\rc\u202e\u2028\udc9b"
    for character in text:
        console.write(character)
    shown = "a\\x1b[2J\\x9b1m\\x07\\x7f\n\tbc\\u202e\\u2028\\udc9b"
    assert stream.getvalue() == (shown if terminal else text)


@quick
@given(st.text())
def test_what_a_terminal_is_shown_is_whole_but_for_what_acts(text: str) -> None:
    shown = console.harmless(text)
    assert not set(shown) & {*map(chr, (*range(9), *range(11, 32), *range(127, 160)))}
    ordinary = "".join(c for c in text if c.isprintable())
    assert console.harmless(ordinary) == ordinary


@pytest.mark.parametrize(
    "text",
    ["e\u0301", "\U0001f469\u200d\U0001f467", "a\u00a0b", "\u3000", "\tx\n", "\u0645", "\u200f"],
)
def test_marks_joiners_and_spaces_are_shown_as_they_are(text: str) -> None:
    assert console.harmless(text) == text


@quick
@given(st.text())
def test_a_json_line_is_the_same_value_and_acts_on_nothing(text: str) -> None:
    line = console.json_line({"text": text, text: 1})
    assert json.loads(line) == json.loads(json.dumps({"text": text, text: 1}))
    assert not set(line[:-1]) & {*map(chr, (*range(32), *range(127, 160), *range(0x2028, 0x202F)))}
    line.encode("utf-8", "surrogateescape")


def test_the_names_of_facts_and_a_question_are_shown_safely(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console.show_facts([("\x1b[2Jname", "\x9bvalue")])
    monkeypatch.setattr("sys.stdin", Stream(True))
    console.confirm("run\x1b[2J: remove?")
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\\x1b[2Jname" in out
    assert "\\x1b[2J: remove" in err


# The sparkline.

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


@quick
@given(values, st.integers(1, 60))
def test_a_sparkline_fills_its_columns(losses: list[float], columns: int) -> None:
    assert len(dashboard.sparkline(losses, columns)) == min(columns, len(losses))


@quick
@given(values)
def test_a_sparkline_is_as_high_as_its_values(losses: list[float]) -> None:
    blocks = dashboard.sparkline(losses, len(losses))
    by_loss = sorted(range(len(losses)), key=losses.__getitem__)
    assert sorted(blocks) == [blocks[i] for i in by_loss]


@quick
@given(values.filter(lambda losses: max(losses) - min(losses) > 1e-3))
def test_a_sparkline_reaches_from_the_lowest_block_to_the_highest(losses: list[float]) -> None:
    blocks = dashboard.sparkline(losses, len(losses))
    assert {blocks[losses.index(min(losses))], blocks[losses.index(max(losses))]} == {"▁", "█"}


def test_a_sparkline_of_nothing_or_of_equals() -> None:
    assert dashboard.sparkline([], 20) == ""
    assert dashboard.sparkline([2.0, 2.0, 2.0], 20) == "▁▁▁"


def test_a_sparkline_takes_means_where_columns_are_few() -> None:
    assert dashboard.sparkline([0.0, 2.0, 8.0, 8.0], 2) == "▁█"
    assert dashboard.sparkline([0.0, 0.0, 9.0, 0.0, 0.0, 0.0], 3) == "▁█▁"


# The live picture.

Drawn = Callable[..., list[str]]

LONG = "a-name-that-goes-on-and-on-" * 4


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """A run of two million steps on a text in two scripts, with nothing trained."""
    training = TrainingSettings(batch_size=4, seq_length=16)
    corpus = read_corpus([SHIPPED])
    model = ModelSettings(embedding_size=4, hidden_size=8, layers=1)
    schedule = Schedule(
        2_000_000, warmup_steps=1, evaluation_steps=1000, checkpoint_steps=1000, report_steps=1000
    )
    run = tmp_path_factory.mktemp("runs") / LONG
    state = fresh_state(model, training, len(corpus.vocabulary))
    return Session(run, corpus, training, schedule, state)


def far_along() -> list[Event]:
    """The events of a run that is long and slow, its numbers as wide as they get."""
    score = Score(nats=4.605 * 356, characters=356, bytes=700, correct=31, unknown=0)
    steps = [Progressed(step, 4.5) for step in (1, 1_234_566, 1_234_567)]
    report = {"gradient_norm": 12.34, "learning_rate": 6e-3, "seconds": 9e5}
    reports = [
        Reported(
            step=1000 * n,
            epoch=12345.6,
            train_nats_per_char=5.0 - n / 50,
            characters_per_second=123_456.7,
            **report,
        )
        for n in range(1, 60)
    ]
    evaluated = Evaluated(
        step=1_234_000, epoch=24_197.5, train_nats_per_char=4.5, score=score, seconds=9e5
    )
    return [*steps, *reports, evaluated, Progressed(1_234_568, 4.5)]


@pytest.fixture
def drawn(session: Session, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """The last picture on a terminal of so many columns, without escape codes."""

    def draw(columns: int, events: Sequence[Event], session: Session = session) -> list[str]:
        terminal = Console(file=io.StringIO(), force_terminal=True, width=columns, height=40)
        monkeypatch.setattr(console, "rich_console", lambda _: terminal)
        hours = iter(range(0, 10**9, 36_000))
        monkeypatch.setattr(dashboard.time, "monotonic", lambda: float(next(hours)))
        with dashboard.Dashboard(session) as display:
            for event in events:
                display.show(event)
        written = terminal.file.getvalue()  # type: ignore[attr-defined]
        # Each picture begins where the one before was erased, line by line.
        last = written.rpartition("\x1b[1A\x1b[2K")[2]
        return re.sub(r"\x1b\[[\d;?]*\w", "", last).rstrip().splitlines()

    return draw


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_no_line_of_the_picture_is_wider_than_the_terminal(
    drawn: Drawn, session: Session, columns: int
) -> None:
    lines = drawn(columns, far_along())
    assert len(lines) > 10
    assert max(map(cell_len, lines)) <= columns


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_picture_says_everything_in_full(drawn: Drawn, columns: int) -> None:
    picture = "\n".join(drawn(columns, far_along()))
    whole = re.sub(r" *\n", "", picture)
    for part in (
        LONG,  # the run
        "two-scripts.txt",
        "1 x 8 gru",
        "step 1,234,568/2,000,000",
        "held out",
        "4.6050",  # nats
        "6.6436",  # bits
        "perplexity",
        "99.98",
        "123k characters/s",
        "gradient 12.34",
        "rate 6.0e-03",
        "best",
        "at step 1,234,000",
        "a fresh sample",
    ):
        assert part in whole, f"{part}\n{picture}"
    assert re.search(r"\d+d \d\dh left", picture), f"the time left\n{picture}"
    assert "▁" in picture and "█" in picture, "the sparkline"
    assert "…" not in picture.split("a fresh sample")[0]


def test_the_picture_fits_a_terminal_of_24_lines(drawn: Drawn) -> None:
    assert len(drawn(80, far_along())) <= 24


def test_the_picture_of_a_run_not_begun_has_no_figures(drawn: Drawn) -> None:
    picture = "\n".join(drawn(80, []))
    assert "step 0/2,000,000" in picture
    assert "best" not in picture
    assert re.search(r"perplexity +- +-", picture)


def test_the_picture_shows_control_characters_of_a_name_as_text(
    drawn: Drawn, session: Session
) -> None:
    hostile = replace(session, run=Path("a\x1b[31mb"))
    assert "a\\x1b[31mb" in "\n".join(drawn(80, [], hostile))


# The lines off a terminal.


def test_off_a_terminal_there_is_one_plain_line_a_report(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    events = far_along()
    with dashboard.display(session, quiet=False) as display:
        for event in events:
            display.show(event)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == sum(isinstance(event, Reported | Evaluated) for event in events)
    assert all(line.isprintable() for line in lines)
    report = re.fullmatch(
        r"step 1,000/2,000,000 +epoch 12345\.60 +train +4\.9800 nats +7\.1846 bits +"
        r"perplexity 145\.47 +123k chars/s +.* left",
        lines[0],
    )
    assert report, lines[0]
    assert re.search(r"held out +4\.6050 nats +6\.6436 bits +perplexity 99\.98", lines[-1])


def test_off_a_terminal_a_stop_is_told_and_a_save_is_not(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    with dashboard.display(session, quiet=False) as display:
        display.show(Saved(Path("x"), None))  # type: ignore[arg-type]
        display.show(Stopped(17))
    assert capsys.readouterr().err == "step 17/2,000,000  stopped, everything saved\n"


def test_quiet_shows_nothing(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    with dashboard.display(session, quiet=True) as display:
        for event in far_along():
            display.show(event)
    assert capsys.readouterr() == ("", "")
