"""charrnn sample --interactive: line by line, without a terminal and on one."""

import io
import itertools
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import COMMAND, charrnn
from test_cli import assert_error, on_terminal
from test_sampling import a_rare_sampler, a_sampler

from charrnn.commands import keyboard
from charrnn.commands.keyboard import Session, Told, converse
from charrnn.continuation import Text
from charrnn.errors import UnknownCharacterError, UsageError
from charrnn.sampling import Sampler
from charrnn.settings import SamplingSettings
from charrnn.signals import Interruptions

SAMPLER = a_sampler()
FORTY = SamplingSettings(length=40)


def drawn(prompt: str, number: int = 0, *, seed: int = 5, **chosen: float) -> str:
    """Sample `number` of a seed."""
    settings = replace(FORTY, **chosen)  # type: ignore[arg-type]
    state = SAMPLER.read_prompt(prompt)
    return "".join(SAMPLER.sample(state, settings, seed=seed, number=number))


def a_session(sampler: Sampler = SAMPLER, **options: bool) -> Session:
    return Session(sampler, FORTY, 5, **options)


def answer(session: Session, line: str) -> str:
    text = session.respond(line)
    assert isinstance(text, Text)
    return "".join(text)


def told(session: Session, line: str) -> list[str]:
    said = session.respond(line)
    assert isinstance(said, Told)
    return said.lines


# What a line means


def test_each_prompt_starts_afresh_and_answer_n_is_sample_n_of_the_seed() -> None:
    session = a_session()
    for number, prompt in enumerate(["tea", "", "tea", "a\tZ".replace("\t", " ")]):
        assert answer(session, prompt) == drawn(prompt, number)


def test_a_seed_begins_the_draws_again() -> None:
    session = a_session()
    first = [answer(session, "tea"), answer(session, "tea")]
    assert first[0] != first[1]
    assert told(session, "/seed 9") == ["seed 9"]
    assert answer(session, "tea") == drawn("tea", seed=9)
    assert told(session, "/seed") == ["seed 9"]
    assert answer(session, "tea") == drawn("tea", 1, seed=9), "to ask changes nothing"
    told(session, "/seed 5")
    assert [answer(session, "tea"), answer(session, "tea")] == first


def test_more_goes_on_with_the_last_answer_exactly() -> None:
    session = a_session()
    answer(session, "Z")
    text = answer(session, "tea") + answer(session, "/more")
    told(session, "/length 7")
    text += answer(session, "/more") + answer(session, "/more ")
    assert text == drawn("tea", 1, length=94)
    assert answer(session, "tea") == drawn("tea", 2, length=7), "more of it is no other answer"


def test_more_of_an_answer_that_was_stopped_goes_on_where_it_stopped() -> None:
    session = a_session()
    text = session.respond("tea")
    assert isinstance(text, Text)
    begin = "".join(itertools.islice(text, 11))
    text.end()
    begin += "".join(text)
    assert begin + answer(session, "/more") == drawn("tea", length=51)


def test_a_prompt_that_is_refused_is_no_answer() -> None:
    session = a_session()
    with pytest.raises(UsageError, match="no answer yet"):
        session.respond("/more")
    first = answer(session, "tea")
    with pytest.raises(UnknownCharacterError, match=r"U\+2665"):
        session.respond("♥")
    assert first + answer(session, "/more") == drawn("tea", length=80)
    assert answer(session, "tea") == drawn("tea", 1)
    assert answer(a_session(unknown="skip"), "t♥e♥a") == drawn("tea")


def test_rare_characters_are_told_of_once() -> None:
    told: list[str] = []
    sampler, _ = a_rare_sampler()
    session = Session(sampler, FORTY, 5, told=told.append)
    for prompt in "tea", "t☂", "猫":
        answer(session, prompt)
    assert [line.split(": ")[1] for line in told] == ["☂ U+2602 umbrella"]


