"""charrnn sample, end to end: the text, its streams, prompts, seeds, and bad checkpoints."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND, charrnn
from test_cli import assert_error, imports, on_terminal, shell

from charrnn.checkpoints import read_record
from charrnn.commands.sample import _LONGEST_COPY
from charrnn.continuation import TAIL


def sample(trained: Path, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Sample from the fixture's run with a seed, so that only what is asked for is written."""
    return charrnn(
        "sample", "cafe", "--checkpoint-dir", trained, "--seed", 7, *arguments, **options
    )


@pytest.fixture(scope="module")
def text(trained: Path) -> str:
    """Sixty characters drawn with seed 7."""
    return sample(trained, "--length", 60).stdout


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy of the fixture's checkpoint directory, to damage; returns its newest model file."""
    shutil.copytree(trained, tmp_path / "checkpoints")
    return tmp_path / "checkpoints" / "cafe" / "step-00000040.safetensors"


# What is written where.


def test_a_sample_is_its_characters_and_a_line_end(text: str) -> None:
    assert len(text) == 61
    assert text.endswith("\n")
    assert len(set(text)) > 5


def test_the_default_is_five_hundred_characters(trained: Path) -> None:
    assert len(sample(trained).stdout) == 501


def test_sampling_never_imports_torch(trained: Path) -> None:
    """`test_cli.py` proves that the check notices torch where it is."""
    loaded, done = imports("sample", "cafe", "--length", 5, "--checkpoint-dir", trained)
    assert done.returncode == 0
    assert "numpy" in loaded
    assert "torch" not in loaded


def test_the_same_seed_gives_the_same_text_and_no_notices(trained: Path, text: str) -> None:
    again = sample(trained, "--length", 60)
    assert (again.stdout, again.stderr) == (text, "")
    assert sample(trained, "--length", 60, "--seed", 8).stdout != text


def test_a_seed_left_out_is_told_and_gives_the_same_text_again(trained: Path) -> None:
    drawn = charrnn("sample", "cafe", "--checkpoint-dir", trained, "--length", 60)
    seed = re.fullmatch(r"seed (\d+)\n", drawn.stderr)
    assert seed
    assert sample(trained, "--length", 60, "--seed", seed[1]).stdout == drawn.stdout


def test_the_run_left_out_is_the_one_written_last_and_told(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "cafe", tmp_path / "older")
    shutil.copytree(trained / "cafe", tmp_path / "newer")
    for run, moment in ("older", 1_000_000_000), ("newer", 2_000_000_000):
        for path in (tmp_path / run).iterdir():
            os.utime(path, (moment, moment))
    done = charrnn("sample", "--checkpoint-dir", tmp_path, "--length", 5, "--seed", 1)
    assert done.returncode == 0
    assert re.fullmatch(rf"checkpoint {tmp_path}/newer/step-\d+\.safetensors\n", done.stderr)


def test_one_text_is_the_same_with_several_threads(trained: Path, text: str) -> None:
    assert sample(trained, "--length", 60, "--threads", 2).stdout == text


def test_a_run_a_directory_and_a_file_are_the_same_checkpoint(trained: Path, text: str) -> None:
    """A run means its best checkpoint."""
    best = min(
        trained.glob("cafe/step-????????.safetensors"), key=lambda p: read_record(p).nats_per_char
    )
    for reference in trained / "cafe", best:
        assert charrnn("sample", reference, "--length", 60, "--seed", 7).stdout == text


def test_samples_have_numbers_of_their_own(trained: Path, text: str) -> None:
    """Sample one of a seed is the same however many are drawn."""
    done = sample(trained, "--length", 60, "--num-samples", 3)
    assert done.stdout.startswith(text)
    assert len(done.stdout) == 3 * 61
    assert len({done.stdout[n * 61 : (n + 1) * 61] for n in range(3)}) == 3


