"""The checkpoint files: written whole, verified before they are believed.

A checkpoint is two safetensors files. `step-00001200.safetensors` is a whole model:
float32 weights under torch.nn's names and, in the header, one metadata key `charrnn`
holding ASCII JSON. `step-00001200.resume.safetensors` is the rest of what training
needs to go on. The resume file is written first and the model file, which names the
resume file's digest, commits both. Nothing is ever unpickled.

Each file's digest is the SHA-256 of its bytes with the digest's own 64 digits zeroed; the
JSON is compact, so that they follow `\\"digest\\":\\"` in the header, once.
"""

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.errors import CheckpointError, DamagedError, FormatError, UsageError
from charrnn.files import failures_named, sha256, write_file
from charrnn.settings import GATES, ModelSettings, from_json, to_json
from charrnn.tokenizer import Vocabulary

FORMAT = 1
"""The format version this program writes; it reads this one and all before it."""

RESUME_SUFFIX = ".resume.safetensors"

Tensors = Mapping[str, NDArray[Any]]

_LARGEST_HEADER = 16 * 2**20
_ZEROS = "0" * 64


@dataclass(frozen=True)
class ModelRecord:
    """What a model file's header says."""

    settings: ModelSettings
    vocabulary: Vocabulary
    step: int
    scores: dict[str, dict[str, float]]
    """by split, what evaluation found at this step (nats_per_char, ...)"""
    corpus: dict[str, Any]
    """what proves which text it was trained on: see Corpus.record"""
    resume_digest: str
    """the digest of the resume file written with it"""
    digest: str = ""
    """this file's own digest; known once it is written"""

    @property
    def parameters(self) -> int:
        """How many numbers the model learned."""
        return self.settings.parameters(len(self.vocabulary))

    @property
    def nats_per_char(self) -> float:
        """The validation score, or infinity where there is none."""
        return self.scores.get("val", {}).get("nats_per_char", float("inf"))


class Checkpoint(NamedTuple):
    """A model file, read and verified."""

    record: ModelRecord
    weights: dict[str, NDArray[np.float32]]


def model_path(run: Path, step: int) -> Path:
    """Where a run's model file of a step is."""
    return run / f"step-{step:08d}.safetensors"


def resume_path(model_file: Path) -> Path:
    """The resume file that belongs to a model file."""
    return model_file.with_name(model_file.name.removesuffix(".safetensors") + RESUME_SUFFIX)


def _earlier_path(model_file: Path) -> Path:
    return resume_path(model_file).with_suffix(".earlier")


def resume_files(model_file: Path) -> list[Path]:
    """What there is beside a model file for going on from it."""
    return [p for p in (_earlier_path(model_file), resume_path(model_file)) if p.exists()]


def _are_one(model_file: Path, resume_file: Path) -> bool:
    """Whether both are there and the model file names the resume file, by their headers."""
    try:
        wanted = _read_metadata(model_file)["resume_digest"]
        return bool(_read_metadata(resume_file)["digest"] == wanted)
    except (CheckpointError, KeyError):
        return False


def write_checkpoint(
    model_file: Path, record: ModelRecord, weights: Tensors, resume: Tensors, state: dict[str, Any]
) -> ModelRecord:
    """Write both files of a checkpoint, the resume file first.

    `state` is what the resume file's header keeps: numbers that are no tensors.
    Returns the record with its digests. Raises DiskFullError or RunError.
    """
    resume_bytes, resume_digest = _serialise(resume, {"format": FORMAT, "resume": state})
    earlier = _earlier_path(model_file)
    if _are_one(model_file, resume_path(model_file)):
        # A step saved anew: until the new model file is there, the old one needs its own.
        with failures_named(earlier):
            os.replace(resume_path(model_file), earlier)
    write_file(resume_path(model_file), resume_bytes)
    header = {
        "format": FORMAT,
        "model": to_json(record.settings),
        "vocabulary": record.vocabulary.to_json(),
        "step": record.step,
        "scores": record.scores,
        "corpus": record.corpus,
        "resume_digest": resume_digest,
    }
    model_bytes, digest = _serialise(weights, header)
    write_file(model_file, model_bytes)
    earlier.unlink(missing_ok=True)
    return replace(record, resume_digest=resume_digest, digest=digest)


