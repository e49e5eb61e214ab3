"""The catalogue: what it says of each text holds together, and is what was published."""

import re
import shlex

import pytest
import typer.main

from charrnn.catalogue import CATALOGUE, Protocol, StandardText, find
from charrnn.cli import app
from charrnn.errors import UsageError

EACH = pytest.mark.parametrize("text", CATALOGUE, ids=lambda text: text.name)


def protocols() -> list[tuple[StandardText, Protocol]]:
    return [(text, text.protocol) for text in CATALOGUE if text.protocol is not None]


WITH_PROTOCOL = pytest.mark.parametrize(
    ("text", "protocol"), [pytest.param(*each, id=each[0].name) for each in protocols()]
)


def test_there_are_the_fields_standard_texts() -> None:
    assert [text.name for text in CATALOGUE] == [
        *("tinyshakespeare", "shakespeare", "war-and-peace", "enwik8", "text8", "hongloumeng")
    ]


@EACH
def test_a_text_is_found_by_its_name(text: StandardText) -> None:
    assert find(text.name) is text


@pytest.mark.parametrize("name", ["", "enwik9", "../enwik8"])
def test_an_unknown_name_is_refused_and_the_known_are_named(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        find(name)
    assert all(text.name in caught.value.hint for text in CATALOGUE)


@EACH
def test_what_is_said_of_a_text_is_of_the_right_form(text: StandardText) -> None:
    assert re.fullmatch(r"[a-z0-9-]+", text.name), "a file's name on any system"
    assert text.address.startswith("https://")
    assert text.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", text.sha256)
    assert (text.member is None) == (text.archive_size is None)
    assert text.address.endswith(".zip") == (text.member is not None)
    assert text.licence


def test_no_digest_stands_twice() -> None:
    known = [text.sha256 for text in CATALOGUE if text.sha256]
    assert len(set(known)) == len(known) >= 4


@pytest.mark.parametrize(
    ("text", "protocol"), protocols(), ids=lambda each: getattr(each, "name", "")
)
def test_a_protocol_is_of_the_whole_text(text: StandardText, protocol: Protocol) -> None:
    assert protocol.scored in ("val", "test")
    assert protocol.unit in ("nats/char", "bits/char", "nats/byte", "bits/byte")
    assert protocol.unit.endswith("/byte") == (protocol.encoding == "bytes")
    assert protocol.published
    if protocol.parts is not None:
        assert sum(protocol.parts) == text.size
        assert protocol.parts[1 if protocol.scored == "val" else 2] > 0
        assert protocol.parts[2] == 0 or protocol.scored == "test", "what is scored stands last"


@pytest.mark.parametrize(
    ("text", "protocol"), protocols(), ids=lambda each: getattr(each, "name", "")
)
def test_its_flags_are_those_of_train_and_split_as_it_says(
    text: StandardText, protocol: Protocol
) -> None:
    """By the rule of charrnn.corpus: a share is rounded up."""
    from charrnn.corpus import _share

    train = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    known = {flag for parameter in train.params for flag in parameter.opts}
    assert {flag for flag in protocol.flags if flag.startswith("--")} <= known
    if protocol.parts is not None:
        test = _share(text.size, protocol.test_fraction)
        held_out = _share(text.size, protocol.val_fraction + protocol.test_fraction)
        assert protocol.parts == (text.size - held_out, held_out - test, test)


def test_the_flags_as_one_would_type_them() -> None:
    assert {text.name: shlex.join(protocol.flags) for text, protocol in protocols()} == {
        "tinyshakespeare": "--val-frac 0.1",
        "war-and-peace": "--encoding bytes --val-frac 0.1 --test-frac 0.1",
        "enwik8": "--encoding bytes --val-frac 0.05 --test-frac 0.05",
        "text8": "--val-frac 0.05 --test-frac 0.05",
    }


@pytest.mark.parametrize(
    ("text", "protocol"), protocols(), ids=lambda each: getattr(each, "name", "")
)
def test_published_scores_go_from_the_worst_to_the_best(
    text: StandardText, protocol: Protocol
) -> None:
    scores = [each.score for each in protocol.published]
    assert scores == sorted(scores, reverse=True)
    for each in protocol.published:
        assert re.fullmatch(r"[A-Z][\w-]+( et al\.)? 20[12]\d", each.who)
        assert re.fullmatch(r"arXiv:\d{4}\.\d{5}|github\.com/[\w-]+/[\w-]+", each.source)


def test_some_scores_that_everybody_knows() -> None:
    def scores(name: str) -> dict[str, float]:
        protocol = find(name).protocol
        assert protocol is not None
        return {each.model: each.score for each in protocol.published}

    assert scores("tinyshakespeare")["nanoGPT with 6 layers"] == 1.4697
    assert scores("enwik8")["mLSTM"] == 1.24
    assert scores("text8")["mLSTM"] == 1.27
    assert (scores("enwik8")["Transformer-XL"], scores("text8")["Transformer-XL"]) == (0.99, 1.08)