def test_json_is_one_object_a_line(trained: Path, text: str) -> None:
    done = sample(trained, "--length", 60, "--num-samples", 2, "--prompt", "café", "--json")
    first, second = map(json.loads, done.stdout.splitlines())
    assert done.stderr == ""
    assert set(first) >= {"run", "checkpoint", "step", "seed", "prompt", "text"}
    assert first["run"] == "cafe"
    assert (first["seed"], first["prompt"]) == (7, "café")
    assert len(first["text"]) == len(second["text"]) == 60
    assert first["text"] != second["text"]
    assert Path(first["checkpoint"]).is_file()
    plain = sample(trained, "--length", 60, "--prompt", "café")
    assert first["text"] + "\n" == plain.stdout


def test_a_stop_text_ends_each_sample_before_it(trained: Path, text: str) -> None:
    stop = text[20:22]
    done = sample(trained, "--length", 60, "--stop", stop, "--stop", "never in it")
    assert done.stdout == text[: text.index(stop)] + "\n"


def test_output_is_written_whole_and_nothing_to_stdout(
    trained: Path, text: str, tmp_path: Path
) -> None:
    target = tmp_path / "out.txt"
    target.write_text("the old text")
    done = sample(trained, "--length", 60, "--output", target)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert target.read_bytes().decode() == text
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_output_leaves_the_old_file(trained: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("the old text")
    done = sample(trained, "--output", target, "--prompt", "\N{SNOWMAN}")
    assert done.returncode == 1
    assert target.read_text() == "the old text"


def test_output_follows_a_link(trained: Path, text: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    assert sample(trained, "--length", 60, "-o", tmp_path / "link").returncode == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text(encoding="utf-8") == text


def test_output_to_a_pipe_leaves_it_a_pipe(trained: Path, text: str, tmp_path: Path) -> None:
    """As for /dev/stdout and /dev/null, which root could replace by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert sample(trained, "--length", 60, "-o", pipe).returncode == 0
        assert pipe.is_fifo()
        assert os.read(reader, 1000).decode() == text
    finally:
        os.close(reader)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_long_output_grows_beside_the_old_one_and_goes_when_it_is_stopped(
    number: signal.Signals, trained: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.txt"
    target.write_text("the old text")
    words = ["sample", "cafe", "--checkpoint-dir", trained, "--seed", 7, "--length", 10**10]
    process = subprocess.Popen(
        [COMMAND, *map(str, words), "--output", target],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size > 30_000 for path in tmp_path.iterdir()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert target.read_text() == "the old text"
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number
    assert b"Traceback" not in told
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text() == "the old text"


def test_a_reader_of_an_output_pipe_that_has_enough_ends_it_quietly(trained: Path) -> None:
    done = shell(
        f"charrnn sample cafe --checkpoint-dir {trained} --seed 7 --length 100000 -o /dev/stdout"
        " | head -c 10 > /dev/null; echo ${PIPESTATUS[*]} >&2"
    )
    assert done.stderr == "0 0\n"


def test_output_names_a_file_whose_name_is_no_text(trained: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    shutil.copytree(trained / "cafe", odd)
    arguments = ("sample", odd, "--seed", 7, "--length", 9, "--json")
    done = charrnn(*arguments, "-o", tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    assert b"/caf\xe9/" in (tmp_path / "out.jsonl").read_bytes()


def test_output_where_no_directory_is_fails(trained: Path, tmp_path: Path) -> None:
    assert_error(sample(trained, "-o", tmp_path / "no" / "out.txt"), 1, "out.txt")


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}], ids=str)
def test_text_is_utf8_whatever_the_locale_says(
    environment: dict[str, str], trained: Path, tmp_path: Path
) -> None:
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Élodie’s café", encoding="utf-8")
    done = sample(
        trained,
        *("--length", 3, "--echo", "--prompt-file", prompt),
        text=False,
        env={**os.environ, **environment},
    )
    assert done.stdout.startswith("Élodie’s café".encode())


@pytest.mark.parametrize("coerced", ["1", "0"])
def test_a_prompt_on_the_command_line_is_utf8_whatever_the_locale_says(
    coerced: str, trained: Path
) -> None:
    """Python itself takes LC_ALL=C for UTF-8 unless it is told not to."""
    done = sample(
        trained,
        *("--length", 3, "--echo", "--prompt", "Élodie’s café"),
        text=False,
        env={
            **os.environ,
            "LC_ALL": "C",
            "PYTHONCOERCECLOCALE": coerced,
            "PYTHONUTF8": coerced,
        },
    )
    assert done.stdout.startswith("Élodie’s café".encode()), done.stderr


# Where a text was left.


def test_a_text_goes_on_exactly_where_it_stopped(trained: Path, tmp_path: Path) -> None:
    state = tmp_path / "here"
    steering = ("--temperature", 0.9, "--top-k", 20, "--top-p", 0.95, "--prompt", "café")
    wanted = sample(trained, "--length", 300, *steering).stdout
    got = sample(trained, "--length", 120, *steering, "--save-state", state).stdout[:-1]
    for length in 0, 100, 80:
        options = ("--length", length, *steering[:-2], "--load-state", state, "--save-state", state)
        done = charrnn("sample", "cafe", "--checkpoint-dir", trained, *options)
        assert (done.returncode, done.stderr) == (0, ""), "no seed is drawn, and none told"
        got += done.stdout[:-1]
    assert got + "\n" == wanted
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_a_state_and_a_prompt_and_a_seed(trained: Path, tmp_path: Path, text: str) -> None:
    """The prompt is read on top; a seed begins other draws from there; JSON tells the seed."""
    state = tmp_path / "here"
    sample(trained, "--length", 20, "--save-state", state)
    load = ("--checkpoint-dir", trained, "--load-state", state, "--length", 40)
    goes_on = charrnn("sample", "cafe", *load)
    assert goes_on.stdout == text[20:]
    told = json.loads(charrnn("sample", "cafe", *load, "--json").stdout)
    assert (told["text"] + "\n", told["seed"]) == (text[20:], 7)
    prompted = charrnn("sample", "cafe", *load, "--prompt", "The café", "--echo").stdout
    assert prompted.startswith("The café")
    assert prompted != "The café" + text[20:]
    assert sample(trained, *load, "--seed", 8).stdout != text[20:]


def test_a_state_is_written_after_the_text_and_only_if_all_of_it_was(
    trained: Path, tmp_path: Path
) -> None:
    state, out = tmp_path / "here", tmp_path / "out"
    line = f"charrnn sample cafe --checkpoint-dir {trained} --seed 7 --save-state {state}"
    done = shell(f"{line} --length 200000 | head -c 10 > /dev/null; echo ${{PIPESTATUS[*]}} >&2")
    assert done.stderr == "0 0\n"
    assert not state.exists()
    done = sample(trained, "--prompt", "\N{SNOWMAN}", "--save-state", state, "-o", out)
    assert done.returncode == 1
    assert list(tmp_path.iterdir()) == []
    assert shell(f"{line} --length 9 -o {out}").returncode == 0
    assert state.exists()
    assert len(out.read_text(encoding="utf-8")) == 10


def test_a_state_remembers_as_much_as_the_longest_copy_that_is_allowed_with_it() -> None:
    assert _LONGEST_COPY <= TAIL


def test_a_state_of_another_model_or_none_is_refused(
    trained: Path, copied: Path, tmp_path: Path
) -> None:
    state = tmp_path / "here"
    assert charrnn("sample", copied, "--length", 9, "--save-state", state).returncode == 0
    best, *_ = sorted(trained.glob("cafe/step-????????.safetensors"))
    done = charrnn("sample", best, "--load-state", state)
    assert_error(done, 1, f"cafe/{copied.name}", f"cafe/{best.name}", "here")
    assert_error(charrnn("sample", best, "--load-state", copied), 1, copied.name)
    assert_error(charrnn("sample", best, "--load-state", tmp_path / "no"), 1, "no: no such file")
    assert_error(charrnn("sample", state), 1, "here", "--load-state")


@pytest.mark.parametrize(
    ("line", "code", "part"),
    [
        ("--save-state x --num-samples 2", 2, "--save-state"),
        ("--load-state x --num-samples 2", 2, "--load-state"),
        ("--load-state x --batch -", 2, "--load-state"),
        ("--save-state x --max-copy 1001", 2, "--max-copy 1001"),
        ("--save-state x --output x", 2, "--output"),
        (f"--save-state x --seed {2**63}", 2, "--seed"),
        ("--save-state no/x", 1, "no/x"),
        ("--save-state .", 1, "directory"),
    ],
)
def test_a_state_that_cannot_be_meant_is_refused_before_anything_is_drawn(
    line: str, code: int, part: str, trained: Path, tmp_path: Path
) -> None:
    done = charrnn("sample", "cafe", "--checkpoint-dir", trained, *line.split(), cwd=tmp_path)
    assert_error(done, code, part)
    assert list(tmp_path.iterdir()) == []


# Which directory.


def test_the_flag_comes_before_the_environment_before_the_default(
    trained: Path, text: str, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "checkpoints")
    arguments = ("sample", "cafe", "--length", 60, "--seed", 7)
    empty = tmp_path / "empty"
    empty.mkdir()
    names_run = {**os.environ, "CHARRNN_CHECKPOINTS": str(trained)}
    names_nothing = {**os.environ, "CHARRNN_CHECKPOINTS": str(empty)}
    assert charrnn(*arguments, cwd=tmp_path).stdout == text
    assert charrnn(*arguments, cwd=empty, env=names_run).stdout == text
    assert charrnn(*arguments, cwd=tmp_path, env=names_nothing).returncode == 1
    flag = ("--checkpoint-dir", trained)
    assert charrnn(*arguments, *flag, cwd=empty, env=names_nothing).stdout == text


# Prompts.


def test_the_prompt_is_shown_on_a_terminal_alone_or_with_echo(trained: Path) -> None:
    arguments = ("--prompt", "café", "--length", 5)
    plain = sample(trained, *arguments)
    echoed = sample(trained, *arguments, "--echo")
    assert echoed.stdout == "café" + plain.stdout
    common = ("sample", "cafe", "--seed", 7, "--checkpoint-dir", trained)
    shown = on_terminal(*common, *arguments)
    assert shown.screen.replace("\r\n", "\n") == echoed.stdout
    silent = on_terminal(*common, *arguments, "--no-echo")
    assert silent.screen.replace("\r\n", "\n") == plain.stdout


def test_a_prompt_decides_what_follows(trained: Path) -> None:
    drawn = {sample(trained, "--prompt", p, "--length", 300).stdout for p in (" ", "q", ", ")}
    assert len(drawn) > 1


def test_a_prompt_comes_from_a_file_or_stdin_without_its_last_line_end(
    trained: Path, tmp_path: Path
) -> None:
    arguments = ("--length", 40, "--echo")
    wanted = sample(trained, *arguments, "--prompt", "one\ntwo").stdout
    file = tmp_path / "prompt.txt"
    file.write_text("one\ntwo\n")
    assert sample(trained, *arguments, "--prompt-file", file).stdout == wanted
    assert sample(trained, *arguments, "--prompt-file", "-", input="one\ntwo\n").stdout == wanted


def test_unknown_characters_are_named_with_the_look_alike_that_is_known(trained: Path) -> None:
    done = sample(trained, "--prompt", "café's ♥")
    assert_error(done, 1, "apostrophe", "U+0027", "‘", "U+2665", "--unknown skip")


def test_unknown_characters_can_be_skipped(trained: Path) -> None:
    done = sample(trained, "--prompt", "c♥a'fé", "--unknown", "skip", "--echo", "--length", 9)
    assert done.returncode == 0
    assert done.stdout == sample(trained, "--prompt", "café", "--echo", "--length", 9).stdout


@pytest.mark.parametrize("prompt", ["\x1b[31mred", "\u202eabc"])
def test_a_hostile_prompt_is_named_without_control_characters(prompt: str, trained: Path) -> None:
    done = sample(trained, "--prompt", prompt)
    assert_error(done, 1, f"U+{ord(prompt[0]):04X}")
    assert all(line.isprintable() for line in done.stderr.splitlines())


def test_a_prompt_and_a_prompt_file_contradict(trained: Path) -> None:
    assert_error(sample(trained, "--prompt", "a", "--prompt-file", "-"), 2, "--prompt-file")


def test_a_missing_prompt_file_is_named(trained: Path, tmp_path: Path) -> None:
    assert_error(sample(trained, "--prompt-file", tmp_path / "no.txt"), 1, "no.txt: no such file")


# Numbers that cannot be meant.


@pytest.mark.parametrize(
    "line",
    [
        "--temperature -1",
        "--top-p 0",
        "--unknown maybe",
        "--stop=",
        "--seed -1",
    ],
)
def test_an_impossible_setting_is_refused_by_its_flag(line: str, trained: Path) -> None:
    assert_error(sample(trained, *line.split(" ")), 2, re.split("[ =]", line)[0])


def test_temperature_zero_is_the_likeliest_whatever_the_seed(trained: Path) -> None:
    drawn = {
        sample(trained, "--length", 40, "--seed", seed, *cut.split()).stdout
        for seed, cut in [(1, "--temperature 0"), (2, "--temperature 0"), (3, "--top-k 1")]
    }
    assert len(drawn) == 1


# Checkpoints that cannot be used.


def test_a_missing_checkpoint_is_an_error_that_names_what_there_is(trained: Path) -> None:
    done = charrnn("sample", "hamlet", "--checkpoint-dir", trained)
    assert_error(done, 1, "hamlet", "cafe")


def test_a_directory_without_checkpoints_is_an_error(tmp_path: Path) -> None:
    assert_error(charrnn("sample", cwd=tmp_path), 1, "checkpoints", "charrnn train")
    assert_error(charrnn("sample", ".", cwd=tmp_path), 1)


@pytest.mark.parametrize("size", [0, 20_000])
def test_a_truncated_checkpoint_is_refused(size: int, copied: Path) -> None:
    os.truncate(copied, size)
    done = charrnn("sample", copied)
    assert_error(done, 1, copied.name)


def test_a_changed_byte_is_refused(copied: Path) -> None:
    data = bytearray(copied.read_bytes())
    data[-1000] ^= 1
    copied.write_bytes(data)
    assert_error(charrnn("sample", copied), 1, copied.name, "bytes")


def test_a_pickle_is_refused_and_never_opened(tmp_path: Path) -> None:
    """Opening it would make the directory `owned`."""
    pickle = tmp_path / "model.pt"
    pickle.write_bytes(b"\x80\x04cos\nmkdir\n(Vowned\ntR.")
    assert_error(charrnn("sample", pickle, cwd=tmp_path), 1, "pickle")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


def test_a_resume_file_is_refused_with_the_one_to_use(trained: Path) -> None:
    file = trained / "cafe" / "step-00000040.resume.safetensors"
    assert_error(charrnn("sample", file), 1, "resume file", "step-00000040.safetensors")


def test_a_newer_format_is_refused_by_its_number(copied: Path) -> None:
    data = copied.read_bytes()
    newer = data.replace(rb"{\"format\":3,", rb"{\"format\":9,")
    assert newer != data
    copied.write_bytes(newer)
    assert_error(charrnn("sample", copied), 1, "format 9", "newer")


def test_a_text_file_is_no_checkpoint(english_file: Path) -> None:
    assert_error(charrnn("sample", english_file), 1, english_file.name)
