"""charrnn benchmark learning, end to end: the table, rows as they come, what is left behind."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMAND, charrnn
from test_cli import assert_error

from charrnn import learning_benchmark, learning_contenders
from charrnn.benchmark import Entrant
from charrnn.catalogue import CATALOGUE
from charrnn.commands.benchmark_learning import learning, named
from charrnn.errors import DivergenceError, UsageError
from charrnn.fetch import text_path
from charrnn.settings import MODELS

TINY = ("--hidden-size", "8", "--layers", "1", "--threads", "1")
SMALL: dict[str, Any] = {"hidden_size": 8, "layers": 1, "threads": 1}


class Here:
    """A contender that computes in this process."""

    runs: list[Path]

    def __init__(self, entrant: Entrant) -> None:
        assert sum(any(run.glob("*.safetensors")) for run in self.runs) < 2  # disks are small
        self.runs.append(Path(entrant.task["run"]))
        self._said = learning_contenders.learn(entrant.task)

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *_: object) -> None: ...

    def answer(self) -> dict[str, Any]:
        return next(self._said)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories of the runs that the command makes, in this process."""
    Here.runs = []
    monkeypatch.setattr(learning_benchmark, "Contender", Here)
    monkeypatch.setenv("COLUMNS", "80")
    return Here.runs


def table(shown: str) -> list[str]:
    """The lines of the table, without its head."""
    _, _, below = shown.partition(" char/s\n")
    return below.partition("\n\n")[0].splitlines()


def found(what: Callable[[], list[Any]]) -> Any:
    """The one thing that is soon found."""
    until = time.monotonic() + 60
    while not what() and time.monotonic() < until:
        time.sleep(0.01)
    (one,) = what()
    return one


