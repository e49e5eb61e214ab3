"""evaluate --dynamic: a score beside the static one, how it was chosen, and where there is none."""

import json
import shutil
from pathlib import Path

import pytest

from charrnn import tuning
from charrnn.commands.dynamic_score import facts, sentences
from charrnn.commands.evaluate import evaluate
from charrnn.errors import UsageError

FOUND = {
    "nats_per_char": 1.3606,
    "interval": (1.33, 1.39),
    "settings": {"window": 32, "rate": 0.0004, "decay": 0.001},
}
FAILED = {"reason": "it needs the training part: no such file"}


@pytest.fixture(autouse=True)
def _few_are_tried(monkeypatch):
    monkeypatch.setattr(tuning, "WINDOWS", (32,))
    monkeypatch.setattr(tuning, "CHOSEN_ON", 512)
    monkeypatch.setattr(tuning, "_SIZED_ON", 512)


def scored(capsys, *checkpoints, **options):
    """The rows that evaluate writes, and what it says beside them."""
    evaluate(list(map(str, checkpoints)), baselines=False, threads=1, json=True, **options)
    written = capsys.readouterr()
    return list(map(json.loads, written.out.splitlines())), written.err


def test_a_dynamic_score_stands_beside_the_static_one_and_leaves_the_files_alone(trained, capsys):
    def files():
        return {path: path.read_bytes() for path in sorted(trained.rglob("*")) if path.is_file()}

    before = files()
    (row,), said = scored(capsys, "cafe", checkpoint_dir=trained, dynamic=True)
    (static,), _ = scored(capsys, "cafe", checkpoint_dir=trained)
    assert files() == before
    found = row.pop("dynamic")
    assert row == static
    assert said == "choosing how to go on learning, on the end of the training part\n"
    assert found["characters"] == row["characters"]
    assert 0 < abs(found["nats_per_char"] - row["nats_per_char"]) < 0.2
    assert found["interval"][0] < found["nats_per_char"] < found["interval"][1]
    bytes_per_char = row["bits_per_char"] / row["bits_per_byte"]
    assert found["bits_per_char"] / found["bits_per_byte"] == pytest.approx(bytes_per_char)
    assert found["settings"]["window"] == 32
    assert found["settings"]["rate"] > 0
    assert found["chosen_on"] == {"split": "train", "last_characters": 512}


def test_without_the_training_part_there_is_a_reason_and_the_static_score(
    trained, tmp_path, english_file, capsys
):
    best = max((trained / "cafe").glob("step-????????.safetensors"))
    mailed = shutil.copy(best, tmp_path / "x.safetensors")
    (row,), _ = scored(capsys, mailed, text=english_file, dynamic=True)
    assert row["nats_per_char"] > 0
    assert set(row["dynamic"]) == {"reason"}
    assert "needs the training part" in row["dynamic"]["reason"]


def test_the_text_that_it_is_chosen_on_is_not_scored():
    with pytest.raises(UsageError, match="--dynamic --split train"):
        evaluate(["cafe"], dynamic=True, split="train")


def test_a_person_is_told_the_score_and_how_it_learns_in_80_columns():
    (_, score), (_, learning) = facts({"dynamic": FOUND})
    assert score.startswith("1.3606 ± 0.0300  (")
    assert learning == "rate 0.0004, decay 0.001, windows of 32, chosen on the training part"
    assert max(map(len, (score, learning))) <= 68
    assert facts({}) == []
    assert facts({"dynamic": FAILED}) == [("dynamic", f"not measured: {FAILED['reason']}")]


def test_of_several_each_is_named_and_who_has_none_says_why():
    rows = [
        {"run": "a", "checkpoint": Path("a1"), "step": 1, "dynamic": FOUND},
        {"run": "a", "checkpoint": Path("a2"), "step": 2_000, "dynamic": FAILED},
        {"run": "b", "checkpoint": Path("b"), "step": 3},
    ]
    first, second = sentences(rows)
    assert first.endswith(": a at step 1 1.3606 ± 0.0300.")
    assert second == f"No dynamic score of a at step 2,000: {FAILED['reason']}."
    assert sentences(rows[2:]) == []
