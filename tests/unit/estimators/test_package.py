"""What an estimator has learned as a model package."""

import numpy as np
import pytest

from factories.drawn_leaves import PLAIN, draw_leaves, write_leaves
from phytoscope.errors import ArtifactError, DataValidationError
from phytoscope.estimators.classifier import PlantClassifier
from phytoscope.estimators.regressor import PlantRegressor
from phytoscope.predict.package import verify_package
from phytoscope.predict.predictor import Predictor

PICTURES, LABELS, SIZES, PLANTS = draw_leaves()


@pytest.fixture(scope="module")
def fitted():
    """A classifier that knows the leaves."""
    return PlantClassifier(**PLAIN).fit(PICTURES, LABELS, PLANTS)


def test_the_package_answers_as_the_classifier(fitted, tmp_path):
    """Probabilities of a loaded package are those of `predict_proba`, for pixels and for files."""
    place = fitted.save(tmp_path / "leaf model", licence="CC-BY-4.0", onnx="never")

    predictor = Predictor.load(place)

    expected = fitted.predict_proba(PICTURES)
    answers = [predictor.predict(picture).probabilities for picture in PICTURES]
    np.testing.assert_allclose([[each[name] for name in fitted.classes_] for each in answers], expected, atol=1e-6)
    paths = write_leaves(PICTURES[:3], tmp_path / "photos")
    assert [predictor.predict(path).label for path in paths] == list(fitted.predict(paths))
    assert (predictor.description.name, predictor.description.licence) == ("leaf model", "CC-BY-4.0")
    assert verify_package(place) < 1e-5


def test_the_card_says_what_the_package_cannot_do(fitted, tmp_path):
    """Nobody takes answers without a verdict for judged ones."""
    place = fitted.save(tmp_path / "model", onnx="never")

    card = next(place.glob("*.md")).read_text(encoding="utf-8")

    assert "No answer carries a verdict" in card
    assert Predictor.load(place).predict(PICTURES[0]).verdict == ""


def test_the_package_of_a_regressor_knows_its_unit(tmp_path):
    """Name and unit of the number stand in every answer."""
    fitted = PlantRegressor(**PLAIN).fit(PICTURES, SIZES, PLANTS)
    place = fitted.save(tmp_path / "model", name="lesions", target="lesion_area", unit="px", onnx="never")

    answer = Predictor.load(place).predict(PICTURES[5])

    assert answer.value == pytest.approx(fitted.predict(PICTURES[5:6])[0], rel=1e-5)
    assert answer.units == {"lesion_area": "px"}


def test_a_package_is_replaced_by_the_next(fitted, tmp_path):
    """Saving twice leaves the second model."""
    fitted.save(tmp_path / "model", name="first", onnx="never")

    fitted.save(tmp_path / "model", name="second", onnx="never")

    assert Predictor.load(tmp_path / "model").description.name == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("kind", ["photographs", "a project with a package.json", "a file"])
def test_nothing_else_is_replaced(fitted, tmp_path, kind):
    """A folder or file of the user's is refused, and is as it was."""
    place = tmp_path / "leaves"
    inside = {"photographs": "1.jpg", "a project with a package.json": "package.json"}.get(kind)
    own = place / inside if inside else place
    own.parent.mkdir(exist_ok=True)
    own.write_bytes(b"mine")

    with pytest.raises(ArtifactError, match="would be replaced: choose another folder"):
        fitted.save(place, onnx="never")

    assert own.read_bytes() == b"mine"


def test_an_empty_folder_is_taken(fitted, tmp_path):
    """Whoever made the folder beforehand gets the package in it."""
    (tmp_path / "model").mkdir()

    assert Predictor.load(fitted.save(tmp_path / "model", onnx="never")).description.name == "model"


def test_a_fitted_estimator_does_not_depend_on_saving(fitted, tmp_path):
    """The name of a package stays in the package."""
    before = fitted.predictor_.description

    fitted.save(tmp_path / "model", onnx="never")

    assert fitted.predictor_.description == before


def test_rows_of_numbers_have_no_package(tmp_path):
    """A head alone takes no photograph, so nothing is written."""
    fitted = PlantClassifier(random_state=0).fit(np.eye(6), [0, 1, 0, 1, 0, 1])

    with pytest.raises(DataValidationError, match="rows of numbers"):
        fitted.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_onnx_is_a_closed_choice(fitted, tmp_path):
    """A wrong word is refused before anything is written."""
    with pytest.raises(ValueError, match="onnx='yes' is unknown"):
        fitted.save(tmp_path / "model", onnx="yes")
