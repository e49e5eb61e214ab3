"""Work on a stream of data that another thread does beside what else is done with it."""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_LITTLE = 2**16  # bytes, for which no thread is woken


class Beside:
    """Calls a function with one piece of data after the other, in order, in a thread."""

    def __init__(self, function: Callable[[Any], object]) -> None:
        self._function = function
        self._thread: ThreadPoolExecutor | None = None
        self._under_way: Future[object] | None = None

    def __call__(self, data: Any) -> None:
        """Have the function called once it is done with the last piece.

        Raises what it raised of that one.
        """
        self.wait()
        if memoryview(data).nbytes < _LITTLE:
            self._function(data)
            return
        self._thread = self._thread or ThreadPoolExecutor(1)
        begun = threading.Lock()
        begun.acquire()
        self._under_way = self._thread.submit(self._work, begun, data)
        begun.acquire()  # Python lets the thread begin only while this one waits

    def _work(self, begun: threading.Lock, data: Any) -> None:
        begun.release()
        self._function(data)

    def wait(self) -> None:
        """Return when all is done; raises what the function raised of the last piece."""
        if self._under_way:
            under_way, self._under_way = self._under_way, None
            under_way.result()

    def close(self) -> None:
        """Let the thread end, whatever became of the last piece."""
        self._under_way = None
        if self._thread:
            self._thread.shutdown()
            self._thread = None


class Digest:
    """A SHA-256 that is computed beside what else is done with the bytes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._update = Beside(self._hash.update)

    def update(self, data: bytes) -> None:
        """Take in some more bytes."""
        self._update(data)

    def hexdigest(self) -> str:
        """The digest of all bytes so far, as 64 hexadecimal digits."""
        self._update.wait()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Let its thread end."""
        self._update.close()
