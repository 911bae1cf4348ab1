"""Every number of the report that can have an interval has one that holds it."""

import json

import numpy as np
import pytest

from factories.predictions import add_more_targets, evaluate_drawn, make_classification, make_regression
from phytoscope.errors import ConfigError
from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler
from phytoscope.evaluate.intervals import find_worst_groups
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.table import Task

NAMES = ["healthy", "rust", "scab", "mildew"]
FACTS = {"name": "run", "data_hash": "d", "split_hash": "s", "bootstrap": 200}


def evaluate_classes(predictions, train_rows, **changes):
    settings = {"task": Task.classification, "class_names": NAMES, "target_name": "class", "unit": ""}
    return evaluate_drawn(predictions, train_rows, **{**settings, **FACTS, **changes})


def evaluate_weights(predictions, train_rows, **changes):
    settings = {"task": Task.regression, "class_names": [], "target_name": "fresh_weight_g", "unit": "g"}
    return evaluate_drawn(predictions, train_rows, **{**settings, **FACTS, **changes})


def test_class_numbers_lie_in_their_intervals():
    """Metrics and each class, in every split."""
    predictions, train_rows, _ = make_classification(NAMES, accuracy=0.8)
    report = evaluate_classes(predictions, train_rows)
    assert (report.bootstrap, report.confidence) == (200, 0.95)
    for part in report.splits.values():
        for metric in part.metrics:
            assert metric.low <= metric.value <= metric.high
            assert metric.low < metric.high
        for row in part.classes:
            assert row.n_groups == 4
            for name in ("precision", "recall", "f1"):
                value = getattr(row, name)
                assert getattr(row, f"{name}_low") <= value <= getattr(row, f"{name}_high")


def test_values_lie_in_their_intervals():
    """Metrics, slices of the true value, and further targets on the rows where they are known."""
    predictions, train_rows, _ = make_regression(n_per_split=80)
    predictions, train_rows = add_more_targets(predictions, train_rows)
    more = {"leaf area": "px", "leaves": ""}
    part = evaluate_weights(predictions, train_rows, more_targets=more).splits["test"]
    for metric in [*part.metrics, *part.more_targets[0].metrics]:
        if metric.value is not None:
            assert metric.low <= metric.value <= metric.high
    assert len(part.deciles) == 10
    for row in part.deciles:
        assert row.mae_low <= row.mae <= row.mae_high
        assert row.bias_low <= row.bias <= row.bias_high


def test_higher_confidence_asks_for_more_room():
    """The interval at 99 % holds the one at 80 %."""
    predictions, train_rows, _ = make_classification(NAMES, accuracy=0.8)
    narrow, wide = (
        evaluate_classes(predictions, train_rows, confidence=level).splits["test"].metrics[0] for level in (0.8, 0.99)
    )
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_old_calls_have_no_intervals():
    """Without a wish for draws nothing changes."""
    predictions, train_rows, _ = make_classification(NAMES)
    part = evaluate_classes(predictions, train_rows, bootstrap=0).splits["test"]
    assert all(metric.low is None and metric.high is None for metric in part.metrics)
    assert all(row.f1_low is None and row.n_groups is None for row in part.classes)


def test_report_with_intervals_survives_json():
    """No number that JSON has no word for, and nothing is lost."""
    predictions, train_rows, _ = make_classification(NAMES)
    predictions["meta/camera"] = np.where(np.arange(len(predictions)) % 2, "phone", "slr")
    report = evaluate_classes(predictions, train_rows)
    assert report.splits["test"].slices
    assert report.splits["test"].groups
    assert EvaluationReport.from_dict(json.loads(json.dumps(report.to_dict(), allow_nan=False))) == report


def test_one_plant_alone_has_no_interval_and_a_warning():
    """Its pictures say nothing about other plants."""
    predictions, train_rows, _ = make_regression()
    predictions["group_id"] = "the plant"
    report = evaluate_weights(predictions, train_rows)
    assert all(metric.low is None for metric in report.splits["test"].metrics)
    assert any("Few test groups (leaves, plants): 1" in text for text in report.warnings)


@pytest.mark.parametrize(("n_groups", "is_rough"), [(9, True), (10, False)])
def test_few_plants_make_rough_intervals(n_groups, is_rough):
    """From ten plants on nothing is said."""
    predictions, train_rows, _ = make_regression()
    predictions["group_id"] = [f"plant {number % n_groups}" for number in range(len(predictions))]
    report = evaluate_weights(predictions, train_rows)
    assert any(f"from only {n_groups} leaves or plants" in text for text in report.warnings) is is_rough


def test_impossible_confidence_is_refused():
    """Certainty cannot be had."""
    predictions, train_rows, _ = make_classification(NAMES)
    with pytest.raises(ConfigError, match=r"confidence 1\.0"):
        evaluate_classes(predictions, train_rows, confidence=1.0)


def test_worst_groups_come_first():
    """The lowest accuracy first, then the larger group; single images make no list."""
    groups = np.array(["a"] * 4 + ["b"] * 2 + ["c"] * 3)
    right = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0], dtype=float)
    sampler = GroupSampler(groups, BootstrapPlan())
    rows = find_worst_groups(sampler, right, "accuracy", higher_is_better=True)
    assert [(row.group_id, row.n, row.value) for row in rows] == [("c", 3, 0.0), ("b", 2, 0.0), ("a", 4, 1.0)]
    worst = find_worst_groups(sampler, right, "mae", higher_is_better=False)
    assert worst[0].group_id == "a"
    assert find_worst_groups(GroupSampler(np.arange(9), BootstrapPlan()), right, "mae", higher_is_better=False) == []


@pytest.mark.parametrize(("noise", "is_narrow"), [(0.1, False), (0.3, True)])
def test_a_lead_that_other_plants_could_turn_round_is_said(noise, is_narrow):
    """The model beats green pixels, once clearly and once hardly."""
    predictions, train_rows, _ = make_regression(n_per_split=60, noise=noise)
    report = evaluate_weights(predictions, train_rows)
    line = report.splits["test"].baselines[1]
    rmse = {metric.name: metric.value for metric in line.metrics}["rmse"]
    assert report.beats_baseline
    assert line.lead.value == pytest.approx(report.metric("test", "rmse") - rmse)
    assert line.lead.low <= line.lead.value <= line.lead.high
    found = [text for text in report.warnings if "could turn that round" in text]
    assert any("green pixels" in text for text in found) is is_narrow
    assert EvaluationReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_lead_over_always_the_same_class_is_in_macro_f1():
    """A good model leads clearly, and the lead is the difference of both numbers."""
    predictions, train_rows, _ = make_classification(NAMES)
    report = evaluate_classes(predictions, train_rows)
    (baseline,) = report.splits["test"].baselines
    other = {metric.name: metric.value for metric in baseline.metrics}["macro_f1"]
    assert baseline.lead.value == pytest.approx(report.metric("test", "macro_f1") - other)
    assert baseline.lead.low > 0
    assert not any("could turn" in text for text in report.warnings)
