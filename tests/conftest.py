"""Settings and fixtures that every test shares."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Set before anything is imported that reads them, and inherited by the commands that tests start.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise every import asks the network for a newer release
os.environ["MPLBACKEND"] = "Agg"  # tests have no screen
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny nets are slower on many threads, and workers would fight for cores
os.environ.setdefault("PHYTOSCOPE_TRACK_PATIENCE_S", "20")  # couriers do not outlive the tests whose trackers are away

REAL_DATA_VARIABLE = "PHYTOSCOPE_TEST_DATA"
REAL_DATA_BESIDE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests find out about this machine out of the user's cache, and the fonts that are already listed."""
    with pytest.MonkeyPatch.context() as patch:
        if "MPLCONFIGDIR" not in os.environ:
            patch.setenv("MPLCONFIGDIR", str(Path.home() / ".cache" / "matplotlib"))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


def find_real_data() -> Path | None:
    """Find the folder of real photographs: the one the environment names, else the one beside the checkout."""
    named = os.environ.get(REAL_DATA_VARIABLE)
    if named is not None:
        if not Path(named).is_dir():
            message = f"{REAL_DATA_VARIABLE} is {named!r}, which is no folder. Correct it or unset it."
            raise pytest.UsageError(message)
        return Path(named).resolve()
    return REAL_DATA_BESIDE_CHECKOUT if REAL_DATA_BESIDE_CHECKOUT.is_dir() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests on real photographs where there are none."""
    real = [item for item in items if item.get_closest_marker("real")]
    if real and find_real_data() is None:
        reason = f"no real photographs: set {REAL_DATA_VARIABLE} to a folder of data sets to run this test"
        for item in real:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def real_data_root() -> Path:
    """The folder that holds the real data sets, one folder each; only for tests marked `real`."""
    root = find_real_data()
    if root is None:
        pytest.skip(f"no real photographs: set {REAL_DATA_VARIABLE} to a folder of data sets to run this test")
    return root
