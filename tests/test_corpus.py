"""The corpus: what is read, what is held out, and what each step of training sees."""

import gzip
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import texts
from charrnn.census import vocabulary_of
from charrnn.corpus import SPLITS, Corpus, corpus_digest, read_corpus
from charrnn.errors import TextError, UsageError
from charrnn.reading import Reading
from charrnn.stored import StoredIds
from charrnn.tokenizer import Vocabulary


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def decoded(corpus: Corpus) -> dict[str, str]:
    return {split: corpus.vocabulary.decode(corpus.ids[split][:]) for split in SPLITS}


@pytest.fixture
def thousand(tmp_path: Path) -> tuple[Path, str]:
    """A file of 1,000 characters of several widths, all of them told apart by position."""
    text = "".join(chr(0x100 + number) for number in range(1000))
    return write(tmp_path / "thousand.txt", text), text


# Splits


def test_a_tenth_is_held_out_off_the_end(thousand: tuple[Path, str]) -> None:
    path, text = thousand
    corpus = read_corpus([path])
    assert corpus.bounds == {"train": (0, 900), "val": (900, 1000), "test": (1000, 1000)}
    assert decoded(corpus) == {"train": text[:900], "val": text[900:], "test": ""}


def test_the_test_split_comes_last(thousand: tuple[Path, str]) -> None:
    path, text = thousand
    corpus = read_corpus([path], val_fraction=0.2, test_fraction=0.05)
    assert decoded(corpus) == {"train": text[:750], "val": text[750:950], "test": text[950:]}
    assert corpus.bounds == {"train": (0, 750), "val": (750, 950), "test": (950, 1000)}


def test_nothing_need_be_held_out(thousand: tuple[Path, str]) -> None:
    path, text = thousand
    assert decoded(read_corpus([path], val_fraction=0.0)) == {"train": text, "val": "", "test": ""}


@settings(deadline=None, max_examples=50)
@given(val=st.floats(0, 1, exclude_max=True), test=st.floats(0, 1, exclude_max=True))
def test_the_splits_are_the_text_cut_twice(
    val: float, test: float, english: str, english_file: Path
) -> None:
    if val + test >= 1:
        with pytest.raises(UsageError, match="nothing to train on"):
            read_corpus([english_file], val_fraction=val, test_fraction=test)
        return
    corpus = read_corpus([english_file], val_fraction=val, test_fraction=test)
    parts = decoded(corpus)
    assert "".join(parts[split] for split in SPLITS) == english
    assert abs(len(parts["val"]) - val * len(english)) <= 1
    assert abs(len(parts["test"]) - test * len(english)) <= 1
    for split in SPLITS:
        start, end = corpus.bounds[split]
        assert english[start:end] == parts[split]


def test_a_validation_file_leaves_the_corpus_whole(
    thousand: tuple[Path, str], tmp_path: Path
) -> None:
    path, text = thousand
    own = write(tmp_path / "own.txt", "held out")
    corpus = read_corpus([path], val_fraction=0.5, val_file=own)
    assert decoded(corpus) == {"train": text, "val": "held out", "test": ""}
    assert corpus.bounds == {"train": (0, 1000), "val": (0, 8), "test": (1000, 1000)}


def test_a_validation_file_and_a_test_fraction_go_together(
    thousand: tuple[Path, str], tmp_path: Path
) -> None:
    path, text = thousand
    own = write(tmp_path / "own.txt", "held out")
    corpus = read_corpus([path], val_file=own, test_fraction=0.1)
    assert decoded(corpus) == {"train": text[:900], "val": "held out", "test": text[900:]}


def test_a_test_file_leaves_the_validation_fraction(
    thousand: tuple[Path, str], tmp_path: Path
) -> None:
    path, text = thousand
    own = write(tmp_path / "own.txt", "a last test")
    corpus = read_corpus([path], test_file=own, test_fraction=0.5)
    assert decoded(corpus) == {"train": text[:900], "val": text[900:], "test": "a last test"}


def test_both_splits_can_have_their_own_files(thousand: tuple[Path, str], tmp_path: Path) -> None:
    path, text = thousand
    val, test = write(tmp_path / "val.txt", "one"), write(tmp_path / "test.txt", "other")
    corpus = read_corpus([path], val_file=val, test_file=test)
    assert decoded(corpus) == {"train": text, "val": "one", "test": "other"}


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 1.5, float("nan"), float("inf")])
@pytest.mark.parametrize("split", ["val", "test"])
def test_a_fraction_that_is_none_is_refused_by_its_flag(
    split: str, fraction: float, english_file: Path
) -> None:
    with pytest.raises(UsageError, match=f"--{split}-frac "):
        read_corpus([english_file], **{f"{split}_fraction": fraction})  # type: ignore[arg-type]


