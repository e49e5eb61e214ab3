"""The files: what is written is read back, and nothing else is believed."""

import base64
import hashlib
import json
import pickle
import struct
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from charrnn.checkpoints import (
    ModelRecord,
    expected_shapes,
    model_path,
    read_checkpoint,
    read_record,
    read_resume,
    resume_path,
    write_checkpoint,
)
from charrnn.errors import CheckpointError, DamagedError, FormatError
from charrnn.header import FORMAT
from charrnn.reading import Reading
from charrnn.settings import MODELS, ModelSettings
from charrnn.tokenizer import Vocabulary

TINY = ModelSettings("rnn", "tanh", embedding_size=1, hidden_size=1, layers=1)
VOCABULARY = Vocabulary('e \n"\\é“字😀', Reading(newlines="keep"))
SPLIT = {"file": None, "start": 0, "end": 9, "sha256": "6" * 64}
CORPUS = {
    "sha256": "5" * 64,
    "characters": 9,
    "files": [{"name": "a.txt", "bytes": 12, "sha256": "7" * 64}],
    "splits": {"train": SPLIT, "val": SPLIT, "test": SPLIT},
}
STATE = {"reported": [1.5, 2], "seconds": 0.1}


def a_record(settings=TINY, **changes):
    record = ModelRecord(
        settings,
        VOCABULARY,
        step=1_200,
        scores={"val": {"nats_per_char": 1.4375, "accuracy": 0.5}},
        corpus=CORPUS,
        resume_digest="",
    )
    return replace(record, **changes)


def some_weights(settings=TINY, vocabulary=VOCABULARY):
    random = np.random.default_rng(0)
    return {
        name: random.normal(size=shape).astype(np.float32)
        for name, shape in expected_shapes(settings, len(vocabulary)).items()
    }


RESUME = {"carried.0.0": np.array([[0.25, -0.5]], dtype=np.float32)}


def written(directory: Path, settings=TINY) -> tuple[Path, ModelRecord]:
    path = model_path(directory, 1_200)
    return path, write_checkpoint(path, a_record(settings), some_weights(settings), RESUME, STATE)


def header_of(data: bytes) -> bytes:
    return data[8 : 8 + int.from_bytes(data[:8], "little")]


def metadata_of(path: Path) -> dict:
    return json.loads(json.loads(header_of(path.read_bytes()))["__metadata__"]["charrnn"])


def forged(path: Path, metadata: object, tensors: dict | None = None, *, text: str | None = None):
    """Write a file whose digest is right, whatever it says: made by hand from section 4."""
    body, entries = b"", {}
    for name, (kind, shape, data) in (tensors or {}).items():
        entries[name] = {
            "dtype": kind,
            "shape": shape,
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(metadata, separators=(",", ":")) if text is None else text
    header = json.dumps({"__metadata__": {"charrnn": text}} | entries).encode()
    data = struct.pack("<Q", len(header)) + header + body
    zeros = b"0" * 64
    path.write_bytes(data.replace(zeros, hashlib.sha256(data).hexdigest().encode()))
    return path


def as_tensors(weights):
    return {name: ("F32", list(w.shape), w.tobytes()) for name, w in weights.items()}


# Round trips


@pytest.mark.parametrize("model", MODELS)
def test_what_is_written_is_read_back(model, tmp_path):
    settings = ModelSettings(model, "tanh", 3, 4, 2)
    path, record = written(tmp_path, settings)
    assert record == a_record(settings, resume_digest=record.resume_digest, digest=record.digest)
    assert read_record(path) == record
    again, weights = read_checkpoint(path)
    assert again == record
    wanted = some_weights(settings)
    assert set(weights) == set(wanted)
    for name, array in weights.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, wanted[name])
    tensors, state = read_resume(path, record)
    assert state == STATE
    np.testing.assert_array_equal(tensors["carried.0.0"], RESUME["carried.0.0"])


