"""How fast a text is scored, against training at the same size; run it by hand.

    python tests/benchmarks/scoring.py [THREADS [MODEL...]]

L=2 E=64 V=65, fp32, the sizes of `charrnn benchmark training`; training and scoring take
turns in one process, medians over the turns. The text has as many characters as the held-out
tenth of tinyshakespeare; what is read to enter its stretches warm takes time and counts for
nothing.
"""

import contextlib
import statistics
import sys
import time

import numpy as np

from charrnn.evaluation import score
from charrnn.training_benchmark import Case, cases
from charrnn.training_contenders import charrnn_step, random_text
from charrnn.training_state import fresh_state
from charrnn.workers import Workers, prepare

TURNS, SECONDS, CHARACTERS = 5, 0.7, 111_540


def rates(case: Case, characters: int = CHARACTERS) -> tuple[float, float]:
    """Characters a second: trained on, and scored."""
    size, training = case.vocabulary_size, case.training
    prepare(training.threads)
    step = charrnn_step(case.model, training, random_text(training, size), size)
    model = fresh_state(case.model, training, size).model
    ids = np.random.default_rng(0).integers(size, size=characters).astype(np.uint8)
    trained, scored = [], []
    with contextlib.closing(Workers(training.threads)) as workers:
        score(model, ids[:20_000], start=0, byte_count=1, workers=workers)
        for _ in range(3):
            step()
        for _ in range(TURNS):
            steps, began = 0, time.perf_counter()
            while time.perf_counter() - began < SECONDS:
                step()
                steps += 1
            seconds = time.perf_counter() - began
            trained.append(steps * training.seq_length * training.batch_size / seconds)
            began = time.perf_counter()
            score(model, ids, start=0, byte_count=1, workers=workers)
            scored.append(characters / (time.perf_counter() - began))
    return statistics.median(trained), statistics.median(scored)


def main() -> None:
    """Print a table."""
    threads = int(sys.argv[1]) if sys.argv[1:] else 1
    for case in cases(models=sys.argv[2:] or ["gru", "lstm", "rnn"], threads=threads):
        trained, scored = rates(case)
        print(
            f"{case.model.model:5} H={case.model.hidden_size}  {threads} threads  "
            f"training {trained:9,.0f}  scoring {scored:9,.0f}  {scored / trained:.2f}"
        )


if __name__ == "__main__":
    main()
