"""A package proves not only its raw answers, but also what is made of them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from factories.packages import change_description, make_package
from factories.trust import make_trust
from phytoscope.errors import PackageError
from phytoscope.predict.package import GOLDEN_NAME, load_package, save_package, verify_package
from phytoscope.predict.package_files import open_files
from phytoscope.predict.package_golden import answer_golden
from phytoscope.predict.trust_files import NOVELTY_NAME, TRUST_NAME, read_trust, write_trust
from phytoscope.schema.artifact import hash_file, read_json
from phytoscope.schema.choices import CalibrationKind, NoveltyKind, OnnxExport
from phytoscope.schema.table import Task
from phytoscope.trust.calibration import Calibration
from phytoscope.trust.novelty import fit_novelty


@pytest.fixture
def package(predictor, photo, tmp_path) -> Path:
    """A package that judges its answers, with two golden images."""
    task = predictor.description.task
    predictor.trust = make_trust(task)
    features = np.random.default_rng(0).random((20, predictor.first_member[0].feature_dim), dtype=np.float32)
    predictor.novelty = fit_novelty(NoveltyKind.knn, features, np.zeros((20, 1)), None, seed=0)
    golden = [photo("one.png"), photo("two.JPG")]
    save_package(predictor, golden, tmp_path / "package", onnx=OnnxExport.never, limitations=[])
    return tmp_path / "package"


def correct_hashes(package: Path, *names: str) -> None:
    """Makes the hashes of exchanged parts fit."""
    hashes = {name: hash_file(package / name) for name in names}
    change_description(package, lambda content: content["sha256"].update(hashes))


def test_judged_answers_are_kept_and_reproduced(package) -> None:
    """Each golden image has its judged answer and its novelty."""
    rows = read_json(package / GOLDEN_NAME)
    assert all(row["judged"]["novelty"] > 0 and len(row["judged"]["answer"]) == len(row["answer"]) for row in rows)
    assert verify_package(package) < 1e-5


@pytest.mark.parametrize("predictor", [Task.classification], indirect=True)
def test_other_calibration_is_found_out(package) -> None:
    """Another temperature changes no raw answer, and yet every probability that a user reads."""
    trust, novelty = read_trust(package)
    write_trust(package, replace(trust, calibration=Calibration(CalibrationKind.temperature, (0.1,))), novelty)
    correct_hashes(package, TRUST_NAME)
    load_package(package)
    with pytest.raises(PackageError, match="does not reproduce its golden answers"):
        verify_package(package)


def test_other_reference_of_novelty_is_found_out(package, predictor) -> None:
    """Training images of another model would reject other pictures."""
    trust, _ = read_trust(package)
    features = -np.ones((20, predictor.first_member[0].feature_dim), dtype=np.float32)
    write_trust(package, trust, fit_novelty(NoveltyKind.knn, features, np.zeros((20, 1)), None, seed=0))
    correct_hashes(package, NOVELTY_NAME)
    with pytest.raises(PackageError, match="does not reproduce its golden answers"):
        verify_package(package)


def test_package_without_judged_answers_still_proves_itself(package) -> None:
    """Packages of earlier versions kept the raw answers alone."""
    rows = [{key: value for key, value in row.items() if key != "judged"} for row in read_json(package / GOLDEN_NAME)]
    (package / GOLDEN_NAME).write_text(json.dumps(rows))
    correct_hashes(package, GOLDEN_NAME)
    assert verify_package(package) < 1e-5


def test_answers_to_the_golden_images_are_those_that_are_kept(tmp_path) -> None:
    """An engine of its own answers is given golden answers in the form in which the package keeps them."""
    predictor = make_package(tmp_path / "package", "several")
    files = open_files(tmp_path / "package")
    kept = json.loads(files.read(GOLDEN_NAME))
    found = answer_golden(predictor, files)
    assert [row["image"] for row in found] == [row["image"] for row in kept]
    assert [sorted(row) for row in found] == [sorted(row) for row in kept]
    for row, other in zip(found, kept, strict=True):
        assert row["answer"] == pytest.approx(other["answer"], abs=1e-6)
