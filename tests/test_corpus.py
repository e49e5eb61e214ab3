"""The corpus: what is read, what is held out, and what each step of training sees."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.corpus import (
    SPLITS,
    Corpus,
    corpus_digest,
    read_corpus,
)
from charrnn.errors import TextError, UsageError


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def decoded(corpus: Corpus) -> dict[str, str]:
    return {split: corpus.vocabulary.decode(corpus.ids[split]) for split in SPLITS}


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
