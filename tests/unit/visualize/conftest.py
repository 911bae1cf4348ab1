"""Reports and tables that the tests of figures and of the page share."""

import pytest
from PIL import Image

from factories.beliefs import build_full_classification, build_full_regression
from factories.reports import build_classification, build_regression


@pytest.fixture
def diseases():
    """A classification run with long class names."""
    return build_classification(n_per_class=6, accuracy=0.8)


@pytest.fixture
def weights():
    """A regression run in grams."""
    return build_regression()


@pytest.fixture(scope="session")
def leaf_picture(tmp_path_factory):
    """One picture that stands for every photograph."""
    path = tmp_path_factory.mktemp("leaf") / "leaf.png"
    Image.new("RGB", (60, 40), (40, 140, 60)).save(path)
    return path


@pytest.fixture(scope="session")
def full_diseases(leaf_picture):
    """A classification run of which everything is known; nobody changes it."""
    return build_full_classification(leaf_picture)


@pytest.fixture(scope="session")
def full_weights(leaf_picture):
    """A regression run of which everything is known; nobody changes it."""
    return build_full_regression(leaf_picture)


@pytest.fixture
def find_leaf(tmp_path):
    """A finder that knows one picture for every sample but those numbered 001."""
    path = tmp_path / "leaf.png"
    Image.new("RGB", (60, 40), (40, 140, 60)).save(path)
    return lambda sample_id: None if "001" in sample_id else path
