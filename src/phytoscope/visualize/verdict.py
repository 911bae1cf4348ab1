"""The first sentence of the page: how good the model is, on what, and compared with what."""

from phytoscope.schema.metric import count_hundred
from phytoscope.schema.report import Baseline, EvaluationReport, MetricValue, SplitReport
from phytoscope.schema.table import Split, Task
from phytoscope.visualize.text import format_count, format_number, format_percent, format_quantity, prettify_class
from phytoscope.visualize.trust_words import (
    in_brackets,
    word_hundred,
    word_quantity_range,
    word_range,
)

_SPLIT_CLAUSES = {
    str(Split.test): "that training never saw",
    str(Split.val): "that were also used to choose the model (so this is too rosy)",
    str(Split.calibration): "that were set aside for calibration",
}


def word_verdict(report: EvaluationReport, split: str) -> str:
    """One plain sentence about the model on one split, next to its baselines.

    Args:
        report: The numbers.
        split: Which of its splits to speak of.
    """
    part = report.splits[split]
    photographs = format_count(part.n, "photograph")
    if part.n_groups < part.n:
        photographs += f" of {format_count(part.n_groups, 'leaf or plant', 'leaves or plants')}"
    opening = f"On {photographs} {_SPLIT_CLAUSES.get(split, '')}".rstrip()
    if report.task == Task.classification:
        return f"{opening}, {_word_classification(part)}"
    return f"{opening}, {_word_regression(report, part)}"


def _word_classification(part: SplitReport) -> str:
    accuracy = _find_metric(part.metrics, "accuracy")
    if accuracy is None or accuracy.value is None:
        return "it was not measured how many were named rightly."
    span = in_brackets(word_range(accuracy.low, accuracy.high))
    sentence = f"{word_hundred(accuracy.value)} were named rightly{span}"
    constant = _find_baseline(part, "constant")
    always = None if constant is None else _find_metric(constant.metrics, "accuracy")
    if always is None or always.value is None:
        return sentence + "."
    return f"{sentence}; always guessing the most frequent class would get {count_hundred(always.value)}."


def _word_regression(report: EvaluationReport, part: SplitReport) -> str:
    mae, r2 = _find_metric(part.metrics, "mae"), _value(part, "r2")
    size = format_quantity(None if mae is None else mae.value, report.unit)
    more = "" if mae is None else word_quantity_range(mae)
    if r2 is not None:
        more += ("; " if more else "") + f"R² {format_number(r2)}"
    sentence = f"predictions of {report.target_name} were off by {size} on average{in_brackets(more)}"
    others = []
    constant, green = _find_baseline(part, "constant"), _find_baseline(part, "green_pixels")
    if constant is not None:
        always = format_quantity(_baseline_value(constant, "mae"), report.unit)
        others.append(f"always guessing the mean would be off by {always}")
    if green is not None:
        others.append(f"counting green pixels by {format_quantity(_baseline_value(green, 'mae'), report.unit)}")
    return sentence + ("; " + ", ".join(others) if others else "") + "."


def word_judgement(report: EvaluationReport) -> str:
    """A few words on whether the model is worth using at all, or that nobody can tell yet."""
    if report.beats_baseline is None:
        return "Not tested on images it never saw"
    if report.beats_baseline:
        return "Better than every simple baseline"
    return "Not better than a simple baseline"


def word_weakest(part: SplitReport) -> str | None:
    """A sentence on the class that is found least often; None when there is none with images."""
    known = [row for row in part.classes if row.support > 0 and row.recall is not None]
    if not known:
        return None
    # By the share that the sentence tells, so that it agrees with the matrix beside it.
    weakest = min(known, key=lambda row: (row.recall if row.recall is not None else 1.0, row.name))
    return (
        f"Weakest class: {prettify_class(weakest.name)} (found {format_percent(weakest.recall, 0)} of "
        f"{format_count(weakest.support, 'photograph')})."
    )


def word_ranges(report: EvaluationReport, part: SplitReport) -> str:
    """What the ranges behind the numbers mean; empty where no number has one.

    Args:
        report: The numbers.
        part: The split that the page shows.
    """
    if not any(metric.low is not None for metric in part.metrics):
        return ""
    return (
        f"The small numbers are ranges: with other leaves or plants like these, {100 * report.confidence:.0f} of 100 "
        f"such ranges hold the true value. They come from drawing the {format_count(part.n_groups, 'group')} again "
        f"{format_count(report.bootstrap, 'time')}, never single photographs, because photographs of one leaf or plant "
        "resemble each other."
    )


def _value(part: SplitReport, name: str) -> float | None:
    metric = _find_metric(part.metrics, name)
    return None if metric is None else metric.value


def _find_metric(metrics: list[MetricValue], name: str) -> MetricValue | None:
    return next((metric for metric in metrics if metric.name == name), None)


def _find_baseline(part: SplitReport, name: str) -> Baseline | None:
    return next((baseline for baseline in part.baselines if baseline.name == name), None)


def _baseline_value(baseline: Baseline, name: str) -> float | None:
    metric = _find_metric(baseline.metrics, name)
    return None if metric is None else metric.value
