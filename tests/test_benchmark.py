"""The benchmark: turns, medians and rows; what the contenders compute; processes that die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from charrnn import benchmark, contenders
from charrnn.benchmark import Case, Contender, Measured, Turn, cases, interleave, rows
from charrnn.contenders import BF16, CEILING, CHARRNN, FP32, Product, Twin
from charrnn.errors import CharrnnError, UsageError
from charrnn.settings import MODELS, ModelSettings, TrainingSettings
from charrnn.step import take_step
from charrnn.training_state import fresh_state

TINY = Case(
    ModelSettings(model="gru", embedding_size=3, hidden_size=4, layers=2),
    TrainingSettings(seq_length=5, batch_size=2),
    vocabulary_size=7,
)


class Fake:
    """A contender whose steps take as long as a list says, call after call."""

    def __init__(self, name: str, log: list[tuple[str, int]], *step_seconds: float) -> None:
        self.name, self.log, self.left = name, log, list(step_seconds)

    def __call__(self, steps: int) -> Turn:
        self.log.append((self.name, steps))
        return Turn(steps * self.left.pop(0), 1000 + len(self.log))


def test_contenders_take_turns_and_the_median_is_taken() -> None:
    log: list[tuple[str, int]] = []
    told: list[int] = []
    measured = interleave(
        {
            "a": Fake("a", log, 9.0, 0.5, 0.4, 9.0, 0.6),  # first steps count for nothing
            "b": Fake("b", log, 9.0, 0.25, 0.1, 0.2, 0.3),
        },
        repetitions=3,
        turn_seconds=1.0,
        most_seconds=10.0,
        progressed=told.append,
    )
    assert log == [("a", 1), ("a", 1), ("b", 1), ("b", 1), *[("a", 2), ("b", 4)] * 3]
    assert measured["a"] == Measured(pytest.approx(0.6), 1009, 3)
    assert measured["b"] == Measured(pytest.approx(0.2), 1010, 3)
    assert sum(told) == 2 * (3 + 1)


def test_one_that_is_slow_has_fewer_turns_and_one_that_crawls_has_none_but_the_first() -> None:
    log: list[tuple[str, int]] = []
    told: list[int] = []
    measured = interleave(
        {
            "quick": Fake("quick", log, *[1.0] * 7),
            "slow": Fake("slow", log, 4.0, 4.0, 3.0, 5.0),
            "crawling": Fake("crawling", log, 11.0),
        },
        repetitions=5,
        turn_seconds=1.0,
        most_seconds=10.0,
        progressed=told.append,
    )
    assert {name: of.repetitions for name, of in measured.items()} == {
        "quick": 5,
        "slow": 2,
        "crawling": 1,
    }
    assert measured["slow"].step_seconds == 4.0
    assert measured["crawling"].step_seconds == 11.0
    assert sum(told) == 3 * (5 + 1)


def test_rows_are_measurements_by_their_names() -> None:
    measured = {
        CHARRNN: Measured(0.001, 500, 3),
        FP32: Measured(0.002, 600, 3),
        BF16: Measured(0.004, 700, 3),
        CEILING: Measured(0.00025, 800, 3),
    }
    first, second = rows(TINY, measured)
    shared = {
        "what": "training",
        "model": "gru",
        "hidden_size": 4,
        "layers": 2,
        "embedding_size": 3,
        "seq_length": 5,
        "batch_size": 2,
        "precision": "fp32",
        "characters_per_second": pytest.approx(10_000),
        "ceiling_fraction": 0.25,
        "peak_memory_bytes": 500,
        "threads": 1,
    }
    assert first == shared | {
        "baseline": "torch.nn fp32",
        "baseline_characters_per_second": pytest.approx(5_000),
        "ratio": 2.0,
        "baseline_peak_memory_bytes": 600,
    }
    assert second == shared | {
        "baseline": "torch.nn bf16 autocast",
        "ratio": 4.0,
        "baseline_characters_per_second": pytest.approx(2_500),
        "baseline_peak_memory_bytes": 700,
    }


def test_a_model_without_a_twin_has_a_row_without_a_baseline() -> None:
    measured = {CHARRNN: Measured(0.001, 500, 3), CEILING: Measured(0.00025, None, 3)}
    (row,) = rows(TINY, measured)
    assert row["ceiling_fraction"] == 0.25
    assert [name for name, value in row.items() if value is None] == [
        *("baseline", "baseline_characters_per_second", "ratio", "baseline_peak_memory_bytes")
    ]


def test_every_model_is_measured_at_every_size() -> None:
    found = cases(threads=2)
    sizes = [
        (case.model.hidden_size, case.training.seq_length, case.training.batch_size)
        for case in found
        if case.model.model == "gru"
    ]
    assert sizes == [(128, 50, 50), (256, 64, 64), (512, 128, 64)]
    assert [case.model.model for case in found] == [*MODELS] * 3
    assert {(c.model.layers, c.model.embedding_size, c.vocabulary_size) for c in found} == {
        (2, 64, 65)
    }


def test_shapes_of_ones_own_leave_the_others_as_they_are() -> None:
    (case,) = cases(models=["rnn", "rnn"], hidden_sizes=[128], seq_length=9, layers=1)
    assert (case.training.seq_length, case.training.batch_size, case.model.layers) == (9, 50, 1)
    (case,) = cases(models=["rnn"], hidden_sizes=[384], batch_size=3, vocabulary_size=8_000)
    assert (case.training.seq_length, case.training.batch_size) == (64, 3)
    assert case.vocabulary_size == 8_000


@pytest.mark.parametrize(
    ("flag", "given"),
    [
        ("--model", {"models": ["transformer"]}),
        ("--hidden-size", {"hidden_sizes": [0]}),
        ("--layers", {"layers": 0}),
        ("--seq-length", {"seq_length": 0}),
        ("--batch-size", {"batch_size": -1}),
        ("--vocabulary-size", {"vocabulary_size": 0}),
        ("--precision", {"precision": "fp8"}),
        ("--threads", {"threads": 0}),
    ],
)
def test_what_cannot_be_measured_is_wrong_usage(flag: str, given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=flag):
        cases(**given)


# What the contenders compute.


@pytest.mark.parametrize("model", list(contenders.TWINS))
def test_the_baseline_takes_the_step_that_charrnn_takes(model: str) -> None:
    settings = ModelSettings(model=model, embedding_size=3, hidden_size=8, layers=2)
    training = TrainingSettings(seq_length=5, batch_size=2, weight_decay=10.0, clip=0.1)
    ids = contenders.random_text(training, 7)
    state = fresh_state(settings, training, 7)
    twin = Twin(settings, 7)
    twin.load_state_dict(state.model.state_dict())
    step = contenders.torch_step(twin, training, ids, autocast=False)
    before = state.model.arrays()
    for _ in range(4):
        step()
        take_step(state, ids, training, contenders.LEARNING_RATE)
    theirs = dict(twin.named_parameters())
    for name, ours in state.model.arrays().items():
        assert np.abs(ours - before[name]).max() > 1e-3
        np.testing.assert_allclose(theirs[name].detach(), ours, atol=2e-5, err_msg=name)


def test_under_autocast_the_baseline_multiplies_in_bf16() -> None:
    after = []
    for autocast in False, True:
        torch.manual_seed(0)
        twin = Twin(TINY.model, 7)
        ids = contenders.random_text(TINY.training, 7)
        contenders.torch_step(twin, TINY.training, ids, autocast=autocast)()
        after.append(twin.recurrent.get_parameter("weight_hh_l0").detach())
    assert after[0].dtype == after[1].dtype == torch.float32
    assert not torch.equal(*after)


def test_a_steps_products_are_those_of_the_equations() -> None:
    # T=5, B=2, E=3, H=4, L=2, G=3, V=7; layer 0 reads no more than 7 different vectors
    assert contenders.products(TINY.model, TINY.training, 7) == {
        Product(7, 3, 12): 1,
        Product(7, 12, 3): 1,
        Product(3, 7, 12): 1,
        Product(10, 4, 12): 1,
        Product(10, 12, 4): 1,
        Product(4, 10, 12): 1 + 2,  # of layer 1's W_ih and of both W_hh
        Product(2, 4, 12): 5 * 2,
        Product(2, 12, 4): 5 * 2,
        Product(10, 4, 7): 1,
        Product(10, 7, 4): 1,
        Product(4, 10, 7): 1,
    }


def test_every_way_multiplies() -> None:
    a, b = torch.randn(4, 6), torch.randn(6, 5)
    for way in contenders.WAYS:
        product = way(a, b)()
        assert isinstance(product, torch.Tensor)
        torch.testing.assert_close(product, a @ b)


def test_the_ceiling_takes_the_fastest_way_as_often_as_the_step_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[str] = []

    def way(name: str, seconds: float) -> Callable[[Any, Any], Callable[[], None]]:
        def run() -> None:
            called.append(name)
            time.sleep(seconds)

        return lambda a, b: run

    monkeypatch.setattr(contenders, "WAYS", (way("slow", 0.03), way("fast", 0.0)))
    step = contenders.ceiling_step(
        contenders.Counter({Product(1, 1, 1): 3, Product(2, 2, 2): 2}), torch.float32
    )
    step()
    called.clear()
    step()
    assert called == ["fast"] * 5


def test_peak_memory_is_a_peak_in_bytes() -> None:
    before = contenders.peak_memory()
    assert before is not None
    assert 50e6 < before < 50e9
    held = np.ones(int(before) + 100_000_000, dtype=np.uint8)
    after = contenders.peak_memory()
    assert after is not None
    assert after >= held.nbytes


# Processes.


def test_a_contender_that_dies_is_an_error_with_a_hint() -> None:
    with Contender(CEILING, TINY) as contender:
        contender.wait()
        assert contender.take(2).seconds > 0
        contender._process.send_signal(signal.SIGKILL)
        with pytest.raises(CharrnnError, match="the process of ceiling has ended: Killed") as told:
            contender.take(1)
    assert "--batch-size" in told.value.hint


def test_what_a_contender_complains_of_is_told() -> None:
    with (
        Contender("nobody", TINY) as contender,
        pytest.raises(CharrnnError, match=r"the process of nobody has ended: KeyError: 'nobody'"),
    ):
        contender.wait()


def test_a_contender_ends_with_its_parent_in_the_middle_of_a_step(tmp_path: Path) -> None:
    code = f"""
