"""Puts intervals beside the numbers of a report."""

import dataclasses
from collections.abc import Mapping
from typing import Final

import numpy as np

from phytoscope.evaluate.bootstrap import FloatArray, GroupSampler, IntArray, Replicates, find_bounds
from phytoscope.evaluate.class_sums import PER_CLASS, RECENTRED, SHARES, divide
from phytoscope.evaluate.value_sums import ValueRows
from phytoscope.schema.report import Baseline, ClassRow, DecileRow, GroupRow, MetricValue

WORST_GROUPS: Final = 12


def bound_metrics(
    metrics: list[MetricValue], replicates: Mapping[str, Replicates], groups: int, confidence: float
) -> list[MetricValue]:
    """The metrics with their intervals; a metric that is not among the replicates stays without one.

    Args:
        metrics: Numbers of some images.
        replicates: Name -> the same number for all images, each draw and without each unit.
        groups: Groups that the images belong to.
        confidence: Level of the intervals.
    """
    bounded = []
    for metric in metrics:
        found = replicates.get(metric.name)
        if found is None or metric.value is None:
            bounded.append(metric)
            continue
        low, high = find_bounds(
            found, groups, confidence, share=metric.name in SHARES, recentre=metric.name in RECENTRED
        )
        bounded.append(dataclasses.replace(metric, low=to_value(low), high=to_value(high)))
    return bounded


def bound_values(metrics: list[MetricValue], rows: ValueRows, sampler: GroupSampler) -> list[MetricValue]:
    """The metrics of predicted quantities with their intervals.

    Args:
        metrics: Numbers of some images.
        rows: What each of these images adds to the sums.
        sampler: Their groups.
    """
    if sampler.plan.draws == 0:
        return metrics
    replicates = sampler.replicate(rows.sum_units(sampler, median=True)).map(rows.build_measure())
    return bound_metrics(metrics, replicates, sampler.n_groups, sampler.plan.confidence)


def bound_lead(baseline: Baseline, own: Replicates, other: Replicates, metric: str, sampler: GroupSampler) -> Baseline:
    """The baseline with the model's lead over it and the interval of that lead, both on the same draws.

    Args:
        baseline: Numbers of the baseline.
        own: The metric of the model.
        other: The same metric of the baseline.
        metric: Its name.
        sampler: The groups of the images and their draws.
    """
    gap = own.minus(other)
    low, high = find_bounds(gap, sampler.n_groups, sampler.plan.confidence)
    template = next(value for value in baseline.metrics if value.name == metric)
    lead = dataclasses.replace(template, value=to_value(gap.whole[0]), low=to_value(low), high=to_value(high))
    return dataclasses.replace(baseline, lead=lead)


def bound_classes(
    rows: list[ClassRow],
    replicates: Mapping[str, Replicates],
    true: IntArray,
    predicted: IntArray,
    sampler: GroupSampler,
) -> list[ClassRow]:
    """The rows of the classes with the intervals of precision, recall and F1.

    Args:
        rows: One a class, in class order.
        replicates: `precision`, `recall` and `f1`, each with a last axis of classes.
        true: Index of the true class of each image, shape (N,), int64.
        predicted: Index of the predicted class, shape (N,), int64.
        sampler: The groups of the images.
    """
    with_class, with_answer = (sampler.count_groups(kinds, len(rows)) for kinds in (true, predicted))
    behind = {"precision": with_answer, "recall": with_class, "f1": np.minimum(with_class, with_answer)}
    confidence = sampler.plan.confidence
    precision, recall, f1 = (find_bounds(replicates[name], behind[name], confidence, share=True) for name in PER_CLASS)
    return [
        dataclasses.replace(
            row,
            n_groups=int(with_class[index]),
            precision_low=to_value(precision[0][index]),
            precision_high=to_value(precision[1][index]),
            recall_low=to_value(recall[0][index]),
            recall_high=to_value(recall[1][index]),
            f1_low=to_value(f1[0][index]),
            f1_high=to_value(f1[1][index]),
        )
        for index, row in enumerate(rows)
    ]


def bound_deciles(
    rows: list[DecileRow], target: FloatArray, preds: FloatArray, sampler: GroupSampler
) -> list[DecileRow]:
    """The slices of the true value with the intervals of the mean absolute error and the bias.

    Args:
        rows: The slices, from small to large true values.
        target: True values, shape (N,), float64.
        preds: Predicted values, shape (N,), float64, same unit.
        sampler: The groups of the images.
    """
    n = len(rows)
    slices = np.searchsorted(np.array([row.lower for row in rows]), target, side="right") - 1
    cells = sampler.units * n + slices
    error = preds - target
    sums = [
        np.bincount(cells, weights=part, minlength=sampler.n_units * n).reshape(sampler.n_units, n)
        for part in (np.ones_like(error), np.abs(error), error)
    ]

    def measure(sums: FloatArray) -> dict[str, FloatArray]:
        counts, sizes, errors = (sums[:, i * n : (i + 1) * n] for i in range(3))
        return {"mae": divide(sizes, counts), "bias": divide(errors, counts)}

    replicates = sampler.replicate(np.concatenate(sums, axis=1)).map(measure)
    behind = sampler.count_groups(slices, n)
    mae, bias = (find_bounds(replicates[name], behind, sampler.plan.confidence) for name in ("mae", "bias"))
    return [
        dataclasses.replace(
            row,
            mae_low=to_value(mae[0][index]),
            mae_high=to_value(mae[1][index]),
            bias_low=to_value(bias[0][index]),
            bias_high=to_value(bias[1][index]),
        )
        for index, row in enumerate(rows)
    ]


def find_worst_groups(
    sampler: GroupSampler, values: FloatArray, metric: str, *, higher_is_better: bool
) -> list[GroupRow]:
    """The groups with the worst mean; of equal ones the larger group first. None where no group has two images.

    Args:
        sampler: The groups of the images.
        values: What is averaged over the images of a group, shape (N,), float64.
        metric: Name of that mean.
        higher_is_better: Its direction.
    """
    counts = np.bincount(sampler.codes, minlength=sampler.n_groups)
    if len(counts) < 2 or counts.max() < 2:
        return []
    means = np.bincount(sampler.codes, weights=values, minlength=sampler.n_groups) / counts
    order = np.lexsort((np.arange(len(counts)), -counts, means if higher_is_better else -means))
    return [
        GroupRow(str(sampler.names[index]), int(counts[index]), metric, float(means[index]))
        for index in order[:WORST_GROUPS]
    ]


def to_value(number: FloatArray | np.floating) -> float | None:
    """A plain number for JSON, None where it is not defined."""
    return float(number) if np.isfinite(number) else None
