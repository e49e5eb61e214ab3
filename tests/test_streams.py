"""Many texts side by side: the same as each alone, in order, and within bounds."""

import itertools
import threading
import time
import warnings
from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_stream import CELLS, V, prepared

from charrnn import streams
from charrnn.errors import TextError
from charrnn.settings import GATES, ModelSettings, SamplingSettings
from charrnn.stream import Columns, Prepared
from charrnn.streams import alike, draw_all
from charrnn.wanted import Wanted


def wanted(number, *, length=40, prompt=(1, 2), temperature=1.0, **others):
    return Wanted(list(prompt), 100 + number, length, temperature, **others)


def drawn(of, wants, *, chosen=None, **options):
    found = list(draw_all(of, wants, chosen or SamplingSettings(), **options))
    return [each if each is None else each.tolist() for each in found]


# Each alone


@pytest.mark.parametrize(("model", "nonlinearity"), CELLS)
def test_a_text_does_not_depend_on_how_many_are_drawn(model, nonlinearity):
    """Among 3, among 100 in two workers, and with those before it left out."""
    of = prepared(model, nonlinearity)
    wants = [wanted(n, length=5 + 7 * n % 40, prompt=[n % V] * (1 + n % 5)) for n in range(100)]
    everything = drawn(of, wants, threads=2)
    assert [len(ids) for ids in everything] == [want.length for want in wants]
    assert drawn(of, wants[:3]) == everything[:3]
    assert drawn(of, wants[57:], threads=3) == everything[57:]
    assert drawn(of, wants[64:65]) == everything[64:65]
    # The weights are large: where nothing keeps the states small, most texts are alike.
    assert len({tuple(ids) for ids in everything}) > (30 if nonlinearity == "relu" else 90)


@pytest.mark.parametrize("cuts", [{"top_k": 3}, {"top_p": 0.8}, {"min_p": 0.1}])
@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_nor_does_it_where_characters_are_cut_off(cuts, temperature):
    of, chosen = prepared("gru"), SamplingSettings(**cuts)
    wants = [wanted(n, temperature=temperature if n % 2 else 1.3) for n in range(40)]
    everything = drawn(of, wants, chosen=chosen)
    assert [drawn(of, [want], chosen=chosen)[0] for want in wants[:6]] == everything[:6]


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=60),
    st.integers(1, 3),
)
def test_lengths_and_prompts_of_any_kind_come_in_order(shapes, threads):
    of = prepared("rnn", layers=1)
    wants = [
        wanted(n, length=length, prompt=[n % V] * read) for n, (length, read) in enumerate(shapes)
    ]
    alone = [ids for want in wants for ids in drawn(of, [want])]
    assert drawn(of, iter(wants), threads=threads) == alone


def test_columns_are_alike_and_it_would_be_noticed():
    of = prepared("lstm")
    assert alike(of)

    class Leaning(Columns):
        def logits(self):
            return super().logits() + np.arange(self.streams, dtype=np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "Columns", Leaning)
        assert not alike(of)


@pytest.mark.parametrize("size", [1, 30, 65, 100, 200])
@pytest.mark.parametrize("hidden", [128, 256, 384, 400, 512, 640, 768])
def test_columns_are_alike_where_few_characters_follow_from_many_hidden_units(hidden, size):
    # So few rows OpenBLAS multiplies by 16 columns in another way than by 64.
    draw = np.random.default_rng(0).standard_normal
    embedding, *layer = (
        draw(shape).astype(np.float32)
        for shape in ((size, 1), (hidden, 1), hidden, (hidden, hidden), hidden)
    )
    output = draw((size, hidden)).astype(np.float32), draw(size).astype(np.float32)
    of = Prepared(ModelSettings("rnn", "tanh", 1, hidden, 1), embedding, [tuple(layer)], output)
    assert alike(of)
    columns = Columns(of, 16)
    columns.read(np.zeros(16, dtype=np.int64))
    ((h,),) = columns.states
    assert columns.logits().shape == (size, 16)
    expected = output[0] @ h + output[1][:, None]
    np.testing.assert_allclose(columns.logits(), expected, atol=1e-3)


def test_where_columns_are_not_alike_each_stream_has_its_own(monkeypatch):
    of, wants = prepared("gru"), [wanted(n) for n in range(5)]
    widths = []

    class Noted(Columns):
        def __init__(self, prepared, streams):
            widths.append(streams)
            super().__init__(prepared, streams)

    monkeypatch.setattr(streams, "alike", lambda _: False)
    monkeypatch.setattr(streams, "Columns", Noted)
    everything = drawn(of, wants)
    assert set(widths) == {1}
    assert drawn(of, wants[3:4]) == everything[3:4]


