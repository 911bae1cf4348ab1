"""Every metric and every figure has its words."""

from phytoscope.schema.report import MetricValue
from phytoscope.visualize.words import FIGURES, METRICS, format_metric, format_span, title_metric


def test_all_metrics_of_both_tasks_have_words(diseases, weights):
    """A new metric without an explanation is noticed here."""
    for run in (diseases, weights):
        for metric in run.report.splits["test"].metrics:
            assert metric.name in METRICS


def test_fractions_are_percent_and_quantities_have_units():
    """The page never shows 0.942 where it means 94.2 %."""
    assert format_metric(MetricValue("accuracy", 0.942, "", True)) == "94.2\u00a0%"
    assert format_metric(MetricValue("rmse", 1.234, "g", False)) == "1.23\u00a0g"
    assert format_metric(MetricValue("nll", 0.5, "nats", False)) == "0.500"
    assert format_metric(MetricValue("r2", None, "", True)) == "\u2013"


def test_unknown_metrics_keep_their_names():
    """A metric of a later version can still be shown."""
    assert title_metric("new_metric") == "new metric"


def test_every_figure_has_text_for_those_who_cannot_see_it():
    """Alternative text and reading help are never empty."""
    assert all(words.alt and words.reading and words.title for words in FIGURES.values())


def test_spans_carry_their_unit_once():
    """The unit stands at the end, and a number without interval has no span."""
    assert format_span(MetricValue("accuracy", 0.9, "", True, 0.88, 0.95)) == "88.0 to 95.0\u00a0%"
    assert format_span(MetricValue("rmse", 1.0, "g", False, 0.5, 1.5)) == "0.500 to 1.50\u00a0g"
    assert format_span(MetricValue("r2", 0.9, "", True, 0.5, 0.95)) == "0.500 to 0.950"
    assert format_span(MetricValue("r2", 0.9, "", True)) == ""
