"""From where on an answer is accepted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phytoscope.trust.thresholds import (
    NO_WIDTH,
    NOTHING_ACCEPTED,
    find_threshold,
    fit_least_probability,
    fit_widest,
    round_widths,
)


def alone(n) -> np.ndarray:
    return np.arange(n).astype(object)


def test_threshold_by_hand() -> None:
    """The lowest confidence is taken whose careful estimate, (wrong + 1) / (accepted + 1), is low enough."""
    confidence = np.linspace(0.99, 0.5, 50)
    wrong = np.zeros(50, dtype=bool)
    wrong[[30, 45, 46, 47]] = True
    # (1 + 1) / (39 + 1) = 0.05: after the first mistake 39 answers must be accepted; 45 are before the second one.
    found = find_threshold(confidence, wrong, alone(50), 0.05)
    assert found.reached
    assert found.confidence == confidence[44]
    assert found.estimate == pytest.approx(2 / 46)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 8)), min_size=1, max_size=60),
    st.floats(0.01, 0.9),
)
def test_reached_thresholds_keep_the_wanted_rate(rows, rate) -> None:
    """Where the rate is reached, accepted groups are wrong at most so often, with one more mistake imagined."""
    confidence, wrong, groups = (np.array(part) for part in zip(*rows, strict=True))
    found = find_threshold(confidence, wrong, groups, rate)
    if found.confidence is None:
        assert not found.reached
        return
    weights = 1.0 / np.bincount(groups)[groups]
    accepted = confidence >= found.confidence
    estimate = ((weights * wrong)[accepted].sum() + 1) / (weights[accepted].sum() + 1)
    assert estimate == pytest.approx(found.estimate)
    assert found.reached == (found.estimate <= rate)
    assert (weights * wrong)[accepted].sum() <= (rate + 1e-9) * weights[accepted].sum()


def test_groups_count_once() -> None:
    """Twenty images of one leaf are not twenty proofs."""
    confidence, wrong = np.full(40, 0.9), np.zeros(40, dtype=bool)
    assert find_threshold(confidence, wrong, alone(40), 0.05).reached
    assert not find_threshold(confidence, wrong, np.zeros(40, dtype=object), 0.05).reached


def test_equal_confidences_are_accepted_together() -> None:
    """A mistake as sure as right answers cannot be told from them."""
    confidence = np.repeat([0.9, 0.8], 50)
    wrong = np.arange(100) == 99
    assert find_threshold(confidence, wrong, alone(100), 0.025).confidence == 0.8
    wrong = np.arange(100) >= 90
    assert find_threshold(confidence, wrong, alone(100), 0.05).confidence == 0.9


def test_improbable_answers_are_never_accepted() -> None:
    """Below one half an answer is more probably wrong than right, even where the split has no mistake."""
    least, remarks = fit_least_probability(np.linspace(0.2, 1.0, 100), np.zeros(100, dtype=bool), alone(100), 0.05)
    assert 0.5 <= least < 0.52
    assert remarks == []


def test_everything_is_for_review_where_the_surest_are_wrong() -> None:
    """Where no threshold helps nothing is accepted, and a remark says what to do."""
    rng = np.random.default_rng(0)
    least, remarks = fit_least_probability(rng.uniform(0.5, 1, 300), rng.random(300) < 0.6, alone(300), 0.05)
    assert least == NOTHING_ACCEPTED
    assert "evaluate.error_rate" in remarks[0]


def test_nothing_is_accepted_where_all_are_improbable() -> None:
    """Where every answer is below one half, nothing is accepted."""
    least, remarks = fit_least_probability(np.full(50, 0.4), np.zeros(50, dtype=bool), alone(50), 0.05)
    assert least == NOTHING_ACCEPTED
    assert len(remarks) == 1


def test_too_few_groups_are_told() -> None:
    """Ten right leaves cannot show a rate of 5 %: all are accepted, and the remark says 9 %."""
    least, remarks = fit_least_probability(np.linspace(0.6, 0.9, 10), np.zeros(10, dtype=bool), alone(10), 0.05)
    assert least == 0.6
    assert "9.1%" in remarks[0]
    assert "5.0%" in remarks[0]


def test_mistake_of_a_less_sure_answer_does_not_forbid_the_surest() -> None:
    """Of ten leaves the four surest are right: these are accepted, although the lowest estimate comes further down."""
    confidence = np.linspace(0.95, 0.55, 10)
    wrong = np.arange(10) == 4
    found = find_threshold(confidence, wrong, alone(10), 0.05)
    assert found.confidence == confidence[3]
    assert found.estimate == 1 / 5
    assert not found.reached


def test_two_groups_are_not_enough_to_accept_anything() -> None:
    """A third leaf that is wrong leaves two, which may be right by luck."""
    assert find_threshold(np.linspace(0.9, 0.6, 10), np.arange(10) >= 2, alone(10), 0.05).confidence is None


def test_tolerance_sets_the_widest_interval() -> None:
    """With a tolerance, intervals are accepted up to the width at which errors become too frequent."""
    width = np.linspace(1, 2, 200)
    off = np.where(np.arange(200) < 150, 0.1, 5.0)
    widest, remarks = fit_widest(width, off, alone(200), error_rate=0.05, tolerance=1.0)
    assert remarks == []
    inside = width <= widest
    assert 150 <= inside.sum() <= 157
    assert ((off[inside] > 1.0).sum() + 1) / (inside.sum() + 1) <= 0.05


@pytest.mark.parametrize("tolerance", [0.0, 0.05])
def test_tolerance_that_is_never_met_accepts_nothing(tolerance) -> None:
    """A tolerance that no answer meets, also one of 0, leaves everything for review."""
    widest, remarks = fit_widest(np.ones(60), np.full(60, 0.1), alone(60), error_rate=0.05, tolerance=tolerance)
    assert widest == NO_WIDTH
    assert len(remarks) == 1


def test_usual_widths_are_accepted_without_a_tolerance() -> None:
    """Without a tolerance about 95 of 100 calibration groups are accepted."""
    width = np.random.default_rng(0).gamma(2, 1, 1000)
    widest, _ = fit_widest(width, np.zeros(1000), alone(1000), error_rate=0.05, tolerance=None)
    assert (width <= widest).mean() == pytest.approx(0.95, abs=0.002)


@pytest.mark.parametrize("tolerance", [None, 10.0])
def test_constant_widths_are_all_accepted(tolerance) -> None:
    """Widths that are equal up to the last digit of their ends are accepted together, new ones too."""
    rng = np.random.default_rng(0)

    def measure(values):
        return (values + 0.123456789) - (values - 0.123456789)

    width = measure(rng.uniform(0, 5000, 500))
    assert len(np.unique(width)) > 1
    widest, _ = fit_widest(width, np.zeros(500), alone(500), error_rate=0.05, tolerance=tolerance)
    assert (measure(rng.uniform(0, 5000, 500)) <= widest).all()


def test_rounded_widths() -> None:
    """Six digits are kept, whatever the size; 0 and NaN stay."""
    np.testing.assert_allclose(
        round_widths(np.array([123456.789, 0.000123456789, 0.0, np.nan])), [123457.0, 0.000123457, 0.0, np.nan]
    )
