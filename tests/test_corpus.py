"""The corpus: what is read, what is held out, and what each step of training sees."""

import hashlib
import json
import random
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.corpus import (
    SPLITS,
    Batch,
    Corpus,
    batch,
    corpus_digest,
    read_corpus,
    windows_per_epoch,
)
from charrnn.errors import CharrnnError, TextError, UsageError


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


# Batches


class Case(NamedTuple):
    """A text whose ids are its positions, and how it is read."""

    ids: np.ndarray
    seq_length: int
    batch_size: int
    seed: int

    def batch(self, step: int) -> Batch:
        return batch(
            self.ids,
            seq_length=self.seq_length,
            batch_size=self.batch_size,
            seed=self.seed,
            step=step,
        )

    @property
    def per_epoch(self) -> int:
        return windows_per_epoch(len(self.ids), self.seq_length, self.batch_size)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    seq_length, batch_size = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    window = seq_length * batch_size
    characters = draw(st.integers(window + 1, window * 8 + 20))
    return Case(
        np.arange(characters, dtype=np.uint16),
        seq_length,
        batch_size,
        draw(st.integers(0, 2**63 - 1)),
    )


epochs = st.integers(0, 1000)


@settings(deadline=None, max_examples=100)
@given(cases(), st.integers(0, 10_000))
def test_targets_are_inputs_shifted_by_one(case: Case, step: int) -> None:
    inputs, targets, _ = case.batch(step)
    assert inputs.shape == targets.shape == (case.seq_length, case.batch_size)
    assert inputs.dtype == targets.dtype == np.int64
    assert (targets == inputs + 1).all()
    assert (inputs[1:] == targets[:-1]).all()


@settings(deadline=None, max_examples=100)
@given(cases(), epochs)
def test_each_stream_goes_on_where_its_last_window_ended(case: Case, epoch: int) -> None:
    first = epoch * case.per_epoch
    for step in range(first, first + case.per_epoch - 1):
        assert (case.batch(step + 1).inputs[0] == case.batch(step).targets[-1]).all()


@settings(deadline=None, max_examples=100)
@given(cases(), epochs)
def test_streams_jump_at_the_start_of_an_epoch_and_only_there(case: Case, epoch: int) -> None:
    first = epoch * case.per_epoch
    jumps = [case.batch(step)[2] for step in range(first, first + 2 * case.per_epoch)]
    assert jumps == ([True] + [False] * (case.per_epoch - 1)) * 2


@settings(deadline=None, max_examples=100)
@given(cases(), epochs)
def test_an_epoch_reads_no_character_twice_and_misses_few(case: Case, epoch: int) -> None:
    first = epoch * case.per_epoch
    read = np.concatenate(
        [case.batch(step)[0].ravel() for step in range(first, first + case.per_epoch)]
    )
    assert len(set(read.tolist())) == len(read)
    missed = len(case.ids) - len(read)
    assert missed <= case.seq_length * case.batch_size + case.seq_length


@settings(deadline=None, max_examples=100)
@given(cases(), st.integers(0, 2**40))
def test_every_character_read_is_in_the_training_text(case: Case, step: int) -> None:
    """Held out text begins right after the training text; NumPy would wrap a negative index."""
    inputs, targets, _ = case.batch(step)
    assert inputs.min() >= 0
    assert targets.max() < len(case.ids)
    assert (np.diff(inputs[0]) > 0).all()  # streams lie in the text's order, none wraps round


@settings(deadline=None, max_examples=60)
@given(cases(), st.integers(0, 2**63 - 1))
def test_a_batch_is_a_pure_function_of_seed_and_step(case: Case, other: int) -> None:
    steps = list(range(3 * case.per_epoch))
    once = {step: case.batch(step) for step in steps}
    random.Random(other).shuffle(steps)
    np.random.seed(other % 2**32)
    before = case.ids.copy()
    for step in steps:
        again = case.batch(step)
        assert (again[0] == once[step][0]).all()
        assert (again[1] == once[step][1]).all()
        assert again[2] == once[step][2]
    assert (case.ids == before).all()


def test_a_batch_is_its_own_and_no_view_of_the_text() -> None:
    case = Case(np.arange(50, dtype=np.uint16), 4, 3, 0)
    inputs, targets, _ = case.batch(0)
    inputs[:] = 0
    targets[:] = 0
    assert (case.ids == np.arange(50)).all()


