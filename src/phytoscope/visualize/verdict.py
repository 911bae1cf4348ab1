"""The first sentence of the page: how good the model is, on what, and compared with what."""

from phytoscope.schema.report import Baseline, EvaluationReport, SplitReport
from phytoscope.schema.table import Split, Task
from phytoscope.visualize.text import format_count, format_number, format_percent, format_quantity, prettify_class

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
    sentence = f"{format_percent(_value(part, 'accuracy'))} were named rightly"
    constant = _find_baseline(part, "constant")
    if constant is None:
        return sentence + "."
    always = format_percent(_baseline_value(constant, "accuracy"))
    return f"{sentence}; always guessing the most frequent class would get {always}."


def _word_regression(report: EvaluationReport, part: SplitReport) -> str:
    mae, r2 = _value(part, "mae"), _value(part, "r2")
    sentence = f"predictions of {report.target_name} were off by {format_quantity(mae, report.unit)} on average"
    if r2 is not None:
        sentence += f" (R² {format_number(r2)})"
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
    """A sentence on the class that is recognised worst; None when there is none with images."""
    known = [row for row in part.classes if row.support > 0 and row.f1 is not None]
    if not known:
        return None
    weakest = min(known, key=lambda row: (row.f1 if row.f1 is not None else 1.0, row.name))
    return (
        f"Weakest class: {prettify_class(weakest.name)} (found {format_percent(weakest.recall, 0)} of "
        f"{format_count(weakest.support, 'photograph')})."
    )


def _value(part: SplitReport, name: str) -> float | None:
    return next((metric.value for metric in part.metrics if metric.name == name), None)


def _find_baseline(part: SplitReport, name: str) -> Baseline | None:
    return next((baseline for baseline in part.baselines if baseline.name == name), None)


def _baseline_value(baseline: Baseline, name: str) -> float | None:
    return next((metric.value for metric in baseline.metrics if metric.name == name), None)
