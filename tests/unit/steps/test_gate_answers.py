"""Models answer test images from their files as they answer any photograph."""

import numpy as np
import pandas as pd
import pytest

from factories.packages import draw_photo, make_package
from phytoscope.predict.package import load_package
from phytoscope.schema.progress import SilentProgress
from phytoscope.steps.gate_answers import answer_unseen


@pytest.fixture
def rows(tmp_path) -> pd.DataFrame:
    """Three plants as a table of answers knows them, with the answers of another model in it."""
    paths = [str(draw_photo(tmp_path / "photos" / f"{number}.png", number)) for number in range(3)]
    return pd.DataFrame(
        {
            "sample_id": ["a", "b", "c"],
            "path": paths,
            "group_id": ["p1", "p2", "p3"],
            "split": "test",
            "target": [1.0, 2.0, 3.0],
            "target/leaves": [4.0, np.nan, 6.0],
            "green_px": 10,
            "meta/age": [3.0, np.nan, 20.0],
            "meta/state": ["wet", "dry", None],
            "prediction": -1.0,
            "prediction/leaves": -1.0,
            "lower": -2.0,
            "photo/side_px": 0.0,
            "verdict": "accept",
        },
        index=[7, 3, 5],
    )


def test_covariates_and_further_targets_are_answered_too(tmp_path, rows) -> None:
    """Row by row the same numbers as for a single photograph with what is known beside it."""
    make_package(tmp_path / "package", "several")
    predictor = load_package(tmp_path / "package")
    (table,) = answer_unseen([predictor], rows, [], workers=1, progress=SilentProgress()).tables
    assert table["sample_id"].tolist() == ["a", "b", "c"]
    known = [{"age": 3.0, "state": "wet"}, {"state": "dry"}, {"age": 20.0}]
    for row, (path, values) in enumerate(zip(rows["path"], known, strict=True)):
        expected = predictor.predict(path, covariates=values)
        upper = expected.uppers["leaves"]
        assert table["prediction"][row] == pytest.approx(expected.value, rel=1e-5)
        assert table["upper/leaves"][row] == pytest.approx(upper, rel=1e-5)
        assert table["lower"][row] == pytest.approx(expected.lower, rel=1e-5)
        assert table["verdict"][row] == expected.verdict
    assert table["photo/side_px"].gt(0).all()
    assert table.columns.is_unique


def test_two_models_answer_the_same_rows(tmp_path, rows) -> None:
    """Both tables have the same images in the same order, and an unreadable one is in neither."""
    for name in ("number", "several"):
        make_package(tmp_path / name / "package", name)
    (tmp_path / "photos" / "1.png").write_bytes(b"x")
    predictors = [load_package(tmp_path / name / "package") for name in ("number", "several")]
    found = answer_unseen(predictors, rows, [], workers=2, progress=SilentProgress())
    assert [table["sample_id"].tolist() for table in found.tables] == [["a", "c"], ["a", "c"]]
    assert list(found.left_out.values()) == [1]
    assert "prediction/leaves" not in found.tables[0]