@pytest.mark.parametrize(
    ("line", "now", "chosen"),
    [
        ("/temperature 0.5", "temperature 0.5", {"temperature": 0.5}),
        ("/temperature  0", "temperature 0.0", {"temperature": 0.0}),
        ("/top-k 2", "top-k 2", {"top_k": 2}),
        ("/top-p .5 ", "top-p 0.5", {"top_p": 0.5}),
        ("/min-p 0.3", "min-p 0.3", {"min_p": 0.3}),
        ("/length 0", "length 0", {"length": 0}),
        ("/length 3", "length 3", {"length": 3}),
    ],
)
def test_a_setting_holds_from_then_on_and_is_told(
    line: str, now: str, chosen: dict[str, float]
) -> None:
    session, command = a_session(), line.split()[0]
    before = told(session, command)
    assert before != [now]
    assert told(session, line) == [now]
    assert told(session, command) == [now]
    assert answer(session, "tea") == drawn("tea", **chosen)
    assert any(row.startswith(f"/{now} ") for row in told(session, "/help"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/tempo 1", "/tempo: there are /more, /temperature, /top-k"),
        ("/", "/: there are /more"),
        ("/Quit", "/Quit: there are"),
        ("/temperature warm", "/temperature warm: must be a number"),
        ("/temperature -1", "/temperature -1: must be"),
        ("/temperature nan", "/temperature nan: must be"),
        ("/temperature 1e999", "/temperature inf: must be"),
        ("/top-p 0", "/top-p 0: must be"),
        ("/min-p 2", "/min-p 2: must be"),
        ("/top-k 2.5", "/top-k 2.5: must be a whole number"),
        ("/length -1", "/length -1: must be"),
        (f"/length 1{'0' * 5_000}", "must be a whole number"),
        ("/seed -1", "/seed -1: must be at least 0"),
        ("/seed x", "/seed x: must be a whole number"),
        ("/more 5", "/more 5: /more stands alone"),
        ("/quit now", "/quit now: /quit stands alone"),
    ],
)
def test_what_cannot_be_meant_is_one_line_that_says_what_can(line: str, said: str) -> None:
    session = a_session()
    with pytest.raises(UsageError) as caught:
        session.respond(line)
    assert said in caught.value.message
    assert "--" not in caught.value.message
    assert (caught.value.hint, "\n" in caught.value.message) == ("", False)
    assert answer(session, "tea") == drawn("tea"), "nothing has changed"


def test_two_slashes_begin_a_prompt_with_one() -> None:
    session = a_session()
    for line in "//", "//more":
        with pytest.raises(UnknownCharacterError, match=r"/ U\+002F"):
            session.respond(line)
    answer(a_session(), "tea")
    skipping = a_session(unknown="skip")
    assert answer(skipping, "//tea") == drawn("tea")
    assert skipping.prompt == "tea"


def test_help_fits_on_a_narrow_terminal_and_names_every_command() -> None:
    rows = told(a_session(), "/help")
    assert max(map(len, rows)) <= 60
    with pytest.raises(UsageError) as caught:
        a_session().respond("/x")
    for command in set(re.findall(r"/[\w-]+", caught.value.message)) - {"/x", "/help"}:
        assert any(row.startswith(command) for row in rows), command


# Line by line