def test_ctrl_c_leaves_neither_a_process_nor_a_file(english_file: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [COMMAND, "benchmark", "learning", english_file, "--steps", "100000", *TINY],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as process:
        try:
            begun = found(lambda: list(tmp_path.glob("charrnn-*/*/*/run.json")))
            child = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
            os.killpg(process.pid, signal.SIGINT)  # a terminal tells the whole group
            shown, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said) == (130, "")
    assert "training  --steps 100000, " in shown
    assert not list(tmp_path.glob("charrnn-*")), begun
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_what_was_done_before_ctrl_c_is_told(
    english_file: Path,
    here: list[Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = learning_contenders.learn

    def learn(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if task["model"]["model"] == "lstm":
            raise KeyboardInterrupt
        return real(task)

    monkeypatch.setattr(learning_contenders, "learn", learn)
    with pytest.raises(KeyboardInterrupt):
        learning(english_file, models=["gru,lstm"], steps=12, **SMALL)
    shown, _ = capsys.readouterr()
    assert [line.split()[0] for line in table(shown)] == ["gru"]
    assert "best first" not in shown
    assert not any(run.exists() for run in here)


def test_json_is_an_object_for_each_run_and_each_baseline(
    english_file: Path, here: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    learning(english_file, models=["rnn", "gru"], steps=12, cold_windows=[32], json=True, **SMALL)
    shown, said = capsys.readouterr()
    rows = [json.loads(line) for line in shown.splitlines()]
    of_runs = [each for each in rows if each["what"] == "learning"]
    of_baselines = [each for each in rows if each["what"] == "baseline"]
    assert rows == of_runs + of_baselines
    assert [each["model"] for each in of_runs] == ["rnn", "gru"]
    assert {"uniform", "unigram", "ngram"} <= {each["name"] for each in of_baselines}
    for each in of_runs:
        assert (each["steps"], each["hidden_size"], each["budget"]) == (12, 8, {"steps": 12})
        assert [point["step"] for point in each["curve"]] == [2, 4, 6, 8, 10, 12]
        least = min(point["nats_per_char"] for point in each["curve"])
        assert each["nats_per_char"] == pytest.approx(least)
        assert each["curve"][-1]["seconds"] == each["seconds"]
        (window,) = each["cold_windows"]
        assert (window["window"], window["protocol"]) == (32, "cold windows of 32")
        assert window["nats_per_char"] != each["nats_per_char"]
    assert not any(run.exists() for run in here)
    assert said == ""


def test_the_table_ranks_the_models_in_80_columns_and_baselines_stand_below(
    english_file: Path, here: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["rnn,gru-reset-before"]
    learning(english_file, models=models, steps=12, seeds=3, cold_windows=[32], **SMALL)
    shown, _ = capsys.readouterr()
    lines = shown.splitlines()
    assert max(map(len, lines[4:])) <= 80
    assert "in its place rnn (at 0.004)" in " ".join(shown.split())
    (head,) = [line for line in lines if line.endswith("char/s")]
    assert head.split() == [
        *("model", "2", "4", "6", "8", "10", "12", "best", "epochs", "params", "char/s")
    ]
    one, seeds, two, _ = (line.split() for line in table(shown))
    assert {one[0], two[0]} == {"rnn", "gru-reset-before"}
    assert float(one[7]) <= float(two[7])
    low, high = float(seeds[2]), float(seeds[4])
    assert seeds[:2] == ["3", "seeds:"]
    assert low - 5e-4 < float(one[7]) < high + 5e-4
    assert f"In cold windows of 32: {one[0]} " in shown
    assert " best first " in shown
    assert f"chance. {one[0]} read its training part " in " ".join(shown.split())
    assert len(here) == len(set(here)) == 6


def test_a_cell_that_diverges_stands_last_and_spoils_no_other(
    english_file: Path,
    here: list[Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = learning_contenders.learn

    def learn(task: dict[str, Any]) -> Iterator[dict[str, Any]]:
        done = {"kind": "done", "seconds": 1.0, "taken": 9, "per_epoch": 9}
        if task["model"]["model"] == "lstm":
            yield {"kind": "begun", "steps": 12}
            yield done | {"peak_memory_bytes": None, "diverged": "the loss is nan at step 9"}
        else:
            yield from real(task)

    monkeypatch.setattr(learning_contenders, "learn", learn)
    learning(english_file, models=["lstm", "gru"], steps=12, baselines=False, **SMALL)
    shown, said = capsys.readouterr()
    gru, lstm = (line.split() for line in table(shown))
    assert (gru[0], lstm[0]) == ("gru", "lstm")
    assert lstm[1:8] == ["-"] * 7
    assert "-" not in gru
    assert said == "warning: lstm, seed 0: given up: the loss is nan at step 9\n"
    with pytest.raises(DivergenceError, match="no run came to its end: the loss is nan"):
        learning(english_file, models=["lstm"], steps=12, baselines=False, **SMALL)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"models": ["transformer"]}, "--models transformer: must be some of rnn, "),
        ({"models": [""]}, "--models '': must be"),
        ({"models": ["rnn,,gru"]}, "--models '': must be"),
        ({"seeds": 0}, "--seeds 0: must be"),
        ({"cold_windows": [0]}, "--cold-windows 0: must be at least 1"),
        ({"cold_windows": [64, 9_999]}, "--cold-windows 9999: only 272 characters"),
        ({"steps": 1, "epochs": 2.0}, "give one of --epochs, --steps and --minutes"),
        ({"minutes": -1.0}, "--minutes -1: must be"),
        ({"hidden_size": 0}, "--hidden-size 0"),
        ({"threads": 0}, "--threads 0"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(
    given: dict[str, Any], said: str, english_file: Path, here: list[Path]
) -> None:
    with pytest.raises(UsageError) as told:
        learning(english_file, **given)
    assert said in told.value.message
    assert here == []


def test_without_a_text_it_is_the_standard_one_or_says_where_that_comes_from(
    english_file: Path, here: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_error(
        charrnn("benchmark", "learning"),
        *(2, "corpora/tinyshakespeare.txt: not there", "charrnn corpus fetch tinyshakespeare, or "),
    )
    (standard,) = (text for text in CATALOGUE if text.name == "tinyshakespeare")
    (tmp_path / "corpora").mkdir()
    shutil.copy(english_file, text_path(standard, Path("corpora")))
    learning(steps=1, baselines=False, **SMALL)
    assert len(here) == 1


def test_all_means_every_cell_and_each_is_named_once() -> None:
    assert named(["gru, rnn", "gru"]) == ["gru", "rnn"]
    assert named(["gru,all"]) == list(MODELS)
