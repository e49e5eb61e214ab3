"""Learning, measured: the plans that are compared, and what a run comes to."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charrnn import learning_benchmark
from charrnn.benchmark import Entrant
from charrnn.corpus import Corpus, read_corpus
from charrnn.errors import TextError, UsageError
from charrnn.learning_benchmark import MOMENTS, Learned, Point, heaviest, learn, plans, row
from charrnn.planning import Plan
from charrnn.schedule import Budget
from charrnn.settings import ModelSettings, TrainingSettings, to_json

PLAN = Plan(
    ModelSettings(embedding_size=4, hidden_size=8, layers=1),
    TrainingSettings(seq_length=6, batch_size=4, seed=3),
    Budget(steps=60),
)
LEARNED = Learned(
    plan=PLAN,
    steps=60,
    epochs=1.5,
    seconds=3.0,
    characters_per_second=480.0,
    peak_memory_bytes=1,
    curve=tuple(Point(step / 20, step, 4 - step / 60) for step in (5, 10, 19, 29, 41, 50, 60)),
)


@pytest.fixture(scope="module")
def corpus(english_file: Path) -> Corpus:
    return read_corpus([english_file])


def chosen(corpus: Corpus, budget: Budget = PLAN.budget, **given: Any) -> list[list[Plan]]:
    """The plans for what is given, and one of each model where seeds are not."""
    asked = {"models": [], "seeds": 1, "model": {}, "training": {"threads": 1}} | given
    return plans(corpus, budget, **asked)


@pytest.mark.parametrize("models", [["lstm", "rnn", "gru"], ["gru", "rnn", "lstm"]])
def test_the_plan_is_that_of_the_heaviest_model_and_only_cell_and_rate_are_others(
    corpus: Corpus, models: list[str]
) -> None:
    found = chosen(corpus, models=models, seeds=2, model={"layers": 3})
    assert [[p.model.model for p in of_one] for of_one in found] == [[m, m] for m in models]
    ((alone,),) = chosen(corpus, models=["lstm"], model={"layers": 3})
    for of_one in found:
        assert [plan.training.seed for plan in of_one] == [0, 1]
        for plan in of_one:
            given = {"seed": plan.training.seed, "learning_rate": plan.training.learning_rate}
            assert plan.model == replace(alone.model, model=plan.model.model)
            assert plan.training == replace(alone.training, **given)
            assert (plan.model.layers, plan.training.threads) == (3, 1)
            assert plan.budget == PLAN.budget
    rates = {each[0].model.model: each[0].training.learning_rate for each in found}
    assert rates["lstm"] == alone.training.learning_rate == rates["gru"] > rates["rnn"]


@pytest.mark.parametrize(
    ("models", "wanted"),
    [
        (["rnn", "lstm", "gru"], "lstm"),
        (["gru-qrnn", "gru", "gru-reset-before"], "gru"),
        (["qrnn", "product"], "product"),
        (["rnn", "qrnn"], "qrnn"),
    ],
)
def test_the_heaviest_model_has_the_most_weights(models: list[str], wanted: str) -> None:
    assert heaviest(models) == wanted


def test_a_model_without_recurrent_weights_drops_none_of_them(corpus: Corpus) -> None:
    dropping = {"threads": 1, "weight_drop": 0.2}
    (lstm,), (qrnn,) = chosen(corpus, models=["lstm", "qrnn"], training=dropping)
    assert (lstm.training.weight_drop, qrnn.training.weight_drop) == (0.2, 0.0)


def test_without_a_plan_all_cells_have_the_same_settings(corpus: Corpus) -> None:
    (one,), (other,) = chosen(corpus, models=["rnn", "lstm"], mode="off")
    assert one == replace(other, model=replace(other.model, model="rnn"))


def test_where_no_model_is_named_the_plan_chooses_one(corpus: Corpus) -> None:
    ((plan,),) = chosen(corpus)
    assert plan == chosen(corpus, models=[plan.model.model])[0][0]


def test_a_text_too_short_is_said_before_anything_is_trained(corpus: Corpus) -> None:
    ids = corpus.ids
    with pytest.raises(TextError, match="fewer than one window"):
        chosen(replace(corpus, ids=ids | {"train": ids["train"][:1]}))
    with pytest.raises(UsageError, match="too short to hold any of it out"):
        chosen(replace(corpus, ids=ids | {"val": ids["val"][:0]}))


def test_a_moments_score_is_the_one_nearest_to_it() -> None:
    losses = [LEARNED.at(moment) for moment in range(1, MOMENTS + 1)]
    assert losses == [4 - step / 60 for step in (10, 19, 29, 41, 50, 60)]
    given_up = replace(LEARNED, curve=LEARNED.curve[:3])
    assert [given_up.at(moment) is None for moment in (1, 2, 3, 6)] == [False, False, True, True]


def test_of_a_step_that_was_taken_again_the_last_score_counts() -> None:
    again = replace(LEARNED, curve=(*LEARNED.curve[:4], Point(9.0, 10, 1.25), *LEARNED.curve[4:]))
    assert again.at(1) == 1.25


class Scripted:
    """A contender that says what it was told to."""

    entrants: list[Entrant]
    script: list[dict[str, Any]]

    def __init__(self, entrant: Entrant) -> None:
        self.entrants.append(entrant)
        self.said: Iterator[dict[str, Any]] = iter(self.script)

    def __enter__(self) -> "Scripted":
        return self

    def __exit__(self, *_: object) -> None: ...

    def answer(self) -> dict[str, Any]:
        return next(self.said)


def test_a_run_is_what_its_process_says_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Scripted.entrants, Scripted.script = (
        [],
        [
            {"kind": "begun", "steps": 60},
            {"kind": "progressed", "step": 9},
            *({"kind": "evaluated", **point._asdict()} for point in LEARNED.curve),
            {
                "kind": "done",
                "seconds": 3.0,
                "taken": 60,
                "per_epoch": 40,
                "peak_memory_bytes": 1,
                "diverged": None,
            },
        ],
    )
    monkeypatch.setattr(learning_benchmark, "Contender", Scripted)
    heard: list[dict[str, Any]] = []
    assert learn(PLAN, Path("text.txt"), tmp_path, heard.append) == LEARNED
    assert heard == Scripted.script
    (entrant,) = Scripted.entrants
    assert entrant.task == {
        "corpus": str(Path("text.txt").absolute()),
        "run": str(tmp_path),
        "model": to_json(PLAN.model),
        "training": to_json(PLAN.training),
        "budget": {"steps": 60},
        "moments": MOMENTS,
    }


def test_a_row_is_a_run_by_its_names() -> None:
    found = row(LEARNED, Path("text.txt"), 30)
    assert found == {
        "what": "learning",
        "text": "text.txt",
        **to_json(PLAN.model),
        "seed": 3,
        "parameters": PLAN.model.parameters(30),
        "training": to_json(PLAN.training),
        "budget": {"steps": 60},
        "steps": 60,
        "epochs": 1.5,
        "seconds": 3.0,
        "characters_per_second": 480.0,
        "peak_memory_bytes": 1,
        "curve": [
            {"seconds": point.seconds, "step": point.step, "nats_per_char": point.nats_per_char}
            for point in LEARNED.curve
        ],
        "diverged": None,
    }
