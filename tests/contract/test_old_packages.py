"""Packages of every format that was ever written keep loading, and keep their answers."""

import zipfile
from pathlib import Path

import pytest

from phytoscope.predict.package import load_package, verify_package
from phytoscope.predict.package_archive import pack_package
from phytoscope.predict.package_files import open_files
from phytoscope.schema.package_format import PACKAGE_FORMAT

PLACE = Path(__file__).parents[1] / "old_packages"
ARCHIVES = sorted(PLACE.glob("format_*.zip"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def old_package(request, tmp_path) -> Path:
    """One of them as a folder, named like its archive."""
    folder = tmp_path / request.param.stem
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(folder)
    return folder


def test_there_are_two_of_every_format() -> None:
    """A new format needs new archives, and no old one may be gone."""
    kinds = ("classes", "numbers")
    expected = {f"format_{number}_{kind}.zip" for number in range(1, PACKAGE_FORMAT + 1) for kind in kinds}
    assert {path.name for path in ARCHIVES} == expected
    described = (PLACE / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in described for name in expected)


def test_old_package_answers_as_before(old_package) -> None:
    """As a folder it is whole, of the format in its name, and gives the answers that it gave when it was made."""
    assert open_files(old_package).written_format == int(old_package.name.split("_")[1])
    assert verify_package(old_package) < 1e-3
    predictor = load_package(old_package)
    assert predictor.trust is not None
    assert predictor.novelty is not None
    answer = predictor.predict(old_package / "golden" / "0.png")
    assert (answer.label is None) == ("numbers" in old_package.name)
    assert answer.verdict is not None


def test_old_package_works_as_one_file(old_package, tmp_path) -> None:
    """Packed without being changed, it proves itself all the same."""
    pack_package(old_package, tmp_path / "one.phyto")
    assert verify_package(tmp_path / "one.phyto") < 1e-3
    assert open_files(tmp_path / "one.phyto").description == (old_package / "package.json").read_bytes()