def read_record(path: Path) -> ModelRecord:
    """A model file's header alone; the weights are neither read nor verified.

    Raises FormatError, DamagedError or CheckpointError.
    """
    return _record(path, _read_metadata(path))


def read_checkpoint(path: Path) -> Checkpoint:
    """A model file, verified against its digest and parsed from the same bytes.

    Raises FormatError, DamagedError or CheckpointError.
    """
    with _opened(path) as stream:
        data = stream.read()
    metadata = _verified(path, data)
    record = _record(path, metadata)
    return Checkpoint(record, _expected(path, _tensors(path, data), record))


def read_resume(model_file: Path, record: ModelRecord) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and the state that the resume file of a model file holds.

    Raises DamagedError where it is not the file that was written with the model.
    """
    for path in resume_files(model_file) or [resume_path(model_file)]:
        with _opened(path) as stream:
            data = stream.read()
        metadata = _verified(path, data)
        if metadata["digest"] == record.resume_digest:
            return _tensors(path, data), metadata["resume"]
    raise DamagedError(f"{path}: does not belong to {model_file.name}", _OTHER_CHECKPOINT)


_OTHER_CHECKPOINT = "charrnn checkpoints verify finds the checkpoints that are whole"


def _serialise(tensors: Tensors, header: dict[str, Any]) -> tuple[bytes, str]:
    """The bytes of a safetensors file and its digest."""
    from safetensors.numpy import save

    text = json.dumps(header | {"digest": _ZEROS}, ensure_ascii=True, separators=(",", ":"))
    data = save({n: np.ascontiguousarray(t) for n, t in tensors.items()}, {"charrnn": text})
    digest = sha256(data)
    start = _digest_at(data[: 8 + int.from_bytes(data[:8], "little")], _ZEROS)
    assert start is not None
    return b"".join((data[:start], digest.encode(), data[start + 64 :])), digest


def _digest_at(head: bytes, digest: str) -> int | None:
    """Where the digest's digits stand in a header: the JSON in it is a JSON string."""
    key = rb"\"digest\":\""
    places = [match.end() for match in re.finditer(re.escape(key + digest.encode()), head)]
    return places[0] - 64 if len(places) == 1 else None


def _opened(path: Path) -> Any:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise CheckpointError(
            f"{path}: no such file", "charrnn checkpoints list shows what there is"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}", "check the path") from None


def _header_length(path: Path, head: bytes, size: int) -> int:
    """The length of a safetensors header, or the error that says what the file is."""
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length > _LARGEST_HEADER:
        if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
            raise FormatError(
                f"{path}: is a pickle, which could run a program; charrnn never opens one",
                "charrnn reads the .safetensors files that charrnn train writes",
            )
        raise FormatError(f"{path}: not a safetensors file", "give a checkpoint of charrnn's")
    if 8 + length > size:
        raise DamagedError(f"{path}: cut off after {size:,} bytes", _OTHER_CHECKPOINT)
    return length


def _read_metadata(path: Path) -> dict[str, Any]:
    """The JSON under the key `charrnn`, reading no more of a file than its header."""
    with _opened(path) as stream:
        length = _header_length(path, stream.read(8), path.stat().st_size)
        return _metadata(path, stream.read(length))


def _metadata(path: Path, header: bytes) -> dict[str, Any]:
    """The JSON under the key `charrnn` of a safetensors header."""
    try:
        outer = json.loads(header)["__metadata__"]["charrnn"]
        metadata = json.loads(outer)
        version = _whole(metadata["format"], least=1)
        if not re.fullmatch("[0-9a-f]{64}", metadata["digest"], re.ASCII):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(
            f"{path}: not a checkpoint of charrnn's", "give a file that charrnn train wrote"
        ) from None
    if version > FORMAT:
        raise FormatError(
            f"{path}: written in format {version}; this charrnn reads up to {FORMAT}",
            "install a newer charrnn",
        )
    return dict(metadata)


