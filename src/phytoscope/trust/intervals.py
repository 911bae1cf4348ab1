"""Intervals that hold the true number as often as promised (conformal prediction)."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.choices import IntervalKind
from phytoscope.trust.interval_shapes import MOST_ROWS, find_margins, fit_shape
from phytoscope.trust.observed import Floats, Labelled, Observed
from phytoscope.trust.quantile import group_quantile, number_groups, word_promise

LEAST_GROUPS: Final = 4
LEAST_ROWS: Final = 30
"""With fewer groups or rows of val, no more than a constant width is fitted."""
FOLDS: Final = 5
"""Folds over the groups of val, by which `auto` compares the kinds."""
FIXED: Final = (IntervalKind.constant, IntervalKind.scaled, IntervalKind.cqr)
"""The simplest first."""
LEAST_FOR_ENDS: Final = 10
"""Groups of val from which on `auto` looks at `cqr`: the ends of the errors of fewer are mostly chance, and intervals
came out wider than constant ones."""


@dataclass(frozen=True)
class IntervalRule:
    """The interval around one number.

    Attributes:
        kind: How its width comes about; never `auto`.
        quantile: What the width is multiplied by, or what is added to it.
        promised: Share of intervals that hold the truth for a new group; below what was wanted where the calibration
            split has too few groups to promise more.
        lowest: Value below which no interval reaches; None when there is no such value.
        fitted: What else was fitted, plain numbers by name.
    """

    kind: IntervalKind
    quantile: float
    promised: float
    lowest: float | None = None
    fitted: dict[str, Any] | None = None

    def bound(self, observed: Observed, target: int) -> tuple[Floats, Floats]:
        """Ends of the intervals.

        Args:
            observed: What is known of N images.
            target: Place of the number among the targets.

        Returns:
            Lower and upper ends, each of shape (N,), in the user's unit; each interval holds its answer, unless that
            is below `lowest`. NaN where the answer is not a number.
        """
        margins = find_margins(self.fitted, self.kind, observed, target)
        lower, upper = margins.ends(observed.answers[:, target], self.quantile)
        if self.lowest is None:
            return lower, upper
        return np.maximum(lower, self.lowest), np.maximum(upper, self.lowest)

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain values, ready for JSON."""
        return {
            "kind": self.kind.value,
            "quantile": self.quantile,
            "promised": self.promised,
            "lowest": self.lowest,
            "fitted": self.fitted,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "IntervalRule":
        """Rebuilds a rule from `to_dict`'s result."""
        return cls(**{**content, "kind": IntervalKind(content["kind"])})


@dataclass(frozen=True)
class _Known:
    """Rows whose true number is known: what is observed of them, truth minus answer, and the number of their group."""

    observed: Observed
    errors: Floats
    groups: NDArray[np.int64]

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.groups.max()) + 1 if len(self.groups) else 0

    def weigh(self) -> Floats:
        """What each row counts, so that every group counts the same, shape (N,)."""
        weights: Floats = 1.0 / np.bincount(self.groups)[self.groups]
        return weights

    def take(self, places: NDArray[np.bool_] | NDArray[np.int64]) -> "_Known":
        """Some of the rows; the numbers of their groups stay as they are."""
        observed = Observed(self.observed.answers[places], self.observed.novelty[places])
        return _Known(observed, self.errors[places], self.groups[places])


def fit_intervals(
    calibration: Labelled,
    val: Labelled,
    *,
    target: int,
    coverage: float,
    kind: IntervalKind,
    lowest: float | None,
    seed: int,
) -> tuple[IntervalRule | None, list[str]]:
    """Fits intervals that hold the truth of a new group (a new plant) as often as promised.

    What is promised comes from the calibration rows alone: split conformal prediction (Lei 2018, doi
    10.1080/01621459.2017.1307116) with whole groups taken as exchangeable, not images (Lee, Barber and Willett 2023,
    arXiv 2306.06342). Where the intervals are wide and where narrow is learned from the val rows: in proportion to the
    error to be expected (`scaled`; Lei 2018), or from two fitted quantiles (`cqr`; Romano 2019, arXiv 1905.03222).
    `auto` compares them on val, by cross-validation over its groups and by the interval score (Gneiting and Raftery
    2007, doi 10.1198/016214506000001437), which asks for narrow intervals and counts by how far the others miss: the
    simplest one is taken that is not worse than the best by more than one standard error.

    Args:
        calibration: Rows that nothing was chosen by; those without a truth are left out.
        val: Rows for the shape; nothing that is promised rests on them.
        target: Place of the number among the targets.
        coverage: Share of intervals that shall hold the truth, above 0 and below 1.
        kind: How intervals are made.
        lowest: Value below which the truth cannot be; None when there is no such value.
        seed: Seed of the folds, and of which rows are used where there are very many.

    Returns:
        The rule, or None where no calibration row has a truth; and what could not be fitted or promised, in words.
    """
    rows = _read_known(calibration, target)
    if rows.n_groups == 0:
        return None, ["No image of the calibration split has a true number, so there are no intervals."]
    shape_rows = _thin_out(_read_known(val, target), seed)
    kind, fitted, remarks = _choose_shape(shape_rows, kind, target, coverage, seed)
    scores = find_margins(fitted, kind, rows.observed, target).score(rows.errors)
    quantile, promised = group_quantile(scores, rows.groups, coverage)
    if promised < coverage:
        remarks.append(word_promise("intervals", rows.n_groups, promised, coverage))
    return IntervalRule(kind, float(quantile), float(promised), lowest, fitted), remarks


