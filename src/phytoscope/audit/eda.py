"""What the answers look like: classes, distribution, and how they go with everything that stands beside them.

Pure functions on tables. Statistics of a numeric target give every group the same weight, see `audit/weighted.py`.
"""

from typing import Any

import numpy as np
import pandas as pd

from phytoscope.audit.columns import Column
from phytoscope.audit.weighted import (
    weigh_groups,
    weighted_pearson,
    weighted_skewness,
    weighted_spearman,
)
from phytoscope.schema.audit import Breakdown, Correlation, LabelRow, Missing, TargetSummary
from phytoscope.schema.table import GROUP_ID, LABEL, META_PREFIX, TARGET, Task

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
# As in `task.target_transform=auto`: beyond this the few large values would own the loss.
_SKEWED = 1.0
_MOST_VALUES = 12
_DAYS_PER_WEEK, _DAYS_BY_DAY, _DAYS_BY_WEEK, _DAYS_BY_MONTH = 7, 14, 120, 1500
_SIZES = ((1, "1 photograph"), (2, "2"), (5, "3-5"), (10, "6-10"), (50, "11-50"))


def count_labels(manifest: pd.DataFrame, *, n_splits: int) -> list[LabelRow]:
    """Counts images and groups of every class, the largest class first.

    Args:
        manifest: One row an image with `label` and `group_id`.
        n_splits: Number of splits in which each class should stand; a class with fewer groups is marked.
    """
    counts = manifest.groupby(LABEL, sort=True).agg(images=(LABEL, "size"), groups=(GROUP_ID, "nunique"))
    counts = counts.sort_values("images", ascending=False, kind="stable")
    return [
        LabelRow(str(label), int(images), int(groups), too_few_groups=bool(groups < n_splits))
        for label, images, groups in zip(counts.index, counts["images"], counts["groups"], strict=True)
    ]


def summarise_target(manifest: pd.DataFrame) -> TargetSummary:
    """Describes the distribution of a numeric target and suggests the scale to learn it on.

    Mean, deviation and quantiles are of the images, as a spreadsheet shows them. Skewness gives every group the same
    weight, because a plant photographed ten times is one plant; log(1 + x) is taken of the target divided by its
    median, as training does, so that the suggestion does not depend on the unit.

    Args:
        manifest: One row an image, at least one, with `target` and `group_id`.
    """
    values = manifest[TARGET].to_numpy(dtype=np.float64)
    weights = weigh_groups(manifest[GROUP_ID])
    skewness = weighted_skewness(values, weights)
    positive = values[values > 0]
    logged = None
    if values.min() >= 0 and positive.size:
        logged = weighted_skewness(np.log1p(values / np.median(positive)), weights)
    transform, why = _suggest_transform(skewness, logged, float(values.min()))
    return TargetSummary(
        n=len(values),
        n_groups=int(manifest[GROUP_ID].nunique()),
        mean=float(values.mean()),
        sd=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        quantiles=[float(value) for value in np.quantile(values, _QUANTILES)],
        skewness=skewness,
        skewness_log1p=logged,
        suggested_transform=transform,
        why=why,
    )


def _suggest_transform(skewness: float | None, logged: float | None, smallest: float) -> tuple[str, str]:
    if skewness is None:
        return "none", "the target never changes"
    if skewness <= _SKEWED:
        side = "a long tail of small values, which log(1 + x) would lengthen" if skewness < -_SKEWED else "nearly even"
        return "none", f"skewness {skewness:.2f}, every plant counted once: {side}"
    if logged is None:
        return (
            "none",
            f"skewness {skewness:.2f}, but log(1 + x) needs 0 or more and the smallest target is {smallest:g}",
        )
    if abs(logged) >= skewness:
        return "none", f"skewness {skewness:.2f}, and log(1 + x) leaves {logged:.2f}"
    return "log1p", (
        f"skewness {skewness:.2f}, every plant counted once: few large values would dominate the loss; "
        f"log(1 + x), x in units of the median, brings it to {logged:.2f}"
    )


def correlate_columns(manifest: pd.DataFrame, columns: list[Column]) -> list[Correlation]:
    """Correlates every column of numbers, truth values or times with the target, every group with the same weight.

    Args:
        manifest: One row an image with `target` and `group_id`.
        columns: Columns in the order of the manifest's rows.

    Returns:
        Age first, then by the larger of the two correlations, undefined ones last.
    """
    target = manifest[TARGET].to_numpy(dtype=np.float64)
    groups = manifest[GROUP_ID].reset_index(drop=True)
    rows: list[tuple[bool, float, Correlation]] = []
    for column in columns:
        if column.numbers is None or (not column.own and column.n_distinct < 2):
            continue
        values = column.numbers.to_numpy(dtype=np.float64)
        both = np.isfinite(values) & np.isfinite(target)
        weights = weigh_groups(groups[both])
        pearson = weighted_pearson(values[both], target[both], weights)
        spearman = weighted_spearman(values[both], target[both], weights)
        strength = max((abs(value) for value in (pearson, spearman) if value is not None), default=-1.0)
        found = Correlation(column.name, int(groups[both].nunique()), pearson, spearman, float(np.mean(~both)))
        rows.append((not column.is_age, -strength, found))
    return [found for *_, found in sorted(rows, key=lambda row: row[:2])]


