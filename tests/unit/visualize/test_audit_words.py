"""The inspection's words lead to the right place and round fairly."""

import pytest

from factories.audits import build_classification_audit, build_regression_audit
from phytoscope.schema.audit import LabelRow
from phytoscope.visualize.audit_words import find_place, format_gap, format_r2, format_score, word_balance, word_name


@pytest.mark.parametrize(
    ("check", "place"),
    [
        ("shortcut/border_pixels", "shortcuts"),
        ("optimism gap", "shortcuts"),
        ("explained target", "shortcuts"),
        ("duplicates/conflicting", "duplicates"),
        ("labels/too_few_groups", "content"),
        ("labels/suspect", "suspects"),
        ("label noise", "suspects"),
        ("split/leaks", "leakage"),
        ("quality/dark", "quality"),
        ("rejected/image_empty", "rejected"),
        ("groups/series", "content"),
        ("something/else", None),
    ],
)
def test_each_check_leads_to_its_section(check, place):
    """The longest known beginning wins."""
    assert find_place(check) == place


@pytest.mark.parametrize(
    ("value", "text"), [(None, "\u2013"), (0.0, "0.00"), (-0.001, "0.00"), (-0.07, "\u22120.07"), (0.8149, "0.81")]
)
def test_r2_has_two_decimals_and_no_negative_zero(value, text):
    """Numbers of one chart are rounded alike."""
    assert format_r2(value) == text


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [(0.044, "accuracy", "+4.4\u00a0points"), (-0.01, "accuracy", "\u22121.0\u00a0points"), (0.12, "r2", "+0.12")],
)
def test_gap_has_its_sign(value, metric, text):
    """Accuracies differ in percentage points, R² in numbers."""
    assert format_gap(value, metric) == text
    assert format_gap(value, metric, unit=False) in text


def test_scores_are_percent_but_r2():
    """An accuracy is a share."""
    assert format_score(0.31, "balanced_accuracy") == "31.0\u00a0%"
    assert format_score(0.31, "r2") == "0.31"


def test_unknown_names_are_spelt_out():
    """A new probe needs no new words."""
    assert word_name("left_corner", {}) == "Left corner"


def test_balance_is_told_for_two_classes_or_more():
    """A ratio needs two classes with images."""
    assert word_balance(build_regression_audit().report) is None
    rows = [LabelRow("a", 10, 2), LabelRow("b", 0, 0)]
    assert word_balance(build_classification_audit(labels=rows).report) is None
    equal = build_classification_audit(labels=[LabelRow("a", 3, 2), LabelRow("b", 3, 2)])
    assert word_balance(equal.report) == "2 classes with 3 images each."
    assert "5.0 to 1" in word_balance(build_classification_audit(labels=[*rows, LabelRow("c", 2, 1)]).report)
