"""The checkpoint files: what a model's file says, and the file that training goes on from.

A checkpoint is two sealed safetensors files. `step-00001200.safetensors` is a whole
model: float32 weights under torch.nn's names and, in the header, all that is needed to
use it. `step-00001200.resume.safetensors` is the rest of what training needs to go on.
The resume file is written first and the model file, which names the resume file's
digest, commits both. Nothing is ever unpickled.
"""

import contextlib
import math
import os
import reprlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charrnn.errors import CheckpointError, DamagedError, FormatError, UsageError
from charrnn.files import failures_named, sync_directory, write_file
from charrnn.header import FIND_WHOLE, Header, brief, whole_number
from charrnn.sealed import Sealed, Tensors, read_header, read_metadata, read_sealed, seal
from charrnn.settings import BIASES, GATES, RECURRENT, ModelSettings, from_json, to_json
from charrnn.tokenizer import Vocabulary

RESUME_SUFFIX = ".resume.safetensors"

_NEW_IN_3 = {"lowercase": False, "unknown": False}
"""What a vocabulary of formats 1 and 2 does not name."""


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
        wanted = read_metadata(model_file)["resume_digest"]
        return bool(read_metadata(resume_file)["digest"] == wanted)
    except (CheckpointError, KeyError, OSError):
        return False


def write_checkpoint(
    model_file: Path, record: ModelRecord, weights: Tensors, resume: Tensors, state: dict[str, Any]
) -> ModelRecord:
    """Write both files of a checkpoint, the resume file first.

    `state` is what the resume file's header keeps: numbers that are no tensors.
    Returns the record with its digests once both would survive a power cut. Raises
    DiskFullError or RunError; what was there before can then still be gone on from.
    """
    resume_bytes, resume_digest = seal(resume, {"resume": state})
    earlier = _earlier_path(model_file)
    if model_file.exists():  # a step saved anew
        with failures_named(earlier):
            # What a killed process renamed must be certain before more is renamed after it.
            sync_directory(earlier.parent)
            if _are_one(model_file, resume_path(model_file)):
                # Until the new model file is there, the old one needs its own resume file.
                os.replace(resume_path(model_file), earlier)
                sync_directory(earlier.parent)
    write_file(resume_path(model_file), resume_bytes)
    header = {
        "model": to_json(record.settings),
        "vocabulary": record.vocabulary.to_json(),
        "step": record.step,
        "scores": record.scores,
        "corpus": record.corpus,
        "resume_digest": resume_digest,
    }
    model_bytes, digest = seal(weights, header)
    write_file(model_file, model_bytes)
    with contextlib.suppress(OSError):  # the checkpoint is whole, and readers pass over it
        earlier.unlink()
    return replace(record, resume_digest=resume_digest, digest=digest)


def read_record(path: Path) -> ModelRecord:
    """A model file's header alone; the weights are neither read nor verified.

    Raises FormatError, DamagedError or CheckpointError.
    """
    return _record(path, read_header(path))


def read_checkpoint(path: Path) -> Checkpoint:
    """A model file, verified against its digest and parsed from the same bytes.

    Raises FormatError, DamagedError or CheckpointError. The weights are as they were
    written, even where training had left the numbers that one can compute with.
    """
    sealed = read_sealed(path)
    record = _record(path, sealed.header)
    return Checkpoint(record, sealed.tensors())


def read_resume(model_file: Path, record: ModelRecord) -> tuple[Tensors, dict[str, Any]]:
    """The tensors and the state that the resume file of a model file holds.

    Raises DamagedError where none is the file that was written with the model, and
    FormatError or CheckpointError where it holds no state or cannot be read.
    """
    failures = []
    for path in resume_files(model_file) or [resume_path(model_file)]:
        try:
            return _fitting(path, model_file, record)
        except CheckpointError as error:
            failures.append(error)
    raise failures[-1]


def read_resume_file(path: Path) -> tuple[Sealed, dict[str, Any]]:
    """A resume file, verified, and its state, whichever model file it belongs to.

    Raises FormatError, DamagedError or CheckpointError.
    """
    sealed = read_sealed(path)
    state = sealed.header.metadata.get("resume")
    if not isinstance(state, dict):
        raise FormatError(f"{path}: holds no state to go on from", FIND_WHOLE)
    return sealed, state


