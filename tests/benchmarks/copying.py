"""What the index of the training text costs, and what following a sample in it does.

    python tests/benchmarks/copying.py                  # on 100 MB made of Python's library
    python tests/benchmarks/copying.py TEXT [SAMPLE]    # on a text; the sample from another

Sizes are in bytes, memory is the peak of the whole process, speeds are in characters/s.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from peak import peak, reset_peak

from charrnn.concordance import concordance
from charrnn.copies import Copies
from charrnn.original import Original
from charrnn.sources import python_stdlib

SIZE = 10**8
TRACKED = 20_000  # characters


def a_text(path: Path) -> None:
    """Python's library, the same with its lines shuffled, words drawn from it at random."""
    draw = random.Random(0)
    library = python_stdlib()
    lines = library.splitlines(keepends=True)
    draw.shuffle(lines)
    words = library.split()
    with open(path, "w", encoding="utf-8", newline="") as stream:
        stream.write(library)
        stream.write("".join(lines))
        while stream.tell() < SIZE:
            stream.write(" ".join(draw.choices(words, k=100_000)))
    os.truncate(path, SIZE)


def opened(path: Path, told: object = lambda _: None) -> tuple[Copies, float]:
    """A tracker, and the seconds until it was there."""
    began = time.perf_counter()
    text = Original([path])
    text.sha256 = "0" * 64  # as if it were proven
    tracker = Copies(concordance(text, told=told))
    return tracker, time.perf_counter() - began


def tracked(path: Path, sample: str, longest: int | None = None) -> str:
    """Characters/s of following a sample, and the share that is copied.

    With `longest`, what is forbidden is replaced by something else.
    """
    tracker, _ = opened(path)
    began = time.perf_counter()
    for character in sample:
        if longest:
            forbidden = tracker.forbidden(longest)
            if character in forbidden:
                character = next((c for c in "etaoin" if c not in forbidden), character)
        tracker.read(character)
    seconds = time.perf_counter() - began
    rate, copied = len(sample) / seconds, tracker.report().share
    return f"{rate:10,.0f}  {1e6 / rate:6.1f} us  {copied:.1%} copied"


def measure(path: Path, other: Path | None) -> None:
    before = reset_peak()
    _, seconds = opened(path)
    index = sum(f.stat().st_size for f in Path(os.environ["XDG_CACHE_HOME"]).rglob("*.places"))
    size = path.stat().st_size
    print(f"built in {seconds:.2f} s; {index:,} of {size:,} bytes ({index / size:.3f})")
    print(f"peak memory {peak() / 1e6:.0f} MB ({before / 1e6:.0f} MB before)")
    print(f"opened in {opened(path)[1] * 1e3:.0f} ms")
    text = path.read_bytes()
    start = len(text) // 5
    own = text[start : start + 2 * TRACKED].decode(errors="ignore")[:TRACKED]
    draw = random.Random(1)
    words = own.split()
    samples = {
        "of itself": own,
        "its words shuffled": " ".join(draw.sample(words, len(words))),
        "its lines shuffled": "".join(draw.sample(own.splitlines(True), own.count("\n"))),
        "pieces of 30": "".join(
            text[p : p + 30].decode(errors="ignore")
            for p in (draw.randrange(len(text)) for _ in range(TRACKED // 30))
        ),
    }
    if other:
        samples["of another text"] = other.read_text(encoding="utf-8")[:TRACKED]
    for name, sample in samples.items():
        print(f"{name:20} {tracked(path, sample)}")
        print(f"{'... with forbidden':20} {tracked(path, sample, 20)}")


def main() -> None:
    """Build, open and follow, each in the cache of a temporary directory."""
    if "XDG_CACHE_HOME" in os.environ and sys.argv[-1] == "--here":
        measure(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 3 else None)
        return
    with tempfile.TemporaryDirectory() as directory:
        arguments = sys.argv[1:]
        if not arguments:
            a_text(Path(directory) / "text.txt")
            arguments = [f"{directory}/text.txt"]
        subprocess.run(
            [sys.executable, __file__, *arguments, "--here"],
            env={**os.environ, "XDG_CACHE_HOME": directory},
            check=True,
        )


if __name__ == "__main__":
    main()
