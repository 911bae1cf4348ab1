"""Drawn data and one trained run that the tests of the Python API share."""

from pathlib import Path

import pytest

import phytoscope as ph
from factories.runs import TINY, draw_mixed_folder
from phytoscope.data.synthetic import draw_leaf_dataset

SMALL = [*TINY, "package.onnx=never"]


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds `leaves`: three photographs of each of 30 leaves, five classes, and four planted faults."""
    place = tmp_path_factory.mktemp("drawn")
    draw_leaf_dataset(place / "leaves", leaves_per_class=6, size_px=64)
    return place


@pytest.fixture
def leaves(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of drawn leaves, named from an empty current folder."""
    monkeypatch.chdir(tmp_path)
    return drawn / "leaves"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ph.Dataset, ph.TrainedRun]:
    """Two drawn classes and a tiny network that was trained, judged and packed on them."""
    place = tmp_path_factory.mktemp("trained")
    draw_mixed_folder(place / "squares")
    data = ph.read(place / "squares", settings=[f"paths.runs_dir={place / 'runs'}"])
    run = ph.train(data, settings=SMALL, run_dir=place / "run")
    ph.evaluate(run)
    ph.package(run)
    return data, run
