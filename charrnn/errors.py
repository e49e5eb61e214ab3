"""What can go wrong, as an exception tree, and the exit code each branch ends with.

::

    CharrnnError                 1    something failed
    ├── UsageError               2    a flag or an argument that cannot be meant
    ├── TextError                1    a text that is missing, empty, or not text
    │   └── UnreadableError      1    its bytes are not in the encoding they are read in
    ├── UnknownCharacterError    1    a prompt holds characters the model never saw
    ├── RunError                 1    a run's directory does not allow what was asked
    ├── CheckpointError          1    a checkpoint that is missing or unusable
    │   ├── DamagedError         1    its bytes are not the bytes that were written
    │   └── FormatError          1    not a model checkpoint this version can read
    ├── DivergenceError          1    training has gone wrong: its loss says so
    ├── TryAgainError           75    the same command may work later
    │   ├── DiskFullError       75    no space left
    │   ├── LockedError         75    another process is at work on it
    │   ├── NetworkError        75    no network, or one that breaks off
    │   └── DeadlineError       75    the time given is up; the work is saved
    └── StoppedError     128 + signal  a signal asked us to stop; the work is saved
"""

from collections.abc import Sequence


class CharrnnError(Exception):
    """A failure its user can do something about: one line, and a hint."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CharrnnError):
    """A flag or an argument that cannot be meant."""

    exit_code = 2


class TextError(CharrnnError):
    """A text that is missing, empty, or not text."""


class UnreadableError(TextError):
    """A text whose bytes are not in the encoding they are read in."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        details: Sequence[tuple[str, str]] = (),
        conversion: str = "",
    ) -> None:
        super().__init__(message, hint)
        self.details = list(details)
        """names and values: how it reads in the likeliest encodings, or where it is broken"""
        self.conversion = conversion
        """the command that makes it UTF-8, where there is one"""


class UnknownCharacterError(CharrnnError):
    """A prompt holds characters the model never saw."""


class RunError(CharrnnError):
    """A run's directory does not allow what was asked."""


class CheckpointError(CharrnnError):
    """A checkpoint that is missing or unusable."""


class DamagedError(CheckpointError):
    """A checkpoint whose bytes are not the bytes that were written."""


class FormatError(CheckpointError):
    """A file that is not a model checkpoint this version can read."""


class DivergenceError(CharrnnError):
    """Training has gone wrong: its loss is no number, or far off its own past."""


class TryAgainError(CharrnnError):
    """The same command may work later."""

    exit_code = 75


class DiskFullError(TryAgainError):
    """No space is left where a file was to be written."""


class LockedError(TryAgainError):
    """Another process is at work on the same thing."""


class NetworkError(TryAgainError):
    """There is no network, or it breaks off."""


class DeadlineError(TryAgainError):
    """The time given is up; what was done is saved."""


class StoppedError(CharrnnError):
    """A signal asked us to stop; what was done is saved."""

    def __init__(self, signal_number: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal_number
