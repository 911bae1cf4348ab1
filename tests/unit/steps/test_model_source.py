"""Where a package comes from."""

import pytest

from phytoscope.errors import ArtifactError
from phytoscope.steps.model_source import resolve_package


def test_looking_for_a_model_makes_no_registry(tmp_path, monkeypatch):
    """Opening a store that is not there would leave an empty one in whatever folder the user stands in."""
    monkeypatch.chdir(tmp_path)
    for variable in ("MLFLOW_TRACKING_URI", "PHYTOSCOPE_WORKSPACE"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ArtifactError, match=r"there is no registry at .*phytoscope register RUN"):
        resolve_package("models:/leaf@champion")
    assert list(tmp_path.iterdir()) == []
