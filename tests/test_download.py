"""Downloads: whole, tried again where that may help, and explained where it does not."""

import io
import subprocess
import sys

import pytest
from web import NO_PAUSES, Answer, nobody, serving

from charrnn.download import download
from charrnn.errors import CharrnnError, NetworkError, TextError

BODY = b"To be, or not to be" * 10_000


def downloaded(address: str, **options: object) -> tuple[bytes, list[int], list[str]]:
    """What came, the pieces that were told of, and the tries that failed."""
    stream, pieces, told = io.BytesIO(), [], []  # type: ignore[var-annotated]
    settings = {"limit": 10**6, "pauses": NO_PAUSES} | options
    download(address, stream, received=pieces.append, told=told.append, **settings)  # type: ignore[arg-type]
    return stream.getvalue(), pieces, told


def test_what_lies_there_comes_whole_and_in_pieces() -> None:
    with serving(Answer(BODY)) as web:
        body, pieces, told = downloaded(web.address)
    assert body == BODY
    assert sum(pieces) == len(BODY)
    assert len(pieces) > 1
    assert told == []


def test_a_cut_connection_is_tried_again_from_the_start() -> None:
    with serving(Answer(BODY[:100_000], missing=5), Answer(BODY)) as web:
        body, pieces, told = downloaded(web.address)
    assert body == BODY
    assert len(web.asked) == 2
    assert sum(pieces) == len(BODY)
    assert min(pieces) < 0, "what was thrown away is counted back"
    (line,) = told
    assert line.endswith("; trying again in 0 s")
    assert "the line broke after" in line


def test_a_busy_server_is_tried_again() -> None:
    with serving(Answer(status=503), Answer(status=429), Answer(BODY)) as web:
        body, _, told = downloaded(web.address)
    assert body == BODY
    assert [line.split("; ")[0].split(": ")[-1] for line in told] == [
        "the server answers 503 Service Unavailable",
        "the server answers 429 Too Many Requests",
    ]


def test_it_pauses_longer_and_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    with serving(Answer(BODY, missing=1)) as web, pytest.raises(NetworkError):
        downloaded(web.address, pauses=(1.0, 2.0, 4.0))
    assert slept == [1.0, 2.0, 4.0]
    assert len(web.asked) == 4


def test_a_connection_that_is_always_cut_is_an_error_that_may_pass() -> None:
    with serving(Answer(BODY, missing=1)) as web, pytest.raises(NetworkError) as caught:
        downloaded(web.address)
    assert len(web.asked) == len(NO_PAUSES) + 1
    assert web.address in caught.value.message
    assert caught.value.exit_code == 75


def test_what_is_not_there_is_not_asked_for_again() -> None:
    with serving(Answer(b"<html>", status=404)) as web, pytest.raises(TextError) as caught:
        downloaded(web.address)
    assert len(web.asked) == 1
    assert caught.value.message == f"{web.address}: the server answers 404 Not Found"


def test_without_a_network_it_ends_at_once() -> None:
    told: list[str] = []
    with pytest.raises(NetworkError, match="cannot be reached: Connection refused") as caught:
        download(nobody(), io.BytesIO(), limit=9, received=print, told=told.append)
    assert told == []
    assert "check the network" in caught.value.hint


def test_a_network_that_goes_meanwhile_is_waited_for() -> None:
    """What was reached once is tried again, also where nothing listens any more."""
    told: list[str] = []
    with serving(Answer(BODY, missing=1)) as web:

        def pull_the_plug(line: str) -> None:
            told.append(line)
            web.answers[:] = [Answer(status=302, headers={"Location": gone})]

        gone = nobody()
        with pytest.raises(NetworkError, match="cannot be reached"):
            download(
                *(web.address, io.BytesIO()),
                limit=10**6,
                received=lambda count: None,
                told=pull_the_plug,
                pauses=NO_PAUSES,
            )
    assert len(told) == len(NO_PAUSES)


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http:///x"])
def test_nothing_but_the_web_is_asked(address: str) -> None:
    with pytest.raises(TextError, match="no address of the web"):
        downloaded(address)
    with serving(Answer(status=302, headers={"Location": address})) as web:
        with pytest.raises(CharrnnError) as caught:
            downloaded(web.address)
        assert caught.value.message.startswith(web.address)


def test_more_than_a_text_can_be_is_not_read_on() -> None:
    with serving(Answer(BODY)) as web, pytest.raises(TextError, match="more than 1,000 bytes"):
        downloaded(web.address, limit=1_000)


def test_what_cannot_be_written_is_not_the_networks_fault() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    with serving(Answer(BODY)) as web, pytest.raises(OSError, match="No space left") as caught:
        download(web.address, Full(), limit=10**6, received=print, told=print)
    assert type(caught.value) is OSError
    assert len(web.asked) == 1


def test_pooch_and_requests_are_loaded_by_a_download_alone() -> None:
    program = (
        "import sys, charrnn.cli, charrnn.download, charrnn.fetch, charrnn.commands.fetch\n"
        "assert not {'pooch', 'requests', 'urllib3'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_nothing_is_said_but_what_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(Answer(BODY, missing=1), Answer(BODY)) as web:
        downloaded(web.address)
    assert capfd.readouterr() == ("", "")
