"""Scores side by side: which differences are told, which are called real, and in what words."""

from typing import Any

import numpy as np
import pytest

from charrnn.commands.differences import (
    Scored,
    from_best_baseline,
    margin,
    scored,
    sentences,
    with_differences,
)
from charrnn.intervals import block_means, interval

COUNT = 6_000
TEXT = "abcdef" * 1_000


def a_score(name: str, losses: Any, *, text: str = TEXT, step: int = 10) -> Scored:
    """The score of a run by that name with these losses on a text."""
    row = {
        "run": name,
        "checkpoint": f"{name}/step-{step}",
        "step": step,
        "protocol": "one stream",
        "nats_per_char": float(np.mean(losses)),
    }
    return scored(row, text, len(text), block_means(losses))


@pytest.fixture(scope="module")
def losses() -> Any:
    """Losses on a text (N,), and others on the same that are hardly worse, and much."""
    generator = np.random.default_rng(0)
    best = generator.exponential(size=COUNT)
    noise = generator.normal(size=COUNT)
    return best, best + 0.1 * (noise - noise.mean()) + 1e-4, best + 0.05 * np.abs(noise)


def test_each_but_the_best_is_compared_with_it_in_the_order_given(losses: Any) -> None:
    best, hardly, much = losses
    given = [a_score("much", much), a_score("best", best), a_score("hardly", hardly)]
    rows = with_differences(given)
    assert [row["run"] for row in rows] == ["much", "best", "hardly"]
    assert "difference" not in rows[1]
    assert [rows[n]["difference"]["real"] for n in (0, 2)] == [True, False]
    for row, theirs in (rows[0], much), (rows[2], hardly):
        assert row["difference"]["best"] == "best/step-10"
        assert row["difference"]["nats_per_char"] == pytest.approx(np.mean(theirs - best))
        low, high = row["difference"]["interval"]
        assert low < row["difference"]["nats_per_char"] < high


def test_the_more_are_compared_the_more_a_difference_needs(losses: Any) -> None:
    """The best of many was picked by looking: all pairs together hold 95%."""
    best, hardly, much = losses
    for others, pairs in ([much], 1), ([much, hardly], 3), ([much, *[hardly] * 4], 15):
        given = [a_score(f"n{n}", each) for n, each in enumerate([best, *others])]
        wanted = interval(block_means(much - best), float(np.mean(much - best)), 1 - 0.05 / pairs)
        assert with_differences(given)[1]["difference"]["interval"] == pytest.approx(wanted)


def test_copies_of_one_model_are_seldom_called_different() -> None:
    """Ten that are equally good: hardly ever is any said to be worse than the best."""
    generator = np.random.default_rng(1)
    falsely = 0
    for _ in range(60):
        common = generator.exponential(size=COUNT)
        given = [a_score(f"n{n}", common + 0.1 * generator.normal(size=COUNT)) for n in range(10)]
        told = [row["difference"]["real"] for row in with_differences(given) if "difference" in row]
        falsely += any(told)
    assert falsely <= 8


def test_only_what_was_scored_on_one_text_is_compared(losses: Any) -> None:
    best, hardly, much = losses
    other = TEXT[::-1]
    given = [
        *(a_score("a", best), a_score("b", much, text=other)),
        *(a_score("c", hardly), a_score("d", best, text=other)),
    ]
    rows = with_differences(given)
    assert [row.get("difference", {}).get("best") for row in rows] == [
        *(None, "d/step-10", "a/step-10", None)
    ]
    assert "different texts" in sentences(rows)[-1]
    assert not any("different texts" in told for told in sentences(with_differences(given[::2])))


def test_what_is_real_and_what_may_be_chance_is_said_in_words(losses: Any) -> None:
    best, hardly, much = losses
    rows = with_differences([a_score("x", much), a_score("y", best), a_score("z", hardly)])
    protocol, real, chance = sentences(rows)
    assert protocol == "Protocol: one stream. ± is half the width of a 95% interval."
    by = [
        margin(rows[n]["difference"]["nats_per_char"], rows[n]["difference"]["interval"])
        for n in (0, 2)
    ]
    assert real == f"Really worse than y on this text, in nats/char: x (by {by[0]})."
    assert chance == f"Worse than y, but it may be chance: z (by {by[1]})."


