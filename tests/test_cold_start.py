"""Cold starts: processes that are timed and may fail, the model that is sampled, the rows."""

from pathlib import Path

import pytest

from charrnn import cold_start
from charrnn.benchmark import Measured
from charrnn.checkpoints import read_checkpoint
from charrnn.cold_start import FIRST, IMPORT_TORCH, THOUSAND, ended, first_byte, rows, write_model
from charrnn.errors import CharrnnError

SLOW_END = "import time; print('a', flush=True); time.sleep(0.3); print('b')"


def test_the_first_byte_comes_before_the_end() -> None:
    assert first_byte(SLOW_END) + 0.2 < ended(SLOW_END)
    assert first_byte("import time; time.sleep(0.3); print('a')") > 0.3


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(CharrnnError, match="a cold start failed: ValueError: no"):
        ended("raise ValueError('no')")


def test_the_models_file_is_one_that_can_be_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_model(tmp_path)
    record, weights = read_checkpoint(file)
    assert (record.settings.hidden_size, len(record.vocabulary)) == (256, 65)
    assert weights["output.weight"].shape == (65, 256)
    assert first_byte(cold_start._sample(file, 3)) > 0


def test_starts_take_turns_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def run(code: str) -> tuple[float, float]:
        started.append(code)
        return (0.25, 0.5) if "charrnn" in code else (0.0, 1.5)

    monkeypatch.setattr(cold_start, "_run", run)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    told: list[int] = []
    measured = cold_start.measure(repetitions=2, most_seconds=10.0, progressed=told.append)
    assert measured == {
        IMPORT_TORCH: Measured(1.5, None, 2),
        FIRST: Measured(0.25, None, 2),
        THOUSAND: Measured(0.5, None, 2),
    }
    assert [code == "import torch" for code in started[-6:]] == [True, False, False] * 2
    assert "'--length', '1'," in started[-2]
    assert "'--length', '1000'," in started[-1]
    assert sum(told) == 3 * (2 + 1)
    assert not [*tmp_path.iterdir()]


def test_rows_are_measurements_by_their_names() -> None:
    measured: dict[str | int, Measured] = {
        IMPORT_TORCH: Measured(2.0, None, 3),
        FIRST: Measured(0.25, None, 3),
        THOUSAND: Measured(0.5, None, 3),
    }
    first, second = rows(measured)
    assert first == {
        "what": "cold start",
        "model": "gru",
        "hidden_size": 256,
        "layers": 2,
        "embedding_size": 64,
        "vocabulary_size": 65,
        "characters": 1,
        "seconds": 0.25,
        "baseline": "import torch",
        "baseline_seconds": 2.0,
        "ratio": 8.0,
    }
    assert (second["characters"], second["ratio"]) == (1000, 4.0)
