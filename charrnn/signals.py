"""Signals: to a training run, turned into flags that it looks at; to others, into errors."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any

from charrnn.errors import StoppedError

_STOPPING = ("SIGINT", "SIGTERM", "SIGHUP")
_SAVING = "SIGUSR1"


class Signals:
    """While entered, SIGINT, SIGTERM and SIGHUP ask to stop and SIGUSR1 to save, by flags.

    Before `training` is set, and at a second signal, a stopping one raises StoppedError from
    where the program stands. Signals that the parent process had ignored (nohup) stay ignored.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        """the signal that asked to stop"""
        self.training = False
        self._save = False
        self._before: dict[int, Any] = {}

    def stop(self) -> bool:
        """Whether a signal has asked to stop."""
        return self.received is not None

    def save(self) -> bool:
        """Whether a signal has asked to save since this was last asked."""
        asked, self._save = self._save, False
        return asked

    def __enter__(self) -> "Signals":
        for name in (*_STOPPING, _SAVING):
            number = getattr(signal, name, None)  # Windows has neither SIGHUP nor SIGUSR1
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                handler = self._note_save if name == _SAVING else self._note_stop
                self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note_save(self, _number: int, _frame: FrameType | None) -> None:
        self._save = True

    def _note_stop(self, number: int, _frame: FrameType | None) -> None:
        before, self.received = self.received, number
        if not self.training:  # a library that is being loaded may swallow it: hence `received`
            raise StoppedError(
                number, "stopped before the first step", "nothing was lost: run it again"
            )
        if before is not None:
            raise StoppedError(
                number, "stopped at once", "--resume goes on from the last checkpoint"
            )


@contextlib.contextmanager
def unwinding() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP end the program as Ctrl-C does: what was begun is undone.

    They raise StoppedError from where it stands. Those that the parent process had ignored
    stay ignored.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        raise StoppedError(number, "stopped before it was done", "run it again")

    before: dict[int, Any] = {}
    try:
        for name in _STOPPING[1:]:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Interruptions:
    """While entered, Ctrl-C is noted, and raised where `raised` says so alone."""

    def __init__(self) -> None:
        self._noted = False
        self._before: Any = None

    def __enter__(self) -> "Interruptions":
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._noted = True

    def noted(self) -> bool:
        """Whether there was one since this was last asked."""
        noted, self._noted = self._noted, False
        return noted

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """Inside, Ctrl-C raises KeyboardInterrupt, on the way out too."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, self._note)
