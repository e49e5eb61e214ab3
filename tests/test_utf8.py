"""The automaton of UTF-8: byte for byte what Python's own decoder takes."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charrnn.utf8 import BETWEEN, Whole, as_text, following, readable, unfinished

EDGES = sorted(
    {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1}
    | {0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF}
)
"""Bytes on both sides of every border in Unicode's table."""


def latin(data):
    return bytes(data).decode("latin-1")


def decodes(data):
    try:
        bytes(data).decode()
    except UnicodeDecodeError:
        return False
    return True


REST = [byte * count for byte in (b"\x80", b"\xbf") for count in range(4)]


def begins(data):
    """Whether some rest makes text of it."""
    return any(decodes(bytes(data) + rest) for rest in REST)


def passes(data, length=None):
    """Whether none of some bytes is forbidden."""
    watch = Whole("", length)
    for byte in data:
        if watch.forbidden()[byte]:
            return False
        watch.read(byte)
    return True


def lacks_something(data):
    """Whether some rest, and not none, makes one character of it."""
    wholes = [data + rest for rest in REST if rest]
    return not decodes(data) and any(decodes(w) and len(w.decode()) == 1 for w in wholes)


# Against Python's decoder


def test_every_sequence_of_one_and_two_bytes():
    for data in itertools.chain(
        itertools.product(range(256)), itertools.product(range(256), repeat=2)
    ):
        assert passes(data) == begins(data), data
        assert passes(data, len(data)) == decodes(data), data


@pytest.mark.parametrize("length", [3, 4])
def test_sequences_of_three_and_four_bytes_at_every_border(length):
    count = 0
    for data in itertools.product(EDGES, repeat=length):
        allowed = passes(data, length)
        assert allowed == decodes(data), data
        count += allowed
    assert count > 100


def test_every_character_there_is_and_none_beside_them():
    """By the tree of allowed bytes: its leaves are Unicode's characters."""
    leaves = []
    stack = [((), BETWEEN)]
    while stack:
        data, state = stack.pop()
        if data and state == BETWEEN:
            leaves.append(bytes(data))
            continue
        for byte in np.flatnonzero(~Whole(latin(data), None).forbidden()).tolist():
            stack.append(((*data, byte), following(state, byte)))
    assert len(leaves) == len(set(leaves)) == 0x110000 - 0x800
    assert sum(ord(leaf.decode()) for leaf in leaves[::997]) > 0


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(EDGES) | st.integers(0, 255), max_size=12).map(bytes))
@example(b"\xf0\x9f\x98\x80\xe2\x82")
@example(b"\xe2\x82\xc3")
def test_a_beginning_is_found_after_anything(data):
    """The longest end that could become a character, wherever one looks from."""
    ends = (data[start:] for start in range(max(0, len(data) - 3), len(data)))
    waiting = next((end for end in ends if lacks_something(end)), b"")
    assert unfinished(latin(data)).encode("latin-1") == waiting
    state = BETWEEN
    for byte in data:
        state = following(state, byte)
    assert (state == BETWEEN) == (not waiting)
    again = Whole(latin(waiting), None)
    for byte in range(256):
        assert again.forbidden()[byte] != begins(waiting + bytes([byte]))


# The end


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 12), st.data())
def test_a_text_ends_with_a_character_whatever_is_drawn(length, data):
    watch, drawn = Whole("", length), []
    for _ in range(length):
        drawn.append(data.draw(st.sampled_from(np.flatnonzero(~watch.forbidden()).tolist())))
        watch.read(drawn[-1])
    assert len(bytes(drawn).decode().encode()) == length


def test_nothing_is_forbidden_at_the_end_that_would_fit():
    for left, characters in enumerate(["a", "aé", "aé茶", "aé茶😀", "aé茶😀"], 1):
        watch = Whole("", left)
        firsts = {character.encode()[0] for character in "aé茶😀"}
        assert {b for b in firsts if not watch.forbidden()[b]} == {
            c.encode()[0] for c in characters
        }


# Another watch


class Forbidding:
    def __init__(self, *ids):
        self.mask = np.isin(np.arange(256), ids) if ids else None
        self.told = []

    def read(self, character):
        self.told.append(character)

    def forbidden(self):
        return self.mask


def test_another_may_forbid_more_but_not_all_that_is_left():
    alone = Whole("\xc3", None).forbidden()
    assert (Whole("\xc3", None, Forbidding()).forbidden() == alone).all()
    more = Whole("\xc3", None, Forbidding(0xA9, 0x41)).forbidden()
    assert np.flatnonzero(more != alone).tolist() == [0xA9]
    everything = Whole("\xc3", None, Forbidding(*range(0x80, 0xC0))).forbidden()
    assert (everything == alone).all()
    other = Forbidding(3)
    Whole("\xc3", None, other).read(0xA9)
    assert other.told == [0xA9]


# Text


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=20), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 3))
def test_pieces_come_as_whole_characters_and_what_is_cut_off_does_not(text, cuts, short):
    data = latin(text.encode())
    data = data[: len(data) - short] if short else data
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    written = "".join(as_text(pieces))
    assert text.startswith(written)
    assert len(data) - len(written.encode()) < 4
    assert not unfinished(latin(written.encode()))
    assert "".join(as_text([data], raw=True)).encode(errors="surrogateescape") == data.encode(
        "latin-1"
    )


def test_a_character_that_has_begun_is_written_whole():
    assert list(as_text(["\xa9", "x", "\xe2\x82"], "\xc3")) == ["é", "x"]
    assert list(as_text(["\xa9", "x"], raw=True)) == ["\udca9", "x", ""]


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(EDGES), max_size=30).map(bytes))
def test_raw_pieces_are_the_bytes_themselves(data):
    pieces = as_text([latin([byte]) for byte in data], raw=True)
    assert b"".join(piece.encode(errors="surrogateescape") for piece in pieces) == data


def test_what_is_readable_of_a_text():
    assert readable("a\udcffé\udcc3") == "a\ufffdé"
    assert readable("a\udced\udca0") == "a\ufffd\ufffd", "no half a surrogate pair is text"
    assert readable("café") == "café"