def break_down(manifest: pd.DataFrame, task: Task, columns: list[Column]) -> list[Breakdown]:
    """Breaks the answers down by the size of the group, by time, and by every column with few different values.

    Args:
        manifest: One row an image with `label` or `target`, and `group_id`.
        task: Which of the two is the answer.
        columns: Columns in the order of the manifest's rows.
    """
    groups = manifest[GROUP_ID].reset_index(drop=True)
    answer = manifest[LABEL if task is Task.classification else TARGET].reset_index(drop=True)
    keys: list[tuple[str, pd.Series]] = []
    sizes = groups.groupby(groups).transform("size")
    if sizes.min() < sizes.max():
        keys.append(("group size", _bin_sizes(sizes)))
    for column in columns:
        if column.times is not None:
            key = _bin_times(column.times)
        elif 2 <= column.n_distinct <= _MOST_VALUES:
            key = column.cells.map(_spell, na_action="ignore")
        else:
            continue
        if len(key.dropna().unique()) > 1:
            keys.append((column.name, key))
    describe = _describe_labels if task is Task.classification else _describe_targets
    return [Breakdown(name, describe(key, answer, groups)) for name, key in keys]


def count_missing(rows: pd.DataFrame, target_name: str) -> list[Missing]:
    """Share of missing values in the answer, the group and every column of the user's, the emptiest first.

    Groups that nobody named are no column with gaps, and are left out.

    Args:
        rows: Rows as they were read, with those that cannot be used: columns `label` or `target`, `group_id`,
            `meta/<name>`.
        target_name: The user's own name of the answer.
    """
    names = {LABEL: target_name, TARGET: target_name, GROUP_ID: "group (plant, leaf)"}
    own = [str(name) for name in rows.columns if str(name) in names or str(name).startswith(META_PREFIX)]
    found = [
        Missing(names.get(name, name.removeprefix(META_PREFIX)), float(rows[name].isna().mean()), len(rows))
        for name in own
        if len(rows) and not (name == GROUP_ID and rows[name].isna().all())
    ]
    return sorted(found, key=lambda entry: -entry.missing)


def list_constant_columns(columns: list[Column]) -> list[str]:
    """Names of the user's columns with one value only, in at least three rows."""
    return [
        column.name for column in columns if column.own and column.n_distinct == 1 and column.cells.notna().sum() >= 3
    ]


def _spell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return {True: "yes", False: "no"}[bool(value)] if isinstance(value, bool | np.bool_) else str(value)


def _bin_sizes(sizes: pd.Series) -> pd.Series:
    words = pd.Series("more than 50", index=sizes.index, dtype=object)
    for largest, name in reversed(_SIZES):
        words[sizes <= largest] = name
    names = [name for _, name in _SIZES] + ["more than 50"]
    return words.astype(pd.CategoricalDtype(names, ordered=True))


def _bin_times(times: pd.Series) -> pd.Series:
    days = (times.max() - times.min()).days
    if days <= _DAYS_BY_DAY:
        words = times.dt.strftime("%Y-%m-%d")
    elif days <= _DAYS_BY_WEEK:
        monday = times - pd.to_timedelta(times.dt.day_of_week, unit="D")
        words = "week of " + monday.dt.strftime("%Y-%m-%d")
    else:
        words = times.dt.strftime("%Y-%m" if days <= _DAYS_BY_MONTH else "%Y")
    known: pd.Series = words.where(times.notna())
    return known


def _order_values(values: list[Any]) -> list[Any]:
    def rank(value: Any) -> tuple[int, float, str]:
        try:
            return 0, float(value), ""
        except ValueError:
            return 1, 0.0, str(value)

    return sorted(values, key=rank)


def _list_values(key: pd.Series) -> list[Any]:
    if isinstance(key.dtype, pd.CategoricalDtype):
        return [value for value in key.cat.categories if (key == value).any()]
    return _order_values(list(key.dropna().unique()))


def _describe_targets(key: pd.Series, target: pd.Series, groups: pd.Series) -> list[dict[str, Any]]:
    rows = []
    for value in _list_values(key):
        chosen = key == value
        # One mean a group: a plant that was photographed more often says no more about the others.
        means = target[chosen].groupby(groups[chosen]).mean()
        rows.append(
            {
                "value": str(value),
                "images": int(chosen.sum()),
                "groups": len(means),
                "mean": float(means.mean()),
                "median": float(means.median()),
                "sd": float(means.std(ddof=1)) if len(means) > 1 else None,
                "label": None,
                "share": None,
            }
        )
    return rows


def _describe_labels(key: pd.Series, labels: pd.Series, groups: pd.Series) -> list[dict[str, Any]]:
    rows = []
    for value in _list_values(key):
        chosen = key == value
        counts = labels[chosen].value_counts()
        # The most frequent class, of several the first by name, so that the same data give the same report.
        label = min(counts.index[counts == counts.iloc[0]])
        rows.append(
            {
                "value": str(value),
                "images": int(chosen.sum()),
                "groups": int(groups[chosen].nunique()),
                "mean": None,
                "median": None,
                "sd": None,
                "label": str(label),
                "share": float(counts.iloc[0] / counts.sum()),
            }
        )
    return rows
