"""What it costs to answer more images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phytoscope.evaluate.selective import MAX_POINTS, trace_risk


def test_curve_by_hand() -> None:
    """The surest come first, equally sure ones together, and images that are not answered count among all."""
    confidence = np.array([0.9, 0.5, 0.7, 0.7, 0.99, np.nan])
    loss = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    answerable = np.array([True, True, True, True, False, True])
    curve = trace_risk(confidence, loss, answerable)
    np.testing.assert_allclose(curve.coverage, [1 / 6, 3 / 6, 4 / 6])
    np.testing.assert_allclose(curve.risk, [0.0, 1 / 3, 0.5])
    np.testing.assert_allclose(curve.threshold, [0.9, 0.7, 0.5])
    assert curve.find_answerable(0.4) == 0.5
    assert curve.find_answerable(0.0) == pytest.approx(1 / 6)


def test_no_rate_is_reached_where_the_surest_is_wrong() -> None:
    """Nothing can be answered where every answer is wrong."""
    assert trace_risk(np.array([0.9, 0.8]), np.ones(2), np.ones(2, dtype=bool)).find_answerable(0.1) == 0.0


@pytest.mark.parametrize("n", [0, 1, 2, 199, 200, 201, 5000])
def test_thinned_curve_keeps_its_ends(n) -> None:
    """At most 200 points are kept, the first and the last among them."""
    rng = np.random.default_rng(0)
    curve = trace_risk(rng.random(n), (rng.random(n) < 0.3).astype(float), np.ones(n, dtype=bool))
    points = curve.thin_out()
    assert len(points) == min(n, MAX_POINTS)
    if n > 0:
        assert points[0].coverage == curve.coverage[0]
        assert points[-1].coverage == 1.0
        assert points[-1].risk == pytest.approx(curve.risk[-1])


@given(
    st.lists(st.tuples(st.sampled_from([0.2, 0.5, 0.6, 0.9]), st.booleans(), st.booleans()), min_size=1, max_size=30)
)
def test_each_point_is_the_mean_loss_above_its_threshold(rows) -> None:
    """Every point says what a plain count says, and coverage rises while the threshold falls."""
    confidence, loss, answerable = (np.array(part) for part in zip(*rows, strict=True))
    curve = trace_risk(confidence, loss.astype(float), answerable)
    for coverage, risk, threshold in zip(curve.coverage, curve.risk, curve.threshold, strict=True):
        answered = answerable & (confidence >= threshold)
        assert coverage == pytest.approx(answered.mean())
        assert risk == pytest.approx(loss[answered].mean())
    assert (np.diff(curve.coverage) > 0).all()
    assert (np.diff(curve.threshold) < 0).all()