@pytest.mark.parametrize("model", MODELS)
def test_a_cell_that_torch_nn_lacks_has_one_bias_a_gate(model):
    shapes = expected_shapes(ModelSettings(model, "tanh", 3, 4, 2), 9)
    biases = {name: shape for name, shape in shapes.items() if ".bias_" in name}
    rows = {"rnn": 4, "lstm": 16, "product": 8}.get(model, 12)
    one, two = ("hh",), ("ih", "hh")
    by_layer = {"rnn": (two, two), "lstm": (two, two), "gru": (two, two), "gru-qrnn": (two, one)}
    kinds = by_layer.get(model, (one, one))
    wanted = {f"recurrent.bias_{k}_l{n}": (rows,) for n in range(2) for k in kinds[n]}
    assert biases == wanted


def test_a_layer_of_quasi_recurrent_cells_has_no_w_hh():
    shapes = expected_shapes(ModelSettings("gru-qrnn", "tanh", 3, 4, 3), 9)
    assert [name for name in shapes if "weight_hh" in name] == ["recurrent.weight_hh_l0"]
    assert shapes["recurrent.weight_ih_l2"] == (12, 4)


def test_the_names_of_the_two_files(tmp_path):
    assert model_path(tmp_path, 1_200) == tmp_path / "step-00001200.safetensors"
    assert resume_path(tmp_path / "step-00001200.safetensors") == (
        tmp_path / "step-00001200.resume.safetensors"
    )
    path, _ = written(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {path.name, resume_path(path).name}


def test_arrays_in_any_memory_order_are_written_as_they_are(tmp_path):
    weights = some_weights(ModelSettings("gru", "tanh", 3, 4, 2))
    turned = {name: np.asfortranarray(array) for name, array in weights.items()}
    settings = ModelSettings("gru", "tanh", 3, 4, 2)
    write_checkpoint(tmp_path / "a.safetensors", a_record(settings), turned, RESUME, STATE)
    for name, array in read_checkpoint(tmp_path / "a.safetensors").weights.items():
        np.testing.assert_array_equal(array, weights[name])


def test_the_same_checkpoint_is_the_same_bytes(tmp_path):
    first, _ = written(tmp_path)
    (tmp_path / "again").mkdir()
    second, _ = written(tmp_path / "again")
    assert first.read_bytes() == second.read_bytes()
    assert resume_path(first).read_bytes() == resume_path(second).read_bytes()


def test_the_safetensors_library_opens_it_and_its_metadata_is_ascii(tmp_path):
    path, _ = written(tmp_path)
    for file, names in (path, set(some_weights())), (resume_path(path), set(RESUME)):
        with safe_open(file, framework="numpy") as opened:
            assert set(opened.keys()) == names
            assert list(opened.metadata()) == ["charrnn"]
            assert opened.metadata()["charrnn"].isascii()
        assert header_of(file.read_bytes()).isascii()
    np.testing.assert_array_equal(
        load_file(path)["embedding.weight"], some_weights()["embedding.weight"]
    )


def test_the_header_has_these_keys_and_no_others(tmp_path):
    """Files of format 1 have to be read for years: a change here is a new format."""
    path, record = written(tmp_path)
    header = metadata_of(path)
    assert set(header) == {
        *("format", "model", "vocabulary", "step", "scores", "corpus", "resume_digest", "digest")
    }
    assert header["format"] == FORMAT == 3
    assert header["step"] == 1_200
    assert header["model"] == {
        "model": "rnn",
        "nonlinearity": "tanh",
        "embedding_size": 1,
        "hidden_size": 1,
        "layers": 1,
    }
    assert header["vocabulary"] == {
        "characters": 'e \n"\\é“字😀',
        "encoding": "utf-8",
        "normalization": "none",
        "newlines": "keep",
        "lowercase": False,
        "unknown": False,
    }
    assert header["scores"] == record.scores
    assert header["corpus"] == CORPUS
    resume = metadata_of(resume_path(path))
    assert set(resume) == {"format", "resume", "digest"}
    assert header["resume_digest"] == resume["digest"] == record.resume_digest


def test_the_digest_is_that_of_the_bytes_with_its_digits_zeroed(tmp_path):
    path, record = written(tmp_path)
    for file, digest in (path, record.digest), (resume_path(path), record.resume_digest):
        data = file.read_bytes()
        assert data.count(digest.encode()) == 1
        zeroed = data.replace(digest.encode(), b"0" * 64)
        assert hashlib.sha256(zeroed).hexdigest() == digest


def test_a_file_made_by_the_documented_rules_is_read(tmp_path):
    header = metadata_of(written(tmp_path)[0]) | {"digest": "0" * 64}
    path = forged(tmp_path / "by-hand.safetensors", header, as_tensors(some_weights()))
    record, weights = read_checkpoint(path)
    assert record.step == 1_200
    np.testing.assert_array_equal(weights["output.bias"], some_weights()["output.bias"])


def test_the_file_holds_the_vocabulary_whole(tmp_path):
    every = Vocabulary("".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000)])))  # 67,584
    path = tmp_path / "wide.safetensors"
    write_checkpoint(
        path, a_record(vocabulary=every), some_weights(vocabulary=every), RESUME, STATE
    )
    assert read_checkpoint(path).record.vocabulary == every


