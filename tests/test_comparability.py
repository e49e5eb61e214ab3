"""Comparability: published scores stand beside one's own only where both were taken alike."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charrnn.catalogue import Protocol, Published, find
from charrnn.commands.evaluate import evaluate
from charrnn.comparability import Comparability, comparability
from charrnn.reading import Reading
from charrnn.run_record import read_run

TINY, ENWIK8, TEXT8 = (find(name) for name in ("tinyshakespeare", "enwik8", "text8"))
BYTES = {"encoding": "bytes"}


def corpus(*files: dict[str, Any], parts: tuple[int, int, int], **own: Any) -> dict[str, Any]:
    """What a checkpoint records of its corpus."""
    splits, start = {}, 0
    for name, length in zip(("train", "val", "test"), parts, strict=True):
        splits[name] = {"file": own.get(name), "start": start, "end": start + length}
        start += length
    return {"files": list(files), "splits": splits}


def file(text: Any, name: str = "input.txt") -> dict[str, Any]:
    return {"name": name, "sha256": text if isinstance(text, str) else text.sha256, "bytes": 9}


OTHER = file("0" * 64, "other.txt")
ON_TINY = corpus(file(TINY), parts=(1_003_854, 111_540, 0))
ON_ENWIK8 = corpus(file(ENWIK8), parts=(90_000_000, 5_000_000, 5_000_000))
ON_TEXT8 = corpus(file(TEXT8), parts=(90_000_000, 5_000_000, 5_000_000))


def judged(record: dict[str, Any], **facts: Any) -> Comparability:
    facts["reading"] = Reading(**facts.pop("read", {}))
    settings = {"split": "val", "nats_per_char": 1.5}
    found = comparability(record, **(settings | facts))
    assert found is not None
    return found


def reason(record: dict[str, Any], **facts: Any) -> str:
    found = judged(record, **facts)
    assert found.because is not None
    assert found.published == ()
    assert found.sentence == (
        f"Not comparable with published scores on {found.text}, because {found.because}."
    )
    assert found.to_json()["comparable"] is False
    return found.because


# Comparable.


def test_windows_of_256_compare_with_nanogpt() -> None:
    found = judged(ON_TINY, window=256, nats_per_char=1.529)
    assert found.sentence == (
        "Comparable with published scores on tinyshakespeare: 1.5290 nats/char is worse than "
        "1.4697 of nanoGPT with 6 layers (Karpathy 2022)."
    )
    assert found.to_json()["published"] == [
        {
            "model": "nanoGPT with 6 layers",
            "who": "Karpathy 2022",
            "score": 1.4697,
            "source": "github.com/karpathy/nanoGPT",
            "window": 256,
        }
    ]


def test_windows_of_64_compare_with_its_smaller_one_alone() -> None:
    found = judged(ON_TINY, window=64, nats_per_char=1.626)
    assert found.sentence.endswith(
        "1.6260 nats/char is better than 1.88 of nanoGPT with 4 layers (Karpathy 2022)."
    )


def test_a_score_is_set_in_its_place_among_others() -> None:
    nats = 1.25 * math.log(2)
    found = judged(ON_ENWIK8, split="test", read=BYTES, nats_per_char=nats)
    assert found.score == pytest.approx(1.25)
    assert found.sentence == (
        "Comparable with published scores on enwik8: 1.2500 bits/byte is better than 1.32 of "
        "LN HM-LSTM (Chung et al. 2016), 1.27 of Large RHN (Zilly et al. 2016) and worse than "
        "1.245 of Large FS-LSTM-4 (Mujika et al. 2017), 1.24 of mLSTM (Krause et al. 2016), "
        "1.232 of AWD-LSTM (Merity et al. 2018), 1.068 of SHA-RNN (Merity 2019), "
        "0.99 of Transformer-XL (Dai et al. 2019)."
    )


def test_what_rounds_to_a_published_score_is_the_same() -> None:
    found = judged(ON_TEXT8, split="test", nats_per_char=1.2749 * math.log(2))
    assert "the same as 1.27 of Large RHN (Zilly et al. 2016), 1.27 of mLSTM" in found.sentence
    assert "worse than 1.13" in found.sentence


@pytest.mark.parametrize("encoding", ["utf-8", "bytes"])
def test_an_ascii_text_is_the_same_in_bytes(encoding: str) -> None:
    assert judged(ON_TEXT8, split="test", read={"encoding": encoding}).because is None


# Not comparable.


def test_the_carried_state_does_not_compare_with_windows() -> None:
    assert reason(ON_TINY) == (
        "they are taken in cold windows of 64 or 256 characters: --cold-windows 256"
    )
    assert "256" in reason(ON_TINY, window=128)


def test_windows_do_not_compare_with_the_carried_state() -> None:
    because = reason(ON_TEXT8, split="test", window=256)
    assert because == "they are taken with the state carried: leave --cold-windows out"


def test_another_part_does_not_compare() -> None:
    assert reason(ON_TEXT8, split="val") == "they are of the test part: --split test"
    assert reason(ON_TINY, split="train", window=256) == "they are of the val part: --split val"


def test_characters_do_not_compare_with_bytes() -> None:
    assert reason(ON_ENWIK8, split="test") == (
        "they are of models that read bytes, and this one reads UTF-8"
    )
    because = reason(ON_TINY, window=256, read={"encoding": "utf-16"})
    assert because == "they are of models that read characters, and this one reads UTF-16"


@pytest.mark.parametrize(
    "parts", [(1_003_853, 111_541, 0), (892_314, 111_540, 111_540), (1_003_854, 0, 111_540)]
)
def test_another_split_does_not_compare(parts: tuple[int, int, int]) -> None:
    because = reason(corpus(file(TINY), parts=parts), window=256)
    assert because == (
        "they are of models trained on its first 1,003,854 characters and scored on its last "
        f"111,540; this one was trained on {parts[0]:,} (charrnn train --val-frac 0.1 splits "
        "as they do)"
    )


def test_a_text_among_others_does_not_compare() -> None:
    among = corpus(OTHER, file(TINY), parts=(1_003_854, 111_540, 0))
    assert reason(among, window=256) == "this model was trained on other texts, too"


@pytest.mark.parametrize(
    "read", [{"newlines": "lf"}, {"normalization": "nfc"}, {"lowercase": True}], ids=str
)
def test_a_text_that_is_altered_does_not_compare(read: dict[str, Any]) -> None:
    because = reason(ON_TINY, window=256, read=read)
    assert because == f"this model does not read it as it is, but as {Reading(**read)}"


def test_a_whole_file_does_not_compare() -> None:
    """Neither that of --text nor that of --val-file."""
    whole = (
        "they are of models trained on its first 90,000,000 bytes and scored on its last "
        "5,000,000, and here a whole file was scored"
    )
    for record in ON_ENWIK8, corpus(OTHER, parts=(9, 1, 0)):
        assert reason(record, own_text=ENWIK8.sha256, read=BYTES) == whole
    apart = corpus(OTHER, parts=(9, 100_000_000, 0), val=file(ENWIK8))
    assert reason(apart, read=BYTES) == whole


def test_a_validation_file_beside_a_standard_text_is_another_text() -> None:
    apart = corpus(file(TINY), parts=(1_003_854, 111_540, 0), val=OTHER)
    plain = Reading()
    assert comparability(apart, split="val", reading=plain, nats_per_char=1.5) is None
    assert "trained on" in reason(apart, split="train", window=256)


def test_a_text_without_a_certain_sum_is_known_by_its_name_and_split_by_fractions() -> None:
    named = file("0" * 64, "war-and-peace.txt")
    facts: dict[str, Any] = {"split": "test", "read": BYTES, "window": 100}
    for train in 2_606_596, 2_606_597:
        record = corpus(named, parts=(train, 325_825, 325_825))
        assert "1.268 of LSTM of 512 units" in judged(record, **facts).sentence
    assert reason(corpus(named, parts=(2_932_421, 325_825, 0)), **facts) == (
        "they are of models trained on its first 80% and scored on its last 10%; this one was "
        "trained on 2,932,421 (charrnn train --encoding bytes --val-frac 0.1 --test-frac 0.1 "
        "splits as they do)"
    )


def test_of_a_text_without_published_scores_that_is_said() -> None:
    for known in file(find("shakespeare")), file("0" * 64, "hongloumeng.txt"):
        assert reason(corpus(known, parts=(9, 1, 0))) == "charrnn's catalogue has none"


def test_nothing_is_said_of_any_other_text() -> None:
    for record, own in (
        (corpus(OTHER, parts=(9, 1, 0)), None),
        (corpus(file("1" * 64, "enwik8.txt"), parts=(9, 1, 0)), None),
        (ON_TINY, "2" * 64),
    ):
        found = comparability(
            record, split="val", reading=Reading(), nats_per_char=1.5, own_text=own
        )
        assert found is None


# As charrnn evaluate says it.


@pytest.fixture
def cafe_is_standard(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint directory, its run's text being in the catalogue with a score of 2 nats."""
    record = read_run(trained / "cafe")
    assert record is not None
    train, val = (record.corpus["splits"][name]["end"] for name in ("train", "val"))
    protocol = Protocol(
        encoding="utf-8",
        val_fraction=0.1,
        test_fraction=0.0,
        scored="val",
        unit="nats/char",
        parts=(train, val - train, 0),
        published=(Published("a model", "Somebody 2020", 2.0, "a paper"),),
    )
    sum_of_it = record.corpus["files"][0]["sha256"]
    standard = replace(TINY, name="cafe", sha256=sum_of_it, ascii=False, protocol=protocol)
    monkeypatch.setattr("charrnn.comparability.CATALOGUE", (standard,))
    return trained


def evaluated(
    checkpoints: Path, capsys: pytest.CaptureFixture[str], *names: str, **flags: Any
) -> str:
    evaluate(list(names), checkpoint_dir=checkpoints, baselines=False, threads=1, **flags)
    return capsys.readouterr().out


def test_evaluate_says_what_a_score_compares_with(
    cafe_is_standard: Path, english_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = evaluated(cafe_is_standard, capsys, "cafe")
    assert "Comparable with published scores on cafe: " in said
    assert "worse than 2 of a model (Somebody 2020)." in " ".join(said.split())
    cold = json.loads(evaluated(cafe_is_standard, capsys, "cafe", cold_windows=50, json=True))
    assert cold["comparable"]["because"].startswith("they are taken with the state carried")
    own = json.loads(evaluated(cafe_is_standard, capsys, "cafe", text=english_file, json=True))
    assert own["comparable"]["because"].endswith("here a whole file was scored")


def test_evaluate_says_it_once_of_several(
    cafe_is_standard: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = evaluated(cafe_is_standard, capsys, "cafe", "cafe", split="train")
    assert said.count("Not comparable") == 1