def _record(path: Path, metadata: dict[str, Any]) -> ModelRecord:
    if "resume" in metadata:
        raise FormatError(
            f"{path}: is a resume file: training's state, without the model",
            f"use {path.name.removesuffix(RESUME_SUFFIX)}.safetensors beside it",
        )
    try:
        return ModelRecord(
            from_json(ModelSettings, metadata["model"]),
            Vocabulary.from_json(metadata["vocabulary"]),
            _whole(metadata["step"]),
            {
                split: {name: _number(value) for name, value in score.items()}
                for split, score in metadata["scores"].items()
            },
            _corpus(metadata["corpus"]),
            str(metadata["resume_digest"]),
            metadata["digest"],
        )
    except (UsageError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(
            f"{path}: its header is not a model's ({error})", _OTHER_CHECKPOINT
        ) from None


def _whole(value: object, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise TypeError(f"{value!r} where a whole number belongs")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} where a number belongs")
    return value


def _corpus(data: Any) -> dict[str, Any]:
    """What proves which text it was, checked as far as anything relies on it."""
    texts = [data["sha256"]]
    _whole(data["characters"])
    parts = [data["splits"][split] for split in ("train", "val", "test")]
    files = [*data["files"], *(part["file"] for part in parts if part["file"] is not None)]
    for file in files:
        texts += [file["name"], file["sha256"]]
        _whole(file["bytes"])
    for part in parts:
        texts.append(part["sha256"])
        _whole(part["end"], least=_whole(part["start"]))
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a corpus is proved by texts")
    return dict(data)


def _verified(path: Path, data: bytes) -> dict[str, Any]:
    """The metadata of a whole file whose digest is right."""
    length = _header_length(path, data[:8], len(data))
    metadata = _metadata(path, data[8 : 8 + length])
    digest = metadata["digest"]
    start = _digest_at(data[: 8 + length], digest) if len(digest) == 64 else None
    if start is None or digest != sha256(data[:start] + _ZEROS.encode() + data[start + 64 :]):
        raise DamagedError(
            f"{path}: its bytes are not the bytes that were written", _OTHER_CHECKPOINT
        )
    return metadata


def _tensors(path: Path, data: bytes) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        raise DamagedError(f"{path}: {error}", _OTHER_CHECKPOINT) from None


def expected_shapes(settings: ModelSettings, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a model's weights, torch.nn's: V, E, H and G as in settings."""
    hidden, rows = settings.hidden_size, GATES[settings.model] * settings.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (vocabulary_size, settings.embedding_size)
    }
    for layer in range(settings.layers):
        inputs = hidden if layer else settings.embedding_size
        shapes[f"recurrent.weight_ih_l{layer}"] = (rows, inputs)
        shapes[f"recurrent.weight_hh_l{layer}"] = (rows, hidden)
        shapes[f"recurrent.bias_ih_l{layer}"] = (rows,)
        shapes[f"recurrent.bias_hh_l{layer}"] = (rows,)
    shapes["output.weight"] = (vocabulary_size, hidden)
    shapes["output.bias"] = (vocabulary_size,)
    return shapes


def _expected(
    path: Path, weights: dict[str, NDArray[Any]], record: ModelRecord
) -> dict[str, NDArray[np.float32]]:
    shapes = expected_shapes(record.settings, len(record.vocabulary))
    found = {name: tensor.shape for name, tensor in weights.items()}
    kinds = {tensor.dtype for tensor in weights.values()}
    if found != shapes or kinds != {np.dtype(np.float32)}:
        raise FormatError(
            f"{path}: its weights are not those its header describes", _OTHER_CHECKPOINT
        )
    return weights
