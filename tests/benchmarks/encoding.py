"""How fast a large text becomes ids, the first time and after it; run it by hand.

    python tests/benchmarks/encoding.py [--bytes 1000000000] [--turns 2]

Texts of ASCII, of Chinese, and of both with emoji, are made in a temporary folder, which
also holds the cache. The ways take turns: `read_corpus` with an empty cache (two readings,
the file of ids, fsync), the same again, and `[stoi[c] for c in text]` on 50 MB of it.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from charrnn.corpus import read_corpus

LOOP_BYTES = 50_000_000

_COLD = """
import sys, time
from pathlib import Path
from charrnn.corpus import read_corpus
began = time.perf_counter()
read_corpus([Path(sys.argv[1])])
print(time.perf_counter() - began)
"""
_PEAK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from peak import peak, reset_peak
from charrnn.corpus import read_corpus
reset_peak()
read_corpus([Path(sys.argv[1])])
print(peak())
"""


def words(letters: str, count: int, longest: int, between: str) -> str:
    """About a million characters of words, the commoner the shorter their number."""
    draw = random.Random(0)
    known = ["".join(draw.choices(letters, k=draw.randint(1, longest))) for _ in range(count)]
    weights = [1 / (1 + number) for number in range(count)]
    return between.join(draw.choices(known, weights, k=2_000_000 // (longest + 3)))


def texts() -> dict[str, str]:
    """A piece of each kind of text, which is repeated."""
    latin = words("abcdefghijklmnopqrstuvwxyz'ABCDEFGHIJKL,.;\n", 20_000, 9, " ")
    chinese = words("".join(map(chr, range(0x4E00, 0x4E00 + 4000))) + "，。\n", 20_000, 3, "")
    mixed = words("abcdefghijklmnopqrstuvwxyzéüß世界你好🙂👩\n", 20_000, 7, " ")
    return {"ASCII": latin, "Chinese": chinese, "mixed": mixed}


def write(path: Path, piece: str, size: int) -> int:
    """A file of about `size` bytes; returns how many."""
    data = piece.encode()
    with path.open("wb") as stream:
        while stream.tell() < size:
            stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())  # else the disk would be busy with it for a while
        return stream.tell()


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_python(path: Path) -> Callable[[], object]:
    """The loop that others encode with, on characters that are in memory."""
    with path.open("rb") as stream:
        text = stream.read(LOOP_BYTES).decode("utf-8", "ignore")
    stoi = {character: number for number, character in enumerate(sorted(set(text)))}
    return lambda: [stoi[character] for character in text]


def of_a_process(script: str, path: Path) -> float:
    """The number that a process of its own prints."""
    command = [sys.executable, "-c", script, str(path), str(Path(__file__).parents[1])]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print a table."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--bytes", type=int, default=10**9)
    flags.add_argument("--turns", type=int, default=2)
    flags.add_argument("--only", choices=texts())
    given = flags.parse_args()
    with tempfile.TemporaryDirectory(prefix="charrnn-encoding-") as folder:
        cache = Path(folder, "cache")
        os.environ["XDG_CACHE_HOME"] = str(cache)
        print("text     MB/s   cores  loop MB/s  ratio  second start s  in a process s  peak MB")
        for kind, piece in texts().items():
            if given.only not in (None, kind):
                continue
            path = Path(folder, "text")
            size = write(path, piece, given.bytes)
            time.sleep(2.1)  # until a change to the file would show in its time
            loop = in_python(path)
            whole, looped, again, cores = [], [], [], []
            for _ in range(given.turns):
                shutil.rmtree(cache, ignore_errors=True)
                before = time.process_time()
                whole.append(seconds(partial(read_corpus, [path])))
                cores.append((time.process_time() - before) / whole[-1])
                again.append(seconds(partial(read_corpus, [path])))
                looped.append(seconds(loop))
            first = statistics.median(whole)
            rate = size / 1e6 / first
            slow = min(size, LOOP_BYTES) / 1e6 / statistics.median(looped)
            cold = of_a_process(_COLD, path)
            shutil.rmtree(cache)
            peak = of_a_process(_PEAK, path) / 1e6
            print(
                f"{kind:8} {rate:5.0f} {statistics.median(cores):6.1f} {slow:10.1f} "
                f"{rate / slow:6.1f} {statistics.median(again):15.3f} {cold:15.3f} {peak:8.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
