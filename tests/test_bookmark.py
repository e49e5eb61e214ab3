"""Where a text was left: going on from the file gives the very characters of one long text."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import ODD, Raw, mutated
from saves import CORPUS
from test_checkpoints import forged, metadata_of
from test_checkpoints import written as write_a_checkpoint
from test_sampling import CELLS, VOCABULARY, a_sampler

from charrnn import files
from charrnn.bookmark import read_bookmark, write_bookmark
from charrnn.checkpoints import ModelRecord, read_checkpoint, resume_path
from charrnn.continuation import Place
from charrnn.distribution import Mask
from charrnn.errors import CheckpointError, DiskFullError, FormatError
from charrnn.sampling import Sampler
from charrnn.sealed import read_header
from charrnn.settings import ModelSettings, SamplingSettings

DIGEST = "1a" * 32
NAME = "hamlet/step-00000007.safetensors"


def record_of(sampler: Sampler, digest: str = DIGEST) -> ModelRecord:
    return ModelRecord(sampler.settings, sampler.vocabulary, 7, {}, CORPUS, "", digest)


def begun(sampler: Sampler, prompt: str = "", seed: int = 5) -> Place:
    return Place(sampler.read_prompt(prompt), seed)


def in_parts(
    sampler: Sampler, lengths: list[int], directory: Path, **chosen: object
) -> tuple[list[str], Place]:
    """The texts of one call after the other, each going on from the file of the one before."""
    path, record = directory / "here", record_of(sampler)
    write_bookmark(path, begun(sampler), record, NAME)
    texts = []
    for length in lengths:
        place = read_bookmark(path, record, NAME)
        text = sampler.go_on(place, SamplingSettings(length=length, **chosen))  # type: ignore[arg-type]
        texts.append("".join(text))
        write_bookmark(path, text.place(), record, NAME)
    return texts, read_bookmark(path, record, NAME)


def whole(sampler: Sampler, length: int, **chosen: object) -> str:
    chosen = {"length": length} | chosen
    return "".join(sampler.go_on(begun(sampler), SamplingSettings(**chosen)))  # type: ignore[arg-type]


steering = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0.0, 0.3, 1.0, 2.0]),
        "top_k": st.integers(0, 4),
        "top_p": st.sampled_from([0.5, 0.9, 1.0]),
        "min_p": st.sampled_from([0.0, 0.1]),
    },
)
lengths = st.lists(st.one_of(st.integers(0, 30), st.just(0), st.just(1_030)), max_size=6)
quickly = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
@given(lengths=lengths, chosen=steering)
@quickly
def test_a_text_in_parts_is_the_text_in_one(
    model: str, nonlinearity: str, lengths: list[int], chosen: dict[str, object], tmp_path: Path
) -> None:
    sampler = a_sampler(model, nonlinearity)
    texts, place = in_parts(sampler, lengths, tmp_path, **chosen)
    assert list(map(len, texts)) == lengths
    text = whole(sampler, sum(lengths), **chosen)
    assert "".join(texts) == text
    assert (place.seed, place.number, place.drawn) == (5, 0, sum(lengths))
    assert place.tail == text[-1_000:]


@given(lengths=lengths, data=st.data())
@quickly
def test_a_stop_text_may_begin_in_one_part_and_end_in_another(
    lengths: list[int], data: st.DataObject, tmp_path: Path
) -> None:
    """What was written stays written; nothing of the rest of the stop text is."""
    sampler, total = a_sampler(), sum(lengths)
    drawn = whole(sampler, total)
    stops = [" no such text"]
    for _ in range(data.draw(st.integers(0, 3)) if total else 0):
        at = data.draw(st.integers(0, total - 1))
        stops.append(drawn[at : at + data.draw(st.integers(1, 9))])
    ends = [end for end in range(total + 1) if drawn[:end].endswith(tuple(stops))]
    wanted, begin = [], 0
    for length in lengths:
        following = begin + length
        if ends and begin < ends[0] <= following:
            end = ends[0]
            first = end - max(len(stop) for stop in stops if drawn[:end].endswith(stop))
            wanted.append(drawn[begin : max(begin, first)])
            break
        wanted.append(drawn[begin:following])
        begin = following
    texts, place = in_parts(sampler, lengths[: len(wanted)], tmp_path, stop=tuple(stops))
    assert texts == wanted
    if ends:
        assert place.drawn == ends[0]
        assert place.tail == "", "what comes next is another text"
        rest = sampler.go_on(place, SamplingSettings(length=total - ends[0]))
        assert "".join(rest) == drawn[ends[0] :]


def test_a_stop_text_that_was_written_before_it_was_asked_for_stops_nothing() -> None:
    sampler = a_sampler()
    text = whole(sampler, 60)
    first = sampler.go_on(begun(sampler), SamplingSettings(length=30))
    assert "".join(first) == text[:30]
    stop = text[20:28]
    assert stop not in text[23:]
    again = sampler.go_on(first.place(), SamplingSettings(length=30, stop=(stop,)))
    assert "".join(again) == text[30:]


def test_a_stop_text_longer_than_what_is_mostly_kept_is_found(tmp_path: Path) -> None:
    sampler = a_sampler()
    text = whole(sampler, 3_000)
    texts, _ = in_parts(sampler, [700, 700, 700, 900], tmp_path, stop=(text[500:2_500],))
    assert "".join(texts) == text[:2_100]


def test_a_text_that_is_left_while_it_is_drawn_goes_on_where_it_was() -> None:
    sampler = a_sampler()
    wanted = whole(sampler, 150)
    for at in range(100):
        text = sampler.go_on(begun(sampler), SamplingSettings(length=150))
        begin = "".join(itertools.islice(text, at))
        place = text.place()
        assert begin + "".join(text) == wanted, "to look where it stands changes nothing"
        rest = sampler.go_on(place, SamplingSettings(length=150 - at))
        assert begin + "".join(rest) == wanted


def test_what_watches_a_text_is_told_of_what_was_drawn_before_and_then_of_all_that_is() -> None:
    """And forbids what it likes."""

    class Watching:
        told: list[int] = []  # noqa: RUF012

        def read(self, character: int) -> None:
            self.told.append(character)

        def forbidden(self) -> Mask:
            return np.isin(np.arange(len(VOCABULARY)), [2, len(self.told) % 2])

    sampler, watching = a_sampler(), Watching()
    first = sampler.go_on(begun(sampler), SamplingSettings(length=40))
    text = "".join(first)
    text += "".join(sampler.go_on(first.place(), SamplingSettings(length=40), watching))
    assert sampler.vocabulary.decode(np.array(watching.told)) == text
    for at, character in enumerate(watching.told[40:], 40):
        assert character not in (2, at % 2)


def test_a_text_that_is_ended_gives_what_it_held_back() -> None:
    sampler = a_sampler()
    drawn = whole(sampler, 50)
    other = next(character for character in VOCABULARY.characters if character != drawn[21])
    stop = drawn[:21] + other
    text = sampler.go_on(begun(sampler), SamplingSettings(length=50, stop=(stop,)))
    held = []
    for piece in text:  # none comes before the stop text has turned out to be none
        held.append(piece)
        text.end()
    assert "".join(held) == drawn[:22]
    assert text.place().drawn == 22
    rest = sampler.go_on(text.place(), SamplingSettings(length=28))
    assert "".join(rest) == drawn[22:]


def test_a_prompt_is_read_on_top_of_a_state(tmp_path: Path) -> None:
    for model in "lstm", "gru":
        sampler = a_sampler(model)
        state = sampler.read_prompt(" ate", sampler.read_prompt("tea"))
        for ours, theirs in zip(state, sampler.read_prompt("tea ate"), strict=True):
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
        for ours, theirs in zip(sampler.read_prompt("", state), state, strict=True):
            np.testing.assert_array_equal(ours[0], theirs[0])


# What is in the file


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, ModelRecord]:
    """A place of a small lstm, and the model it belongs to."""
    sampler = a_sampler("lstm")
    text = sampler.go_on(begun(sampler, "tea"), SamplingSettings(length=12))
    "".join(text)
    write_bookmark(tmp_path / "here", text.place(), record_of(sampler), NAME)
    return tmp_path / "here", record_of(sampler)


def test_the_file_says_what_it_is(saved: tuple[Path, ModelRecord]) -> None:
    path, _ = saved
    found = metadata_of(path)
    assert set(found) == {"format", "sample", "digest"}
    assert len(found["sample"].pop("tail")) == 12
    assert found["sample"] == {
        "checkpoint": NAME,
        "checkpoint_digest": DIGEST,
        "seed": 5,
        "number": 0,
        "drawn": 12,
    }
    assert read_header(path).shapes == {
        f"state.{layer}.{part}": (6,) for layer in (0, 1) for part in (0, 1)
    }


def test_a_text_of_another_model_is_refused_naming_both(saved: tuple[Path, ModelRecord]) -> None:
    path, _ = saved
    other = record_of(a_sampler("lstm", seed=1), "2b" * 32)
    with pytest.raises(CheckpointError) as caught:
        read_bookmark(path, other, "macbeth/step-00000003.safetensors")
    for part in path, NAME, "1a1a1a1a", "macbeth/step-00000003", "2b2b2b2b":
        assert str(part) in caught.value.message
    assert caught.value.hint


def test_a_state_that_is_no_numbers_is_not_written(saved: tuple[Path, ModelRecord]) -> None:
    path, record = saved
    place = read_bookmark(path, record, NAME)
    for bad in np.nan, np.inf:
        place.state[1][1][3] = bad
        before = path.read_bytes()
        with pytest.raises(CheckpointError, match="no probabilities"):
            write_bookmark(path, place, record, NAME)
        assert path.read_bytes() == before


def test_a_full_disk_leaves_the_old_file(
    saved: tuple[Path, ModelRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, record = saved
    place, before = read_bookmark(path, record, NAME), path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(DiskFullError, match="here"):
        write_bookmark(path, place._replace(drawn=13), record, NAME)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["here"]


# What a stranger may have written


def refused(path: Path, data: bytes, record: ModelRecord) -> None:
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        read_bookmark(path, record, NAME)
    assert str(path) in caught.value.message
    assert "checkpoints" not in caught.value.hint


def test_any_other_byte_and_any_other_length_is_refused(saved: tuple[Path, ModelRecord]) -> None:
    path, record = saved
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytes([data[place] ^ (1 << place % 8)])
        refused(path, data[:place] + changed + data[place + 1 :], record)
        refused(path, data[:place], record)
    refused(path, data + b"\0", record)


def forgery(path: Path, record: ModelRecord) -> tuple[dict, dict]:
    """What makes the file at `path`, as `forged` takes it."""
    place = read_bookmark(path, record, NAME)
    tensors = {
        f"state.{layer}.{part}": ("F32", list(array.shape), array.tobytes())
        for layer, parts in enumerate(place.state)
        for part, array in enumerate(parts)
    }
    return metadata_of(path) | {"digest": "0" * 64}, tensors


def test_a_forgery_of_what_was_written_is_read(saved: tuple[Path, ModelRecord]) -> None:
    path, record = saved
    wanted = read_bookmark(path, record, NAME)
    forged(path, *forgery(path, record))
    found = read_bookmark(path, record, NAME)
    assert found[1:] == wanted[1:]
    np.testing.assert_array_equal(found.state[1][1], wanted.state[1][1])


STRAY = [each for each in ODD if not isinstance(each, Raw)]


@pytest.mark.parametrize("field", ["seed", "number", "drawn", "tail", "checkpoint", "sample"])
def test_a_field_that_is_not_what_belongs_there_is_refused(
    field: str, saved: tuple[Path, ModelRecord]
) -> None:
    path, record = saved
    metadata, tensors = forgery(path, record)
    for value in [*STRAY, None]:
        fits = isinstance(value, str) if field == "checkpoint" else False
        if field in ("seed", "number", "drawn"):
            fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
        if field == "tail":
            fits = isinstance(value, str) and set(value) <= set(VOCABULARY.characters)
        if fits and not (isinstance(value, str) and len(value) > 400):
            continue
        changed = json.loads(json.dumps(metadata))
        if field == "sample":
            changed["sample"] = value
        else:
            changed["sample"][field] = value
        forged(path, changed, tensors)
        refused(path, path.read_bytes(), record)
    if field == "sample":
        del metadata["sample"]
    else:
        del metadata["sample"][field]
    forged(path, metadata, tensors)
    refused(path, path.read_bytes(), record)


def test_tensors_that_are_not_the_state_are_refused(saved: tuple[Path, ModelRecord]) -> None:
    path, record = saved
    metadata, tensors = forgery(path, record)
    one = np.zeros(6, np.float32)
    for changes in (
        {"state.0.0": None},
        {"state.2.0": ("F32", [6], one.tobytes())},
        {"weight": ("F32", [6], one.tobytes())},
        {"state.0.0": ("F32", [1, 6], one.tobytes())},
        {"state.0.0": ("F32", [5], one[:5].tobytes())},
        {"state.0.0": ("F32", [0], b"")},
        {"state.0.0": ("F64", [6], one.astype(np.float64).tobytes())},
        {"state.0.0": ("I32", [6], one.tobytes())},
        {"state.1.1": ("F32", [6], np.full(6, np.nan, np.float32).tobytes())},
        {"state.1.1": ("F32", [6], np.full(6, -np.inf, np.float32).tobytes())},
    ):
        changed = {n: t for n, t in (tensors | changes).items() if t is not None}
        forged(path, metadata, changed)
        refused(path, path.read_bytes(), record)


def test_what_is_no_state_at_all_is_refused(saved: tuple[Path, ModelRecord]) -> None:
    path, record = saved
    for data in b"", b"To be, or not to be", b"\x80\x04cos\nmkdir\n(Vowned\ntR.":
        refused(path, data, record)
    model, _ = write_a_checkpoint(path.parent, ModelSettings("lstm", "tanh", 5, 6, 2))
    for other in model, resume_path(model), path.parent, path.parent / "none":
        with pytest.raises(CheckpointError, match=other.name):
            read_bookmark(other, record, NAME)
    os.mkfifo(path.with_name("pipe"))
    with pytest.raises(CheckpointError, match="pipe"):
        read_bookmark(path.with_name("pipe"), record, NAME)


def test_a_state_is_no_checkpoint_and_says_what_it_is(saved: tuple[Path, ModelRecord]) -> None:
    path, _ = saved
    with pytest.raises(FormatError, match="state of a sample") as caught:
        read_checkpoint(path)
    assert "--load-state" in caught.value.hint


@settings(
    deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(choices=st.data())
def test_a_changed_structure_is_refused_or_can_be_gone_on_from(
    choices: st.DataObject, saved: tuple[Path, ModelRecord]
) -> None:
    path, record = saved
    changed = mutated(path.read_bytes(), lambda below: choices.draw(st.integers(0, below - 1)))
    (path.parent / "changed").write_bytes(changed)
    try:
        place = read_bookmark(path.parent / "changed", record, NAME)
    except CheckpointError as error:
        assert "changed" in error.message
        assert len(error.message) < 1_000
    else:
        text = "".join(a_sampler("lstm").go_on(place, SamplingSettings(length=3, stop=("Z",))))
        assert set(text) <= set(VOCABULARY.characters)
