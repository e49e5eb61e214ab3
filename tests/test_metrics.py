"""A run's log: at once for whoever looks on, and never longer than what is known of it."""

import errno
import math
import os

import pytest

from charrnn.errors import DiskFullError, RunError
from charrnn.metrics import METRICS_FILE, Metrics, read_metrics


def test_metrics_are_read_back(tmp_path):
    assert read_metrics(tmp_path) == []
    log = Metrics(tmp_path)
    log.write({"kind": "report", "step": 1})
    assert read_metrics(tmp_path) == [{"kind": "report", "step": 1}]  # at once, for a tail -f
    log.write({"kind": "report", "step": 2})
    log.sync()
    assert log.length == (tmp_path / METRICS_FILE).stat().st_size
    log.close()
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]


def test_metrics_are_cut_back_to_what_a_checkpoint_knows(tmp_path):
    log = Metrics(tmp_path)
    log.write({"step": 1})
    length = log.length
    log.write({"step": 2})
    log.close()
    log = Metrics(tmp_path, length)
    log.write({"step": 3})
    log.close()
    assert read_metrics(tmp_path) == [{"step": 1}, {"step": 3}]


def test_a_new_run_s_metrics_begin_empty(tmp_path):
    (tmp_path / METRICS_FILE).write_text('{"step": 9}\n')
    Metrics(tmp_path).close()
    assert read_metrics(tmp_path) == []


def test_metrics_that_were_lost_are_not_made_up_with_zeros(tmp_path):
    """A log that was deleted between two sittings begins anew."""
    log = Metrics(tmp_path, 1_000)
    log.write({"step": 3})
    log.close()
    assert (tmp_path / METRICS_FILE).read_text() == '{"step": 3}\n'
    assert read_metrics(tmp_path) == [{"step": 3}]


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path):
    (tmp_path / METRICS_FILE).write_text('{"step": 1}\n{"step": 2}\n{"ste')
    assert read_metrics(tmp_path) == [{"step": 1}, {"step": 2}]


def test_metrics_that_cannot_be_written_name_the_file(tmp_path):
    with pytest.raises(RunError, match=METRICS_FILE):
        Metrics(tmp_path / "none")


class _Full:
    """A disk with so many bytes left for a file."""

    def __init__(self, stream, room):
        self._stream, self.room = stream, room

    def write(self, data):
        part = data[: self.room]
        if not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(part)
        return self._stream.write(part)

    def __getattr__(self, name):
        return getattr(self._stream, name)


def test_lines_that_there_is_no_space_for_wait_and_are_never_half_written(tmp_path):
    log = Metrics(tmp_path)
    log.write({"step": 1})
    log._stream = full = _Full(log._stream, room=5)
    log.write({"step": 2})
    log.write({"step": 3})
    assert (tmp_path / METRICS_FILE).read_text() == '{"step": 1}\n'
    assert log.length == 3 * len('{"step": 1}\n')
    with pytest.raises(DiskFullError, match=METRICS_FILE):
        log.sync()  # a checkpoint that counts on them must not be written
    full.room = 1_000
    log.sync()
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3]
    assert log.length == (tmp_path / METRICS_FILE).stat().st_size


def test_what_waits_can_be_taken_back_too(tmp_path):
    log = Metrics(tmp_path)
    log.write({"step": 1})
    first = log.length
    log._stream = full = _Full(log._stream, room=0)
    log.write({"step": 2})
    second = log.length
    log.write({"step": 3})
    log.cut(second)
    full.room = 1_000
    log.sync()
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]
    log.cut(first)
    log.write({"step": 9})
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 9]


def test_a_sync_that_failed_for_want_of_space_is_done_anew_from_memory(tmp_path, monkeypatch):
    """The kernel may have dropped the lines that it could not write, and say so but once."""
    log = Metrics(tmp_path)
    log.write({"step": 1})
    log.sync()
    log.write({"step": 2})

    def full(_descriptor):
        os.truncate(tmp_path / METRICS_FILE, 3)  # what a disk may come to
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFullError, match=METRICS_FILE):
            log.sync()
    log.write({"step": 3})
    log.sync()
    assert (tmp_path / METRICS_FILE).read_bytes().endswith(b'{"step": 2}\n{"step": 3}\n')
    assert log.length == (tmp_path / METRICS_FILE).stat().st_size


def test_a_log_is_not_written_through_a_link(tmp_path):
    """A stranger's run may have one to a file of ours."""
    mine = tmp_path / "mine"
    mine.write_text("kept")
    (tmp_path / METRICS_FILE).symlink_to(mine)
    with pytest.raises(RunError, match=METRICS_FILE):
        Metrics(tmp_path)
    assert mine.read_text() == "kept"


def test_any_other_failure_ends_training(tmp_path, monkeypatch):
    log = Metrics(tmp_path)
    log._stream.close()
    log._stream = open(os.devnull, "rb", buffering=0)
    with pytest.raises(RunError, match=METRICS_FILE):
        log.write({"step": 1})


def test_a_figure_that_is_no_number_is_null(tmp_path):
    """JSON has no word for it, and most readers refuse Python's."""
    log = Metrics(tmp_path)
    log.write({"step": 1, "nats": math.nan, "norm": math.inf, "rate": 0.5})
    text = (tmp_path / METRICS_FILE).read_text()
    assert text == '{"step": 1, "nats": null, "norm": null, "rate": 0.5}\n'


def test_lines_are_added_while_others_are_synced(tmp_path, monkeypatch):
    """A disk may take seconds for it, and training must not wait for that."""
    log = Metrics(tmp_path)
    log.write({"step": 1})
    really = os.fsync

    def slowly(descriptor):
        log.write({"step": 2})
        really(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", slowly)
        log.sync()
    log.sync()
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2]
    assert log.length == (tmp_path / METRICS_FILE).stat().st_size


def test_what_is_no_line_or_no_file_is_left_out(tmp_path):
    path = tmp_path / METRICS_FILE
    path.write_text('5\n{"step": 1}\n[]\n\xff\n' + "[" * 100_000 + "\n")
    assert read_metrics(tmp_path) == [{"step": 1}]
    path.unlink()
    os.mkfifo(path)
    assert read_metrics(tmp_path) == []
