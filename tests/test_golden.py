"""Files of every format version that was ever written are read for good.

`golden/` holds a checkpoint of format 1 as it came from `charrnn train`; when the format
changes, its files stay and the new format's are added.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from charrnn.checkpoints import read_checkpoint, read_resume
from charrnn.sampling import Sampler

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["step-00000200"])
def test_a_checkpoint_of_an_earlier_day_means_what_it_meant(name: str) -> None:
    expected = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
    path = GOLDEN / f"{name}.safetensors"
    record, weights = read_checkpoint(path)
    assert record.digest == expected["digest"]
    assert record.resume_digest == expected["resume_digest"]
    assert record.step == expected["step"]
    assert record.scores == expected["scores"]
    assert record.vocabulary.characters == expected["characters"]
    assert (record.settings.model, record.settings.hidden_size) == ("lstm", 6)
    sampler = Sampler(record.settings, record.vocabulary, weights)
    logits = sampler.logits(sampler.read_prompt("The café"))
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-5)


def test_its_resume_file_still_belongs_to_it() -> None:
    path = GOLDEN / "step-00000200.safetensors"
    tensors, state = read_resume(path, read_checkpoint(path).record)
    assert set(state) == {"reported", "evaluated", "seconds", "metrics_bytes"}
    assert tensors["carried.0.0"].shape == (8, 6)
    assert tensors["exp_avg.output.weight"].shape == tensors["exp_avg_sq.output.weight"].shape
