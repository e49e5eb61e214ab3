"""What saves cost training: in the background, in place, and none; run it by hand.

    python tests/benchmarks/saving.py

GRU, H=256 L=2 B=48 T=24; the three ways take turns, medians over the turns.
"""

import itertools
import statistics
import tempfile
import time
from pathlib import Path

from charrnn import saver
from charrnn.corpus import read_corpus
from charrnn.events import Progressed
from charrnn.schedule import Schedule
from charrnn.settings import ModelSettings, TrainingSettings
from charrnn.training import train
from charrnn.training_state import fresh_state, snapshot
from charrnn.workers import prepare

TURNS, STEPS, THREADS = 5, 40, 2
SHIPPED = Path(__file__).parents[2] / "corpora" / "two-scripts.txt"


class InPlace(saver.Saver):
    """Writes while training waits."""

    def _start(self) -> None:
        import threading

        self._done = threading.Event()
        self._write()


def seconds_per_step(directory: Path, text: Path, kind: type, between: int) -> float:
    """The mean over the steps, the first few left out."""
    corpus = read_corpus([text], val_fraction=0.002)
    settings = TrainingSettings(seq_length=24, batch_size=48, threads=THREADS, keep=0)
    schedule = Schedule(STEPS, 1, 10**6, between, 10**6)
    state = fresh_state(ModelSettings("gru", "tanh", 64, 256, 2), settings, len(corpus.vocabulary))
    from charrnn import training

    training.Saver = kind  # type: ignore[attr-defined]
    began = first = 0.0
    with tempfile.TemporaryDirectory(dir=directory) as run:
        for event in train(state, corpus, settings, schedule, Path(run)):
            if isinstance(event, Progressed):
                began = time.perf_counter()
                first = first or (began if event.step == 5 else 0.0)
    return (began - first) / (STEPS - 5)


def main() -> None:
    """Print a table."""
    prepare(THREADS)
    with tempfile.TemporaryDirectory(dir=".") as name:
        directory = Path(name)
        text = directory / "text"
        text.write_text(SHIPPED.read_text(encoding="utf-8") * 30, encoding="utf-8")
        ways = {
            "none": (saver.Saver, 10**6),
            "background, every step": (saver.Saver, 1),
            "in place, every step": (InPlace, 1),
            "background, every 5 steps": (saver.Saver, 5),
            "in place, every 5 steps": (InPlace, 5),
        }
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _, way in itertools.product(range(TURNS), ways):
            found[way].append(seconds_per_step(directory, text, *ways[way]))
        corpus = read_corpus([text])
        settings = TrainingSettings(seq_length=24, batch_size=48, threads=THREADS)
        state = fresh_state(
            ModelSettings("gru", "tanh", 64, 256, 2), settings, len(corpus.vocabulary)
        )
        taken = []
        for _ in range(20):
            began = time.perf_counter()
            size = snapshot(state).size
            taken.append(time.perf_counter() - began)
    none = statistics.median(found["none"])
    for way, times in found.items():
        step = statistics.median(times)
        stall = (step - none) * (ways[way][1] if ways[way][1] < STEPS else 0)
        print(f"{way:28} {1 / step:6.1f} steps/s  {1e3 * stall:6.1f} ms a save")
    print(f"snapshot alone: {1e3 * statistics.median(taken):.1f} ms for {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