def test_a_start_is_gone_on_from():
    """Reading a prompt is reading its end from the state after its beginning."""
    of = prepared("lstm")
    columns = Columns(of, 16)
    for character in (4, 4, 2):
        columns.read(np.full(16, character))
    start = [tuple(part[:, 0].copy() for part in parts) for parts in columns.states]
    together = drawn(of, [wanted(0, prompt=[4, 4, 2, 6]), wanted(0, prompt=[6], start=start)])
    assert together[0] == together[1]


# Where texts end


def test_a_text_ends_with_the_first_stop_in_it():
    of = prepared("gru")
    (whole,) = drawn(of, [wanted(0, length=200)])
    stop = tuple(whole[50:53])
    end = next(n for n in range(3, 200) if tuple(whole[n - 3 : n]) == stop)
    assert drawn(of, [wanted(0, length=200)], stops=(stop, (99,))) == [whole[:end]]


class Strict:
    """Forbids whatever came last, and all ids from `most` on."""

    def __init__(self, most=V):
        self.seen = []
        self.most = most

    def read(self, character):
        self.seen.append(character)

    def forbidden(self):
        return np.isin(np.arange(V), [*self.seen[-1:], *range(self.most, V)])


def test_what_a_watch_forbids_is_not_drawn():
    watches = [None, Strict(), Strict(4)]
    found = drawn(prepared("gru"), [wanted(n, length=300, watch=w) for n, w in enumerate(watches)])
    assert [watch.seen for watch in watches[1:]] == found[1:]
    twice = [any(a == b for a, b in itertools.pairwise(ids)) for ids in found]
    assert twice == [True, False, False]
    assert [max(ids) for ids in found] == [6, 6, 3]


def test_where_all_is_forbidden_the_likeliest_is_drawn():
    of = prepared("gru")
    (found,) = drawn(of, [wanted(0, watch=Strict(0))])
    assert found == drawn(of, [wanted(0, temperature=0.0)])[0]


# What goes wrong


def weights_gone_bad(of, character):
    of.table[character] = np.nan
    return of


def test_where_there_are_no_probabilities_there_is_no_text():
    of = weights_gone_bad(prepared("gru"), 6)
    found = drawn(of, [wanted(0, length=1), wanted(1, prompt=[6])])
    assert found[1] is None
    assert len(found[0]) == 1


def test_numbers_that_overflow_are_not_spoken_of():
    of = prepared("rnn", "relu")
    for layer in of.layers:
        layer.w_hh[...] = 1e30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert drawn(of, [wanted(0)]) == [None]


def test_what_fails_is_told_after_all_that_came_before_it():
    def wants():
        yield from (wanted(n, length=100 - n) for n in range(70))
        raise TextError("line 71 is bad")

    found = []
    with pytest.raises(TextError, match="line 71"):
        for ids in draw_all(prepared("rnn"), wants(), SamplingSettings(), threads=2):
            found.append(len(ids))
    assert found == [100 - n for n in range(70)]


def test_a_worker_that_breaks_down_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(streams._Worker, "_draw", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        drawn(prepared("rnn"), [wanted(n) for n in range(20)], threads=2)


# Room and time


def test_only_so_many_are_read_ahead():
    """The first text is long: those after it are complete long before, and wait."""
    taken = []

    def wants():
        for number in itertools.count():
            taken.append(number)
            yield wanted(number, length=3_000 if number == 0 else 2)

    texts = draw_all(prepared("rnn", layers=1), wants(), SamplingSettings())
    assert len(next(texts)) == 3_000
    assert len(taken) <= streams.AHEAD + 1
    assert [len(next(texts)) for _ in range(600)] == [2] * 600
    assert len(taken) <= 600 + streams.AHEAD + 3
    texts.close()


def test_a_text_is_given_out_before_the_next_is_asked_for():
    """So that a program that writes prompts and waits for each answer is not left waiting."""
    answered = threading.Semaphore(0)

    def wants():
        for number in range(3):
            yield wanted(number)
            assert answered.acquire(timeout=60)

    for ids in draw_all(prepared("rnn"), wants(), SamplingSettings(), threads=2):
        assert len(ids) == 40
        answered.release()


def test_nobody_works_on_once_no_more_is_wanted():
    before = threading.active_count()
    texts = draw_all(
        prepared("rnn"),
        (wanted(n, length=10**9) if n else wanted(n) for n in itertools.count()),
        SamplingSettings(),
        threads=2,
    )
    assert isinstance(next(texts), array)
    texts.close()
    until = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before


@pytest.mark.parametrize("model", GATES)
def test_nothing_wanted_is_nothing_drawn(model):
    assert drawn(prepared(model), []) == []
    assert drawn(prepared(model), [wanted(0, length=0)]) == [[]]
