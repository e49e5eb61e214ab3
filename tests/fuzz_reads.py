"""Files of strangers, as many as atheris is told to think of.

`python fuzz_reads.py DIRECTORY -runs=N` changes the checkpoint there and reads it in
every way; the first thing that comes of it but a CheckpointError ends it with an error.
"""

import json
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["charrnn"]):
    from hostile_reads import bases, use
from mutations import mutated


def main() -> None:
    """Run atheris until it has had enough."""
    directory = Path(sys.argv[1])
    files, path = bases(directory), directory / "fuzzed.safetensors"
    counts = {"files": 0, "accepted": 0}

    def one(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)

        def pick(below: int) -> int:
            return int(provider.ConsumeIntInRange(0, below - 1))

        if pick(16) == 15:
            changed = bytes(provider.ConsumeBytes(4_096))
        else:
            changed = mutated(files[pick(2)], pick)
        path.write_bytes(changed)
        counts["files"] += 1
        counts["accepted"] += use(path)
        if counts["files"] % 1_000 == 0:
            (directory / "counts.json").write_text(json.dumps(counts))

    artifacts = f"-artifact_prefix={directory}/"
    atheris.Setup([sys.argv[0], artifacts, *sys.argv[2:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
