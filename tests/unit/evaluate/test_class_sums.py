"""Numbers from sums equal the numbers from rows."""

import numpy as np
import pytest

from factories.clusters import draw_classes
from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler
from phytoscope.evaluate.class_sums import prepare_class_rows
from phytoscope.evaluate.classification import compute_confusion_matrix, describe_classes, measure_classification


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_sums_give_the_same_numbers_as_rows(n_classes):
    """Every metric of all images, and precision, recall and F1 of each class."""
    groups, true, predicted, probs = draw_classes(n_classes=n_classes, alpha=2.0)
    sampler, rows = GroupSampler(groups, BootstrapPlan(0)), prepare_class_rows(true, predicted, probs)
    found = sampler.replicate(rows.sum_units(sampler)).map(rows.build_measure())
    expected = {metric.name: metric.value for metric in measure_classification(true, predicted, probs)}
    assert {name: found[name].whole[0] for name in expected} == pytest.approx(expected, rel=1e-12)
    classes = describe_classes(compute_confusion_matrix(true, predicted, n_classes), list("abcdef"[:n_classes]))
    for name in ("precision", "recall", "f1"):
        assert found[name].whole[0].tolist() == pytest.approx([getattr(row, name) for row in classes])


def test_some_rows_give_the_numbers_of_these_rows():
    """A slice is measured on its own images only, its missing classes left out."""
    groups, true, predicted, probs = draw_classes(n_classes=5, alpha=2.0)
    chosen = np.flatnonzero(true < 3)[:30]
    sampler, rows = GroupSampler(groups, BootstrapPlan(0)), prepare_class_rows(true, predicted, probs)
    found = sampler.replicate(rows.sum_units(sampler, chosen)).map(rows.build_measure())
    expected = measure_classification(true[chosen], predicted[chosen], probs[chosen])
    for metric in expected:
        # The bins of the calibration error are those of all images.
        if metric.name != "ece":
            assert found[metric.name].whole[0] == pytest.approx(metric.value), metric.name


def test_no_rows_give_no_numbers():
    """Nothing divided by nothing is undefined, not zero."""
    groups, true, predicted, probs = draw_classes()
    sampler, rows = GroupSampler(groups, BootstrapPlan(0)), prepare_class_rows(true, predicted, probs)
    nobody = np.array([], dtype=np.int64)
    found = sampler.replicate(rows.sum_units(sampler, nobody)).map(rows.build_measure())
    assert all(np.isnan(value.whole).all() for value in found.values())
