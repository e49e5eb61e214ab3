"""Losses of a long text, in a file, are those of a short one, in memory."""

import io

import numpy as np
import pytest

from charrnn import losses
from charrnn.errors import DiskFullError
from charrnn.losses import room_for, write_losses


def test_a_long_text_has_its_losses_in_a_file_if_all_are_wanted(monkeypatch):
    assert not isinstance(room_for(100, whole=True), np.memmap)
    monkeypatch.setattr(losses, "MOST_IN_MEMORY", 7)
    monkeypatch.setattr(losses, "_AT_ONCE", 3)
    found = room_for(100, whole=True)
    assert isinstance(found, np.memmap)
    assert not found.any()
    first = room_for(100, whole=False)
    assert not isinstance(first, np.memmap)
    assert first.shape == (7,)
    found[:] = np.arange(100)
    written = io.BytesIO()
    write_losses(written, found)
    wanted = io.BytesIO()
    np.save(wanted, np.arange(100, dtype=np.float32))
    assert written.getvalue() == wanted.getvalue()


def test_a_full_disk_is_said_to_be_one(monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(losses, "MOST_IN_MEMORY", 7)
    monkeypatch.setattr(losses, "_fill", full)
    with pytest.raises(DiskFullError, match="400 bytes") as caught:
        room_for(100, whole=True)
    assert "TMPDIR" in caught.value.hint
