"""A server on this machine that answers as it is told to, good and bad."""

import contextlib
import http.server
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from charrnn.download import PAUSES

os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"

NO_PAUSES = (0.0,) * len(PAUSES)
"""As many tries as there are, one after the other."""


@dataclass
class Answer:
    """What the server sends."""

    body: bytes = b""
    status: int = 200
    missing: int = 0
    """bytes that are announced and never come: the connection is cut before them"""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Web:
    """A running server."""

    address: str
    answers: list[Answer]
    """in order; the last one is given again and again"""
    asked: list[str] = field(default_factory=list)
    """the path of each request"""


@contextlib.contextmanager
def serving(*answers: Answer) -> Iterator[Web]:
    """A server on a free port of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = web.answers[min(len(web.asked), len(web.answers) - 1)]
            web.asked.append(self.path)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) + answer.missing))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *arguments: object) -> None:
            """Say nothing on stderr."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        web = Web(f"http://127.0.0.1:{server.server_port}/text", list(answers))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield web
        finally:
            server.shutdown()
            thread.join()


def nobody() -> str:
    """An address on this machine at which nothing listens."""
    with serving(Answer()) as web:
        return web.address