def test_fractions_are_looked_at_before_any_file_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--val-frac"):
        read_corpus([tmp_path / "missing.txt"], val_fraction=2.0)


def test_no_corpus_is_refused() -> None:
    with pytest.raises(UsageError, match="no corpus"):
        read_corpus([])


# Files


def test_files_stand_one_after_the_other_in_the_order_given(tmp_path: Path) -> None:
    first, second = write(tmp_path / "b.txt", "first, "), write(tmp_path / "a.txt", "second")
    corpus = read_corpus([first, second], val_fraction=0.0)
    assert decoded(corpus)["train"] == "first, second"
    assert [text.path for text in corpus.texts] == [first, second]


def test_line_ends_are_kept_and_byte_order_marks_are_not(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, "\ufeffone\r\ntwo\r\n") for name in ("a.txt", "b.txt")]
    corpus = read_corpus(paths, val_fraction=0.0)
    assert decoded(corpus)["train"] == "one\r\ntwo\r\n" * 2


def test_the_vocabulary_is_that_of_all_texts_the_commonest_first(tmp_path: Path) -> None:
    corpus = read_corpus(
        [write(tmp_path / "a.txt", "aaaabbb")],
        val_file=write(tmp_path / "val.txt", "cc"),
        test_file=write(tmp_path / "test.txt", "d"),
    )
    assert corpus.vocabulary.characters == "abcd"
    assert corpus.ids["val"].tolist() == [2, 2]
    assert corpus.ids["test"].tolist() == [3]


@pytest.mark.parametrize("which", ["paths", "val_file", "test_file"])
def test_a_file_that_is_no_text_is_named(which: str, english_file: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"caf\xe9")
    with pytest.raises(TextError, match=r"bad\.txt"):
        if which == "paths":
            read_corpus([english_file, bad])
        else:
            read_corpus([english_file], **{which: bad})  # type: ignore[arg-type]


def test_a_file_of_a_byte_order_mark_alone_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"mark\.txt.*byte-order mark"):
        read_corpus([write(tmp_path / "mark.txt", "\ufeff")])


def test_a_held_out_file_of_a_byte_order_mark_alone_is_no_text(
    english_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(TextError, match=r"mark\.txt.*byte-order mark"):
        read_corpus([english_file], val_file=write(tmp_path / "mark.txt", "\ufeff"))


# The record


def test_the_record_proves_which_text_it_was(tmp_path: Path) -> None:
    first, second = (
        write(tmp_path / "a.txt", "日本語 one\r\n"),
        write(tmp_path / "b.txt", "\ufefftwo"),
    )
    own = write(tmp_path / "own.txt", "own")
    corpus = read_corpus([first, second], val_fraction=0.25, test_file=own)
    record = json.loads(json.dumps(corpus.record()))
    whole = "日本語 one\r\ntwo"
    files = [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}
        for path, digest in ((first, sha256("日本語 one\r\n")), (second, sha256("\ufefftwo")))
    ]
    assert record == {
        "sha256": sha256(files[0]["sha256"] + files[1]["sha256"]),
        "characters": len(whole),
        "files": files,
        "splits": {
            "train": {"file": None, "start": 0, "end": 9, "sha256": sha256(whole[:9])},
            "val": {"file": None, "start": 9, "end": 12, "sha256": sha256(whole[9:])},
            "test": {
                "file": {"name": "own.txt", "bytes": 3, "sha256": sha256("own")},
                "start": 0,
                "end": 3,
                "sha256": sha256("own"),
            },
        },
    }


