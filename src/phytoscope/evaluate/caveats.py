"""Sentences a reader must see before believing the numbers."""

import pandas as pd

from phytoscope.schema.report import Baseline, MetricValue, SliceReport, SplitReport
from phytoscope.schema.table import GROUP_ID, SPLIT, Split, Task

MIN_TEST_IMAGES = 30
MIN_TEST_GROUPS = 5
MIN_INTERVAL_GROUPS = 10
"""Intervals from fewer groups are rough."""
MIN_CLASS_IMAGES = 5
LARGE_GAP = 0.1
"""Difference between validation and test, in macro F1 or R2, that a reader should hear about."""
_LISTED_CLASSES = 10
_LISTED_SLICES = 5
# As an image that names no group is called in the manifest; a user's own "image/7" is a name.
_UNGROUPED = r"image/[0-9a-f]{16}"

METRIC_NAMES = {
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "rmse": "RMSE",
    "mae": "mean absolute error",
    "r2": "R2",
}
BASELINE_NAMES = {
    "constant": "always giving the same answer",
    "green_pixels": "a straight line on the number of green pixels",
}


def deciding_metrics(metric: str) -> list[str]:
    """What a model must be better in than a baseline: the main metric, and for classes the accuracy too.

    Always giving one answer has a macro F1 close to zero, so that nearly any scatter of answers beats it by that alone.
    """
    return ["macro_f1", "accuracy"] if metric == "macro_f1" else [metric]


def loses_to(part: SplitReport, metric: str, *, higher_is_better: bool) -> list[Baseline]:
    """The baselines that are at least as good as the model by `metric`; a value that is not defined counts as lost."""
    own = _get_value(part.metrics, metric)
    lost = []
    for baseline in part.baselines:
        other = _get_value(baseline.metrics, metric)
        if own is None or other is None or not (own > other if higher_is_better else own < other):
            lost.append(baseline)
    return lost


def count_ungrouped(predictions: pd.DataFrame, split: Split) -> int:
    """Counts the images of one split that name no plant or leaf, so that each is a group of its own.

    Args:
        predictions: One row per image with `group_id` and `split`.
        split: Which images to count.
    """
    groups = predictions.loc[predictions[SPLIT] == str(split), GROUP_ID].astype(str)
    return int(groups.str.fullmatch(_UNGROUPED).sum())


def list_warnings(
    task: Task, splits: dict[str, SplitReport], metric: str, *, higher_is_better: bool, ungrouped: int = 0
) -> list[str]:
    """Words every reason for doubt that the numbers themselves give.

    Args:
        task: Classification or regression.
        splits: Split name -> its numbers.
        metric: Name of the main metric.
        higher_is_better: Direction of the main metric.
        ungrouped: Test images that name no plant or leaf.
    """
    test = splits.get(str(Split.test))
    if test is None:
        return ["There is no test split: nothing here says how the model does on plants it was not tuned on."]
    found = (
        _warn_of_size(test) + _warn_of_ungrouped(test, ungrouped) + _warn_of_baselines(test, metric, higher_is_better)
    )
    if task == Task.classification:
        found += _warn_of_small_classes(test)
    found += _warn_of_intervals(test) + _warn_of_narrow_leads(test, metric, higher_is_better) + _warn_of_slices(test)
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


def _warn_of_intervals(test: SplitReport) -> list[str]:
    if all(metric.low is None for metric in test.metrics):
        return []
    if test.n_groups >= MIN_INTERVAL_GROUPS:
        return []
    sentence = (
        f"The ranges of the numbers come from only {test.n_groups} leaves or plants (groups) and are rough: below "
        f"{MIN_INTERVAL_GROUPS}, other plants may well lie outside them."
    )
    return [sentence]


def _warn_of_slices(test: SplitReport) -> list[str]:
    worse = [row for row in test.slices if row.worse]
    found = [_word_slice(row, row.difference.name, test) for row in worse[:_LISTED_SLICES] if row.difference]
    if len(worse) > _LISTED_SLICES:
        found.append(f"Worse in {len(worse) - _LISTED_SLICES} more parts of the photographs: see the slices.")
    return found


def _word_slice(row: SliceReport, metric: str, test: SplitReport) -> str:
    own, overall = _get_metric(row.metrics, metric), _get_metric(test.metrics, metric)
    return (
        f"Worse where {row.column} is {row.value}: {METRIC_NAMES.get(metric, metric)} {_word_range(own)} on {row.n} "
        f"photographs of {row.n_groups} leaves or plants, against {_word(overall)} on all."
    )


def _warn_of_ungrouped(test: SplitReport, ungrouped: int) -> list[str]:
    if ungrouped == 0:
        return []
    sentence = (
        f"{ungrouped} of {test.n} test photographs {'names' if ungrouped == 1 else 'name'} no plant or leaf, so "
        "photographs of one plant may stand on both sides, in training and in the test; name it with data.group_by or "
        "data.group_pattern."
    )
    return [sentence]


def _warn_of_baselines(test: SplitReport, metric: str, higher_is_better: bool) -> list[str]:
    return [
        f"The model is not better than {BASELINE_NAMES.get(baseline.name, baseline.name)}: "
        f"{METRIC_NAMES[name]} {_word(_get_metric(test.metrics, name))} against "
        f"{_word(_get_metric(baseline.metrics, name))} "
        f"({'higher' if higher_is_better else 'lower'} is better). Do not use it as it is."
        for name in deciding_metrics(metric)
        for baseline in loses_to(test, name, higher_is_better=higher_is_better)
    ]


def _warn_of_narrow_leads(test: SplitReport, metric: str, higher_is_better: bool) -> list[str]:
    """Baselines that the model beats here, but that other plants could put ahead of it."""
    lost = loses_to(test, metric, higher_is_better=higher_is_better)
    return [
        f"The model is better than {BASELINE_NAMES.get(baseline.name, baseline.name)} on these photographs, but other "
        f"plants could turn that round: {METRIC_NAMES[metric]} differs by {_word_range(baseline.lead)}."
        for baseline in test.baselines
        if baseline not in lost and baseline.lead is not None and _holds_zero(baseline.lead)
    ]


def _holds_zero(metric: MetricValue) -> bool:
    return metric.low is not None and metric.high is not None and metric.low <= 0 <= metric.high


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


def _word_range(metric: MetricValue | None) -> str:
    if metric is None or metric.low is None or metric.high is None:
        return _word(metric)
    return f"{_word(metric)} ({metric.low:.3g} to {metric.high:.3g})"


def _word(metric: MetricValue | None) -> str:
    if metric is None or metric.value is None:
        return "undefined"
    return f"{metric.value:.3g} {metric.unit}".rstrip()
