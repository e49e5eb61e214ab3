"""What lies at an address of the web, whole: a broken line is tried again."""

import time
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from charrnn import __version__
from charrnn.errors import CharrnnError, NetworkError, TextError

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before the second try and each further one."""

TIMEOUT = 30.0
"""Seconds without a byte after which a line counts as broken."""

_CHUNK = 2**16  # bytes
_LATER = {408, 429, 500, 502, 503, 504}


def download(
    address: str,
    stream: BinaryIO,
    *,
    limit: int,
    received: Callable[[int], object],
    told: Callable[[str], object],
    pauses: Sequence[float] = PAUSES,
) -> None:
    """Put what is at an http or https address into an empty file of one's own, by pooch.

    `received` is called with the number of bytes of each piece, and with a negative one where
    they are thrown away and a new try begins, of which `told` is told. Raises NetworkError
    where that did not help, TextError for what no further try would change or more than
    `limit` bytes, and OSError where the stream cannot take it.
    """
    import pooch
    from requests import exceptions

    headers = {"User-Agent": f"charrnn/{__version__}", "Accept-Encoding": "identity"}
    downloader = pooch.HTTPDownloader(chunk_size=_CHUNK, headers=headers, timeout=TIMEOUT)
    reached = False
    for pause in (*pauses, None):
        sink = _Sink(address, stream, limit, received)
        try:
            downloader(address, sink, None)
            return
        except exceptions.RequestException as error:
            failure = _explained(address, error, sink.count)
            reached = reached or not _unreached(error)
        if pause is None or not reached or not isinstance(failure, NetworkError):
            raise failure from None
        sink.empty()
        told(f"{failure.message}; trying again in {pause:g} s")
        time.sleep(pause)


class _Sink:
    """The file that pooch writes to."""

    def __init__(
        self, address: str, stream: BinaryIO, limit: int, received: Callable[[int], object]
    ) -> None:
        self._address, self._stream, self._limit = address, stream, limit
        self._received, self.count = received, 0

    def write(self, data: bytes) -> None:
        self.count += len(data)
        if self.count > self._limit:
            raise TextError(
                f"{self._address}: more than {self._limit:,} bytes, which the text cannot be",
                "something else answers at that address: try from another network",
            )
        self._stream.write(data)
        self._received(len(data))

    def flush(self) -> None:
        """Leave that to whoever has the whole of it."""

    def empty(self) -> None:
        self._stream.seek(0)
        self._stream.truncate()
        self._received(-self.count)


def _unreached(error: Exception) -> bool:
    """Whether no connection came about, as urllib3 says by giving its reason."""
    return bool(error.args) and hasattr(error.args[0], "reason")


def _explained(address: str, error: Any, count: int) -> CharrnnError:
    """What a failure of requests means, after so many bytes."""
    if error.response is not None:
        status = f"{error.response.status_code} {error.response.reason}"
        answer = f"{address}: the server answers {status}"
        if error.response.status_code in _LATER:
            return NetworkError(answer, "try again later")
        return TextError(answer, "the text may have moved: look for it elsewhere")
    if _unreached(error):
        reason = error.args[0].reason
        why = getattr(reason.__cause__, "strerror", None) or reason
        return NetworkError(
            f"{address}: cannot be reached: {why}",
            "check the network and, where there is one, the proxy (HTTPS_PROXY)",
        )
    if isinstance(error, ValueError):
        return TextError(f"{address}: leads to what is no address of the web", "look elsewhere")
    return NetworkError(
        f"{address}: the line broke after {count:,} bytes", "the same command tries again"
    )
