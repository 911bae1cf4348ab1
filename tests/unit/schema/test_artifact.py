"""An artefact is there whole or not at all, and what was there before survives every failure."""

import errno
import json
import math
import os
import stat
from pathlib import Path

import pytest

from phytoscope.errors import ArtifactError, DataNotFoundError, StorageError
from phytoscope.schema.artifact import (
    clear_leftovers,
    hash_content,
    hash_file,
    read_json,
    write_atomic,
    write_folder_atomic,
    write_json,
)


@pytest.fixture
def old_file(tmp_path):
    """A file of an earlier run."""
    path = tmp_path / "table.csv"
    path.write_text("old", encoding="utf-8")
    return path


@pytest.fixture
def old_folder(tmp_path):
    """A folder of an earlier run."""
    path = tmp_path / "package"
    path.mkdir()
    (path / "old.txt").write_text("old", encoding="utf-8")
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail_renaming(monkeypatch, source_suffix, method="rename"):
    """Let the operating system refuse to rename what ends in a suffix."""
    real = getattr(Path, method)

    def rename(self, target):
        if self.name.endswith(source_suffix):
            raise OSError(errno.EIO, "broken disk")
        return real(self, target)

    monkeypatch.setattr(Path, method, rename)


def test_file_takes_its_name_when_it_is_whole(tmp_path):
    """Until the end, nothing has the name; the temporary file keeps the suffix that decides the format."""
    path = tmp_path / "new" / "table.parquet"
    with write_atomic(path) as temporary:
        assert temporary.suffix == ".parquet"
        assert not path.exists()
        temporary.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new"
    assert names(path.parent) == ["table.parquet"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_failure_keeps_the_old_file(old_file, error):
    """Whatever goes wrong while writing, the old file stands and no half one."""
    with pytest.raises((ValueError, KeyboardInterrupt, StorageError)), write_atomic(old_file) as temporary:  # noqa: PT012
        temporary.write_text("half", encoding="utf-8")
        raise error
    assert old_file.read_text(encoding="utf-8") == "old"
    assert names(old_file.parent) == ["table.csv"]


@pytest.mark.parametrize("write", [write_atomic, write_folder_atomic])
def test_full_disk_is_named(tmp_path, write):
    """An error of the operating system becomes one that says what to do."""
    with pytest.raises(StorageError, match=r"cannot write .*out.*disk is full"), write(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("write", [write_atomic, write_folder_atomic])
def test_own_errors_pass_as_they_are(tmp_path, write):
    """A missing input is not called a disk that cannot be written, although both are OSErrors."""
    with pytest.raises(DataNotFoundError, match=r"^the table is gone$"), write(tmp_path / "out"):
        raise DataNotFoundError("the table is gone")


@pytest.mark.parametrize("write", [write_atomic, write_folder_atomic])
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody may write to")
def test_read_only_place_is_named(write):
    """Where nothing can be made, the body is not reached."""
    with pytest.raises(StorageError, match="cannot write '/proc/phytoscope/out'"), write(Path("/proc/phytoscope/out")):
        pytest.fail("the body must not run")


def test_content_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    """A power cut after the renaming finds the content."""
    events = []
    real_fsync, real_replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("fsync"), real_fsync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (events.append("rename"), real_replace(self, target))[1])
    write_json(tmp_path / "a.json", 1)
    assert events == ["fsync", "rename"]


@pytest.mark.parametrize(("umask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)])
def test_permissions_follow_the_users_mask(tmp_path, umask, file_mode, folder_mode):
    """Colleagues can read results where the user lets them, and the mask is as it was."""
    before = os.umask(umask)
    try:
        with write_atomic(tmp_path / "file"), write_folder_atomic(tmp_path / "folder"):
            pass
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == file_mode
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == folder_mode


def test_folder_is_replaced_whole(old_folder):
    """Nothing of the old folder is left inside the new one, or beside it."""
    with write_folder_atomic(old_folder) as temporary:
        (temporary / "new.txt").write_text("new", encoding="utf-8")
        assert names(old_folder) == ["old.txt"]
    assert names(old_folder) == ["new.txt"]
    assert names(old_folder.parent) == ["package"]


def test_failure_keeps_the_old_folder(old_folder):
    """A folder that was not finished leaves the old one as it was."""
    with pytest.raises(ValueError, match="no"), write_folder_atomic(old_folder) as temporary:  # noqa: PT012
        (temporary / "new.txt").write_text("new", encoding="utf-8")
        raise ValueError("no")
    assert names(old_folder) == ["old.txt"]
    assert names(old_folder.parent) == ["package"]


def test_old_folder_comes_back_when_the_new_one_cannot_take_its_name(old_folder, monkeypatch):
    """Between putting the old folder aside and naming the new one, a failure undoes the first."""
    fail_renaming(monkeypatch, ".tmp")
    with pytest.raises(StorageError, match="broken disk"), write_folder_atomic(old_folder):
        pass
    assert names(old_folder) == ["old.txt"]
    assert names(old_folder.parent) == ["package"]


def test_leftovers_of_killed_writers_are_cleared(tmp_path):
    """Half files and folders go, an old folder that was put aside comes back, and the user's own files stay."""
    for name in (
        ".table.csv.abcd1234.tmp.csv",
        ".history.abcd_234.tmp",
        ".mine.tmp",
        ".notes.tmp.txt",
        "x.abcd1234.tmp",
    ):
        (tmp_path / name).write_text("x", encoding="utf-8")
    for name in (".package.abcd1234.tmp", ".package.abcd1234.old", ".figures.efgh5678.old", "figures"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name, encoding="utf-8")
    clear_leftovers(tmp_path)
    assert names(tmp_path) == [".mine.tmp", ".notes.tmp.txt", "figures", "package", "x.abcd1234.tmp"]
    assert (tmp_path / "package" / "x").read_text(encoding="utf-8") == ".package.abcd1234.old"
    assert (tmp_path / "figures" / "x").read_text(encoding="utf-8") == "figures"


def test_names_of_our_own_leftovers_are_known(tmp_path):
    """What the writers really leave behind is what is cleared."""
    for write in (write_atomic, write_folder_atomic):
        writer = write(tmp_path / "a.b-c d.csv")
        writer.__enter__()
        assert len(names(tmp_path)) == 1
        clear_leftovers(tmp_path)
        assert names(tmp_path) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, {"a": [1, -math.inf]}])
def test_json_has_no_word_for_what_is_not_finite(tmp_path, value):
    """A NaN would be JSON that other programs cannot read; the old file stands."""
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == 1


def test_json_keeps_letters(tmp_path):
    """Umlauts are letters, and the file ends with a line."""
    write_json(tmp_path / "a.json", {"Größe": [1, 0.0, None, True]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Größe" in text
    assert text.endswith("\n")
    assert read_json(tmp_path / "a.json") == json.loads(text) == {"Größe": [1, 0.0, None, True]}


@pytest.mark.parametrize("content", [b'{"a": 1', b"", b"\xff\xfe", b"{'a': 1}"])
def test_damaged_json_is_named(tmp_path, content):
    """Half a file is no file."""
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"a\.json' is damaged"):
        read_json(tmp_path / "a.json")


def test_missing_json_and_folder_are_named(tmp_path):
    """The message says which file, and that a step writes it."""
    with pytest.raises(ArtifactError, match="is missing: run the step that writes it"):
        read_json(tmp_path / "a.json")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_json(tmp_path)


def test_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    """Large files are read in pieces."""
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "b").write_bytes(b"x" * (2**20 + 1))
    assert hash_file(tmp_path / "a") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert hash_file(tmp_path / "b") != hash_file(tmp_path / "a")


def test_hash_of_content_does_not_depend_on_the_order_of_keys():
    """Equal settings have equal hashes; 0, 0.0 in a list and the order of a list count."""
    assert hash_content({"a": 1, "b": [1, 2]}) == hash_content({"b": [1, 2], "a": 1})
    assert hash_content([1, 2]) != hash_content([2, 1])
    assert hash_content({"seed": 0}) != hash_content({"seed": None})
    assert hash_content("ä\udce4") == hash_content("ä\udce4")


def test_new_folder_that_cannot_take_its_name_is_not_left_half(tmp_path, monkeypatch):
    """Where nothing was put aside, nothing can come back, and no half folder stays."""
    fail_renaming(monkeypatch, ".tmp")
    with pytest.raises(StorageError, match="broken disk"), write_folder_atomic(tmp_path / "new"):
        pass
    assert names(tmp_path) == []


def test_leftovers_of_a_place_that_is_gone_are_a_fault_of_the_place(tmp_path):
    """A folder that was taken away meanwhile is named, and not passed over as one without leftovers."""
    with pytest.raises(StorageError, match=r"'.*gone'"):
        clear_leftovers(tmp_path / "gone")
