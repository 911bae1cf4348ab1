"""Sentences a reader must see before believing the numbers."""

from phytoscope.schema.report import Baseline, MetricValue, SplitReport
from phytoscope.schema.table import Split, Task

MIN_TEST_IMAGES = 30
MIN_TEST_GROUPS = 5
MIN_CLASS_IMAGES = 5
LARGE_GAP = 0.1
"""Difference between validation and test, in macro F1 or R2, that a reader should hear about."""
_LISTED_CLASSES = 10

METRIC_NAMES = {"macro_f1": "macro F1", "rmse": "RMSE", "r2": "R2"}
BASELINE_NAMES = {
    "constant": "always giving the same answer",
    "green_pixels": "a straight line on the number of green pixels",
}


def loses_to(part: SplitReport, metric: str, *, higher_is_better: bool) -> list[Baseline]:
    """The baselines that are at least as good as the model by `metric`; a value that is not defined counts as lost."""
    own = _get_value(part.metrics, metric)
    lost = []
    for baseline in part.baselines:
        other = _get_value(baseline.metrics, metric)
        if own is None or other is None or not (own > other if higher_is_better else own < other):
            lost.append(baseline)
    return lost


def list_warnings(task: Task, splits: dict[str, SplitReport], metric: str, *, higher_is_better: bool) -> list[str]:
    """Words every reason for doubt that the numbers themselves give.

    Args:
        task: Classification or regression.
        splits: Split name -> its numbers.
        metric: Name of the main metric.
        higher_is_better: Direction of the main metric.
    """
    test = splits.get(str(Split.test))
    if test is None:
        return ["There is no test split: nothing here says how the model does on plants it was not tuned on."]
    found = _warn_of_size(test) + _warn_of_baselines(test, metric, higher_is_better)
    if task == Task.classification:
        found += _warn_of_small_classes(test)
    return found + _warn_of_gap(splits, "macro_f1" if task == Task.classification else "r2")


def _warn_of_size(test: SplitReport) -> list[str]:
    found = []
    if test.n < MIN_TEST_IMAGES:
        found.append(
            f"Few test images: {test.n}, at least {MIN_TEST_IMAGES} are advisable. "
            "Another draw of the test images could give quite different numbers."
        )
    if test.n_groups < MIN_TEST_GROUPS:
        found.append(
            f"Few test groups (leaves, plants): {test.n_groups}, at least {MIN_TEST_GROUPS} are advisable. "
            "Pictures of the same plant are alike, so the numbers say little about other plants."
        )
    return found


def _warn_of_baselines(test: SplitReport, metric: str, higher_is_better: bool) -> list[str]:
    own = _get_metric(test.metrics, metric)
    name = METRIC_NAMES[metric]
    return [
        f"The model is not better than {BASELINE_NAMES.get(baseline.name, baseline.name)}: "
        f"{name} {_word(own)} against {_word(_get_metric(baseline.metrics, metric))} "
        f"({'higher' if higher_is_better else 'lower'} is better). Do not use it as it is."
        for baseline in loses_to(test, metric, higher_is_better=higher_is_better)
    ]


def _warn_of_small_classes(test: SplitReport) -> list[str]:
    small = [row for row in test.classes if row.support < MIN_CLASS_IMAGES]
    if not small:
        return []
    listed = ", ".join(f"{row.name} ({row.support})" for row in small[:_LISTED_CLASSES])
    more = f" and {len(small) - _LISTED_CLASSES} more" if len(small) > _LISTED_CLASSES else ""
    sentence = (
        f"Fewer than {MIN_CLASS_IMAGES} test images for {len(small)} of {len(test.classes)} classes: {listed}{more}. "
        "Their own numbers mean little, and they pull the averages over classes up or down by chance."
    )
    return [sentence]


def _warn_of_gap(splits: dict[str, SplitReport], metric: str) -> list[str]:
    val = splits.get(str(Split.val))
    if val is None:
        return []
    on_val, on_test = _get_value(val.metrics, metric), _get_value(splits[str(Split.test)].metrics, metric)
    if on_val is None or on_test is None or abs(on_val - on_test) <= LARGE_GAP:
        return []
    sentence = (
        f"Validation and test disagree: {METRIC_NAMES[metric]} {on_val:.2f} against {on_test:.2f}. "
        "Either the splits are small or they hold different kinds of plants; quote the test number."
    )
    return [sentence]


def _get_metric(metrics: list[MetricValue], name: str) -> MetricValue | None:
    return next((metric for metric in metrics if metric.name == name), None)


def _get_value(metrics: list[MetricValue], name: str) -> float | None:
    metric = _get_metric(metrics, name)
    return None if metric is None else metric.value


def _word(metric: MetricValue | None) -> str:
    if metric is None or metric.value is None:
        return "undefined"
    return f"{metric.value:.3g} {metric.unit}".rstrip()
