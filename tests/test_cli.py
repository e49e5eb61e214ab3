"""The command as a whole: help, versions, wrong usage, streams, terminals and pipes."""

import fcntl
import functools
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
from conftest import COMMAND, ROOT, charrnn

import charrnn as package
from charrnn.cli import app


def assert_error(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """It ended with this code: one line that says what, then a hint, and nothing on stdout."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert [line.split(" ")[0] for line in lines[-2:]] == ["charrnn:", "hint:"], done.stderr
    assert ": a bug" not in lines[-1]
    for part in parts:
        assert part in "\n".join(lines[-2:]), done.stderr


@dataclass(frozen=True)
class Shown:
    """What a command did on a terminal."""

    code: int
    screen: str
    """all that was written to it, as it came"""


def on_terminal(
    *arguments: object,
    columns: int = 80,
    keys: Sequence[tuple[str, str]] = (),
    cwd: Path | None = None,
    command: Path | str = COMMAND,
    **environment: str,
) -> Shown:
    """Run the installed command, or another one, on a pseudo-terminal of its own.

    `keys` are pairs: when the first has appeared, the second is typed.
    """
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [command, *map(str, arguments)],
        cwd=cwd,
        env={**kept, "TERM": "xterm-256color", **environment},
        preexec_fn=lambda: os.login_tty(terminal),
    )
    os.close(terminal)
    waiting, screen, deadline = list(keys), b"", time.monotonic() + 120
    try:
        while select.select([controller], [], [], max(0.0, deadline - time.monotonic()))[0]:
            try:
                read = os.read(controller, 65_536)
            except OSError:  # Linux says so when the last of the other side is closed
                read = b""
            if not read:
                break
            screen += read
            if waiting and waiting[0][0].encode() in screen:
                os.write(controller, waiting.pop(0)[1].encode())
        return Shown(process.wait(timeout=10), screen.decode())
    finally:
        process.kill()
        process.wait()
        os.close(controller)


def shell(line: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a line of bash, in which `charrnn` is the installed command."""
    path = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"capture_output": True, "text": True, "timeout": 120}
    environment = {**os.environ, "PATH": path}
    return subprocess.run(["bash", "-c", line], env=environment, **(settings | options))  # type: ignore[call-overload,no-any-return]


# Help.


def pages() -> Iterator[tuple[str, ...]]:
    """The words that lead to each help page."""

    def walk(command: object, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield words
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*words, name))

    yield from walk(typer.main.get_command(app), ())


PAGES = [pytest.param(page, id=" ".join(("charrnn", *page))) for page in pages()]


