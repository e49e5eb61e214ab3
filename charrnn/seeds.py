"""Independent seeds derived from one, so that nothing random depends on what came before."""

import hashlib


def derive(seed: int, purpose: str, number: int = 0) -> int:
    """The seed of the `number`-th thing of a kind: 63 bits of a SHA-256 of all three.

    A pure function, the same on every machine and in every version of every library.
    """
    digest = hashlib.sha256(f"{seed} {purpose} {number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
