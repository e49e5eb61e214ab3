"""Batches: what each step of training reads, the same from memory and from a file."""

import math
import os
import random
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import batches
from charrnn.batches import Batch, Batches, windows_per_epoch
from charrnn.errors import CharrnnError, TextError, UsageError
from charrnn.stored import StoredIds


class Case(NamedTuple):
    """A text whose ids are its positions, and how it is read."""

    ids: np.ndarray
    seq_length: int
    batch_size: int
    seed: int

    def batch(self, step: int) -> Batch:
        return Batches(self.ids, self.seq_length, self.batch_size, self.seed).at(step)

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
        inputs = Batches(ids, 5, 3, 7).at(step).inputs
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


# From a file


@st.composite
def kept_cases(draw: st.DrawFn) -> tuple[Case, int, list[int]]:
    case = draw(cases())
    kind = draw(st.sampled_from([np.uint8, np.uint16, np.uint32]))
    ahead = draw(st.integers(1, 40))
    steps = st.lists(st.integers(0, 4 * case.per_epoch), min_size=1, max_size=12)
    return case._replace(ids=(case.ids % 251).astype(kind)), ahead, draw(steps)


@settings(deadline=None, max_examples=150)
@given(found=kept_cases(), in_order=st.booleans(), before=st.integers(0, 30))
def test_batches_of_ids_in_a_file_are_those_of_the_array(
    found: tuple[Case, int, list[int]],
    in_order: bool,
    before: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    case, ahead, steps = found
    path = tmp_path_factory.mktemp("ids") / "a.ids"
    around = np.concatenate([np.full(before, 9, case.ids.dtype), case.ids, case.ids])
    path.write_bytes(around.tobytes())
    kept = StoredIds(path, f"u{case.ids.itemsize}").part(before, before + len(case.ids))
    steps = list(range(2 * case.per_epoch + 2)) if in_order else steps
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "_AHEAD", ahead)
        ours = Batches(kept, case.seq_length, case.batch_size, case.seed)
        earlier: list[tuple[Batch, Batch]] = []
        for step in steps:
            expected, batch = case.batch(step), ours.at(step)
            assert batch.inputs.dtype == batch.targets.dtype == np.int64
            earlier.append((batch, expected))
    for batch, expected in earlier:  # reading on changes none that was given
        assert (batch.inputs == expected.inputs).all()
        assert (batch.targets == expected.targets).all()
        assert batch.first == expected.first


def test_a_file_is_read_seldom_and_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.ids").write_bytes(bytes(range(250)) * 40)
    reads, asked = [], []

    class Counted(StoredIds):
        def read_into(self, found: Any, start: int) -> None:
            reads.append((start, len(found)))
            super().read_into(found, start)

        def will_need(self, start: int, stop: int) -> None:
            asked.append((start, stop - start))

    monkeypatch.setattr(batches, "_AHEAD", 60)
    ours = Batches(Counted(tmp_path / "a.ids", "u1"), 6, 5, 3)
    for step in range(ours.per_epoch):
        ours.at(step)
    turns = math.ceil(ours.per_epoch / 10)
    assert len(reads) == 5 * turns  # ten windows of each of five streams at a time
    assert asked[:-10] == reads[5:-5]  # but for the shorter rest, and the next epoch
    assert max(length for _, length in reads) == 61


def test_a_file_that_is_cut_while_it_trains_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.ids").write_bytes(bytes(1000))
    ours = Batches(StoredIds(tmp_path / "a.ids", "u1"), 6, 5, 3)
    os.truncate(tmp_path / "a.ids", 100)
    with pytest.raises(TextError, match="cut short"):
        ours.at(0)
