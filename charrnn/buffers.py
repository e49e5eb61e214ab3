"""Memory that is computed in at every window, instead of memory that is new each time.

Fresh pages cost more than the arithmetic done in them. The danger of memory that is used
again is a gradient computed from what another window has left there; so each use has a
generation number, and who comes back with an old one is refused.
"""

import math
import threading
from collections.abc import Sequence

import torch
from torch import Tensor


class Buffers:
    """Named tensors that keep their memory from one use to the next."""

    def __init__(self) -> None:
        self.generation = 0
        self.in_use = False
        self._stores: dict[str, Tensor] = {}

    def take(self, name: str, shape: Sequence[int], like: Tensor) -> Tensor:
        """A tensor of a shape, with the type and device of `like`; it holds anything."""
        size = math.prod(shape)
        store = self._stores.get(name)
        if (
            store is None
            or store.numel() < size
            or store.dtype != like.dtype
            or store.device != like.device
        ):
            with torch.inference_mode(False):  # an evaluation's buffers are training's next
                store = torch.empty(size, dtype=like.dtype, device=like.device)
            self._stores[name] = store
        return store[:size].view(list(shape))


class Lease:
    """Buffers that are one forward's own until its gradient is taken or its graph is gone."""

    def __init__(self, memory: "Memory", buffers: Buffers) -> None:
        self.buffers = buffers
        self._memory = memory
        self._generation = buffers.generation

    def release(self) -> None:
        """Let the next forward have the buffers."""
        with self._memory.lock:
            if self.buffers.generation == self._generation:
                self.buffers.in_use = False

    def renew(self) -> None:
        """Claim the buffers once more; raises RuntimeError if another forward has had them."""
        with self._memory.lock:
            if self.buffers.generation != self._generation:
                raise RuntimeError(
                    "the buffers of this forward were used again: take its gradient "
                    "before the next forward, or run it again"
                )
            self.buffers.in_use = True

    def __del__(self) -> None:
        self.release()


class Memory:
    """One layer's buffers: as many as it has forwards alive at once."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # the collector may find a forgotten lease at any moment
        self._all: list[Buffers] = []

    def lease(self) -> Lease:
        """Buffers that nobody uses, or new ones."""
        with self.lock:
            buffers = next((b for b in self._all if not b.in_use), None)
            if buffers is None:
                buffers = Buffers()
                self._all.append(buffers)
            buffers.in_use = True
            buffers.generation += 1
            return Lease(self, buffers)

    def __deepcopy__(self, _: object) -> "Memory":
        return Memory()