def _fitting(path: Path, model_file: Path, record: ModelRecord) -> tuple[Tensors, dict[str, Any]]:
    sealed, state = read_resume_file(path)
    if sealed.header.digest != record.resume_digest:
        raise DamagedError(f"{path}: does not belong to {model_file.name}", FIND_WHOLE)
    return sealed.tensors(), state


def _record(path: Path, header: Header) -> ModelRecord:
    """What a model file's header says, all of it checked."""
    metadata = header.metadata
    if "resume" in metadata:
        raise FormatError(
            f"{path}: is a resume file: training's state, without the model",
            f"use {path.name.removesuffix(RESUME_SUFFIX)}.safetensors beside it",
        )
    if "sample" in metadata:
        raise FormatError(
            f"{path}: is the state of a sample, without the model",
            f"charrnn sample --load-state {path} goes on from it",
        )
    try:
        record = ModelRecord(
            from_json(ModelSettings, metadata["model"]),
            Vocabulary.from_json(_NEW_IN_3 | metadata["vocabulary"]),
            whole_number(metadata["step"]),
            {_name(split): _score(score) for split, score in metadata["scores"].items()},
            _corpus(metadata["corpus"]),
            str(metadata["resume_digest"]),
            header.digest,
        )
        record.vocabulary.reading.utf8_of(record.corpus.get("separator", ""))
    except (
        *(UsageError, KeyError, TypeError, ValueError),
        *(AttributeError, OverflowError),
    ) as error:
        raise FormatError(
            f"{path}: its header is not a model's ({brief(error)})", FIND_WHOLE
        ) from None
    if header.shapes != expected_shapes(record.settings, len(record.vocabulary)):
        raise FormatError(f"{path}: its weights are not those its header describes", FIND_WHOLE)
    return record


def _score(data: Any) -> dict[str, float]:
    """What evaluation found, but for what is not finite: training had diverged."""
    for value in data.values():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{reprlib.repr(value)} where a number belongs")
    return {_name(name): value for name, value in data.items() if math.isfinite(value)}


def _name(text: str) -> str:
    """The name of a split or of a score."""
    if not text.isascii() or not text.isprintable() or not 0 < len(text) <= 60:
        raise TypeError("a score's name that is none")
    return text


def _corpus(data: Any) -> dict[str, Any]:
    """What proves which text it was, checked as far as anything relies on it."""
    texts = [data["sha256"]]
    whole_number(data["characters"])
    parts = [data["splits"][split] for split in ("train", "val", "test")]
    if not isinstance(data["files"], list):
        raise TypeError("a corpus without files")
    files = [*data["files"], *(part["file"] for part in parts if part["file"] is not None)]
    for file in files:
        texts += [file["name"], file["sha256"]]
        whole_number(file["bytes"])
    for part in parts:
        texts.append(part["sha256"])
        whole_number(part["end"], least=whole_number(part["start"]))
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a corpus is proved by texts")
    for text in texts:
        os.fsencode(text)  # a file's name, not half of some character
    return dict(data)


def expected_shapes(settings: ModelSettings, vocabulary_size: int) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a model's weights, torch.nn's: V, E, H and G as in settings.

    A cell that torch.nn lacks has one bias a gate, `bias_hh`.
    """
    hidden = settings.hidden_size
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (vocabulary_size, settings.embedding_size)
    }
    for layer in range(settings.layers):
        cell, inputs = settings.cell(layer), hidden if layer else settings.embedding_size
        rows = GATES[cell] * hidden
        shapes[f"recurrent.weight_ih_l{layer}"] = (rows, inputs)
        if RECURRENT[cell]:
            shapes[f"recurrent.weight_hh_l{layer}"] = (rows, hidden)
        if BIASES[cell] == 2:
            shapes[f"recurrent.bias_ih_l{layer}"] = (rows,)
        shapes[f"recurrent.bias_hh_l{layer}"] = (rows,)
    shapes["output.weight"] = (vocabulary_size, hidden)
    shapes["output.bias"] = (vocabulary_size,)
    return shapes