def _choose_shape(
    val: _Known, kind: IntervalKind, target: int, coverage: float, seed: int
) -> tuple[IntervalKind, dict[str, Any] | None, list[str]]:
    if kind is IntervalKind.constant:
        return kind, None, []
    if val.n_groups < LEAST_GROUPS or len(val.errors) < LEAST_ROWS:
        remark = (
            f"Intervals have the same width for all images: the val split has {len(val.errors)} images of "
            f"{val.n_groups} groups with a true number, and {LEAST_ROWS} of {LEAST_GROUPS} are needed to tell where "
            "errors are larger."
        )
        return IntervalKind.constant, None, [remark]
    chosen = _compare_kinds(val, target, coverage, seed) if kind is IntervalKind.auto else kind
    fitted = fit_shape(chosen, val.observed, val.errors, val.weigh(), target=target, coverage=coverage)
    if fitted is not None or kind is IntervalKind.auto:
        return chosen if fitted is not None else IntervalKind.constant, fitted, []
    remark = (
        "Intervals have the same width for all images: answers and novelty of the val images are all the same, or "
        "there are no errors."
    )
    return IntervalKind.constant, None, [remark]


def _compare_kinds(val: _Known, target: int, coverage: float, seed: int) -> IntervalKind:
    count = val.n_groups
    folds = np.random.default_rng(seed).permutation(count) % min(FOLDS, count)
    kinds = FIXED if count >= LEAST_FOR_ENDS else FIXED[:-1]
    scores = {kind: _score_kind(val, folds[val.groups], kind, target, coverage) for kind in kinds}
    best = min(kinds, key=lambda kind: float(scores[kind].mean()))
    for kind in kinds:
        behind = scores[kind] - scores[best]
        if behind.mean() <= behind.std(ddof=1) / math.sqrt(count):
            return kind
    return best


def _score_kind(val: _Known, fold: NDArray[np.int64], kind: IntervalKind, target: int, coverage: float) -> Floats:
    # Mean interval score of each group, shape (groups,). Each row's margins were fitted on the other folds.
    answers = val.observed.answers[:, target]
    stretches, ends = np.empty(len(answers)), []
    for number in range(int(fold.max()) + 1):
        inside, outside = np.flatnonzero(fold == number), fold != number
        learned = val.take(outside)
        # Numbers of groups have gaps here, which cost nothing.
        fitted = fit_shape(kind, learned.observed, learned.errors, learned.weigh(), target=target, coverage=coverage)
        held = val.take(inside)
        margins = find_margins(fitted, kind, held.observed, target)
        stretches[inside] = margins.score(held.errors)
        ends.append((inside, margins))
    stretch, promised = group_quantile(stretches, val.groups, coverage)
    total = np.empty(len(answers))
    for inside, margins in ends:
        lower, upper = margins.ends(answers[inside], stretch)
        truth = answers[inside] + val.errors[inside]
        missed = np.maximum(lower - truth, 0) + np.maximum(truth - upper, 0)
        total[inside] = (upper - lower) + missed * 2 / (1 - promised)
    per_group: Floats = np.bincount(val.groups, total) / np.bincount(val.groups)
    return per_group


def _read_known(rows: Labelled, target: int) -> _Known:
    answers = rows.observed.answers[:, target] if len(rows) else np.zeros(0)
    errors = np.asarray(rows.truth, dtype=np.float64)[:, target] - answers if len(rows) else np.zeros(0)
    known = np.flatnonzero(np.isfinite(errors))
    groups, _ = number_groups(rows.groups[known])
    observed = Observed(rows.observed.answers[known], rows.observed.novelty[known])
    return _Known(observed, errors[known], groups)


def _thin_out(rows: _Known, seed: int) -> _Known:
    if len(rows.errors) <= MOST_ROWS:
        return rows
    drawn = np.sort(np.random.default_rng(seed).choice(len(rows.errors), MOST_ROWS, replace=False))
    kept = rows.take(drawn)
    return _Known(kept.observed, kept.errors, number_groups(kept.groups)[0])
