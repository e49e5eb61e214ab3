"""Files of every format version that was ever written are read for good.

`golden/` holds a checkpoint of format 1 as it came from `charrnn train`, and `golden/run-1`
and its like a run, stopped at step 7 of 12, whose run.json is of that format; when a format
changes, its files stay and the new format's are added.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charrnn.checkpoints import read_checkpoint, read_resume
from charrnn.reading import Reading
from charrnn.run_record import RUN_FILE, RUN_FORMAT, RunRecord, read_run, write_record
from charrnn.runs import model_files, step_of
from charrnn.sampling import Sampler
from charrnn.schedule import Schedule
from charrnn.session import go_on, recorded_corpus, relocated
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.tokenizer import Vocabulary
from charrnn.training import train

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["step-00000200"])
def test_a_checkpoint_of_an_earlier_day_means_what_it_meant(name: str) -> None:
    expected = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    path = GOLDEN / f"{name}.safetensors"
    record, weights = read_checkpoint(path)
    assert record.digest == expected["digest"]
    assert record.resume_digest == expected["resume_digest"]
    assert record.step == expected["step"]
    assert record.scores == expected["scores"]
    assert record.vocabulary.characters == expected["characters"]
    assert (record.settings.model, record.settings.hidden_size) == ("lstm", 6)
    sampler = Sampler(record.settings, record.vocabulary, weights)
    logits = sampler.logits(sampler.read_prompt("The café"))
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "version", "vocabulary", "logits"),
    [
        (
            "run-3",
            2,
            Vocabulary(" etarsoihndwlcm\n.Eyfp,HTbvIk“”guÉAN’:?BCDFGLMRVÅèéî"),
            [0.059335, 0.03676, 0.069223, 0.063603],
        ),
        (
            "run-4",
            3,
            Vocabulary(
                " ehiacsulotdr\n.é3fkmyzçë–“”€;nvwäœ-",
                Reading("windows-1252", "lf", "none", lowercase=True),
                unknown=True,
            ),
            [0.173759, 0.120793, -0.030272, 0.099853],
        ),
    ],
)
def test_a_checkpoint_of_a_later_format_means_what_it_meant(
    name: str, version: int, vocabulary: Vocabulary, logits: list[float]
) -> None:
    path = GOLDEN / name / "step-00000007.safetensors"
    assert f'format\\":{version},'.encode() in path.read_bytes()
    record, weights = read_checkpoint(path)
    assert (record.step, record.vocabulary) == (7, vocabulary)
    sampler = Sampler(record.settings, record.vocabulary, weights)
    found = sampler.logits(sampler.read_prompt(vocabulary.reading.text_of("CAFé\n")))
    np.testing.assert_allclose(found[:4], logits, atol=1e-5)


def test_its_resume_file_still_belongs_to_it() -> None:
    path = GOLDEN / "step-00000200.safetensors"
    tensors, state = read_resume(path, read_checkpoint(path).record)
    assert set(state) == {"reported", "evaluated", "seconds", "metrics_bytes"}
    assert tensors["carried.0.0"].shape == (8, 6)
    assert tensors["exp_avg.output.weight"].shape == tensors["exp_avg_sq.output.weight"].shape


def copied(name: str, tmp_path: Path) -> Path:
    """A golden run, with its text where run.json says that it is."""
    run = tmp_path / "run"
    shutil.copytree(GOLDEN / name, run)
    text = (run / RUN_FILE).read_text(encoding="utf-8")
    moved = text.replace("/home/someone/text.txt", str(run / "text.txt"))
    (run / RUN_FILE).write_text(moved, encoding="utf-8")
    return run


@pytest.fixture
def early_run(tmp_path: Path) -> Path:
    """The run of format 1."""
    return copied("run-1", tmp_path)


def early_record(run: Path) -> RunRecord:
    record = read_run(run)
    assert record is not None
    return record


def test_a_run_of_format_1_means_what_it_meant(early_run: Path) -> None:
    assert json.loads((early_run / RUN_FILE).read_text(encoding="utf-8"))["format"] == 1
    record = early_record(early_run)
    assert record.model == ModelSettings("gru", "tanh", 3, 4, 2)
    assert record.training == TrainingSettings(
        seq_length=6,
        batch_size=4,
        learning_rate=0.007,
        weight_decay=0.1,
        clip=1.0,
        dropout=0.2,
        seed=5,
        threads=1,
        keep=1,
        # What format 1 does not name:
        optimizer="adamw",
        weight_drop=0.0,
        carry=True,
        on_divergence="stop",
    )
    assert record.budget == {"steps": 12}
    words = record.command.split()
    assert words[:3] == ["charrnn", "train", str(early_run / "text.txt")]
    assert words[words.index("--model") : words.index("--hidden-size")] == (
        ["--model", "gru", "--embedding-size", "3"]  # and no nonlinearity, which is refused
    )
    left_out = [
        "--carry",
        "--optimizer",
        "adamw",
        "--weight-drop",
        "0.0",
        "--on-divergence",
        "stop",
    ]
    assert words[-len(left_out) :] == left_out


def test_a_run_of_format_2_means_what_it_meant(tmp_path: Path) -> None:
    run = copied("run-2", tmp_path)
    assert json.loads((run / RUN_FILE).read_text(encoding="utf-8"))["format"] == 2
    record = early_record(run)
    assert record.model == ModelSettings("product", "tanh", 3, 4, 2)
    assert (record.training.optimizer, record.training.carry) == ("sgd", False)
    # What format 2 does not name:
    assert record.training.on_divergence == "stop"
    assert record.schedule == Schedule(
        12, 1, evaluation_steps=5, checkpoint_steps=5, report_steps=1, evaluation_characters=10**12
    )
    assert record.changes == []


def test_a_run_of_format_3_means_what_it_meant(tmp_path: Path) -> None:
    record = early_record(GOLDEN / "run-3")
    assert json.loads((GOLDEN / "run-3" / RUN_FILE).read_text(encoding="utf-8"))["format"] == 3
    assert record.training.on_divergence == "continue"
    assert record.schedule == Schedule(12, 1, 6, 5, 1, 10**12)  # all held out was scored
    assert record.changes == []


def test_a_run_of_format_4_means_what_it_meant() -> None:
    record = early_record(GOLDEN / "run-4")
    assert json.loads((GOLDEN / "run-4" / RUN_FILE).read_text(encoding="utf-8"))["format"] == 4
    assert record.reading == Reading("windows-1252", "lf", "none", lowercase=True)
    assert (record.separator, record.least, record.initial) == ("\n--\n", 2, None)
    assert record.schedule == Schedule(12, 1, 6, 5, 1, 2**21)
    assert [file["name"] for file in record.corpus["files"]] == ["one.txt", "two.txt"]


def test_the_text_of_a_run_of_format_4_is_read_as_it_was() -> None:
    run = GOLDEN / "run-4"
    record = relocated(early_record(run), [run / "one.txt", run / "two.txt"])
    corpus = recorded_corpus(record)
    known = read_checkpoint(run / "step-00000007.safetensors").record.vocabulary
    assert corpus.vocabulary == known
    text = known.decode(corpus.ids["train"][:])
    assert text.startswith("im café “zoë” kostet alles 3 € – auch çay.\nim café")
    assert "çay.\n\n--\nélodie wusch" in text
    assert known.decode(corpus.ids["val"][:]).endswith("ruhte.\n\ufffd\n")


def test_a_run_of_format_5_means_what_it_meant() -> None:
    record = early_record(GOLDEN / "run-5")
    assert json.loads((GOLDEN / "run-5" / RUN_FILE).read_text(encoding="utf-8"))["format"] == 5
    assert (record.training.optimizer, record.training.learning_rate) == ("soap", 0.014)
    assert record.plan == {
        "mode": "auto",
        "reasons": {
            "model": "as much as this budget can teach",
            "dropout": "text read about 0.2 times",
            "weight_drop": "text read about 0.2 times",
            "weight_decay": "text read about 0.2 times",
        },
        "facts": {
            "characters": 1350,
            "multiplies_bf16": False,
            "operations_per_second": 1e11,
        },
    }


@pytest.mark.parametrize("name", ["run-1", "run-2", "run-3", "run-4", "run-5"])
def test_a_run_of_an_earlier_day_is_gone_on_with(name: str, tmp_path: Path) -> None:
    """Its text is elsewhere now; from format 3 on, run.json cannot be edited to say so."""
    run = tmp_path / "run"
    shutil.copytree(GOLDEN / name, run)
    record = relocated(early_record(run), sorted(run.glob("*.txt")))
    session = go_on(run, record, settings=record.training, skipped=pytest.fail)
    assert session.state.step == 7
    list(train(session.state, session.corpus, session.settings, session.schedule, run))
    assert [step_of(path) for path in model_files(run)] == [10, 12]


def test_what_is_written_of_it_is_the_latest_format(early_run: Path) -> None:
    record = early_record(early_run)
    changed = replace(record, training=replace(record.training, carry=False, optimizer="sgd"))
    write_record(early_run, changed)
    written = json.loads((early_run / RUN_FILE).read_text(encoding="utf-8"))
    assert written["format"] == RUN_FORMAT
    assert early_record(early_run) == changed
