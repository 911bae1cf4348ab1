"""One tiny workspace that all tests of the graph share, with one data set taken as far as its package."""

import pytest

from factories.workspaces import LOCAL, Materialised, make_workspace, materialise, open_records, succeeded


@pytest.fixture(scope="package")
def local(tmp_path_factory):
    """Leaves of two classes, from the folder to the package; no tracker is told."""
    workspace = make_workspace(tmp_path_factory.mktemp("graph") / "workspace")
    with open_records("leaves") as instance:
        yield Materialised(workspace, instance, succeeded(materialise(workspace, instance, LOCAL)))


@pytest.fixture
def records():
    """Dagster's records in memory, with two data sets."""
    with open_records("leaves", "plants") as instance:
        yield instance


@pytest.fixture
def fresh(tmp_path):
    """A workspace in which nothing was made yet."""
    return make_workspace(tmp_path / "workspace")