import sys, time
sys.path = {sys.path!r}
from charrnn.benchmark import CEILING, Contender, cases
(case,) = cases(models=["gru"], hidden_sizes=[64], layers=1)
contender = Contender(CEILING, case)
contender.wait()
contender._send("1000000")
print(contender._process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.2)
    os.kill(child, 0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while (alive := _runs(child)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if alive:  # leave nothing behind
        os.kill(child, signal.SIGKILL)
    assert not alive


def _runs(pid: int) -> bool:
    """Whether a process is at work; one that nobody has waited for yet is not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_contenders_of_a_case_are_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    started, ended = [], []

    class Named:
        def __init__(self, name: str, case: Case) -> None:
            self.name = name
            started.append(name)

        def __enter__(self) -> "Named":
            return self

        def __exit__(self, *_: object) -> None:
            ended.append(self.name)

        def wait(self) -> None:
            assert len(started) == len(names), "all start before one is waited for"

        def take(self, steps: int) -> Turn:
            return Turn(0.1 * steps, None)

    monkeypatch.setattr(benchmark, "Contender", Named)
    effort: dict[str, Any] = {"repetitions": 2, "turn_seconds": 0.1, "most_seconds": 1.0}
    names = [CHARRNN, FP32, BF16, CEILING]
    assert [*benchmark.measure(TINY, **effort)] == started == names
    assert sorted(ended) == sorted(names)
    started.clear()
    names = [CHARRNN, CEILING]
    monkeypatch.setattr(benchmark, "TWINS", {})
    assert [*benchmark.measure(TINY, **effort)] == started == names
