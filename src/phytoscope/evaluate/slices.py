"""The numbers of parts of the images: by camera, condition, photo quality, or any other column of the table."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import pandas as pd

from phytoscope.errors import ConfigError, suggest
from phytoscope.evaluate.bootstrap import (
    FloatArray,
    GroupSampler,
    IntArray,
    Measure,
    Replicates,
    find_bounds,
    is_clear,
)
from phytoscope.evaluate.intervals import bound_metrics, to_value
from phytoscope.schema.report import MetricValue, SliceReport
from phytoscope.schema.table import META_PREFIX, PHOTO_PREFIX

MIN_IMAGES: Final = 10
MIN_GROUPS: Final = 3
"""A slice of fewer images or groups is counted and not judged."""
MAX_VALUES: Final = 20
"""Most values of a column that are told apart."""
MAX_NUMBERS: Final = 8
"""A column of more different numbers is cut at its quartiles."""
NOT_GIVEN: Final = "not given"
_QUARTERS = 4


class SummedRows(Protocol):
    """Images of which every number is a function of sums."""

    def sum_units(self, sampler: GroupSampler, rows: IntArray | None = None) -> FloatArray:
        """Sums over the images of each unit, shape (units, K)."""

    def build_measure(self) -> Measure:
        """The function from such sums to every number."""


@dataclass(frozen=True)
class Slice:
    """Images that have something in common.

    Attributes:
        column: Name of the column, without its prefix.
        value: Its value or range.
        rows: Positions of the images, shape (n,), int64.
    """

    column: str
    value: str
    rows: IntArray


def choose_columns(table: pd.DataFrame, wanted: Sequence[str] = ()) -> list[str]:
    """The columns by which a table is cut: those asked for, then what is known of the photographs and of the plants.

    Args:
        table: Table of predictions.
        wanted: Names of columns with or without their prefix.

    Returns:
        Names of columns of the table: the wanted ones, measures of the photograph (`photo/...`), and the user's own
        columns (`meta/...`) with 2 to 20 different values.

    Raises:
        ConfigError: There is no such column.
    """
    chosen = [_find_column(table, name) for name in wanted]
    for column in map(str, table.columns):
        is_own = column.startswith(META_PREFIX) and 2 <= table[column].nunique() <= MAX_VALUES
        if column.startswith(PHOTO_PREFIX) or is_own:
            chosen.append(column)
    return list(dict.fromkeys(chosen))


def cut_column(table: pd.DataFrame, column: str) -> list[Slice]:
    """Cuts a table by one column; a column with a single value gives no slices.

    Numbers of more than 8 different values are cut at their quartiles. Of other columns the 19 most frequent values
    are told apart when there are more than 20, and the rest is taken together.

    Args:
        table: Table of predictions, rows numbered from 0.
        column: Name of a column.
    """
    values = table[column]
    known = values.notna().to_numpy()
    numbers = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if numbers and values.nunique() > MAX_NUMBERS:
        codes, names = _cut_numbers(values.to_numpy(dtype=np.float64, na_value=np.nan), known)
    else:
        codes, names = _cut_values(values)
    if not known.all():
        codes = np.where(known, codes, len(names))
        names = [*names, NOT_GIVEN]
    if len(names) < 2:
        return []
    title = column.removeprefix(META_PREFIX).removeprefix(PHOTO_PREFIX)
    return [Slice(title, name, np.flatnonzero(codes == code)) for code, name in enumerate(names)]


def evaluate_slices(
    slices: Sequence[Slice], rows: SummedRows, sampler: GroupSampler, template: list[MetricValue], deciding: str
) -> list[SliceReport]:
    """Measures each slice, and compares it with all other images.

    Whether a slice differs is decided by the deciding metric with a level that is shared by all slices (Bonferroni), so
    that among many slices of a sound model none stands out by chance: the difference must exceed the quantile of
    Student's t times its standard error, and the number of the others must lie outside the slice's own interval.

    Args:
        slices: Which images.
        rows: What each image adds to the sums.
        sampler: The groups of the images and their draws.
        template: Metrics of all images, from which names, units and directions are taken.
        deciding: Name of the deciding metric.
    """
    measure = rows.build_measure()
    whole = sampler.replicate(rows.sum_units(sampler))
    counts = [len(pd.unique(sampler.codes[part.rows])) for part in slices]
    judged = [
        sampler.plan.draws > 0
        and len(part.rows) >= MIN_IMAGES
        and count >= MIN_GROUPS
        and len(part.rows) < len(sampler.codes)
        for part, count in zip(slices, counts, strict=True)
    ]
    level = (1.0 - sampler.plan.confidence) / max(1, sum(judged))
    reports = []
    for part, count, is_judged in zip(slices, counts, judged, strict=True):
        sums = sampler.replicate(rows.sum_units(sampler, part.rows))
        own = sums.map(measure)
        metrics = [
            dataclasses.replace(metric, value=to_value(own[metric.name].whole[0]), low=None, high=None)
            for metric in template
            if metric.name in own
        ]
        report = SliceReport(part.column, part.value, len(part.rows), count, metrics)
        if is_judged:
            report = dataclasses.replace(report, metrics=bound_metrics(metrics, own, count, sampler.plan.confidence))
            others = whole.minus(sums).map(measure)[deciding]
            report = _judge(report, own[deciding], others, sampler, part.rows, deciding, level)
        reports.append(report)
    return reports


def _judge(
    report: SliceReport,
    own: Replicates,
    others: Replicates,
    sampler: GroupSampler,
    rows: IntArray,
    deciding: str,
    level: float,
) -> SliceReport:
    metric = next(metric for metric in report.metrics if metric.name == deciding)
    rest = np.ones(len(sampler.codes), dtype=bool)
    rest[rows] = False
    groups = min(report.n_groups, len(pd.unique(sampler.codes[rest])))
    gap = own.minus(others)
    low, high = find_bounds(gap, groups, sampler.plan.confidence)
    difference = dataclasses.replace(metric, value=to_value(gap.whole[0]), low=to_value(low), high=to_value(high))
    differs = False
    if metric.low is not None and metric.high is not None:
        is_outside = not metric.low <= float(others.whole[0]) <= metric.high
        differs = is_outside and bool(is_clear(gap, groups, level))
    worse = differs and (float(gap.whole[0]) < 0) == metric.higher_is_better
    return dataclasses.replace(report, difference=difference, differs=differs, worse=worse)


def _find_column(table: pd.DataFrame, name: str) -> str:
    for column in (name, META_PREFIX + name, PHOTO_PREFIX + name):
        if column in table.columns:
            return column
    known = [str(column).removeprefix(META_PREFIX).removeprefix(PHOTO_PREFIX) for column in table.columns]
    message = f"evaluate.slices names the column {name!r}, which the predictions do not have: {suggest(name, known)}"
    raise ConfigError(message)


def _cut_numbers(values: FloatArray, known: np.ndarray) -> tuple[IntArray, list[str]]:
    ordered = np.sort(values[known])
    starts = np.unique(ordered[np.arange(_QUARTERS) * len(ordered) // _QUARTERS])
    codes = np.searchsorted(starts, np.where(known, values, starts[0]), side="right") - 1
    names = []
    for code in range(len(starts)):
        part = values[known & (codes == code)]
        names.append(f"{part.min():.4g} to {part.max():.4g}")
    return codes, names


def _cut_values(values: pd.Series) -> tuple[IntArray, list[str]]:
    found, unique = pd.factorize(values)
    counts = np.bincount(found[found >= 0], minlength=len(unique))
    numbers = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    names = [f"{value:.6g}" if numbers else str(value) for value in unique]
    keys = list(unique) if numbers else names
    order = sorted(range(len(names)), key=lambda place: keys[place])
    if len(names) > MAX_VALUES:
        # Of equally frequent values the first in the alphabet counts.
        order = sorted(sorted(order, key=lambda place: -counts[place])[: MAX_VALUES - 1], key=lambda place: keys[place])
    places = np.full(len(names) + 1, len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    shown = [names[place] for place in order]
    if len(names) > len(order):
        shown.append(f"{len(names) - len(order)} other values")
    return places[found], shown