@pytest.fixture
def conversation(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """What lines write to stdout and stderr."""

    def conversed(lines: Iterable[str], **options: bool) -> tuple[str, str]:
        converse(a_session(), lines, lambda: False, **({"echo": False} | options))
        said = capsys.readouterr()
        return said.out, said.err

    return conversed


def test_lines_are_answered_in_order(conversation: Callable[..., tuple[str, str]]) -> None:
    out, err = conversation(["tea", "♥", "/temperature 0.5", "/x", "tea", "/quit", "tea"])
    assert out == drawn("tea") + "\n" + drawn("tea", 1, temperature=0.5) + "\n"
    heart, hint, temperature, x = err.splitlines()
    assert heart.startswith("charrnn: the model never saw: ♥")
    assert hint.startswith("hint: ")
    assert temperature == "temperature 0.5"
    assert x.startswith("charrnn: /x: there are")


def test_the_prompt_is_shown_before_its_answer_alone(
    conversation: Callable[..., tuple[str, str]],
) -> None:
    out, _ = conversation(["tea", "/more"], echo=True)
    both = drawn("tea", length=80)
    assert out == f"tea{both[:40]}\n{both[40:]}\n"


def test_an_answer_that_is_stopped_gives_what_it_had_and_the_next_goes_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = iter(range(10**6))
    converse(a_session(), ["tea", "/more"], lambda: next(asked) in (6, 7), echo=False)
    both = drawn("tea", length=47)
    assert capsys.readouterr().out == f"{both[:7]}\n{both[7:]}\n"


def test_what_is_echoed_and_drawn_does_nothing_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(Sampler, "read_prompt", lambda self, prompt, **_: SAMPLER.start())
    converse(a_session(), ["\x1b[2J\x9b31m\u202e"], lambda: False, echo=True)
    assert screen.getvalue().startswith("\\x1b[2J\\x9b31m\\u202e")


def test_ctrl_c_at_the_prompt_line_clears_it_and_ctrl_d_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where it comes the moment before or after the line."""
    before = signal.getsignal(signal.SIGINT)
    moments = ["at once", "a line", KeyboardInterrupt, "another", EOFError]

    def asked() -> str:
        moment = moments.pop(0)
        if moment == "at once":
            signal.raise_signal(signal.SIGINT)
        if isinstance(moment, str):
            return moment
        raise moment

    monkeypatch.setattr(keyboard, "_asked", asked)
    with Interruptions() as interruptions:
        lines = []
        for line in keyboard.typed(interruptions):
            lines.append(line)
            signal.raise_signal(signal.SIGINT)  # while it is answered
            assert interruptions.noted()
            assert not interruptions.noted()
    assert (lines, moments) == (["a line", "another"], [])
    assert signal.getsignal(signal.SIGINT) is before


# The command


def interactive(trained: Path, lines: str, *options: object) -> subprocess.CompletedProcess[str]:
    return charrnn(
        *("sample", "cafe", "--checkpoint-dir", trained, "--interactive", "--seed", 7),
        *("--length", 30, *options),
        input=lines,
    )


def sampled(trained: Path, *options: object) -> str:
    done = charrnn("sample", "cafe", "--checkpoint-dir", trained, "--seed", 7, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lines_through_a_pipe_are_answered_without_a_prompt_line(trained: Path) -> None:
    done = interactive(trained, "The café\n/more\r\n\n/seed 7\n//\nThe")
    assert done.returncode == 0
    both = sampled(trained, "--length", 60, "--prompt", "The café")[:-1]
    assert done.stdout.startswith(f"{both[:30]}\n{both[30:]}\n")
    assert done.stdout.endswith(sampled(trained, "--length", 30, "--prompt", "The"))
    assert done.stderr.splitlines()[0] == "seed 7"
    assert len(done.stderr.splitlines()) == 3, "and the slash that was never seen"


def test_a_prompt_on_the_command_line_is_answered_first(trained: Path) -> None:
    done = interactive(trained, "", "--prompt", "The café")
    assert done.stdout == sampled(trained, "--length", 30, "--prompt", "The café")
    assert interactive(trained, "").stdout == ""


@pytest.mark.parametrize(
    "line",
    [
        *("--prompt-file -", "--num-samples 2", "--json", "--output x", "--batch x"),
        *("--load-state x", "--save-state x"),
    ],
)
def test_an_option_that_makes_no_sense_at_the_keyboard_is_refused(line: str, trained: Path) -> None:
    assert_error(interactive(trained, "The", *line.split()), 2, line.split()[0], "--interactive")


def test_a_reader_that_has_enough_ends_it_quietly(trained: Path) -> None:
    line = f"{COMMAND} sample cafe --checkpoint-dir {trained} --interactive --length 100000 -q"
    done = subprocess.run(
        ["bash", "-c", f"yes The | {line} | head -c 9 > /dev/null; echo ${{PIPESTATUS[1]}}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_ctrl_c_without_a_terminal_ends_it(trained: Path) -> None:
    """Nobody is there to go on."""
    process = subprocess.Popen(
        [
            *(COMMAND, "sample", "cafe", "--checkpoint-dir", trained, "--interactive"),
            *("--length", "10000000", "--quiet"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    try:
        process.stdin.write(b"The\n")
        process.stdin.flush()
        assert process.stdout.read(100)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, told) == (130, b"")


# On a terminal


ASKED = "Ctrl-D ends.\r\n> "


@pytest.fixture
def inputrc(tmp_path: Path) -> str:
    """Readline without the codes that it surrounds a line with."""
    path = tmp_path / "inputrc"
    path.write_text("set enable-bracketed-paste off\n")
    return str(path)


def on_keyboard(
    trained: Path, inputrc: str, *options: object, keys: list[tuple[str, str]]
) -> tuple[int, str]:
    shown = on_terminal(
        *("sample", "cafe", "--checkpoint-dir", trained, "--interactive", "--seed", 7, *options),
        keys=keys,
        NO_COLOR="1",
        INPUTRC=inputrc,
    )
    # Without the codes by which readline mends a line.
    return shown.code, re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", shown.screen).replace("\r\n", "\n")


def test_at_a_keyboard_the_prompt_line_asks_and_answers_stream(trained: Path, inputrc: str) -> None:
    """With editing (the line is mended at its beginning) and history (it is called back)."""
    text = sampled(trained, "--length", 30, "--prompt", "The café", "--echo")
    code, screen = on_keyboard(
        *(trained, inputrc, "--length", 30),
        keys=[
            (ASKED, "café\x01The \n"),
            (text.replace("\n", "\r\n") + "> ", "/seed 7\n"),
            ("\r\nseed 7\r\n> ", "\x1b[A\x1b[A\n"),
            ("The", "/length 5\n"),
            ("\r\nlength 5\r\n> ", "\x04"),
        ],
    )
    assert code == 0
    assert screen.count(text) == 2, screen
    assert screen.endswith("> \n")


def test_ctrl_c_stops_an_answer_and_ends_nothing(trained: Path, inputrc: str) -> None:
    long = sampled(trained, "--length", 20_000, "--prompt", "The")
    code, screen = on_keyboard(
        *(trained, inputrc, "--length", 10**9),
        keys=[
            (ASKED, "The\n"),
            (max(long[:300].split("\n"), key=len), "\x03"),
            ("^C", "/length 25\n"),
            ("\r\nlength 25\r\n> ", "/more\n"),
            ("/more\r\n", "/top-k\n"),
            ("\r\ntop-k 0\r\n> ", "\x04"),
        ],
    )
    assert code == 0
    assert "Traceback" not in screen
    answer, _, rest = screen.partition("> /length 25\n")
    # The terminal may drop what it has not shown yet at Ctrl-C, and shows in an answer what
    # is typed meanwhile; where an answer ends in a line end, there is one more.
    begin = answer.rpartition("> The\nThe")[2].partition("^C")[0].replace("\n", "")
    more = rest.partition("/more\n")[2].partition("> /top-k\n")[0]
    more, long = re.sub("/top-k|\n", "", more), long.replace("\n", "")
    assert len(begin) > 50
    assert len(more) > 15
    assert long.startswith(begin)
    assert long.find(more) >= len(begin)


def test_the_prompt_line_is_on_the_terminal_where_stdout_is_a_file(
    trained: Path, tmp_path: Path, inputrc: str
) -> None:
    line = f"{COMMAND} sample cafe --checkpoint-dir {trained} --interactive --seed 7 --length 30"
    shown = on_terminal(
        "-c",
        f"{line} > {tmp_path}/out",
        command="/bin/sh",
        keys=[
            (ASKED, "café\x01The \n"),
            ("The café", "/length 5\n"),
            ("\r\nlength 5\r\n> ", "\x04"),
        ],
        NO_COLOR="1",
        INPUTRC=inputrc,
    )
    assert shown.code == 0
    wanted = sampled(trained, "--length", 30, "--prompt", "The café")
    assert (tmp_path / "out").read_text(encoding="utf-8") == wanted
    assert wanted[:-1] not in shown.screen.replace("\r\n", "\n")
