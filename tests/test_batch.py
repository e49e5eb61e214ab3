"""charrnn sample with many samples: --num-samples, --batch, --skip, --separator."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND, charrnn
from test_cli import assert_error

from charrnn.checkpoints import read_checkpoint, write_checkpoint


def sample(trained: Path, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Sample from the fixture's run, thirty characters at a time."""
    return charrnn(
        *("sample", "cafe", "--checkpoint-dir", trained, "--seed", 7, "--length", 30),
        *arguments,
        **options,
    )


def samples(trained: Path, *arguments: object, **options: Any) -> list[dict[str, Any]]:
    done = sample(trained, "--json", *arguments, **options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("The café\n\nHe said\nThe café\n" + "tea and\n" * 60)
    return path


def test_each_prompt_of_a_file_is_gone_on_from_in_order(trained: Path, prompts: Path) -> None:
    found = samples(trained, "--batch", prompts)
    assert [each["prompt"] for each in found] == prompts.read_text().splitlines()
    assert [(each["seed"], each["number"]) for each in found] == [(7, n) for n in range(64)]
    assert {len(each["text"]) for each in found} == {30}
    raw = sample(trained, "--batch", prompts, "--echo").stdout
    assert raw == "".join(f"{each['prompt']}{each['text']}\n" for each in found)


def test_a_sample_depends_on_its_prompt_and_its_seed_alone(trained: Path, prompts: Path) -> None:
    """Whether drawn among 64 or 3, with one thread or three, or from where a crash left off."""
    found = samples(trained, "--batch", prompts, "--threads", 3)
    assert samples(trained, "--batch", prompts, "--skip", 50, "--threads", 1) == found[50:]
    lines = [{"prompt": each["prompt"], "seed": 7} for each in found]
    few = "\n".join(json.dumps(line) for line in [lines[2], lines[0], lines[1]])
    again = samples(trained, "--batch", "-", input=few)
    assert again[1]["text"] == found[0]["text"]  # both are number 0 of seed 7
    assert (
        samples(trained, "--num-samples", 40, "--skip", 37)
        == (samples(trained, "--num-samples", 40)[37:])
    )


def test_one_sample_is_the_first_of_many(trained: Path) -> None:
    (one,) = samples(trained, "--prompt", "tea")
    assert one == samples(trained, "--prompt", "tea", "--num-samples", 3)[0]


def test_lines_of_json_say_how_each_is_drawn(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    lines = [
        {"prompt": "tea", "id": "first", "length": 5},
        {"prompt": "tea", "id": 2, "temperature": 0},
        {"prompt": "tea", "seed": 9},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    first, second, third = samples(trained, "--batch", path)
    assert (first["id"], second["id"], "id" in third) == ("first", 2, False)
    assert len(first["text"]) == 5
    assert second["text"] == samples(trained, "--prompt", "tea", "--temperature", 0)[0]["text"]
    assert (third["seed"], third["number"]) == (9, 0)
    assert third["text"] == samples(trained, "--prompt", "tea", "--seed", 9)[0]["text"]


def test_several_samples_of_each_prompt(trained: Path) -> None:
    found = samples(trained, "--batch", "-", "--num-samples", 2, input="tea\nThe\n")
    assert [(each["prompt"], each["number"]) for each in found] == [
        *(("tea", 0), ("tea", 1), ("The", 2), ("The", 3))
    ]


def test_an_answer_comes_before_the_next_prompt_is_written(trained: Path) -> None:
    """A program can hold a conversation over two pipes."""
    process = subprocess.Popen(
        [
            *(COMMAND, "sample", "cafe", "--checkpoint-dir", trained, "--length", "5"),
            *("--seed", "1", "--batch", "-", "--stop", "\n"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    for _ in range(3):
        process.stdin.write("tea\n")
        process.stdin.flush()
        assert process.stdout.readline().endswith("\n")
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()


@pytest.mark.parametrize(
    ("separator", "after"), [("\\n--\\n", "\n--\n"), ("\\0", "\0"), ("", ""), ("\\n", "\n")]
)
def test_what_stands_after_each_sample(separator: str, after: str, trained: Path) -> None:
    texts = [each["text"] for each in samples(trained, "--num-samples", 3)]
    done = sample(trained, "--num-samples", 3, "--separator", separator)
    assert done.stdout == "".join(text + after for text in texts)


def test_where_no_sample_is_left_nothing_is_touched(trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("what is there")
    for more in ("--num-samples", 3, "--skip", 3), ("--batch", "-", "--skip", 9):
        done = sample(trained, *more, "-o", path, input="tea\n")
        assert (done.returncode, done.stdout) == (0, "")
        assert "no sample is left to draw" in done.stderr
    assert path.read_text() == "what is there"


def test_a_stop_text_that_cannot_come_is_told(trained: Path) -> None:
    done = sample(trained, "--stop", "\\n\\n")
    assert done.returncode == 0
    assert "warning: --stop" in done.stderr
    assert "$'" in done.stderr
    assert sample(trained, "--stop", "e").stderr == ""


def test_a_dash_is_stdout(trained: Path, tmp_path: Path) -> None:
    assert sample(trained, "-o", "-", cwd=tmp_path).stdout == sample(trained).stdout
    assert list(tmp_path.iterdir()) == []


def test_stop_texts_end_each_sample_and_never_appear(trained: Path) -> None:
    whole = [each["text"] for each in samples(trained, "--num-samples", 40)]
    cut = [each["text"] for each in samples(trained, "--num-samples", 40, "--stop", "e")]
    assert cut == [text.partition("e")[0] for text in whole]
    assert cut != whole


# What goes wrong


def test_what_was_complete_before_a_bad_line_is_written(trained: Path, prompts: Path) -> None:
    """And the rest once it has been put right, from where it stopped."""
    good = sample(trained, "--batch", prompts).stdout.splitlines()
    lines = prompts.read_text().splitlines()
    bad = "\n".join([*lines[:40], "te☂a", *lines[41:]])
    done = sample(trained, "--batch", "-", "--stop", "\n", input=bad)
    assert done.returncode == 1
    assert done.stdout.count("\n") == 40
    assert "charrnn: stdin, line 41: the model never saw: ☂ U+2602 umbrella" in done.stderr
    assert "hint: " in done.stderr
    skipped = sample(trained, "--batch", "-", "--unknown", "skip", input=bad)
    assert skipped.returncode == 0
    assert skipped.stdout.splitlines()[:3] == good[:3]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("stdin: holds no prompt",)),
        ('{"prompt": "tea"}\n{"prompt": "tea"\n', ("stdin, line 2: not JSON",)),
        ('{"prompt": "tea", "length": -4}\n', ("stdin, line 1: length -4",)),
    ],
)
def test_a_file_that_says_nothing_sensible(
    text: str, parts: tuple[str, ...], trained: Path
) -> None:
    done = sample(trained, "--batch", "-", "-o", os.devnull, input=text)
    assert_error(done, 1, *parts)


def test_a_missing_file_and_impossible_flags(trained: Path, tmp_path: Path) -> None:
    assert_error(sample(trained, "--batch", tmp_path / "no.txt"), 1, "no.txt: No such file")
    assert_error(sample(trained, "--batch", tmp_path), 1, "directory")
    assert_error(sample(trained, "--batch", "-", "--prompt", "tea"), 2, "give one of them")
    assert_error(sample(trained, "--skip", "-1"), 2, "--skip -1")
    assert_error(sample(trained, "--threads", "0"), 2, "--threads 0")
    assert_error(sample(trained, "--num-samples", "0"), 2, "--num-samples 0")


def test_weights_that_are_no_numbers_are_an_error(trained: Path, tmp_path: Path) -> None:
    record, weights = read_checkpoint(trained / "cafe" / "step-00000040.safetensors")
    weights["embedding.weight"][record.vocabulary.characters.index("a")] = float("nan")
    (tmp_path / "bad").mkdir()
    path = tmp_path / "bad" / "step-00000001.safetensors"
    write_checkpoint(path, record, weights, {}, {})
    lines = '{"prompt": "The", "length": 1}\n' * 20 + '{"prompt": "tea"}\n'
    done = charrnn("sample", path, "--batch", "-", "--seed", 1, input=lines)
    assert done.returncode == 1
    assert done.stdout.count("\n") >= 20
    assert "the model's weights give no probabilities" in done.stderr


def test_a_reader_that_has_enough_ends_it_quietly(trained: Path) -> None:
    line = f"{COMMAND} sample cafe --checkpoint-dir {trained} --seed 1 --num-samples 100000"
    done = subprocess.run(
        ["sh", "-c", f"{line} --length 20 | head -n 1"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_ctrl_c_ends_it_quietly_with_what_was_complete(trained: Path) -> None:
    process = subprocess.Popen(
        [
            *(COMMAND, "sample", "cafe", "--checkpoint-dir", trained, "--num-samples", "100000000"),
            *("--seed", "1", "--length", "20", "--json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr
    with process.stdout, process.stderr:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        lines = [first, *process.stdout.read().splitlines()]
        assert process.stderr.read() == ""
    assert process.wait(60) == 130
    numbers = [json.loads(line)["number"] for line in lines]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize("end", ["ctrl-c", "closed"])
def test_it_ends_quietly_while_it_waits_for_a_line(end: str, trained: Path) -> None:
    process = subprocess.Popen(
        [
            *(COMMAND, "sample", "cafe", "--checkpoint-dir", trained, "--length", "5"),
            *("--seed", "1", "--batch", "-", "--json"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout and process.stderr
    with process.stdin, process.stderr:
        process.stdin.write("tea\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["prompt"] == "tea"
        if end == "ctrl-c":
            process.send_signal(signal.SIGINT)
        process.stdout.close()
        if end == "closed":
            process.stdin.write("tea\n")
            process.stdin.flush()
        assert process.wait(60) == (130 if end == "ctrl-c" else 0)
        assert process.stderr.read() == ""
