"""The kept places of a text, in the order of what follows them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn import order
from charrnn.order import kept, sort, stride_of
from charrnn.original import Original


@pytest.fixture(scope="module")
def text_of(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"

    def made(data):
        path.write_bytes(data)
        return Original([path])

    return made


def plainly(data, run):
    """The places as `sorted` has them."""
    stride = stride_of(run)
    gram = run - stride + 1
    places = range(0, max(0, len(data) - gram + 1), stride)
    return [p // stride for p in sorted(places, key=lambda p: data[p : p + 24].ljust(24, b"\0"))]


PIECES = st.text("ab\0é茶😀", max_size=60)
TEXTS = st.builds(
    lambda a, m, b, n, c: (a * m + b + a * n + c).encode(),
    *(PIECES, st.integers(0, 9), PIECES, st.integers(0, 9), PIECES),
)


@settings(deadline=None, max_examples=300)
@given(TEXTS, st.sampled_from([8, 11, 19, 20]), st.integers(1, 12), st.integers(1, 40))
def test_they_are_sorted_whatever_the_memory(text_of, data, run, at_once, chunk):
    text = text_of(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "_CHUNK", chunk)
        patch.setattr(order, "_SAMPLED", 2)
        parts = list(sort(text, run, at_once))
    assert [place for part in parts for place in part.tolist()] == plainly(data, run)
    assert sum(map(len, parts)) == kept(text, run)


def test_parts_are_small_where_the_text_is_not_the_same_throughout(text_of):
    data = np.random.default_rng(0).integers(97, 99, 80_000).astype(np.uint8).tobytes()
    parts = [len(part) for part in sort(text_of(data), 20, 1000)]
    assert max(parts) < 3000
    assert sum(parts) == kept(text_of(data), 20)


def test_equals_however_many_are_never_sorted(text_of, monkeypatch):
    """A text of spaces would need much memory."""
    monkeypatch.setattr(order, "_CHUNK", 100)
    largest = []
    lexsort = np.lexsort
    monkeypatch.setattr(np, "lexsort", lambda k: largest.append(len(k[0])) or lexsort(k))
    places = [p for part in sort(text_of(b" " * 8_000 + b"x"), 20, 50) for p in part.tolist()]
    assert len(places) == kept(text_of(b" " * 8_000 + b"x"), 20)
    assert max(largest) <= 60


@pytest.mark.parametrize("run", range(8, 21))
def test_the_order_of_any_run_is_smaller_than_the_text(run):
    """Four bytes a place."""
    assert 4 / stride_of(run) < 1
    assert 1 <= run - stride_of(run) + 1 <= 24
