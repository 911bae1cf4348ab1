"""Whether probabilities mean what they say."""

import numpy as np
import pytest

from phytoscope.evaluate.reliability import draw_reliability, measure_calibration
from tests.factories.clustered_classes import draw_classes


def test_bins_add_up_to_the_calibration_error() -> None:
    """The gaps of the diagram, weighted by images, are the expected calibration error beside it."""
    rows = draw_classes(np.random.default_rng(0), 777, temperature=2.0)
    probs = rows.observed.answers
    bins = draw_reliability(rows.truth, probs)
    assert len(bins) == 15
    assert sum(entry.n for entry in bins) == 777
    assert [entry.confidence for entry in bins] == sorted(entry.confidence for entry in bins)
    error = sum(entry.n * abs(entry.confidence - entry.accuracy) for entry in bins) / 777
    assert error == pytest.approx(measure_calibration(rows.truth, probs)["ece"])


def test_honest_probabilities_lie_on_the_diagonal() -> None:
    """Where probabilities are honest, every bin is right as often as it says."""
    rows = draw_classes(np.random.default_rng(1), 30_000, lean=2.0)
    for entry in draw_reliability(rows.truth, rows.observed.answers):
        assert entry.accuracy == pytest.approx(entry.confidence, abs=4 * np.sqrt(0.25 / entry.n))
    assert measure_calibration(rows.truth, rows.observed.answers)["ece"] < 0.02


def test_one_image_is_one_bin() -> None:
    """A single image gives a single bin."""
    (entry,) = draw_reliability(np.array([1]), np.array([[0.3, 0.7]]))
    assert (entry.n, entry.confidence, entry.accuracy) == (1, 0.7, 1.0)
