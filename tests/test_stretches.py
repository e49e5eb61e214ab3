"""A long text read in stretches, against reading it one character after the other."""

import numpy as np
import pytest
from test_stream import CELLS, H, V, weights

from charrnn import stretches
from charrnn.settings import ModelSettings
from charrnn.stream import Prepared, Stream
from charrnn.stretches import read_long

TEXT = np.random.default_rng(5).integers(V, size=20_000).astype(np.uint8)


def forgetting(model, nonlinearity="tanh", *, scale=0.3):
    """A model whose weights are small enough for it to forget."""
    embedding, layers, output = weights(model)
    small = [tuple(part * np.float32(scale) for part in layer) for layer in layers]
    return Prepared(ModelSettings(model, nonlinearity, 3, H, 2), embedding, small, output)


def read_through(of, ids, start):
    stream = Stream(of)
    stream.load(start)
    for character in ids.tolist():
        stream.read(character)
    return stream.state()


def same(ours, theirs):
    for a, b in zip((p for s in ours for p in s), (p for s in theirs for p in s), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.fixture
def characters_alone(monkeypatch):
    """How many characters were read one after the other."""
    alone = []

    class Counted(Stream):
        def read(self, character):
            alone.append(character)
            super().read(character)

    monkeypatch.setattr(stretches, "Stream", Counted)
    return alone


@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
def test_it_ends_where_reading_through_ends(model, nonlinearity, characters_alone):
    of = forgetting(model, nonlinearity)
    start = read_through(of, TEXT[:9], Stream(of).state())
    same(read_long(of, TEXT, start), read_through(of, TEXT, start))
    assert not characters_alone


@pytest.mark.parametrize("count", [8_192, 20_000])
def test_it_ends_in_the_same_with_any_number_of_threads(count):
    of = forgetting("lstm")
    start = read_through(of, TEXT[:9], Stream(of).state())
    ends = [read_long(of, TEXT[:count], start, threads=threads) for threads in (1, 2, 3, 9)]
    assert len({b"".join(p.tobytes() for parts in end for p in parts) for end in ends}) == 1


@pytest.mark.parametrize("count", [1, 8_191, 8_192, 8_193, 16_400, 19_999])
def test_texts_of_any_length(count):
    of = forgetting("gru")
    start = read_through(of, TEXT[:9], Stream(of).state())
    same(read_long(of, TEXT[:count], start), read_through(of, TEXT[:count], start))


def test_a_very_long_text_is_read_in_sections(monkeypatch):
    monkeypatch.setattr(stretches, "SECTION", 300)
    of = forgetting("lstm")
    start = Stream(of).state()
    same(read_long(of, TEXT, start), read_through(of, TEXT, start))


def never_forgetting(kept=1.0, heard=1e-3):
    """h' = `kept` h + a little of what is read: a sum over the whole text, which may fade."""
    one, none = np.eye(H, dtype=np.float32) * np.float32(kept), np.zeros(H, dtype=np.float32)
    embedding = (weights("rnn")[0] + 1.0).clip(0, None) * np.float32(heard)
    layer = (np.abs(weights("rnn")[1][0][0]), none, one, none)
    return Prepared(ModelSettings("rnn", "relu", 3, H, 1), embedding, [layer], weights("rnn")[2])


def test_what_is_never_forgotten_is_read_through(characters_alone):
    """Each pass settles a stretch or more; of 32, most are left after the last."""
    of = never_forgetting()
    start = Stream(of).state()
    found = read_long(of, TEXT, start)
    same(found, read_through(of, TEXT, start))
    assert len(TEXT) / 2 < len(characters_alone) < len(TEXT)
    assert found[0][0].max() > 10


def test_what_fades_slowly_is_entered_again_until_nothing_changes(characters_alone):
    """After one pass a ten-thousandth is missing."""
    of = never_forgetting(0.985, 0.1)
    start = Stream(of).state()
    found, wanted = read_long(of, TEXT, start), read_through(of, TEXT, start)
    assert not characters_alone
    np.testing.assert_allclose(found[0][0], wanted[0][0], rtol=1e-5)


def test_a_state_that_is_no_number_stays_none():
    of = forgetting("gru")
    of.table[3] = np.nan
    with np.errstate(invalid="ignore"):
        assert np.isnan(read_long(of, TEXT, Stream(of).state())[0][0]).all()
