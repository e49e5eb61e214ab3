"""Any text, end to end: whatever people have is trained on, scored, sampled from and gone on with.

The commands are called in this process: to start one for each takes seconds.
"""

import bz2
import gzip
import io
import json
import lzma
import os
import re
import shlex
import subprocess
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from backports import zstd
from conftest import COMMAND

from charrnn import cli

TINY: tuple[object, ...] = (
    *("--hidden-size", 8, "--embedding-size", 4, "--layers", 1, "--threads", 1),
    *("--seq-length", 8, "--batch-size", 4, "--precision", "fp32", "--dropout", 0),
)


class Done(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


class Commands:
    """The command line, in an empty working directory."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self.capture = capture

    def __call__(self, *arguments: object) -> Done:
        self.capture.readouterr()
        code = cli._run([str(argument) for argument in arguments], debug=False)
        return Done(code, *self.capture.readouterr())

    def good(self, *arguments: object) -> Done:
        done = self(*arguments)
        assert done.code == 0, done.err
        return done

    def train(self, *arguments: object) -> Done:
        return self.good("train", *arguments, *TINY)

    def score(self, *arguments: object) -> dict[str, Any]:
        done = self.good("evaluate", *arguments, "--json", "--quiet", "--no-baselines")
        found: dict[str, Any] = json.loads(done.out.splitlines()[0])
        return found


@pytest.fixture
def run(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Commands:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    yield Commands(capfd)
    torch.set_num_threads(threads)


def write(name: str, data: bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


CHINESE = "".join(chr(0x4E00 + (n * n * 7 + n) % 2000) for n in range(2000))
WESTERN = "Le café “Zoë” coûte 3 € – naïve, déjà vu.\r\n" * 40
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8

TEXTS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "Chinese": (CHINESE.encode(), ()),
    "emoji": ("👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇨🇭\n".encode() * 60, ()),
    "marks": (("e\u0301 Z\u0351\u036b\u0343 n\u0303\u0323\n" * 90).encode(), ()),
    "marks composed": (
        ("e\u0301 Z\u0351\u036b\u0343 n\u0303\u0323\n" * 90).encode(),
        ("--normalize", "nfc"),
    ),
    "right to left": ("שלום עולם \u200fمرحبا بالعالم\n".encode() * 60, ()),
    "NUL": (b"words\0and\0\0more\n" * 90, ()),
    "one character": (b"a" * 1500, ()),
    "CR": (b"one\rtwo two\rthree\r" * 90, ()),
    "CR as LF": (b"one\rtwo two\rthree\r\n" * 90, ("--newlines", "lf")),
    "one line": (b"no end of this line " * 100_000, ("--val-frac", "0.001")),
    "UTF-16": (("wide “text”\n" * 100).encode("utf-16"), ("--encoding", "utf-16")),
    "UTF-16 without a mark": (
        ("wide “text”\n" * 100).encode("utf-16-be"),
        ("--encoding", "utf-16-be"),
    ),
    "windows-1252": (WESTERN.encode("windows-1252"), ("--encoding", "CP1252", "--lowercase")),
    "gb18030": (CHINESE.encode("gb18030"), ("--encoding", "gb18030", "--min-count", "2")),
    "bytes": (PNG, ("--encoding", "bytes")),
    "gz": (gzip.compress(WESTERN.encode()), ()),
    "xz": (lzma.compress(WESTERN.encode()), ()),
    "zst": (zstd.compress(WESTERN.encode()), ()),
    "bz2": (bz2.compress(WESTERN.encode()), ()),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_trained_on_scored_sampled_from_and_gone_on_with(
    name: str, run: Commands
) -> None:
    data, flags = TEXTS[name]
    text = write("text", data)
    run.train(text, "--name", "a", "--steps", 3, *flags, "--quiet")
    some = write("some", data[:5000]) if name == "one line" else text
    own, whole = run.score("a"), run.score("a", "--text", some)
    assert own["characters"] < whole["characters"]
    assert (own["bits_per_char"] > 0) is (name != "one character")
    sampled = run.good("sample", "a", "--length", 30, "--seed", 1, "--quiet").out
    if name != "bytes":
        assert len(sampled.removesuffix("\n")) >= 29
    sampled.encode()
    run.train(text, "--name", "a", "--steps", 5, "--resume", *flags, "--quiet")
    assert run.score("a", "--split", "val")["characters"] == own["characters"]
    text.write_bytes(data[: len(data) // 2])
    for again in (
        run("train", "--resume", "--name", "a", "--steps", 9),
        run("evaluate", "a", "--quiet", "--no-baselines"),
    ):
        assert again.code == 1, again.err
        assert "Traceback" not in again.err
        assert "unexpected" not in again.err


def test_large_and_small_are_trained_alike(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    text = write("text", WESTERN.encode() * 3)
    run.train(text, "--name", "small", "--steps", 30, "--quiet")
    for module in "census", "encoded":
        monkeypatch.setattr(f"charrnn.{module}.LARGE", 1)
    run.train(text, "--name", "large", "--steps", 30, "--quiet")
    small, large = run.score("small"), run.score("large")
    assert small["nats_per_char"] == large["nats_per_char"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_the_flag_that_a_hint_gives_reads_the_file(encoding: str, run: Commands) -> None:
    text = write("my notes.txt", ("Plain words, and “others”.\n" * 50).encode(encoding))
    refused = run("train", text, "--name", "a", "--steps", 3, *TINY)
    assert refused.code == 1
    found = re.search(r"(charrnn train .*?);", " ".join(refused.err.split()))
    assert found is not None
    command = shlex.split(found[1])[1:]
    run.good(*command, "--name", "a", "--steps", 3, *TINY, "--quiet")
    assert run.score("a")["characters"] == 135


def test_a_folder_a_pattern_and_a_pipe_are_the_same_text(run: Commands) -> None:
    one, two = WESTERN.encode()[:900], WESTERN.encode()[900:1800]
    write("texts/a.txt", one)
    write("texts/sub/b.txt.gz", gzip.compress(two))
    write("texts/.hidden", b"not this")
    write("texts/empty.txt", b"")
    run.train("texts", "--name", "folder", "--steps", 3)
    run.train("texts/**/*.*", "--name", "pattern", "--steps", 3, "--quiet")
    os.mkfifo("pipe")
    writing = threading.Thread(target=Path("pipe").write_bytes, args=[one + two])
    writing.start()
    run.train("pipe", "--name", "pipe", "--steps", 3, "--quiet")
    writing.join()
    scores = {name: run.score(name) for name in ("folder", "pattern", "pipe")}
    assert len({score["nats_per_char"] for score in scores.values()}) == 1
    for name in scores:  # the pipe's text is found where it was kept
        run.good("train", "--resume", "--name", name, "--steps", 5, "--quiet")
    write("texts/c.txt", b"another text")
    for name in "folder", "pattern":
        again = run("train", "--resume", "--name", name, "--steps", 9)
        assert again.code == 1
        assert "changed since the run began" in again.err


def test_what_was_left_out_of_a_folder_is_said(run: Commands) -> None:
    write("texts/a.txt", WESTERN.encode())
    write("texts/b.png", PNG)
    done = run.train("texts", "--name", "a", "--steps", 1)
    assert "texts/b.png" in done.err
    assert "b.png" not in run.train("texts", "--name", "b", "--steps", 1, "--quiet").err


def test_stdin_is_trained_on_by_the_installed_command(tmp_path: Path) -> None:
    command = [COMMAND, "train", "-", "--name", "a", "--steps", "3", *map(str, TINY)]
    done = subprocess.run(
        command, input=WESTERN.encode(), capture_output=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "checkpoints" / "a" / "step-00000003.safetensors").is_file()


FLAGS = (
    *("--encoding", "windows-1252", "--newlines", "lf", "--normalize", "nfc", "--lowercase"),
    *("--document-separator", r"\n--\n", "--min-count", "3", "--test-frac", "0.1"),
)


def test_a_dry_run_s_command_does_the_same_when_pasted(run: Commands) -> None:
    texts = [write(name, WESTERN.encode("windows-1252")) for name in ("my a.txt", "b.txt")]
    given = (*texts, *FLAGS, "--steps", 3, "--name", "a")
    command = shlex.split(run.train(*given, "--dry-run", "--quiet").out)
    assert not Path("checkpoints").exists()
    run.train(*given, "--quiet")
    named = command.index("a", command.index("--name"))
    run.good(*command[1:named], "b", *command[named + 1 :], "--quiet")
    first, second = (json.loads(Path(f"checkpoints/{n}/run.json").read_bytes()) for n in "ab")
    for record in first, second:
        for own in "command", "created", "digest", "plan":  # which says what was chosen, and why
            record.pop(own)
    assert first == second
    assert first["reading"] == {
        "encoding": "windows-1252",
        "newlines": "lf",
        "normalization": "nfc",
        "lowercase": True,
    }
    assert (first["separator"], first["least"]) == ("\n--\n", 3)
    assert run.score("a")["nats_per_char"] == run.score("b")["nats_per_char"]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--encoding", "utf-8"), "windows-1252 for --encoding"),
        (("--newlines", "keep"), "lf for --newlines"),
        (("--normalize", "nfkc"), "nfc for --normalize"),
        (("--document-separator", "x"), "for --document-separator"),
        (("--min-count", "1"), "3 for --min-count"),
    ],
)
def test_a_flag_that_contradicts_a_run_is_refused(
    flags: tuple[str, str], named: str, begun: tuple[Commands, Path]
) -> None:
    run, text = begun
    done = run("train", text, "--name", "a", "--resume", *flags, *TINY)
    assert done.code == 2
    assert named in done.err


@pytest.fixture
def begun(run: Commands) -> tuple[Commands, Path]:
    """A run with all flags of the text, and its text."""
    text = write("a.txt", WESTERN.encode("windows-1252"))
    run.train(text, *FLAGS, "--steps", 2, "--name", "a", "--quiet")
    return run, text


def test_the_same_flags_otherwise_spelled_contradict_nothing(begun: tuple[Commands, Path]) -> None:
    run, text = begun
    flags = ("--encoding", "CP1252", "--document-separator", "\n--\n", *FLAGS[2:7])
    run.train(text, *flags, "--steps", 4, "--name", "a", "--resume", "--quiet")


def test_lowercase_that_a_run_was_begun_without_is_refused_by_a_flag_there_is(
    run: Commands,
) -> None:
    text = write("a.txt", WESTERN.encode())
    run.train(text, "--steps", 2, "--name", "a", "--quiet")
    done = run("train", text, "--lowercase", "--name", "a", "--resume", *TINY)
    assert done.code == 2
    assert "--no-lowercase" not in done.err


def test_a_large_text_is_read_anew_where_it_is_asked_for(
    run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charrnn.census.LARGE", 1)
    monkeypatch.setattr("charrnn.encoded.LARGE", 1)
    monkeypatch.setattr("charrnn.census.are_settled", lambda _: True)
    text, reads = write("a.txt", WESTERN.encode()), []
    opened = io.open

    def noted(path: Any, *arguments: Any, **options: Any) -> Any:
        if Path(str(path)).name == "a.txt":
            reads.append(path)
        return opened(path, *arguments, **options)

    monkeypatch.setattr("builtins.open", noted)
    for number, flags in enumerate([(), (), ("--rehash",)]):
        reads.clear()
        run.train(text, "--steps", 1, "--name", number, "--quiet", *flags)
        assert len(reads) == [2, 0, 1][number], number


# --init-from


def test_a_model_that_begins_with_another_s_begins_where_it_ended(run: Commands) -> None:
    text = write("a.txt", WESTERN.encode() * 2)
    run.train(text, "--name", "parent", "--steps", 40, "--learning-rate", 0.02, "--quiet")
    tiny = ("--seq-length", 8, "--batch-size", 4, "--threads", 1, "--precision", "fp32")
    also = ("--dropout", 0, "--quiet", "--learning-rate", 1e-9)
    run.good("train", text, "--init-from", "parent", "--name", "child", "--steps", 1, *tiny, *also)
    before, after = run.score("parent"), run.score("child")
    assert after["nats_per_char"] == pytest.approx(before["nats_per_char"], abs=1e-4)


def test_a_child_has_new_characters_and_is_gone_on_with_without_its_parent(run: Commands) -> None:
    text = write("a.txt", WESTERN.encode() * 2)
    other = write("b.txt", ("Ein Übel, so groß wie Ω?\n" * 60).encode())
    run.train(text, "--name", "parent", "--steps", 5, "--quiet")
    tiny = ("--seq-length", 8, "--batch-size", 4, "--threads", 1, "--dropout", 0, "--quiet")
    run.good("train", other, "--init-from", "parent", "--name", "child", "--steps", 6, *tiny)
    record = json.loads(Path("checkpoints/child/run.json").read_bytes())
    assert record["initial"]["path"].endswith("parent/step-00000005.safetensors")
    assert run.score("child")["characters"] == 150
    refused = run("train", other, "--init-from", "parent", "--hidden-size", 9, "--steps", 1)
    assert refused.code == 2
    assert "--hidden-size 9: the model of --init-from has 8" in refused.err
    refused = run("train", other, "--init-from", "parent", "--newlines", "lf", "--steps", 1)
    assert refused.code == 2
    assert "--newlines lf" in refused.err
    parents = Path("checkpoints/parent").rename("elsewhere")
    run.good("train", "--resume", "--name", "child", "--steps", 8, "--quiet")
    for path in Path("checkpoints/child").glob("step-*"):  # as before the first checkpoint
        path.unlink()
    gone = run("train", "--resume", "--name", "child", "--steps", 8)
    assert gone.code == 1
    assert "is not the checkpoint that the run began with any more" in gone.err
    parents.rename("checkpoints/parent")
    run.good("train", "--resume", "--name", "child", "--steps", 8, "--quiet")