def offsets(case: Case, count: int) -> list[int]:
    return [int(case.batch(epoch * case.per_epoch)[0][0, 0]) for epoch in range(count)]


def test_every_epoch_begins_at_another_offset() -> None:
    case = Case(np.arange(10_000, dtype=np.uint16), 64, 8, seed=0)
    found = offsets(case, 40)
    assert len(set(found)) > 25
    assert found != offsets(case._replace(seed=1), 40)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_offsets_move_by_a_whole_window_where_the_text_allows(case: Case) -> None:
    """Else a character would always meet the same gradient's edge."""
    if len(case.ids) < case.seq_length * (case.batch_size + 1):
        return
    slack = len(case.ids) - 1 - case.per_epoch * case.seq_length * case.batch_size
    assert slack >= case.seq_length - 1
    if case.seq_length > 2:
        assert len(set(offsets(case, 60))) > 1


def test_offsets_reach_both_ends_of_their_room() -> None:
    case = Case(np.arange(4 * 3 + 1 + 5, dtype=np.uint16), 4, 3, seed=0)
    assert case.per_epoch == 1
    assert set(offsets(case, 100)) == set(range(6))


def test_the_order_of_reading_is_the_same_in_every_version() -> None:
    """A change here would break the resume of every run there is."""
    text = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    ids = np.arange(len(text), dtype=np.uint8)
    read = []
    for step in range(6):
        inputs = batch(ids, seq_length=5, batch_size=3, seed=7, step=step).inputs
        read.append(["".join(text[number] for number in stream) for stream in inputs.T])
    assert read == GOLDEN_READING


GOLDEN_READING = [
    ["cdefg", "rstuv", "GHIJK"],
    ["hijkl", "wxyzA", "LMNOP"],
    ["mnopq", "BCDEF", "QRSTU"],
    ["abcde", "pqrst", "EFGHI"],
    ["fghij", "uvwxy", "JKLMN"],
    ["klmno", "zABCD", "OPQRS"],
]


# Texts too short


@pytest.mark.parametrize("characters", [0, 1, 2, 24, 63, 64])
def test_a_text_shorter_than_a_window_is_refused(characters: int) -> None:
    with pytest.raises(TextError) as caught:
        windows_per_epoch(characters, 64, 1)
    assert f"has {characters} characters" in caught.value.message
    assert "64" in caught.value.message
    assert "more text" in caught.value.hint


@pytest.mark.parametrize("characters", [65, 100, 64 * 32])
def test_a_text_shorter_than_a_batch_is_refused_by_its_flags(characters: int) -> None:
    with pytest.raises(UsageError) as caught:
        windows_per_epoch(characters, 64, 32)
    assert "--batch-size 32" in caught.value.message
    assert "--seq-length 64" in caught.value.message


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 500), st.integers(1, 100), st.integers(1, 20))
def test_a_text_is_long_enough_or_the_hint_makes_it_so(
    characters: int, seq_length: int, batch_size: int
) -> None:
    try:
        assert windows_per_epoch(characters, seq_length, batch_size) >= 1
        assert characters > seq_length * batch_size
    except CharrnnError as error:
        assert characters <= seq_length * batch_size
        flags = dict(re.findall(r"--(seq-length|batch-size) (\d+)", error.hint))
        if flags:
            seq_length = int(flags.get("seq-length", seq_length))
            batch_size = int(flags.get("batch-size", batch_size))
            assert windows_per_epoch(characters, seq_length, batch_size) >= 1
        else:
            assert characters < 2  # what no flag can help


def test_one_window_and_the_character_after_it_are_enough() -> None:
    assert windows_per_epoch(64 * 32 + 1, 64, 32) == 1
    inputs, targets, first = Case(np.arange(13, dtype=np.uint8), 4, 3, 5).batch(100)
    assert inputs.T.ravel().tolist() == [*range(12)]
    assert targets[-1].tolist() == [4, 8, 12]
    assert first


def test_a_batch_of_a_text_too_short_is_refused() -> None:
    with pytest.raises(TextError):
        Case(np.arange(4, dtype=np.uint8), 4, 1, 0).batch(0)
