"""A folder is held by one process at a time."""

import pytest

from phytoscope.errors import ArtifactError, StorageError
from phytoscope.schema.folder_lock import hold_folder


def test_folder_is_made_and_let_go(tmp_path):
    """A folder that is not there is made, and the next one may hold it after an error too."""
    lock = tmp_path / "deep" / "run" / ".lock"
    with pytest.raises(NotADirectoryError, match="inside"), hold_folder(lock, "taken"):
        (lock / "inside").touch()
    with hold_folder(lock, "taken"):
        pass


def test_second_holder_is_told(tmp_path):
    """Whoever comes second is told the given sentence, at once or after the patience given."""
    lock = tmp_path / ".lock"
    for patience_s in (0.0, 0.1):
        with (
            hold_folder(lock, "first"),
            pytest.raises(ArtifactError, match="somebody else works here"),
            hold_folder(lock, "somebody else works here", patience_s=patience_s),
        ):
            pass


def test_place_that_cannot_be(tmp_path):
    """A file in the place of the folder is told as a fault of the place."""
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StorageError, match="run"), hold_folder(tmp_path / "run" / ".lock", "taken"):
        pass
