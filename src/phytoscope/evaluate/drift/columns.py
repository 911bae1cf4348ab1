"""What of each image is compared, as columns whose means differ where something has changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from phytoscope.evaluate.drift.kernel import map_features
from phytoscope.evaluate.drift.pool import FloatArray, Pool
from phytoscope.schema.drift import DriftKind
from phytoscope.schema.table import LOWER, NOVELTY, PHOTO_PREFIX, PREDICTION, PROBABILITY, UPPER, VERDICT

_LEVELS: Final = np.array([1 / 64, 1 / 32, *(np.arange(1, 16) / 16), 31 / 32, 63 / 64])
# A class that one or two plants have is no more than chance, however unusual.
_LEAST_GROUPS: Final = 2.0
_PHOTO_WORDS: Final = {
    "brightness": ("brightness", "grey levels, 0-255"),
    "highlights": ("share of burnt-out pixels", ""),
    "sharpness": ("sharpness", ""),
    "side_px": ("shorter side of the pictures", "px"),
    "plant": ("share of plant pixels", ""),
}


@dataclass(frozen=True)
class Compared:
    """One comparison, ready for the permutations.

    Attributes:
        kind: What is compared.
        name: Which one.
        columns: Mean of each group, shape (groups, columns), float64, not NaN.
        values: Mean of each group of what a reader is told about, shape (groups, shown), float64, NaN where a group
            has none; no column where nothing can be told.
        words: What this is called.
        unit: Its unit; empty for shares and numbers without one.
        shares: Names of the columns of `values` where each is a share; empty for a number.
    """

    kind: DriftKind
    name: str
    columns: FloatArray
    values: FloatArray
    words: str
    unit: str = ""
    shares: tuple[str, ...] = ()


def build_comparisons(pool: Pool, unit: str, rng: np.random.Generator) -> list[Compared]:
    """Everything that can be compared: features, and the columns of the table that hold values on both sides.

    Args:
        pool: Images of both sides.
        unit: Unit of predicted numbers; empty for classes.
        rng: Source of chance.
    """
    nothing = np.empty((pool.n_groups, 0))
    kind = DriftKind.features
    features = Compared(kind, kind.value, map_features(pool, rng), nothing, "what the network sees")
    return [features, *_build_from_table(pool, unit)]


def list_comparable(table: pd.DataFrame, rows: npt.NDArray[np.bool_] | None = None) -> set[str]:
    """Names of what a table, or some of its rows, holds values for.

    Args:
        table: One row per image.
        rows: Which rows are meant, shape (N,), bool; all when None.
    """
    known_at = table.notna().to_numpy()
    is_known = np.asarray((known_at if rows is None else known_at[rows]).any(axis=0))
    known = {str(name) for name in table.columns[is_known]}
    names = {name for name in known if name.startswith(PHOTO_PREFIX)}
    names |= known & {PREDICTION, NOVELTY, VERDICT}
    if PROBABILITY in known or {LOWER, UPPER} <= known:
        names.add(DriftKind.confidence.value)
    return names


def _build_from_table(pool: Pool, unit: str) -> Iterator[Compared]:
    table = pool.table
    is_new = pool.codes >= pool.n_reference
    for name in sorted(list_comparable(table, ~is_new) & list_comparable(table, is_new)):
        if name.startswith(PHOTO_PREFIX):
            measure = name.removeprefix(PHOTO_PREFIX)
            words, its_unit = _PHOTO_WORDS.get(measure, (measure, ""))
            yield _compare_numbers(DriftKind.photo, name, _read(table[name]), pool, words, its_unit)
        elif name == NOVELTY:
            yield _compare_numbers(DriftKind.novelty, name, _read(table[name]), pool, "novelty", "")
        elif name == VERDICT:
            yield _compare_shares(DriftKind.verdict, name, table[name], pool, "verdict")
        elif name != PREDICTION and PROBABILITY in table:
            words = "probability of the predicted class"
            yield _compare_numbers(DriftKind.confidence, name, _read(table[PROBABILITY]), pool, words, "")
        elif name != PREDICTION:
            width = _read(table[UPPER]) - _read(table[LOWER])
            yield _compare_numbers(DriftKind.confidence, name, width, pool, "width of the interval", unit)
        elif pd.api.types.is_numeric_dtype(table[name]):
            yield _compare_numbers(DriftKind.prediction, name, _read(table[name]), pool, "predicted value", unit)
        else:
            yield _compare_shares(DriftKind.prediction, name, table[name], pool, "predicted")


def _read(column: "pd.Series[float]") -> FloatArray:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _compare_numbers(kind: DriftKind, name: str, values: FloatArray, pool: Pool, words: str, unit: str) -> Compared:
    """Shares below each of some limits, weighed as by Anderson and Darling (1952, doi 10.1214/aoms/1177729437).

    That sees shifts, other spreads and longer tails alike, and depends on ranks alone.
    """
    known = values[np.isfinite(values)]
    limits = np.unique(np.quantile(known, _LEVELS, method="inverted_cdf"))
    below = np.where(np.isnan(values)[:, None], np.nan, (values[:, None] <= limits).astype(np.float64))
    return Compared(kind, name, _weigh(pool.average(below)), pool.average(values[:, None]), words, unit)


def _compare_shares(kind: DriftKind, name: str, values: "pd.Series[str]", pool: Pool, words: str) -> Compared:
    """Shares of each class or verdict, weighed as by the chi-square test (Pearson 1900)."""
    codes, names = pd.factorize(values, sort=True)
    is_kind = (codes[:, None] == np.arange(len(names))).astype(np.float64)
    is_kind[codes < 0] = np.nan
    shares = pool.average(is_kind)
    shown = tuple(str(each) for each in names)
    return Compared(kind, name, _weigh(shares, chi_square=True), shares, words, shares=shown)


def _weigh(shares: FloatArray, *, chi_square: bool = False) -> FloatArray:
    """Columns of equal weight; a group without a value stands in the middle."""
    middle = _mean_of_known(shares)
    spread = middle if chi_square else middle * (1 - middle)
    varies = (middle > 0) & (middle < 1)
    filled = np.where(np.isfinite(shares), shares - middle, 0.0)[:, varies]
    if filled.shape[1] == 0:
        return np.zeros((len(shares), 1))
    return np.asarray(filled / np.sqrt(np.maximum(spread[varies], _LEAST_GROUPS / len(shares))))


def _mean_of_known(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    return np.asarray(np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))


def average_sides(values: FloatArray, n_reference: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Means over the groups of the reference and over the new ones.

    Args:
        values: Shape (groups, shown), float64, NaN where not known.
        n_reference: Groups of the reference, which come first.

    Returns:
        Each of shape (shown,), float64.
    """
    return _mean_of_known(values[:n_reference]), _mean_of_known(values[n_reference:])
