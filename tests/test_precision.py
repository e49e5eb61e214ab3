"""charrnn evaluate --precision: what it means, and what it changes."""

import pytest

from charrnn import machine
from charrnn.commands.precision import check, choose, difference, words
from charrnn.errors import UsageError
from charrnn.scores import Score
from charrnn.settings import ModelSettings


@pytest.mark.parametrize(("size", "able", "found"), [
    (512, True, "bf16"), (512, False, "fp32"), (32, True, "fp32"),
])  # fmt: skip
def test_auto_is_bf16_where_a_processor_is_faster_with_it(monkeypatch, size, able, found):
    monkeypatch.setattr(machine, "multiplies_bf16", lambda _: able)
    model = ModelSettings("gru", "tanh", 64, size, 2)
    assert choose("auto", model, 2) == found
    assert [choose(named, model, 2) for named in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_what_it_changes_is_measured_on_one_part_both_ways():
    asked = []

    def scored(*, precision, most):
        asked.append((precision, most))
        return Score({"fp32": 100.0, "bf16": 103.0}[precision], 50, 50, 0)

    found = difference("bf16", scored)
    assert found == {"precision": "bf16", "precision_difference": pytest.approx(0.06)}
    assert len(set(asked)) == 2
    assert words(found) == "bf16  (+0.06000 nats/char against fp32, on a part of the text)"
    assert difference("fp32", scored) == {"precision": "fp32", "precision_difference": None}
    assert len(asked) == 2, "nothing is scored again"


def test_another_precision_is_refused():
    for known in "auto", "fp32", "bf16":
        check(known)
    with pytest.raises(UsageError, match="--precision fp64: must be one of auto, fp32, bf16"):
        check("fp64")
