"""Signals that ask a training run to stop, turned into a flag it looks at."""

import signal
from types import FrameType, TracebackType
from typing import Any

from charrnn.errors import StoppedError

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


class StopSignals:
    """While entered, SIGINT, SIGTERM and SIGHUP are noted instead of obeyed at once.

    Before `training` is set, and at a second signal, StoppedError is raised from where
    the program stands. Signals that the parent process had ignored (nohup) stay ignored.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.training = False
        self._before: dict[int, Any] = {}

    def __call__(self) -> bool:
        """Whether a signal has asked to stop."""
        return self.received is not None

    def __enter__(self) -> "StopSignals":
        for name in _NAMES:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if not self.training:
            raise StoppedError(
                number, "stopped before the first step", "nothing was lost: run it again"
            )
        if self.received is not None:
            raise StoppedError(
                number, "stopped at once", "--resume goes on from the last checkpoint"
            )
        self.received = number
