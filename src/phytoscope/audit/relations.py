"""Columns that tell the answer, because it was computed from them or they from it, and names that tell the plant."""

import re
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from phytoscope.audit.columns import Column
from phytoscope.audit.weighted import Values, is_constant, weigh_groups, weighted_pearson, weighted_spearman
from phytoscope.schema.table import GROUP_ID, LABEL, SAMPLE_ID, TARGET

_FEWEST_ROWS = 20
_FEWEST_TARGETS = 8
_MOST_COLUMNS = 40
_EQUAL = 1e-3
_NEARLY_ALL = 0.99
_PLANT = re.compile(r"^(plant|leaf|pot|plot|tree|pflanze|individual|specimen|sample_plant)(_?(id|no|nr|number|name))?$")
_AROUND = re.compile(r"^(experiment|farmbot|robot|tray|site|field|block|greenhouse)(_?(id|no|nr|number|name))?$")
_NUMBER = re.compile(r"(no|nr|number)$")
_COPY_MARK = re.compile(r"\s*(?:[-_ ]?copy(?:[-_ ]?\d+)?|\(\d+\))$", re.IGNORECASE)
_SERIES = re.compile(r"^(?P<stem>.+?)[._\-\s]*\d+$")
_MOST_IN_SERIES = 60
_USUAL_IN_SERIES = 20


@dataclass(frozen=True)
class NameSeries:
    """File names that look as if several photographs show one plant.

    Attributes:
        images: Images in such a series.
        series: Number of series.
        example: Names of one of them.
        pattern: Regular expression that names the plant, for `data.group_pattern`.
    """

    images: int
    series: int
    example: list[str]
    pattern: str


def find_columns_of_target(manifest: pd.DataFrame, columns: list[Column]) -> list[str]:
    """Finds columns from which a numeric target follows exactly: copies, other units, sums, differences, ratios.

    Args:
        manifest: One row an image with `target` and `group_id`.
        columns: Columns in the order of the manifest's rows.

    Returns:
        A formula each, for example `shoot + root`; a single column stands under its own name.
    """
    target = manifest[TARGET].to_numpy(dtype=np.float64)
    weights = weigh_groups(manifest[GROUP_ID])
    numbers: dict[str, Values] = {}
    singles: list[str] = []
    for column in columns:
        if not column.own or column.numbers is None or column.times is not None:
            continue
        values = column.numbers.to_numpy(dtype=np.float64)
        both = np.isfinite(values) & np.isfinite(target)
        if both.sum() < _FEWEST_ROWS or len(np.unique(target[both])) < _FEWEST_TARGETS or is_constant(values[both]):
            continue
        if _tells(values[both], target[both], weights[both]):
            singles.append(column.name)
        else:
            numbers[column.name] = values
    return singles + _find_pairs(numbers, target)


def _tells(values: Values, target: Values, weights: Values) -> bool:
    straight = weighted_pearson(values, target, weights)
    if straight is not None and abs(straight) > 1 - 1e-6:
        return True
    # The same order throughout, for example the logarithm; of small counts that could be chance.
    ranked = weighted_spearman(values, target, weights)
    return ranked is not None and abs(ranked) > 1 - 1e-6 and len(np.unique(values)) >= _FEWEST_ROWS


def _find_pairs(numbers: dict[str, Values], target: Values) -> list[str]:
    found = []
    for first, second in combinations(list(numbers)[:_MOST_COLUMNS], 2):
        one, two = numbers[first], numbers[second]
        rows = np.flatnonzero(np.isfinite(one) & np.isfinite(two) & np.isfinite(target))
        if len(rows) < _FEWEST_ROWS or len(np.unique(target[rows[:5000]])) < _FEWEST_TARGETS:
            continue
        with np.errstate(all="ignore"):
            for formula, combine in _FORMULAS:
                # A few rows rule nearly every formula out.
                if not _equal(combine(one[rows[:20]], two[rows[:20]]), target[rows[:20]]):
                    continue
                if _equal(combine(one[rows], two[rows]), target[rows]):
                    found.append(formula.format(first, second))
    return found