def test_checkpoints_of_one_run_are_told_apart_by_their_step(losses: Any) -> None:
    best, _, much = losses
    rows = with_differences([a_score("x", much), a_score("x", best, step=2_000)])
    assert "than x at step 2,000" in sentences(rows)[1]
    assert "x at step 10 (by" in sentences(rows)[1]


def test_of_a_short_text_nothing_is_called_real() -> None:
    given = [
        a_score("x", np.ones(9), text="abcabcabc"),
        a_score("y", np.zeros(9), text="abcabcabc"),
    ]
    rows = with_differences(given)
    assert rows[0]["difference"] == {
        "best": "y/step-10",
        "nats_per_char": 1.0,
        "interval": None,
        "real": None,
    }
    assert rows[0]["interval"] is rows[0]["block_length"] is None
    assert sentences(rows) == [
        "Protocol: one stream.",
        "Worse than y, on a text too short to say whether by chance: x (by 1.0000).",
    ]


def test_the_interval_and_its_blocks_are_in_the_row(losses: Any) -> None:
    row = a_score("x", losses[0]).row
    assert row["interval"] == interval(block_means(losses[0]), row["nats_per_char"])
    assert row["block_length"] == 200


def test_a_margin_is_half_the_interval() -> None:
    assert margin(1.452, (1.430, 1.476)) == "1.4520 ± 0.0230"
    assert margin(1.452, None) == "1.4520"


# The best of the baselines.


def baseline(name, nats):
    return {"name": name, "nats_per_char": nats}


def of_losses(losses):
    row = {"nats_per_char": float(np.mean(losses)), "run": "m"}
    return scored(row, "text", len(losses), block_means(losses))


def test_a_model_is_compared_with_the_best_of_its_baselines_block_by_block():
    """The passages that are hard for one are hard for the other: their difference is certain."""
    random = np.random.default_rng(4)
    hard = np.repeat(random.random(30), 100)
    model = of_losses(hard + 0.1 * random.random(3_000))
    means = {"ngram": model.means + 0.02 + 0.01 * random.random(30), "uniform": np.full(30, 4.0)}
    best = float(means["ngram"].mean())
    rows = [baseline("uniform", 4.0), baseline("ngram", best), {"name": "xz", "reason": "no"}]
    found = from_best_baseline(model, rows, means)
    assert (found["best"], found["paired"], found["real"]) == ("ngram", True, True)
    low, high = found["interval"]
    assert low < found["nats_per_char"] < high < 0
    own = model.row["interval"]
    assert high - low < (own[1] - own[0]) / 10
    one = interval(model.means - means["ngram"], found["nats_per_char"], 1 - 0.05 / 2)
    assert (low, high) == one, "for both baselines together"


def test_a_small_difference_may_be_chance():
    random = np.random.default_rng(5)
    model = of_losses(random.random(3_000))
    means = {"ngram": model.means + random.normal(0.001, 0.05, 30)}
    found = from_best_baseline(model, [baseline("ngram", means["ngram"].mean())], means)
    assert found["real"] is False


@pytest.mark.parametrize(("away", "real"), [(0.0, False), (0.5, True), (-0.5, True)])
def test_of_one_without_blocks_the_model_s_own_interval_decides(away, real):
    model = of_losses(np.random.default_rng(6).random(3_000))
    found = from_best_baseline(model, [baseline("xz", model.row["nats_per_char"] + away)], {})
    assert (found["paired"], found["real"]) == (False, real)
    assert found["interval"] == pytest.approx(
        [each - model.row["nats_per_char"] - away for each in model.row["interval"]]
    )


def test_of_a_short_text_or_without_baselines_nothing_is_said_of_chance():
    model = of_losses(np.ones(15))
    found = from_best_baseline(model, [baseline("xz", 0.5)], {})
    assert (found["interval"], found["real"]) == (None, None)
    assert from_best_baseline(model, [{"name": "xz", "reason": "no"}], {}) is None
