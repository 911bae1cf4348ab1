"""What answers are judged by, on disk."""

import pytest

from factories.trust import make_trust
from phytoscope.errors import ArtifactError
from phytoscope.predict.trust_files import TRUST_NAME, read_trust, write_trust
from phytoscope.schema.table import Task


@pytest.mark.parametrize("task", list(Task))
def test_trust_is_read_as_it_was_written(tmp_path, task) -> None:
    """Without novelty there is one file."""
    trust = make_trust(task)
    assert [path.name for path in write_trust(tmp_path, trust, None)] == [TRUST_NAME]
    assert read_trust(tmp_path) == (trust, None)


def test_missing_damaged_and_foreign_files_are_told_apart(tmp_path) -> None:
    """Each with what to do."""
    with pytest.raises(ArtifactError, match="is missing: run the step that writes it first"):
        read_trust(tmp_path)
    (tmp_path / TRUST_NAME).write_bytes(b"{")
    with pytest.raises(ArtifactError, match=r"is damaged .*evaluate again"):
        read_trust(tmp_path)
    (tmp_path / TRUST_NAME).write_bytes(b"{}")
    with pytest.raises(ArtifactError, match=r"cannot be used .*evaluate again"):
        read_trust(tmp_path)