_FORMULAS: tuple[tuple[str, Any], ...] = (
    ("{0} + {1}", np.add),
    ("{0} - {1}", np.subtract),
    ("{1} - {0}", lambda one, two: two - one),
    ("{0} * {1}", np.multiply),
    ("{0} / {1}", np.divide),
    ("{1} / {0}", lambda one, two: two / one),
)


def _equal(combined: Values, target: Values) -> bool:
    return bool(np.mean(np.abs(combined - target) <= _EQUAL * np.abs(target)) >= _NEARLY_ALL)


def find_columns_of_label(manifest: pd.DataFrame, columns: list[Column]) -> list[str]:
    """Names of the user's columns in which every value stands with one class only, though it occurs in many images.

    A column with about as many values as there are groups names the plant, and is left out.

    Args:
        manifest: One row an image with `label` and `group_id`.
        columns: Columns in the order of the manifest's rows.
    """
    labels, groups = manifest[LABEL].reset_index(drop=True), manifest[GROUP_ID].reset_index(drop=True)
    n_classes = labels.nunique()
    found = []
    for column in columns:
        known = column.cells.notna()
        if not column.own or n_classes < 2 or known.sum() < _FEWEST_ROWS:
            continue
        values = column.cells[known].astype(str)
        n_values, n_groups = values.nunique(), groups[known].nunique()
        if not n_classes <= n_values <= max(3 * n_classes, 12) or n_values > n_groups / 3:
            continue
        if int(labels[known].groupby(values).nunique().max()) == 1:
            found.append(column.name)
    return found


def find_plant_columns(columns: list[Column]) -> list[str]:
    """The user's columns that together seem to name the plant, leaf or plot; empty when none does.

    A running number starts again in every experiment, robot or tray, so these columns are named with it.

    Args:
        columns: Columns in the order of the manifest's rows.
    """
    own = {re.sub(r"[\s\-.]+", "_", column.name.strip().lower()): column for column in columns if column.own}
    plants = [name for name in own if _PLANT.match(name)]
    if not plants:
        return []
    first = min(plants, key=lambda name: (bool(_NUMBER.search(name)), len(name)))
    around = [name for name in own if _AROUND.match(name)] if _NUMBER.search(first) else []
    named = [own[name] for name in (*around, first)]
    together = pd.DataFrame({column.name: column.cells for column in named}).dropna()
    return [column.name for column in named] if together.duplicated().any() else []


def find_name_series(manifest: pd.DataFrame) -> NameSeries | None:
    """Looks for series in the file names where no group is known: `plant3_1.jpg`, `plant3_2.jpg`, `x copy.jpg`.

    Args:
        manifest: One row an image with `sample_id`.

    Returns:
        What was found when at least a third of the images stand in three or more series of 2 to 60 images; else None.
    """
    if len(manifest) < 4:
        return None
    keys = pd.Series([_stem(name) for name in manifest[SAMPLE_ID]], index=manifest[SAMPLE_ID], dtype=object).dropna()
    sizes = keys.groupby(keys).transform("size")
    series = keys[sizes.between(2, _MOST_IN_SERIES)]
    counts = series.value_counts()
    if len(series) < len(manifest) / 3 or len(counts) < 3 or counts.median() > _USUAL_IN_SERIES:
        return None
    example = [str(name).rpartition("/")[2] for name in series.index[series == series.iloc[0]][:3]]
    return NameSeries(len(series), len(counts), example, r"(.+?)[._\- ]*\d+\.\w+$")


def _stem(sample_id: str) -> str | None:
    folder, _, name = sample_id.rpartition("/")
    bare = name.rpartition(".")[0]
    without_mark = _COPY_MARK.sub("", bare)
    if without_mark != bare:
        return f"{folder}/{without_mark}"
    match = _SERIES.match(bare)
    return None if match is None else f"{folder}/{match['stem']}"
