"""How long training lasts and how fast it learns, as functions of the step."""

import math
from dataclasses import dataclass

from charrnn.errors import UsageError

EVALUATION_SHARE = 0.08
"""About how much of the time evaluations may take."""

EVALUATION_SPEEDUP = 3.0
"""About how many characters are scored in the time in which one is trained on."""


EVALUATION_CHARACTERS = 2**21
"""Of a longer held-out text no more are scored while training, here and there all over it."""

LEAST_CHARACTERS = 2**18
"""Scored all the same, where there are so many: fewer would tell too little."""

EVALUATIONS = 5
"""Rather than fewer of them, less is scored each time, down to that: one shows no course."""


@dataclass(frozen=True)
class Budget:
    """What training may spend: exactly one of epochs, steps or minutes.

    Raises UsageError for anything else.
    """

    epochs: float | None = None
    """times the training text is read"""
    steps: int | None = None
    """batches"""
    minutes: float | None = None
    """wall clock from the first step to the last, evaluations included"""

    def __post_init__(self) -> None:
        given = self.to_json()
        if len(given) != 1:
            flags = ", ".join(f"--{name}" for name in given) or "none"
            raise UsageError(f"give one of --epochs, --steps and --minutes (given: {flags})")
        ((name, value),) = given.items()
        if not math.isfinite(value) or value <= 0:
            raise UsageError(f"--{name} {value:g}: must be a number above 0")
        if value > 1e9:
            raise UsageError(f"--{name} {value:g}: must be at most 1e9")

    def __str__(self) -> str:
        ((name, value),) = self.to_json().items()
        return f"--{name} {str(value).removesuffix('.0')}"

    def to_json(self) -> dict[str, float]:
        """The one that was given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Schedule:
    """When things happen, in steps."""

    steps: int
    """in all"""
    warmup_steps: int
    """in which the learning rate rises"""
    evaluation_steps: int
    """between two evaluations, each of which ends in a checkpoint"""
    checkpoint_steps: int
    """between two checkpoints, scored or not"""
    report_steps: int
    """between two reports"""
    evaluation_characters: int = EVALUATION_CHARACTERS
    """that an evaluation scores at most"""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UsageError(f"{name} {value!r}: must be a whole number from 1 up")

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step (from 0), as a share of the highest.

        Linear warmup, then half a cosine down to zero (Loshchilov and Hutter 2017).
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    def evaluates(self, step: int) -> bool:
        """Whether an evaluation follows when `step` steps are done."""
        return step == self.steps or step % self.evaluation_steps == 0

    def saves(self, step: int) -> bool:
        """Whether a checkpoint follows when `step` steps are done."""
        return self.evaluates(step) or step % self.checkpoint_steps == 0

    def reports(self, step: int) -> bool:
        """Whether a report follows when `step` steps are done."""
        return step == self.steps or step % self.report_steps == 0


def steps_of(budget: Budget, windows_per_epoch: int) -> int | None:
    """How many steps a budget is, or None where only a clock can tell."""
    if budget.steps is not None:
        return budget.steps
    if budget.epochs is not None:
        return max(1, math.ceil(budget.epochs * windows_per_epoch))
    return None


def schedule(
    steps: int,
    *,
    batch_characters: int,
    held_out_characters: int,
    checkpoint_steps: int | None = None,
    evaluation_steps: int | None = None,
) -> Schedule:
    """The schedule of a number of steps.

    Some twenty checkpoints, each of them scored, or as many fewer scored as keep the
    evaluations a small share of the time; where one would be a larger share, it is of less
    of the held-out text.
    """
    for flag, value in (
        ("--checkpoint-steps", checkpoint_steps),
        ("--evaluation-steps", evaluation_steps),
    ):
        if value is not None and value < 1:
            raise UsageError(f"{flag} {value}: must be at least 1")
    usual, most = max(20, steps / 2_000), EVALUATION_CHARACTERS
    if evaluation_steps is None:
        affordable = int(EVALUATION_SHARE * EVALUATION_SPEEDUP * steps * batch_characters)
        if affordable < EVALUATIONS * min(held_out_characters, most):
            most = max(LEAST_CHARACTERS, affordable // EVALUATIONS)
        evaluations = affordable / max(1, min(held_out_characters, most))
        if checkpoint_steps is None:
            evaluation_steps = math.ceil(steps / max(1, int(min(evaluations, usual))))
        else:
            between = steps / max(1.0, evaluations)
            evaluation_steps = checkpoint_steps * max(1, math.ceil(between / checkpoint_steps))
    if checkpoint_steps is None:
        parts = math.ceil(evaluation_steps / math.ceil(steps / usual))
        checkpoint_steps = math.ceil(evaluation_steps / parts)
    return Schedule(
        steps=steps,
        warmup_steps=max(1, min(100, steps // 10)),
        evaluation_steps=evaluation_steps,
        checkpoint_steps=checkpoint_steps,
        report_steps=max(1, min(500, steps // 40)),
        evaluation_characters=most,
    )


def schedule_in(
    seconds: float,
    *,
    step_seconds: float,
    evaluation_seconds: float,
    batch_characters: int,
    held_out_characters: int,
    checkpoint_steps: int | None = None,
    evaluation_steps: int | None = None,
) -> Schedule:
    """The longest schedule that fits into `seconds` of wall clock, evaluations included.

    `evaluation_seconds` are those of one of EVALUATION_CHARACTERS, or of all that is held out.
    """
    whole = max(1, min(held_out_characters, EVALUATION_CHARACTERS))

    def of(steps: int) -> Schedule:
        return schedule(
            steps,
            batch_characters=batch_characters,
            held_out_characters=held_out_characters,
            checkpoint_steps=checkpoint_steps,
            evaluation_steps=evaluation_steps,
        )

    fits, too_many = 1, max(2, int(seconds / step_seconds) + 2)
    while too_many - fits > 1:
        tried = of((fits + too_many) // 2)
        evaluations = math.ceil(tried.steps / tried.evaluation_steps)
        each = evaluation_seconds * min(1.0, tried.evaluation_characters / whole)
        if tried.steps * step_seconds + evaluations * each <= seconds:
            fits = tried.steps
        else:
            too_many = tried.steps
    return of(fits)
