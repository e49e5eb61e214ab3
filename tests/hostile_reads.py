"""Files of strangers, read in every way while a hook watches what Python does.

`python hostile_reads.py COUNT DIRECTORY` does it COUNT times to the checkpoint there.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

from mutations import mutated
from peak import peak, reset_peak

from charrnn.checkpoints import (
    model_path,
    read_checkpoint,
    read_record,
    read_resume_file,
    resume_path,
)
from charrnn.errors import CheckpointError
from charrnn.sampling import Sampler
from charrnn.settings import SamplingSettings

FEW = SamplingSettings(length=2)


def bases(directory: Path) -> list[bytes]:
    """A model file and its resume file."""
    path = model_path(directory, 1_200)
    return [path.read_bytes(), resume_path(path).read_bytes()]


def use(path: Path) -> bool:
    """Read a file in every way there is; whether it was a checkpoint.

    Nothing but a CheckpointError that names the file may come of it.
    """
    outcomes = []
    for read in read_record, read_checkpoint, read_resume_file:
        try:
            outcomes.append(read(path))
        except CheckpointError as error:
            assert str(path) in error.message, error.message
            assert len(error.message) < 1_000, len(error.message)
            outcomes.append(None)
    record, checkpoint, resume = outcomes
    if checkpoint is not None:
        assert record == checkpoint.record
        sampler = Sampler(record.settings, record.vocabulary, checkpoint.weights)
        try:
            text = "".join(sampler.sample(sampler.read_prompt(""), FEW, seed=1))
            assert len(text) == 2 and set(text) <= set(record.vocabulary.characters)
        except CheckpointError:
            pass
    if resume is not None:
        json.dumps(resume[1])
        resume[0].tensors()
    return checkpoint is not None or resume is not None


WATCHED = (
    *("import", "exec", "compile", "open", "subprocess", "os.", "socket", "shutil", "ctypes"),
    *("pickle", "marshal", "code.", "cpython", "gc.", "mmap", "tempfile", "webbrowser"),
)
HARMLESS = {"os.scandir", "os.listdir"}


def audited(count: int, directory: Path) -> dict[str, Any]:
    """What a hook saw while `count` changed files were read."""
    files, seen, watching = bases(directory), set(), False
    accepted = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event.startswith(WATCHED) and event not in HARMLESS:
            if event == "open" and isinstance(arguments[2], int) and arguments[2] & 3 == 0:
                return  # to read
            seen.add(f"{event} {arguments[:2]}"[:120])

    path, source = directory / "changed.safetensors", random.Random(0)
    for data in files:  # what is imported late is imported
        path.write_bytes(data)
        use(path)
    path.write_bytes(b"none")
    use(path)
    sys.addaudithook(hook)
    before = reset_peak()
    for number in range(count):
        path.write_bytes(mutated(files[number % 2], source.randrange))
        watching = True
        accepted += use(path)
        watching = False
    grown = peak() - before
    watching = True
    if "--prove" in sys.argv:  # that it would have been seen
        import colorsys  # noqa: F401

        exec("pass")
        (directory / "stray").write_text("")
    watching = False
    return {"seen": sorted(seen), "accepted": accepted, "grown": grown}


def main() -> None:
    """What `audited` found, as JSON; with --prove, after things that it is to notice."""
    print(json.dumps(audited(int(sys.argv[1]), Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
