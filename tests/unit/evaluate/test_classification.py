"""Classification numbers are what their definitions say, also where classes are missing or tied."""

import numpy as np
import pytest

from phytoscope.evaluate.classification import (
    compute_accuracy,
    compute_brier,
    compute_confusion_matrix,
    compute_ece,
    compute_macro_f1,
    compute_nll,
    compute_top_k_accuracy,
    describe_classes,
    find_confidence_bins,
    find_confusions,
    measure_classification,
)

TRUE = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 1, 0])


def test_confusion_matrix_has_true_classes_in_rows():
    """Cell (i, j) counts images of class i taken for class j."""
    assert compute_confusion_matrix(TRUE, PREDICTED, 3).tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_macro_f1_leaves_out_absent_classes_but_not_missed_ones():
    """A class without images does not count; a class that is never found counts as 0."""
    confusion = compute_confusion_matrix(TRUE, PREDICTED, 4)
    assert compute_macro_f1(confusion) == pytest.approx((4 / 6 + 4 / 5 + 0.0) / 3)


def test_top3_is_never_below_accuracy_on_ties():
    """With equal probabilities the first class wins in both."""
    probs = np.full((2, 5), 0.2)
    true = np.array([0, 3])
    assert compute_top_k_accuracy(true, probs) == compute_accuracy(true, probs.argmax(axis=1)) == 0.5


def test_nll_of_an_impossible_truth_is_finite():
    """A probability of 0 for the true class costs much, not infinity."""
    assert compute_nll(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(36.04, abs=0.01)


@pytest.mark.parametrize(("n_classes", "expected"), [(3, False), (4, True)])
def test_top3_is_reported_from_four_classes_on(n_classes, expected):
    """With three classes the top 3 are all classes, which says nothing."""
    names = [metric.name for metric in measure_classification(TRUE, PREDICTED, np.full((6, n_classes), 1 / n_classes))]
    assert ("top3_accuracy" in names) is expected


def test_class_rows_tell_undefined_from_zero():
    """A class never predicted has no precision, one without images no recall, one with neither no F1."""
    rows = describe_classes(compute_confusion_matrix(np.array([0, 1]), np.array([0, 2]), 4), ["a", "b", "c", "d"])
    assert [(row.precision, row.recall, row.f1) for row in rows] == [
        (1.0, 1.0, 1.0),
        (None, 0.0, 0.0),
        (0.0, None, 0.0),
        (None, None, None),
    ]


def test_confusions_come_most_frequent_first_and_most_confident_image_first():
    """Ties in the count go to the larger share of the true class."""
    names = [f"{i}.jpg" for i in range(6)]
    found = find_confusions(TRUE, PREDICTED, np.full(6, 0.9), names, ["a", "b", "c"], 8)
    assert [(pair.true, pair.predicted, pair.count) for pair in found] == [("c", "a", 1), ("a", "b", 1)]
    true, predicted = np.array([0, 0, 1]), np.array([1, 1, 1])
    (pair,) = find_confusions(true, predicted, np.array([0.6, 0.9, 1.0]), names[:3], ["a", "b"], 8)
    assert pair.sample_ids == ["1.jpg", "0.jpg"]
    assert pair.share_of_true == 1.0


def test_no_confusions_can_be_asked_for():
    """A limit of 0 is a limit."""
    assert find_confusions(TRUE, PREDICTED, np.ones(6), list("abcdef"), ["a", "b", "c"], 0) == []


def test_brier_and_calibration_error_by_hand():
    """Two images of the same certainty, one right: Brier over all classes, and half of 0.8 minus a half."""
    probs = np.array([[0.8, 0.2], [0.8, 0.2]])
    true, predicted = np.array([0, 1]), np.array([0, 0])
    assert compute_brier(true, probs) == pytest.approx((0.04 + 0.04 + 0.64 + 0.64) / 2)
    assert compute_ece(true, predicted, probs) == pytest.approx(0.3)


def test_confidence_bins_are_equally_full_and_keep_equals_together():
    """Fifteen bins of ten images; equal confidences never part."""
    confidence = np.random.default_rng(0).permutation(150) / 150.0
    assert np.bincount(find_confidence_bins(confidence)).tolist() == [10] * 15
    assert len(set(find_confidence_bins(np.array([0.5] * 20 + [0.6] * 2))[:20])) == 1
