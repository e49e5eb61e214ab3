"""A finished run in plain words: how good it is, and what to try next."""

import math
from collections.abc import Sequence
from typing import Any


def overfitting_since(evaluations: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The evaluation after which the held-out loss rose while training's fell, or None.

    A rise of less than 0.5% is not told from noise.
    """
    scored = [e for e in evaluations if "nats_per_char" in e]
    if len(scored) < 2:
        return None
    best = min(scored, key=lambda e: e["nats_per_char"])
    last = scored[-1]
    rose = last["nats_per_char"] > 1.005 * best["nats_per_char"]
    fell = last["train_nats_per_char"] < best["train_nats_per_char"]
    return best if rose and fell else None


def sentences(
    result: dict[str, Any], evaluations: Sequence[dict[str, Any]], held_out: str
) -> list[str]:
    """What a run came to: `result` by the names of `--json`, of its best checkpoint.

    `evaluations` are the lines of metrics.jsonl; `held_out` says what was scored.
    """
    train = result["train_nats_per_char"]
    if "nats_per_char" in result:
        found = [
            f"The next letter is right {result['accuracy']:.0%} of the time; on average the model "
            f"hesitates between {result['perplexity']:.1f} letters "
            f"({result['nats_per_char']:.3f} nats or {result['bits_per_char']:.3f} bits each).",
            f"Measured on {held_out}, which training never saw.",
            _fit(result["nats_per_char"], train, evaluations),
        ]
    else:
        found = ["Nothing was held out: how well it predicts a new text is unknown."]
        if train is not None:
            found.append(
                f"On its training text it hesitates between {math.exp(train):.1f} letters."
            )
    return [*found, f"Next: charrnn sample {result['run']} --temperature 0.8"]


def _fit(held_out: float, train: float, evaluations: Sequence[dict[str, Any]]) -> str:
    since = overfitting_since(evaluations)
    losses = f"{held_out:.3f} nats on held-out text, {train:.3f} on its training text"
    if since is not None:
        return (
            f"It has been overfitting since step {since['step']:,} (epoch {since['epoch']:.1f}), "
            "where the best checkpoint is from: more text, --dropout 0.2 or a smaller "
            "--hidden-size may help."
        )
    if len(evaluations) < 2:
        return f"Scored once, so whether it overfits cannot be told ({losses})."
    return f"It is not overfitting ({losses}): more --minutes may bring it further."
