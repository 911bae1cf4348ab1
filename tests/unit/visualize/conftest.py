"""Reports and tables that the tests of figures and of the page share."""

import pytest
from PIL import Image

from factories.reports import build_classification, build_regression


@pytest.fixture
def diseases():
    """A classification run with long class names."""
    return build_classification(n_per_class=6, accuracy=0.8)


@pytest.fixture
def weights():
    """A regression run in grams."""
    return build_regression()


@pytest.fixture
def find_leaf(tmp_path):
    """A finder that knows one picture for every sample but those numbered 001."""
    path = tmp_path / "leaf.png"
    Image.new("RGB", (60, 40), (40, 140, 60)).save(path)
    return lambda sample_id: None if "001" in sample_id else path
