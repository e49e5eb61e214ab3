"""The schedule: how long training lasts and how fast it learns, step by step."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from charrnn.errors import UsageError
from charrnn.schedule import (
    EVALUATION_CHARACTERS,
    EVALUATION_SHARE,
    EVALUATION_SPEEDUP,
    EVALUATIONS,
    LEAST_CHARACTERS,
    Budget,
    Schedule,
    schedule,
    schedule_in,
    steps_of,
)

# Budgets


@pytest.mark.parametrize("unit", ["epochs", "steps", "minutes"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf])
def test_a_budget_that_is_none_is_refused_by_its_flag(unit: str, value: float) -> None:
    with pytest.raises(UsageError) as caught:
        Budget(**{unit: value})  # type: ignore[arg-type]
    assert caught.value.message.startswith(f"--{unit} {value:g}: ")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "none"),
        ({"epochs": 1.0, "steps": 5}, "--epochs, --steps"),
        ({"steps": 5, "minutes": 0.5}, "--steps, --minutes"),
        ({"epochs": 1.0, "steps": 5, "minutes": 1.0}, "--epochs, --steps, --minutes"),
    ],
)
def test_exactly_one_budget_is_given(given: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        Budget(**given)
    assert caught.value.message.endswith(f"(given: {named})")


@pytest.mark.parametrize(
    ("budget", "words", "data"),
    [
        (Budget(epochs=2.5), "--epochs 2.5", {"epochs": 2.5}),
        (Budget(steps=100), "--steps 100", {"steps": 100}),
        (Budget(minutes=10.0), "--minutes 10", {"minutes": 10.0}),
    ],
)
def test_a_budget_is_written_as_its_flag(budget: Budget, words: str, data: dict[str, Any]) -> None:
    assert str(budget) == words
    assert budget.to_json() == data
    assert Budget(**budget.to_json()) == budget  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("budget", "steps"),
    [
        (Budget(steps=7), 7),
        (Budget(epochs=3.0), 30),
        (Budget(epochs=0.25), 3),  # 2.5 windows: an epoch's last part is read whole
        (Budget(epochs=1e-9), 1),
        (Budget(minutes=5.0), None),
    ],
)
def test_a_budget_is_a_number_of_steps_but_for_a_clocks(budget: Budget, steps: int | None) -> None:
    assert steps_of(budget, windows_per_epoch=10) == steps


# The learning rate


def made(steps: int, checkpoint_steps: int | None = None, **given: int) -> Schedule:
    sizes = {"batch_characters": 1000, "held_out_characters": 1000}
    return schedule(steps, checkpoint_steps=checkpoint_steps, **(sizes | given))


many_steps = st.integers(1, 5_000)


@settings(deadline=None, max_examples=60)
@given(many_steps)
def test_the_learning_rate_rises_evenly_to_its_highest_then_falls(steps: int) -> None:
    plan = made(steps)
    rates = [plan.learning_rate(step) for step in range(steps)]
    assert all(0.0 < rate <= 1.0 for rate in rates)  # no step is wasted
    rise, fall = rates[: plan.warmup_steps], rates[plan.warmup_steps - 1 :]
    assert rise == pytest.approx([(step + 1) / len(rise) for step in range(len(rise))])
    assert max(rates) == rise[-1] == 1.0
    assert all(after <= before for before, after in itertools.pairwise(fall))


@pytest.mark.parametrize("steps", [2, 10, 100, 3_000])
def test_the_learning_rate_is_down_to_zero_when_the_steps_are_done(steps: int) -> None:
    plan = made(steps)
    assert plan.learning_rate(plan.steps) == pytest.approx(0.0, abs=1e-12)
    assert plan.learning_rate(plan.steps + 10) == pytest.approx(0.0, abs=1e-12)


def test_the_fall_is_half_a_cosine() -> None:
    plan = Schedule(110, warmup_steps=10, evaluation_steps=10, checkpoint_steps=10, report_steps=1)
    assert plan.learning_rate(10) == 1.0
    assert plan.learning_rate(35) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert plan.learning_rate(60) == pytest.approx(0.5)
    assert plan.learning_rate(85) == pytest.approx((1 - math.sqrt(0.5)) / 2)


@pytest.mark.parametrize(
    ("steps", "warmup"), [(1, 1), (9, 1), (50, 5), (1_000, 100), (100_000, 100)]
)
def test_the_warmup_is_a_tenth_but_never_long(steps: int, warmup: int) -> None:
    assert made(steps).warmup_steps == warmup


# Evaluations and reports


@settings(deadline=None, max_examples=60)
@given(many_steps, st.integers(0, 10**7), st.none() | st.integers(1, 10_000))
def test_the_last_step_is_evaluated_and_reported(
    steps: int, held_out: int, checkpoint_steps: int | None
) -> None:
    plan = made(steps, checkpoint_steps, held_out_characters=held_out)
    assert plan.evaluates(steps)
    assert plan.reports(steps)
    assert plan.steps == steps


def test_evaluations_checkpoints_and_reports_fall_on_multiples() -> None:
    plan = Schedule(25, warmup_steps=1, evaluation_steps=10, checkpoint_steps=6, report_steps=4)
    assert [step for step in range(1, 26) if plan.saves(step)] == [6, 10, 12, 18, 20, 24, 25]
    assert [step for step in range(1, 26) if plan.evaluates(step)] == [10, 20, 25]
    assert [step for step in range(1, 26) if plan.reports(step)] == [4, 8, 12, 16, 20, 24, 25]


def evaluations(plan: Schedule) -> int:
    return sum(plan.evaluates(step) for step in range(1, plan.steps + 1))


@pytest.mark.parametrize("steps", [20, 100, 1_000, 7_777])
def test_a_small_held_out_text_is_evaluated_about_twenty_times(steps: int) -> None:
    assert 15 <= evaluations(made(steps, held_out_characters=10)) <= 20


@settings(deadline=None, max_examples=100)
@given(many_steps, st.integers(1, 10_000), st.integers(0, 10**7))
def test_checkpoints_are_some_twenty_however_dear_evaluations_are(
    steps: int, batch_characters: int, held_out: int
) -> None:
    plan = made(steps, batch_characters=batch_characters, held_out_characters=held_out)
    saved = sum(plan.saves(step) for step in range(1, steps + 1))
    assert min(steps, 11) <= saved <= 60  # every other of 21


def test_a_long_run_is_evaluated_more_often() -> None:
    assert 90 <= evaluations(made(200_000, held_out_characters=10)) <= 100


@settings(deadline=None, max_examples=100)
@given(many_steps, st.integers(1, 10_000), st.integers(1, 10**7))
def test_evaluations_take_a_small_share_of_the_time(
    steps: int, batch_characters: int, held_out: int
) -> None:
    plan = made(steps, batch_characters=batch_characters, held_out_characters=held_out)
    scored = evaluations(plan) * min(held_out, plan.evaluation_characters)
    affordable = EVALUATION_SHARE * EVALUATION_SPEEDUP * steps * batch_characters
    assert scored <= affordable or (evaluations(plan) == 1 and scored <= LEAST_CHARACTERS)


@pytest.mark.parametrize(
    ("held_out", "scored"),
    [(10**6, 10**6), (EVALUATION_CHARACTERS - 1, EVALUATION_CHARACTERS - 1), (10**8, None)],
)
def test_a_text_is_scored_whole_where_there_is_time(held_out: int, scored: int | None) -> None:
    plan = made(50_000, held_out_characters=held_out)  # of a thousand characters
    assert min(held_out, plan.evaluation_characters) == (scored or EVALUATION_CHARACTERS)


@pytest.mark.parametrize(("steps", "scored"), [(10, LEAST_CHARACTERS), (10_000, 480_000)])
def test_of_a_long_text_a_short_run_scores_less(steps: int, scored: int) -> None:
    assert made(steps, held_out_characters=10**8).evaluation_characters == scored
    asked = made(steps, evaluation_steps=steps, held_out_characters=10**8)
    assert asked.evaluation_characters == EVALUATION_CHARACTERS


@pytest.mark.parametrize("held_out", [10**6, 3_150_000, 10**8])
@pytest.mark.parametrize("steps", [1_000, 4_515, 15_000])
def test_of_a_long_text_the_course_is_seen(steps: int, held_out: int) -> None:
    """Rather some scores of a part on the way than one of more at the end."""
    plan = made(steps, batch_characters=2_304, held_out_characters=held_out)
    affordable = EVALUATION_SHARE * EVALUATION_SPEEDUP * steps * 2_304
    assert evaluations(plan) >= min(EVALUATIONS, affordable // LEAST_CHARACTERS)


def test_in_time_a_short_evaluation_is_counted_as_one() -> None:
    """A hundred seconds, in which evaluations of a whole would take eight each."""
    plan = schedule_in(
        100.0,
        step_seconds=0.01,
        evaluation_seconds=8.0,
        batch_characters=2_000,
        held_out_characters=10**7,
    )
    assert 95.0 <= cost(plan, 0.01, 8.0, 10**7) <= 100.0
    affordable = int(EVALUATION_SHARE * EVALUATION_SPEEDUP * plan.steps * 2_000)
    assert plan.evaluation_characters == affordable // EVALUATIONS


@pytest.mark.parametrize("checkpoint_steps", [1, 7, 1_000])
def test_the_steps_between_checkpoints_are_obeyed_when_given(checkpoint_steps: int) -> None:
    plan = made(100, checkpoint_steps, held_out_characters=10**9)
    assert plan.checkpoint_steps == checkpoint_steps
    assert evaluations(plan) == 1  # there is no time for more


@settings(deadline=None, max_examples=100)
@given(many_steps, st.integers(1, 1_000), st.integers(1, 10**7))
def test_checkpoints_that_are_asked_for_are_scored_as_often_as_there_is_time(
    steps: int, checkpoint_steps: int, held_out: int
) -> None:
    plan = made(steps, checkpoint_steps, held_out_characters=held_out)
    assert plan.evaluation_steps % checkpoint_steps == 0
    scored = min(held_out, EVALUATION_CHARACTERS)
    share = EVALUATION_SHARE * EVALUATION_SPEEDUP * steps * 1000 / scored
    if checkpoint_steps < steps <= share * checkpoint_steps:
        assert plan.evaluation_steps == checkpoint_steps
    else:
        assert evaluations(plan) <= 1 + max(1, share)


@pytest.mark.parametrize("evaluation_steps", [1, 7, 30])
def test_the_steps_between_evaluations_are_obeyed_when_given(evaluation_steps: int) -> None:
    plan = made(100, evaluation_steps=evaluation_steps, held_out_characters=10**9)
    assert plan.evaluation_steps == evaluation_steps
    assert plan.checkpoint_steps <= max(5, evaluation_steps)
    both = made(100, 3, evaluation_steps=evaluation_steps)
    assert (both.checkpoint_steps, both.evaluation_steps) == (3, evaluation_steps)


@pytest.mark.parametrize("checkpoint_steps", [0, -1])
def test_steps_between_checkpoints_that_are_none_are_refused(checkpoint_steps: int) -> None:
    with pytest.raises(UsageError, match=f"--checkpoint-steps {checkpoint_steps}: "):
        made(100, checkpoint_steps)
    with pytest.raises(UsageError, match=f"--evaluation-steps {checkpoint_steps}: "):
        made(100, evaluation_steps=checkpoint_steps)


@pytest.mark.parametrize(("steps", "report_steps"), [(1, 1), (39, 1), (400, 10), (10**6, 500)])
def test_reports_are_some_forty_and_never_rare(steps: int, report_steps: int) -> None:
    assert made(steps).report_steps == report_steps


# Minutes


def cost(
    plan: Schedule, step_seconds: float, evaluation_seconds: float, held_out: int = 1
) -> float:
    """Seconds, of which an evaluation of all that is held out would take so many."""
    share = min(1.0, plan.evaluation_characters / min(held_out, EVALUATION_CHARACTERS))
    evaluated = math.ceil(plan.steps / plan.evaluation_steps)
    return plan.steps * step_seconds + evaluated * evaluation_seconds * share


@settings(deadline=None, max_examples=200)
@given(
    seconds=st.sampled_from([6.0, 60.0, 600.0, 3600.0]),
    step_seconds=st.floats(0.001, 1.0),
    held_out=st.integers(1_000, 1_000_000),
    speedup=st.floats(0.5, 6.0),
)
def test_minutes_are_used_and_kept_to(
    seconds: float, step_seconds: float, held_out: int, speedup: float
) -> None:
    evaluation_seconds = held_out / 1000 * step_seconds / speedup
    assume(seconds > 20 * (step_seconds + evaluation_seconds))
    plan = schedule_in(
        seconds,
        step_seconds=step_seconds,
        evaluation_seconds=evaluation_seconds,
        batch_characters=1000,
        held_out_characters=held_out,
    )
    spent = cost(plan, step_seconds, evaluation_seconds, held_out)
    assert 0.6 * seconds <= spent <= 1.05 * seconds + step_seconds


@settings(deadline=None, max_examples=200)
@given(
    seconds=st.sampled_from([6.0, 60.0, 600.0, 3600.0]),
    step_seconds=st.floats(0.001, 1.0),
    evaluation_seconds=st.floats(0.0, 20.0),
    checkpoint_steps=st.integers(1, 1_000),
)
def test_minutes_are_used_and_kept_to_however_often_checkpoints_are_asked_for(
    seconds: float, step_seconds: float, evaluation_seconds: float, checkpoint_steps: int
) -> None:
    between = checkpoint_steps * step_seconds + evaluation_seconds
    assume(seconds > 3 * between)
    plan = schedule_in(
        seconds,
        step_seconds=step_seconds,
        evaluation_seconds=evaluation_seconds,
        batch_characters=1000,
        held_out_characters=100_000,
        checkpoint_steps=checkpoint_steps,
    )
    assert plan.checkpoint_steps == checkpoint_steps
    assert seconds - between - step_seconds <= cost(plan, step_seconds, evaluation_seconds)
    assert cost(plan, step_seconds, evaluation_seconds) <= seconds + between


def test_a_clock_too_short_for_anything_still_takes_a_step() -> None:
    plan = schedule_in(
        0.001,
        step_seconds=1.0,
        evaluation_seconds=5.0,
        batch_characters=1000,
        held_out_characters=1000,
    )
    assert plan.steps == 1
    assert plan.evaluates(1)