def test_a_header_is_read_without_the_weights(tmp_path):
    """What stands after the header is neither read nor verified; that it is there is."""
    path, record = written(tmp_path)
    data = path.read_bytes()
    header = 8 + len(header_of(data))
    path.write_bytes(data[:header] + bytes(len(data) - header))
    assert read_record(path) == record
    with pytest.raises(DamagedError):
        read_checkpoint(path)
    path.write_bytes(data[:header])
    with pytest.raises(DamagedError, match="missing at its end"):
        read_record(path)


def test_a_header_of_any_length_is_read(tmp_path):
    """Its length's bytes, with which the file begins, must not be taken for another format."""
    lengths = set()
    for padding in range(0, 2_100, 8):
        path = tmp_path / "padded.safetensors"
        record = a_record(corpus=CORPUS | {"padding": "x" * padding})
        write_checkpoint(path, record, some_weights(), RESUME, STATE)
        lengths.add(path.read_bytes()[0])
        assert read_record(path).corpus == record.corpus
        assert read_checkpoint(path).record.corpus == record.corpus
    assert lengths == set(range(0, 256, 8))  # headers are padded to whole words


def test_a_record_without_a_validation_score_is_the_worst(tmp_path):
    assert a_record(scores={"train": {"nats_per_char": 1.0}}).nats_per_char == float("inf")
    assert a_record().nats_per_char == 1.4375
    assert a_record().parameters == TINY.parameters(len(VOCABULARY))


# Damage


