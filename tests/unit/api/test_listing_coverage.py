"""How often sets and intervals hold the truth is listed with the model."""

import pytest

from factories.packages import make_package
from phytoscope.api.listing import _read_coverage


@pytest.mark.parametrize(
    ("meaning", "judged", "share"), [("classes", True, 0.9), ("several", True, 0.9), ("number", False, None)]
)
def test_promised_share_is_listed(tmp_path, meaning, judged, share):
    """The share that the package promises; nothing where it promises nothing."""
    predictor = make_package(tmp_path / "package", meaning, judged=judged)
    assert _read_coverage(predictor) == share


def test_answers_without_sets_promise_nothing(tmp_path):
    """A calibration split may be too small for sets or intervals."""
    predictor = make_package(tmp_path / "package", "number")
    predictor.trust = type(predictor.trust)(predictor.trust.task, intervals=(None,))
    assert _read_coverage(predictor) is None
    predictor.trust = type(predictor.trust)(predictor.trust.task)
    assert _read_coverage(predictor) is None
