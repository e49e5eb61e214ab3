"""charrnn corpus fetch: what it lists, says and leaves."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import charrnn
from test_cli import assert_error
from test_fetch import BODY, DIGEST, TEXT, UNPROVED
from web import NO_PAUSES, Answer, nobody, serving

from charrnn import catalogue
from charrnn import fetch as fetching
from charrnn.catalogue import CATALOGUE, StandardText, find
from charrnn.commands.fetch import fetch
from charrnn.errors import NetworkError, StoppedError, TextError

Offer = Callable[..., None]
FETCH = fetching.fetch


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Make these texts the catalogue, and tries follow at once."""

    def put(*texts: StandardText) -> None:
        monkeypatch.setattr(catalogue, "CATALOGUE", texts)
        monkeypatch.setattr(
            fetching, "fetch", lambda *each, **more: FETCH(*each, **more, pauses=NO_PAUSES)
        )

    return put


def test_the_catalogue_is_listed_with_what_is_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "enwik8.txt").write_text("here")
    fetch(directory=tmp_path)
    lines = capsys.readouterr().out.splitlines()
    for text in CATALOGUE:
        (line,) = [line for line in lines if line.split()[0] == text.name]
        assert text.licence in line
        assert line.split()[2] == ("yes" if text.name == "enwik8" else "no")
    assert [path.name for path in tmp_path.iterdir()] == ["enwik8.txt"]


def test_the_list_as_json_has_the_protocol_and_the_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(directory=tmp_path, json=True)
    said = capsys.readouterr()
    rows = {row["name"]: row for row in map(json.loads, said.out.splitlines())}
    assert said.err == ""
    assert list(rows) == [text.name for text in CATALOGUE]
    enwik8 = rows["enwik8"]
    assert enwik8["bytes"] == 100_000_000
    assert enwik8["sha256"] == find("enwik8").sha256
    assert enwik8["here"] is False
    assert enwik8["protocol"]["unit"] == "bits/byte"
    assert enwik8["protocol"]["published"][-1]["score"] == 0.99
    assert enwik8["commands"] == [
        f"charrnn train {tmp_path}/enwik8.txt --encoding bytes --val-frac 0.05 --test-frac 0.05",
        "charrnn evaluate --split test",
    ]
    assert rows["hongloumeng"]["protocol"] is None


def test_a_fetched_text_is_told_with_its_protocol(
    offer: Offer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Answer(BODY, missing=1), Answer(BODY)) as web:
        offer(replace(TEXT, address=web.address, protocol=find("tinyshakespeare").protocol))
        fetch("hamlet", directory=tmp_path)
    said = capsys.readouterr()
    assert said.out == f"{tmp_path}/hamlet.txt\n"
    again, what, *more = said.err.splitlines()
    assert again.endswith("trying again in 0 s")
    assert what == (
        f"Hamlet: {len(BODY):,} bytes, public domain, downloaded, its SHA-256 is the right one"
    )
    assert more == [
        "as the field splits and scores it:",
        f"  charrnn train {tmp_path}/hamlet.txt --val-frac 0.1",
        "  charrnn evaluate --cold-windows 256",
        "  1.88 nats/char  nanoGPT with 4 layers (Karpathy 2022, github.com/karpathy/nanoGPT, "
        "cold windows of 64)",
        "  1.4697 nats/char  nanoGPT with 6 layers (Karpathy 2022, github.com/karpathy/nanoGPT, "
        "cold windows of 256)",
    ]


def test_a_first_download_says_that_it_is_recorded(
    offer: Offer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(Answer(BODY)) as web:
        offer(replace(UNPROVED, address=web.address))
        for held_to, downloaded in ("none", True), ("record", False):
            fetch("hamlet", directory=tmp_path, json=True)
            row: dict[str, Any] = json.loads(capsys.readouterr().out)
            assert (row["held_to"], row["downloaded"]) == (held_to, downloaded)
            assert (row["sha256"], row["here"], row["bytes"]) == (DIGEST, True, len(BODY))
        (tmp_path / "hamlet.txt").unlink()
        (tmp_path / ".hamlet.sha256").unlink()
        fetch("hamlet", directory=tmp_path)
    said = capsys.readouterr().err
    assert f"that of this download is kept in {tmp_path}/.hamlet.sha256" in said
    assert "the field has no split of its own for it" in said


def test_failures_pass_through_and_leave_nothing(offer: Offer, tmp_path: Path) -> None:
    offer(replace(TEXT, address=nobody()))
    with pytest.raises(NetworkError):
        fetch("hamlet", directory=tmp_path / "corpora")
    with serving(Answer(BODY[:-1])) as web:
        offer(replace(TEXT, address=web.address))
        with pytest.raises(TextError):
            fetch("hamlet", directory=tmp_path / "corpora")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_is_told_in_a_line(
    offer: Offer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    with serving(Answer(BODY, missing=1)) as web:
        offer(replace(TEXT, address=web.address))
        with pytest.raises(StoppedError) as caught:
            fetch("hamlet", directory=tmp_path / "corpora")
    assert caught.value.exit_code == 130
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_is_wrong_usage(tmp_path: Path) -> None:
    done = charrnn("corpus", "fetch", "enwik9", cwd=tmp_path)
    assert_error(done, 2, "enwik9", "enwik8, text8")
    assert not list(tmp_path.iterdir())


def test_corpus_list_mentions_what_can_be_fetched(tmp_path: Path) -> None:
    assert "charrnn corpus fetch" in charrnn("corpus", "list", cwd=tmp_path).stderr