def test_a_flip_among_the_weights_is_damage(tmp_path):
    path, _ = written(tmp_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError) as caught:
        read_checkpoint(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_resume_file_of_another_checkpoint_is_refused(tmp_path):
    path, record = written(tmp_path)
    other = tmp_path / "other.safetensors"
    write_checkpoint(other, a_record(), some_weights(), RESUME, STATE | {"seconds": 9.0})
    resume_path(path).write_bytes(resume_path(other).read_bytes())
    with pytest.raises(DamagedError, match="does not belong to step-00001200"):
        read_resume(path, record)
    resume_path(path).unlink()
    with pytest.raises(CheckpointError, match="no such file"):
        read_resume(path, record)


# Other files


BOTH_READERS = pytest.mark.parametrize("reader", [read_record, read_checkpoint])


@BOTH_READERS
def test_a_missing_file_and_a_directory_say_what_they_are(reader, tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        reader(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="directory"):
        reader(tmp_path)


@BOTH_READERS
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_never_opened(reader, protocol, tmp_path):
    path, fired = tmp_path / "model.pt", tmp_path / "fired"
    path.write_bytes(pickle.dumps(_Bomb(str(fired)), protocol))
    with pytest.raises(FormatError, match="pickle"):
        reader(path)
    assert not fired.exists()


@BOTH_READERS
def test_a_zipped_pickle_of_torch_is_told(reader, tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"PK\x03\x04" + bytes(500))
    with pytest.raises(FormatError, match="pickle"):
        reader(path)


class _Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@BOTH_READERS
def test_a_resume_file_is_told_and_its_model_named(reader, tmp_path):
    path, _ = written(tmp_path)
    with pytest.raises(FormatError, match="resume file") as caught:
        reader(resume_path(path))
    assert path.name in caught.value.hint


@BOTH_READERS
def test_a_newer_format_is_told(reader, tmp_path):
    header = metadata_of(written(tmp_path)[0]) | {"format": 9, "digest": "0" * 64, "new": [1]}
    path = forged(tmp_path / "newer.safetensors", header, as_tensors(some_weights()))
    with pytest.raises(FormatError, match="format 9") as caught:
        reader(path)
    assert "newer charrnn" in caught.value.hint


@BOTH_READERS
@pytest.mark.parametrize(
    "data",
    [b"", b"short", b"a text and not a checkpoint\n" * 40, b"\x89PNG" + bytes(99), b"\xff" * 400],
)
def test_what_is_no_safetensors_file_is_refused(reader, data, tmp_path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError):
        reader(path)


@BOTH_READERS
def test_the_safetensors_file_of_another_program_is_refused(reader, tmp_path):
    path = tmp_path / "other.safetensors"
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(FormatError, match="not a checkpoint of charrnn's"):
        reader(path)


# Weights that are not those of the header


def changed(name, change):
    weights = as_tensors(some_weights())
    kind, shape, data = weights[name]
    return weights | {name: change(kind, shape, data)}


WRONG_WEIGHTS = {
    "missing": {n: t for n, t in as_tensors(some_weights()).items() if n != "output.bias"},
    "one more": as_tensors(some_weights()) | {"extra": ("F32", [1], bytes(4))},
    "renamed": {n.replace("l0", "l1"): t for n, t in as_tensors(some_weights()).items()},
    "too short": changed("output.bias", lambda k, s, d: (k, [len(d) // 4 - 1], d[4:])),
    "turned": changed("output.weight", lambda k, s, d: (k, s[::-1], d)),
    "flat": changed("output.weight", lambda k, s, d: (k, [len(d) // 4], d)),
    "float16": changed("output.bias", lambda k, s, d: ("F16", s, d[::2])),
    "float64": changed("output.bias", lambda k, s, d: ("F64", s, d * 2)),
    "integers": changed("output.bias", lambda k, s, d: ("I32", s, d)),
    "bfloat16": changed("output.bias", lambda k, s, d: ("BF16", s, d[::2])),
    "float8": changed("output.bias", lambda k, s, d: ("F8_E4M3", s, d[::4])),
    "no such type": changed("output.bias", lambda k, s, d: ("F33", s, d)),
    "negative": changed("output.bias", lambda k, s, d: (k, [-9], d)),
    "overflowing": changed("output.bias", lambda k, s, d: (k, [2**62, 2**62], d)),
    "none": {},
}


@pytest.mark.parametrize("which", WRONG_WEIGHTS)
def test_weights_that_are_not_the_header_s_are_refused(which, tmp_path):
    header = metadata_of(written(tmp_path)[0]) | {"digest": "0" * 64}
    path = forged(tmp_path / "wrong.safetensors", header, WRONG_WEIGHTS[which])
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert isinstance(caught.value, FormatError | DamagedError)


# Hostile headers


def hostile(**changes):
    """A whole header but for these fields; None leaves a field out."""
    base = {
        "format": 1,
        "model": {
            "model": "rnn",
            "nonlinearity": "tanh",
            "embedding_size": 1,
            "hidden_size": 1,
            "layers": 1,
        },
        "vocabulary": VOCABULARY.to_json(),
        "step": 1,
        "scores": {},
        "corpus": CORPUS,
        "resume_digest": "1" * 64,
        "digest": "0" * 64,
    }
    return {k: v for k, v in (base | changes).items() if v is not None}


def model_with(**changes):
    return hostile(model=hostile()["model"] | changes)


def vocabulary_with(**changes):
    return hostile(vocabulary=VOCABULARY.to_json() | changes)


HOSTILE = {
    "no format": hostile(format=None),
    "format as text": hostile(format="1"),
    "format as list": hostile(format=[1]),
    "format zero": hostile(format=0),
    "format true": hostile(format=True),
    "format of the future": hostile(format=10**30),
    "no digest": hostile(digest=None),
    "digest a number": hostile(digest=5),
    "digest of half characters": hostile(digest="\ud800" * 64),
    "digest of wide characters": hostile(digest="é" * 64),
    "no model": hostile(model=None),
    "model a text": hostile(model="gru"),
    "model a list": hostile(model=[1, 2]),
    "model unknown": model_with(model="transformer"),
    "model's name a list": model_with(model=["rnn"]),
    "one setting more": model_with(heads=8),
    "hidden size huge": model_with(hidden_size=2**62),
    "hidden size beyond machine integers": model_with(hidden_size=10**100),
    "hidden size zero": model_with(hidden_size=0),
    "hidden size negative": model_with(hidden_size=-1),
    "hidden size a fraction": model_with(hidden_size=1.0),
    "hidden size true": model_with(hidden_size=True),
    "hidden size null": hostile(model={"hidden_size": None}),
    "layers huge": model_with(layers=10**9),
    "embedding huge": model_with(embedding_size=10**12),
    "no vocabulary": hostile(vocabulary=None),
    "vocabulary a text": hostile(vocabulary="abc"),
    "vocabulary empty": vocabulary_with(characters=""),
    "vocabulary twice the same": vocabulary_with(characters="aa"),
    "vocabulary of half characters": vocabulary_with(characters="a\ud800"),
    "vocabulary a list": vocabulary_with(characters=["a", "b"]),
    "vocabulary with more": vocabulary_with(more=1),
    "no step": hostile(step=None),
    "step a text": hostile(step="soon"),
    "step a list": hostile(step=[1]),
    "step infinite": hostile(step=float("inf")),
    "step not a number": hostile(step=float("nan")),
    "step negative": hostile(step=-1),
    "step a fraction": hostile(step=1.5),
    "no scores": hostile(scores=None),
    "scores a list": hostile(scores=[1]),
    "scores flat": hostile(scores={"val": 1.0}),
    "score a text": hostile(scores={"val": {"nats_per_char": "good"}}),
    "score a list": hostile(scores={"val": {"nats_per_char": [1]}}),
    "score beyond floats": hostile(scores={"val": {"nats_per_char": 10**400}}),
    "score true": hostile(scores={"val": {"nats_per_char": True}}),
    "score without a name": hostile(scores={"val": {"": 1.0}}),
    "score with an escape for a name": hostile(scores={"val": {"\x1b[2J": 1.0}}),
    "score with a long name": hostile(scores={"val" * 30: {"nats_per_char": 1.0}}),
    "a file's name of half characters": hostile(
        corpus=CORPUS | {"files": [{"name": "\ud800", "bytes": 1, "sha256": "6"}]}
    ),
    "files an object": hostile(corpus=CORPUS | {"files": {}}),
    "bytes beyond machine integers": hostile(corpus=CORPUS | {"characters": 2**63}),
    "a long text for a model": model_with(model="x" * 100_000),
    "a long text for a step": hostile(step="x" * 100_000),
    "vocabulary of another encoding": vocabulary_with(encoding="zlib-codec"),
    "vocabulary of another normal form": vocabulary_with(normalization="NFC"),
    "vocabulary of other line ends": vocabulary_with(newlines="\n"),
    "no corpus": hostile(corpus=None),
    "corpus empty": hostile(corpus={}),
    "corpus without splits": hostile(corpus=CORPUS | {"splits": {}}),
    "a split's bounds texts": hostile(
        corpus=CORPUS | {"splits": dict.fromkeys(("train", "val", "test"), SPLIT | {"end": "z"})}
    ),
    "corpus a number": hostile(corpus=3),
    "a separator that is no text": hostile(corpus=CORPUS | {"separator": 3}),
    "a separator of half characters": hostile(corpus=CORPUS | {"separator": "\ud800"}),
    "corpus a text": hostile(corpus="x.txt"),
    "no resume digest": hostile(resume_digest=None),
    "a list": [1, 2, 3],
    "a number": 7,
    "nothing": None,
}


@BOTH_READERS
@pytest.mark.parametrize("which", HOSTILE)
def test_a_hostile_header_is_refused_and_costs_no_memory(reader, which, tmp_path):
    path = forged(tmp_path / "hostile.safetensors", HOSTILE[which], as_tensors(some_weights()))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            reader(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert isinstance(caught.value, FormatError | DamagedError)
    assert str(path) in caught.value.message
    assert len(caught.value.message) < 1_000
    assert "\n" not in caught.value.message


def test_the_header_that_hostile_ones_differ_from_is_read(tmp_path):
    path = forged(tmp_path / "fine.safetensors", hostile(), as_tensors(some_weights()))
    assert read_checkpoint(path).record.step == 1


DEEP = {
    "deep lists": "[" * 200_000,
    "deep and closed": "[" * 200_000 + "]" * 200_000,
    "deep objects": '{"a":' * 100_000,
    "a long number": '{"format": ' + "9" * 10_000 + "}",
    "not JSON": "{'format': 1}",
    "empty": "",
    "half a character": '"\\ud800"',
}


@BOTH_READERS
@pytest.mark.parametrize("which", DEEP)
def test_metadata_that_is_hard_to_parse_is_refused(reader, which, tmp_path):
    with pytest.raises(FormatError):
        reader(forged(tmp_path / "deep.safetensors", None, text=DEEP[which]))


OUTER = {
    "deep": b"[" * 200_000,
    "a list": b"[]",
    "no metadata": b"{}",
    "metadata a list": b'{"__metadata__": []}',
    "metadata without our key": b'{"__metadata__": {"format": "pt"}}',
    "our key a number": b'{"__metadata__": {"charrnn": 1}}',
    "our key an object": b'{"__metadata__": {"charrnn": {"format": 1}}}',
    "not UTF-8": b'{"__metadata__": {"charrnn": "\xff"}}',
    "nothing": b"",
}


@BOTH_READERS
@pytest.mark.parametrize("which", OUTER)
def test_a_hostile_safetensors_header_is_refused(reader, which, tmp_path):
    path = tmp_path / "outer.safetensors"
    path.write_bytes(struct.pack("<Q", len(OUTER[which])) + OUTER[which])
    with pytest.raises(FormatError):
        reader(path)


@BOTH_READERS
@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40, 2**31, 100_000_000, 1_000_000])
def test_a_huge_header_length_costs_no_memory(reader, length, tmp_path):
    path = tmp_path / "huge.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b'{"__metadata__": {}}')
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            reader(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_digest_that_stands_in_two_places_is_refused(tmp_path):
    """Which of the two were the digits that had been zeroed?"""
    header = hostile(corpus=CORPUS | {"digest": "0" * 64})
    path = forged(tmp_path / "twice.safetensors", header, as_tensors(some_weights()))
    with pytest.raises(DamagedError):
        read_checkpoint(path)


# A file of format 1, as it was first written


GOLDEN_MODEL = (
    "c-qC3zi-qq6vvS&fhcPSHfR_S5Kgx9yVc!IRDywtPE8dY+v!EkB}d}4T&oH(bYOvz4b%lOu`n@kDSrS<rLw|=pknHP"
    "=m5fYPP7#TL_5@q<R9<l^S<x-$McgXR9n`9pvyR>nBySOCYCkQ!Fish+Jv_3Yf+YWG556zsQX$sqbw2Q<=vsL30Gee"
    "#xzTlIAu7Gd0!bgPCLrNx*?-9PUnImUSdO5C#IC8dsh<NXL%tfD`K{g5ge8Y&ii#hsR|QbdkE%v-%owt*L>AV0GKB_"
    "1RxQe6<UtysB2K!F#u{IDaoV`MJRc6)g3AqIVSNE=5dxPo5+RLCblS(s$<SG*7G$fuHbSs0TBRlMzUPF2$>6bSfCX1"
    "BIvO^kiw;J!!#UAcw<6Jk%>$TG^`bg6aV+hA)x4BWZ5d7b;PDJ*jG1CEJSgl#Lg&@U8X|e2EWUdf7s{B43WN1jB~^$"
    "3O6f>y(H$tRC$i$v>r-PVw9FiqRNYNdFFuHGddK$M~r>MR`24ky*ifYqRjlb!mCp!&TQFb0gdNsB|->7rWG2PU?U{N"
    "M8t@q&^EDyL5K*nJqtR9LnG)KVQ4xw2???=1=w*sGlG#iKzn#DLq_Pij!Pl)0Cg?P6d%MEj$DEA986t`NC=?ixe>(-"
    "M-*8wqNZn2VuV7eDAn%!(O6{hT!+g?it>Jsi6?5xK$<SABWE+74rg^uJ!M%G6^s{R5$J|JD==BfdnIp#F)sc>`2Byw"
    ")*ZA5a3~QD(jjmqC1>LP=Pa$21f5QhfIq_yKnacxAv%B+|36Dya|rGItUAGeD$@_-*}8ZY59Gy%;UOS+=IqK!Qk`hs"
    "n>saky?vqme)C;(ZTxigU3=B)e}2~fSmf;=7tPAJak(1bdD+^yKG$A-u-^PO-Kx;n`D%1#Yp}V5TURFUS6@bN4@Q=r"
    "Rv*gA>d~z;)!FT}LG#T<YwXTy`|*>J!PKW0?VE4M*3)a3np+RgRnt3b)lV?ZI;s"
)
GOLDEN_RESUME = (
    "c-ke8OK!t33`Bhvt_4FsTZtE0_7ZVmP?XeUVLOo2MPLZX&3dICp;F5gXD}q*{B-|wz_P49qr;5L0@DF>#~8N_COBpY"
    "dt5QkFbOt8^yzE$RUB=9?lF5;)m8KZleZd3p7zb9>hWHbYPiRzPwl*Zl2Q*=A)&HFT9OLEjv5VeD@ly!K^SFR5GQ4="
    "HX~V*13HezoOKXkh605FRk(+DJ@0vgb@}!574<_&V36+E)KxSb_^Y&skbF+n<m_}SrR(08TKoGKO?6EE"
)


def test_files_of_format_1_are_read_for_years(tmp_path):
    """These bytes are never written anew: a change of the format adds others."""
    path = model_path(tmp_path, 1_200)
    path.write_bytes(zlib.decompress(base64.b85decode(GOLDEN_MODEL)))
    resume_path(path).write_bytes(zlib.decompress(base64.b85decode(GOLDEN_RESUME)))
    record, weights = read_checkpoint(path)
    assert record == a_record(resume_digest=record.resume_digest, digest=record.digest)
    assert read_record(path) == record
    assert {name: array.shape for name, array in weights.items()} == {
        "embedding.weight": (9, 1),
        "recurrent.weight_ih_l0": (1, 1),
        "recurrent.weight_hh_l0": (1, 1),
        "recurrent.bias_ih_l0": (1,),
        "recurrent.bias_hh_l0": (1,),
        "output.weight": (9, 1),
        "output.bias": (9,),
    }
    assert float(weights["recurrent.weight_hh_l0"][0, 0]) == -0.6232744455337524
    assert float(weights["output.bias"][8]) == -1.0096181631088257
    tensors, state = read_resume(path, record)
    np.testing.assert_array_equal(tensors["carried.0.0"], [[0.25, -0.5]])
    assert state == {"reported": [1.5, 2], "seconds": 0.1}
