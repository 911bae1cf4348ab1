"""Lines of the event log that are damaged, out of order or cannot be read."""

import errno
import shutil

import pytest

from phytoscope.errors import ArtifactError, StorageError
from phytoscope.schema.event_lines import LogReader, read_events, save_readable
from phytoscope.schema.events import EventLog
from phytoscope.schema.run_folder import RunFolder


@pytest.fixture
def log(tmp_path):
    """A log of three events."""
    log = EventLog(RunFolder(tmp_path))
    log.begin("id", name="leaves")
    log.tags({"a": "1"})
    log.tags({"b": "2"})
    return log


def test_log_below_a_file_cannot_be_looked_at(tmp_path):
    """That is a fault; a log that is not there yet is none."""
    (tmp_path / "run").write_text("a file", encoding="utf-8")
    assert LogReader(tmp_path / "events.jsonl").find_change() == (False, False)
    with pytest.raises(ArtifactError, match="cannot be read"):
        LogReader(tmp_path / "run" / "events.jsonl").find_change()


def test_only_lines_in_order_are_kept(log):
    """A line that stands twice, a damaged one and a half one are counted as lost; a copy of all of them is kept."""
    first, second, third = log.path.read_bytes().splitlines(keepends=True)
    content = b"".join([first, second, first, b"{half\n", third[:-1]])
    log.path.write_bytes(content)
    aside, lost = save_readable(log.path)
    assert lost == 3
    assert aside.read_bytes() == content
    assert [event.seq for event in read_events(log.path)] == [0, 1]


def test_full_disk_beside_a_damaged_log_is_told_in_its_own_words(log, monkeypatch):
    """The copy that cannot be written is named, and the damaged log stays as it is."""
    content = b"damaged\n" + log.path.read_bytes()
    log.path.write_bytes(content)

    def fill(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", fill)
    with pytest.raises(StorageError, match=r"events\.damaged\.jsonl.*disk is full"):
        EventLog(RunFolder(log.path.parent)).begin("id", name="leaves")
    assert log.path.read_bytes() == content