def test_the_digest_of_files_depends_on_their_order(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a.txt", "one"), write(tmp_path / "b.txt", "two")
    there = corpus_digest(read_corpus([first, second]).texts)
    back = corpus_digest(read_corpus([second, first]).texts)
    assert there != back


# A text too large for memory


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Every text is large, and read in small pieces; where the cache is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for module in "census", "encoded":
        monkeypatch.setattr(f"charrnn.{module}.LARGE", 1)
    monkeypatch.setattr("charrnn.texts.CHUNK", 37)
    monkeypatch.setattr("charrnn.census.are_settled", lambda _: True)
    return tmp_path / "cache" / "charrnn"


def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reads the files' text, each time that it does: the census, or what encodes it."""
    found = []

    def noted(name: str) -> Callable[..., Iterator[str]]:
        def joined(*arguments: Any, **options: Any) -> Iterator[str]:
            found.append(name)
            return texts.joined(*arguments, **options)

        return joined

    for name in "census", "encoded":
        monkeypatch.setattr(f"charrnn.{name}.joined", noted(name))
    return found


READ: list[dict[str, Any]] = [
    {},
    {"val_fraction": 0.0},
    {"val_fraction": 0.3, "test_fraction": 0.2},
    {"val_file": "own.txt", "test_fraction": 0.25},
    {"val_file": "own.txt", "test_file": "own.txt"},
    {"separator": "\n\0\n", "least": 3},
    {"reading": Reading(newlines="lf", normalization="nfc", lowercase=True), "test_fraction": 0.1},
    {"reading": Reading("bytes")},
]


@pytest.fixture
def mixed(tmp_path: Path, english: str) -> list[Path]:
    """A folder with two texts, and a file that is compressed."""
    (tmp_path / "texts").mkdir()
    write(tmp_path / "texts" / "a.txt", english[:700].replace("\n", "\r\n"))
    several = "\ufeffe\u0301 中文 👩\u200d👩\u200d👧 \u05d0\u05d1 Z\u0351\u036b"
    write(tmp_path / "texts" / "b.txt", several * 9)
    (tmp_path / "c.gz").write_bytes(gzip.compress(english[700:1400].encode()))
    write(tmp_path / "own.txt", "ω held out, by itself.\0ω\n" * 3)
    return [tmp_path / "texts", tmp_path / "c.gz"]


def options_of(options: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {k: folder / v if k.endswith("_file") else v for k, v in options.items()}


@pytest.mark.parametrize("options", READ, ids=str)
def test_a_text_in_the_cache_is_the_text_in_memory(
    options: dict[str, Any], mixed: list[Path], tmp_path: Path, large: Path
) -> None:
    options = options_of(options, tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        for module in "census", "encoded":
            patch.setattr(f"charrnn.{module}.LARGE", 10**9)
        patch.setattr("charrnn.texts.CHUNK", 2**20)
        small = read_corpus(mixed, **options)
    for _ in range(2):  # encoded, and found
        found = read_corpus(mixed, **options)
        assert all(isinstance(ids, StoredIds) for ids in found.ids.values())
        assert {s: ids[:].tolist() for s, ids in found.ids.items()} == {
            s: ids[:].tolist() for s, ids in small.ids.items()
        }
        assert found.record() == small.record()
        assert replace(found, ids={}) == replace(small, ids={})


def test_a_text_is_read_twice_and_then_no_more(
    mixed: list[Path], large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = passes(monkeypatch)
    read_corpus(mixed)
    assert read == ["census", "encoded"]
    read_corpus(mixed)
    assert read == ["census", "encoded"]
    read_corpus(mixed, again=True)  # what is found is the same, and so are its ids
    assert read == ["census", "encoded", "census"]


def test_other_fractions_of_ids_that_are_kept_write_none_anew(
    mixed: list[Path], large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_corpus(mixed, val_fraction=0.1)
    (kept,) = (large / "ids").glob("*.ids")
    before, read = kept.stat(), passes(monkeypatch)
    for _ in range(2):
        found = read_corpus(mixed, val_fraction=0.3, test_fraction=0.1)
        assert read == ["encoded"]  # for the digests of these parts
    read_corpus(mixed, val_fraction=0.1)
    assert read == ["encoded"]
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    monkeypatch.setattr("charrnn.encoded.LARGE", 10**9)
    small = read_corpus(mixed, val_fraction=0.3, test_fraction=0.1)
    assert found.parts == small.parts


@pytest.mark.parametrize(
    "what", ["parts gone", "parts a list", "parts of another kind", "no facts", "ids cut"]
)
def test_ids_that_are_damaged_are_made_anew(what: str, mixed: list[Path], large: Path) -> None:
    first = read_corpus(mixed)
    before = decoded(first)
    (ids,), (facts,) = (large / "ids").glob("*.ids"), (large / "ids").glob("*.json")
    if what == "ids cut":
        ids.write_bytes(ids.read_bytes()[:-1])
    elif what == "no facts":
        facts.unlink()
    else:
        known = json.loads(facts.read_bytes())
        if what == "no parts":
            del known["parts"]
        elif what == "parts a list":
            known["parts"] = []
        else:
            known["parts"] = {cuts: [[1, 2]] for cuts in known["parts"]}
        facts.write_text(json.dumps(known))
    again = read_corpus(mixed)
    assert again.parts == first.parts
    assert decoded(again) == before


def test_ids_of_another_text_are_others(mixed: list[Path], large: Path) -> None:
    read_corpus(mixed)
    write(mixed[0] / "a.txt", "another")
    assert decoded(read_corpus(mixed, val_fraction=0.0))["train"].startswith("anothere\u0301")
    assert len(list((large / "ids").glob("*.ids"))) == 2


# What changes meanwhile


def add(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def swap(path: Path) -> None:
    """As long, and with the same characters."""
    data = path.read_bytes()
    path.write_bytes(data[1:] + data[:1])


CHANGED: dict[str, Callable[[Path], object]] = {
    "longer": add,
    "shorter": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "empty": lambda path: path.write_bytes(b""),
    "in another order": swap,
    "no text": lambda path: path.write_bytes(b"\xff" * 9),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("change", CHANGED)
def test_a_text_that_changes_between_the_two_readings_is_noticed(
    change: str,
    size: str,
    english_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if size == "large":
        request.getfixturevalue("large")
    path = write(tmp_path / "text", english_file.read_bytes().decode())

    def meanwhile(*arguments: Any, **options: Any) -> Vocabulary:
        CHANGED[change](path)
        return vocabulary_of(*arguments, **options)

    monkeypatch.setattr("charrnn.corpus.vocabulary_of", meanwhile)
    with pytest.raises(TextError, match=r"changed while|empty|not UTF-8|no such"):
        read_corpus([path])
    assert not list(tmp_path.glob("cache/charrnn/ids/*"))


def test_a_text_that_changes_in_the_midst_of_the_second_reading_is_noticed(
    english_file: Path, tmp_path: Path, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "text", english_file.read_bytes().decode())

    def joined(*arguments: Any, **options: Any) -> Iterator[str]:
        for number, piece in enumerate(texts.joined(*arguments, **options)):
            if number == 20:
                swap(path)
            yield piece

    monkeypatch.setattr("charrnn.encoded.joined", joined)
    with pytest.raises(TextError, match="changed while") as caught:
        read_corpus([path])
    assert "complete" in caught.value.hint


# What training never sees


def test_characters_of_what_is_held_out_alone_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "ab" * 40 + "bcc" + "a" * 7 + "cd" * 5)
    corpus = read_corpus([path], val_fraction=0.1, test_fraction=0.1)
    assert [len(corpus.ids[split]) for split in SPLITS] == [80, 10, 10]
    counted = {s: (p.unseen, p.unseen_kinds) for s, p in corpus.parts.items()}
    assert counted == {"train": (0, 0), "val": (2, 1), "test": (10, 2)}


def test_a_held_out_file_is_compared_with_what_is_trained_on(tmp_path: Path) -> None:
    own = write(tmp_path / "own.txt", "abxyx")
    corpus = read_corpus([write(tmp_path / "a.txt", "ab" * 10)], val_file=own)
    assert (corpus.parts["val"].unseen, corpus.parts["val"].unseen_kinds) == (3, 2)


def test_rare_characters_are_counted_where_they_stand(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "ab" * 40 + "x" + "ab" * 4 + "yzy")
    corpus = read_corpus([path], val_fraction=0.1, least=2)
    assert corpus.vocabulary.unknown
    assert [corpus.parts[split].lacking for split in SPLITS] == [1, 1, 0]
    assert int(corpus.ids["val"][-2]) == corpus.vocabulary.rare


def test_what_separates_is_part_of_the_text(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, name) for name in "abc"]
    corpus = read_corpus(paths, separator="\n", val_fraction=0.0)
    assert decoded(corpus)["train"] == "a\nb\nc"
    assert corpus.record()["separator"] == "\n"
    assert corpus.record()["characters"] == 5


def test_of_very_many_files_the_record_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charrnn.corpus.MOST_NAMED", 3)
    for number in range(5):
        write(tmp_path / f"{number}.txt", "text")
    record = read_corpus([tmp_path]).record()
    assert (len(record["files"]), record["file_count"]) == (3, 5)


def test_what_stands_between_files_is_read_as_they_are(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, "TWO") for name in ("a.txt", "b.txt")]
    small = read_corpus(paths, reading=Reading(lowercase=True), separator="É", val_fraction=0.0)
    assert decoded(small)["train"] == "twoétwo"
    bytes_ = read_corpus(paths, reading=Reading("bytes"), separator="É", val_fraction=0.0)
    assert bytes(bytes_.ids["train"].tolist()) == "TWOÉTWO".encode()


def test_a_held_out_text_may_come_from_a_pipe(english_file: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"held out"))
    writer.start()
    corpus = read_corpus([english_file], val_file=pipe)
    writer.join()
    assert decoded(corpus)["val"] == "held out"
    assert corpus.record()["splits"]["val"]["file"]["name"] == "stdin"


def test_where_no_cache_can_be_written_a_large_text_is_held_in_memory(
    large: Path, thousand: tuple[Path, str], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    path, text = thousand
    corpus = read_corpus([path])
    assert isinstance(corpus.ids["train"], np.ndarray)
    assert decoded(corpus)["train"] + decoded(corpus)["val"] == text
