"""The lab's script (tests/benchmarks/learning.py): every way to train that it offers does."""

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).parent / "benchmarks" / "learning.py"

WAYS = [
    "",
    "model=gru-qrnn share=0.5 dropout=0.2 precision=bf16",
    "optimizer=adamw rate=0.007 shape=linear average=0.9",
    "optimizer=muon coefficients=jordan iterations=5 normed_rows=1",
    "optimizer=muon matrices=hidden matrix_rate=0.02",
    "sides=both by_gate=1 matrices=layers turned=2",
    "sides=left matrices=hidden",
    "wiring=both norm=layer one_mask=1 dropout=0.2",
    "wiring=skip norm=rms gate_bias=1",
    "wiring=residual remembered=8 weight_drop=0.2",
    "tied=1 embedding_size=16 embedding_dropout=0.1",
    "pieces=4 clip=0",
    "batches=0.3:4,0.6:8 windows=0.5:12",
]


def row(words: str, text: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> dict[str, Any]:
    """What the script says of a small model that reads 3,000 characters, in 24 steps."""
    small = "hidden_size=16 embedding_size=8 seq_length=16 batch_size=8 millions=0.003"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(text), *small.split(), *words.split()])
    threads = torch.get_num_threads()
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(False)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("words", WAYS)
def test_a_row_is_trained_and_scored(
    words: str, english: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    text = tmp_path / "text.txt"
    text.write_text(english * 4, encoding="utf-8")
    found = row(words, text, monkeypatch, capsys)
    assert found["row"][-len(words.split()) :] == words.split() or not words
    assert found["steps"] >= 24
    assert found["nats_per_char"] < found["on_the_way"][0] < 5.0
    assert ("averaged" in found) is ("average" in words)
