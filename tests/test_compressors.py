"""Compressors spend what their own programs spend, and what they write can be read back."""

import _pydecimal
import importlib.util
import lzma
import shutil
import subprocess
from pathlib import Path

import pytest

from charrnn import compressors
from charrnn.compressors import (
    BZ2,
    PPMD,
    XZ,
    added_bits,
    added_by_part,
    is_installed,
    room_before,
)

PROGRAMS = {"xz": ["xz", "-9e", "-T1", "-c"], "bz2": ["bzip2", "-9", "-c"]}


@pytest.mark.parametrize("compressor", [XZ, BZ2], ids=lambda c: c.name)
def test_a_size_is_that_of_the_command_line_tool(compressor, english):
    program = PROGRAMS[compressor.name]
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed")
    data = Path(_pydecimal.__file__).read_bytes()
    assert XZ.size(data) != len(lzma.compress(data, preset=9)), "-e makes a difference in it"
    for piece in data, english.encode(), b"":
        done = subprocess.run(program, input=piece, capture_output=True, check=True)
        assert compressor.size(piece) == len(done.stdout)


def test_a_text_costs_what_it_adds(english):
    before, text = english[:1500].encode(), english[1500:].encode()
    for compressor in XZ, BZ2:
        both, alone = compressor.size(before + text), compressor.size(before)
        assert added_bits(compressor, before, text) == 8 * (both - alone) > 0


def test_ppmd_tells_of_parts_what_it_spends_on_the_whole(english):
    pytest.importorskip("pyppmd")
    before, text = english[:1500].encode(), english[1500:].encode()
    bits, by_part = added_by_part(PPMD, before, [text[:100], b"", text[100:]])
    assert bits == added_bits(PPMD, before, text)
    assert by_part[0] == pytest.approx(added_bits(PPMD, before, text[:100]), abs=8 * 6)
    assert (len(by_part), by_part[1]) == (3, 0)
    assert sum(by_part) == pytest.approx(bits, abs=8 * 6)


def test_the_others_tell_of_no_parts(english):
    before, text = english[:1500].encode(), english[1500:].encode()
    for compressor in XZ, BZ2:
        whole = added_bits(compressor, before, text)
        assert added_by_part(compressor, before, [text[:9], text[9:]]) == (whole, [])


def test_what_has_been_seen_costs_less(english):
    text = english[:1000].encode()
    for compressor in filter(is_installed, (XZ, BZ2, PPMD)):
        seen, fresh = (added_bits(compressor, before, text) for before in (text, b""))
        assert seen < fresh / 2


def test_ppmd_can_be_read_back(english):
    """The size is that of a stream from which the same settings make the text again."""
    pyppmd = pytest.importorskip("pyppmd")
    data = english.encode()
    encoder = pyppmd.Ppmd7Encoder(compressors.PPMD_ORDER, 2**28)
    stream = encoder.encode(data) + encoder.flush()
    assert PPMD.size(data) == len(stream) < XZ.size(data)
    decoder = pyppmd.Ppmd7Decoder(compressors.PPMD_ORDER, 2**28)
    assert decoder.decode(stream, len(data)) == data


def test_a_block_has_room_for_what_the_text_leaves_and_a_dictionary_for_all():
    assert room_before(BZ2, 850_000) == 5_000
    assert room_before(BZ2, 10**6) == 0
    assert room_before(XZ, 10**9) == 2**26


def test_what_stands_before_a_text_is_in_one_block_with_it():
    """In Python's sources many runs of four spaces take up five bytes of the block each."""
    text = b"    def next(self):\n        return self.next\n"
    code = Path(_pydecimal.__file__).read_bytes() * 5
    before = code[: room_before(BZ2, len(text))]
    assert added_bits(BZ2, before, text) < 8 * len(text)


def test_a_missing_module_is_noticed(monkeypatch):
    def broken(name):
        raise ValueError(f"{name}.__spec__ is None")

    assert is_installed(BZ2)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not is_installed(BZ2)
    monkeypatch.setattr(importlib.util, "find_spec", broken)
    assert not is_installed(BZ2)