def imports(*arguments: object) -> tuple[set[str], subprocess.CompletedProcess[str]]:
    """The packages that the command imports, as Python itself tells, and what it did."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = re.findall(r"^import time: .*\| +([\w.]+)$", done.stderr, re.MULTILINE)
    return {name.split(".")[0] for name in told}, done


def test_every_command_has_a_page() -> None:
    told = {" ".join(page) for page in pages()}
    assert told >= {"", "train", "sample", "evaluate", "checkpoints prune", "corpus build"}


@functools.cache
def help_page(*page: str) -> tuple[set[str], subprocess.CompletedProcess[str]]:
    """What `--help` imports and prints."""
    return imports(*page, "--help")


@pytest.mark.parametrize("page", PAGES)
def test_help_says_examples_first_and_imports_nothing_heavy(page: tuple[str, ...]) -> None:
    loaded, done = help_page(*page)
    assert done.returncode == 0
    assert "charrnn" in loaded
    assert not loaded & {"torch", "numpy", "rich", "tqdm", "safetensors"}
    lines = done.stdout.splitlines()
    assert lines[0].startswith(" ".join(("Usage: charrnn", *page)))
    first_option = next(i for i, line in enumerate(lines) if line.startswith("  -"))
    assert "  Examples:" in lines[:first_option]


@pytest.mark.parametrize("page", PAGES)
def test_short_help_is_help(page: tuple[str, ...]) -> None:
    short = charrnn(*page, "-h")
    assert (short.returncode, short.stderr) == (0, "")
    assert short.stdout == help_page(*page)[1].stdout
    assert re.search(r"^  -h, --help ", short.stdout, re.MULTILINE)


def test_the_import_check_notices_numpy_and_rich(trained: Path) -> None:
    loaded, done = imports("checkpoints", "list", "--checkpoint-dir", trained)
    assert done.returncode == 0
    assert loaded >= {"numpy", "rich"}
    assert "torch" not in loaded, "headers only"


def test_the_import_check_notices_torch(trained: Path) -> None:
    loaded, done = imports("evaluate", "cafe", "--no-baselines", "--checkpoint-dir", trained)
    assert done.returncode == 0
    assert "torch" in loaded


def options_of(page: Sequence[str]) -> set[str]:
    """Every flag of a command."""
    command = typer.main.get_command(app)
    for word in page:
        command = command.commands[word]  # type: ignore[attr-defined]
    flags = [flag for p in command.params for flag in (*p.opts, *p.secondary_opts)]
    return {*flags, "-h", "--help"}


@pytest.mark.parametrize("page", PAGES)
def test_examples_use_commands_and_flags_that_exist(page: tuple[str, ...]) -> None:
    command = typer.main.get_command(app)
    for word in page:
        command = command.commands[word]  # type: ignore[attr-defined]
    examples = re.findall(r"charrnn .*", command.help.split("Examples:")[1])  # type: ignore[union-attr]
    assert examples
    for example in examples:
        for part in re.split(r"[|&;>]", example.split("#")[0]):
            words = shlex.split(part)
            if words[:1] != ["charrnn"]:
                continue
            target = max((p for p in pages() if tuple(words[1 : 1 + len(p)]) == p), key=len)
            assert target[: len(page)] == page or not page, example
            flags = {word for word in words if re.fullmatch(r"--?[a-z][\w-]*", word)}
            assert flags <= options_of(target), example


@pytest.mark.parametrize("words", [(), ("checkpoints",), ("corpus",)], ids=str)
def test_the_bare_command_and_bare_groups_print_help(words: tuple[str, ...]) -> None:
    bare = charrnn(*words)
    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout == help_page(*words)[1].stdout


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "charrnn", "train", "-h"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == help_page("train")[1].stdout


def test_the_version_is_told() -> None:
    done = charrnn("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"charrnn {package.__version__}\n"


# Wrong usage.


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("--nonsense", "hint: charrnn --help"),
        ("nonsense", "nonsense"),
        ("train --nonsense", "hint: charrnn train --help"),
        ("train --hidden-size", "hint: charrnn train --help"),
        ("train x.txt --hidden-size many", "--hidden-size"),
        ("train", "no corpus"),
        ("sample one two", "two"),
        ("evaluate --split half", "--split"),
        ("evaluate --losses x.npy one two", "--losses"),
        ("evaluate --cold-windows 0", "--cold-windows 0"),
        ("evaluate --cold-windows -256", "--cold-windows -256"),
        ("evaluate --cold-windows 9 --exact", "--exact"),
        ("checkpoints nonsense", "nonsense"),
        ("checkpoints list --sort colour", "--sort"),
        ("checkpoints prune --keep -1", "--keep"),
        ("corpus info", "hint: charrnn corpus info --help"),
        ("corpus build war-and-peace", "python-reference"),
    ],
)
def test_wrong_usage_is_one_line_and_a_hint(line: str, part: str, tmp_path: Path) -> None:
    done = charrnn(*line.split(), cwd=tmp_path)
    assert_error(done, 2, part)
    assert len(done.stderr.splitlines()) == 2
    assert not list(tmp_path.iterdir())


def test_debug_shows_where_an_error_arose(tmp_path: Path) -> None:
    for arguments in (["--debug", "train", "no.txt"], ["train", "no.txt", "--debug"]):
        done = charrnn(*arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert "no.txt: no such file" in done.stderr


def test_an_option_may_have_the_value_debug(trained: Path) -> None:
    done = charrnn("sample", "cafe", "--checkpoint-dir", trained, "--prompt=--debug", "-q")
    assert "Traceback" not in done.stderr


# Streams.


def test_a_closed_stdout_is_no_bug_of_ours(trained: Path) -> None:
    for line in ("charrnn --version >&-", f"charrnn sample --checkpoint-dir {trained} >&-"):
        done = shell(line)
        assert "Traceback" not in done.stderr
        assert "a bug" not in done.stderr


def test_a_closed_stdin_is_no_bug_of_ours(trained: Path) -> None:
    done = shell(f"charrnn sample --checkpoint-dir {trained} --prompt-file - <&-")
    assert done.returncode == 1
    assert "a bug" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "arguments", ["--help", "checkpoints list", "sample cafe -q", "sample cafe -q --json"]
)
def test_a_full_stdout_is_an_error_that_names_it(arguments: str, trained: Path) -> None:
    done = shell(f"CHARRNN_CHECKPOINTS={trained} charrnn {arguments} > /dev/full")
    assert done.returncode in (1, 75)
    assert "stdout" in done.stderr
    assert "a bug" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_stderr_stops_nothing(trained: Path) -> None:
    done = shell(f"charrnn sample cafe --length 9 --checkpoint-dir {trained} 2> /dev/full")
    assert done.returncode == 0
    assert len(done.stdout.rstrip("\n")) == 9 or "\n" in done.stdout


# Pipes.


@pytest.mark.parametrize(
    "line",
    [
        "charrnn sample cafe -q --length 20000 | head -c 10 > /dev/null",
        "charrnn sample cafe -q --num-samples 500 --json | head -n 1",
        "charrnn checkpoints list | head -n 1",
        "charrnn corpus info --no-measure cafe.txt | head -n 1",
        "charrnn --help | true",
        "charrnn train --help | true",
    ],
)
def test_a_reader_that_has_enough_ends_it_quietly(
    line: str, trained: Path, english_file: Path
) -> None:
    begin = f"export CHARRNN_CHECKPOINTS={trained}; cd {english_file.parent}; "
    done = shell(begin + line + "; echo ${PIPESTATUS[*]} >&2")
    assert done.stderr in ("0 0\n", f"checkpoint {trained}/cafe/step-00000040.safetensors\n0 0\n")


def test_the_first_line_of_a_list_is_its_headers(trained: Path) -> None:
    done = shell(f"charrnn checkpoints list --checkpoint-dir {trained} | head -n 1")
    assert done.stdout.split()[:3] == ["run", "model", "step"]


# Terminals.

ESCAPE = re.compile(r"\x1b")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3\d|4\d|9\d|10\d)(?:;\d+)*m")


def test_off_a_terminal_there_are_no_escape_codes(trained: Path) -> None:
    """Not even where the environment asks Rich for them."""
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color", "COLORTERM": "1"}
    for arguments in (["checkpoints", "list"], ["checkpoints", "show"], ["train", "no.txt"]):
        done = charrnn(*arguments, "--checkpoint-dir", trained, env=environment)
        assert done.stdout or done.stderr
        assert not ESCAPE.search(done.stdout + done.stderr)


def test_on_a_terminal_an_error_is_coloured() -> None:
    shown = on_terminal("nonsense")
    assert shown.code == 2
    assert COLOUR.search(shown.screen)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
@pytest.mark.parametrize("arguments", [["nonsense"], ["checkpoints", "list"]], ids=" ".join)
def test_a_plain_terminal_gets_no_escape_codes(
    arguments: list[str], environment: dict[str, str], trained: Path
) -> None:
    shown = on_terminal(*arguments, **environment, CHARRNN_CHECKPOINTS=str(trained))
    assert shown.screen
    assert not ESCAPE.search(shown.screen)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_tables_keep_the_name_of_a_run_at_any_width(columns: int, trained: Path) -> None:
    shown = on_terminal("checkpoints", "list", columns=columns, CHARRNN_CHECKPOINTS=str(trained))
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.screen).splitlines()
    assert sum("cafe" in line for line in lines) == 2
    assert max(map(len, lines)) <= columns
    assert sum("best" in line for line in lines) == 1


# The README.


def test_the_readme_uses_commands_and_flags_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    .*?(charrnn .*)", readme, re.MULTILINE)
    assert len(lines) > 10
    for line in lines:
        for part in re.split(r"[|&;>]", line.split("  #")[0]):
            words = shlex.split(part, comments=True)
            if words[:1] == ["charrnn"]:
                target = max((p for p in pages() if tuple(words[1 : 1 + len(p)]) == p), key=len)
                flags = {word for word in words if re.fullmatch(r"--?[a-z][\w-]*", word)}
                assert flags <= options_of(target), line
