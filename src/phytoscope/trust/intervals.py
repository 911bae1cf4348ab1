"""Intervals that hold the true number as often as promised (conformal prediction)."""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.choices import IntervalKind
from phytoscope.trust.interval_shapes import MOST_ROWS, Margins, find_margins, fit_shape
from phytoscope.trust.observed import Floats, Labelled, Observed
from phytoscope.trust.quantile import group_quantile, number_groups, word_promise

LEAST_GROUPS: Final = 4
LEAST_ROWS: Final = 30
"""With fewer groups or rows of val, no more than a constant width is fitted, whatever was asked for."""
FOLDS: Final = 5
"""Folds over the groups of val, by which `auto` compares the kinds."""
FIXED: Final = (IntervalKind.constant, IntervalKind.scaled, IntervalKind.cqr)
"""The simplest first."""
LEAST_TO_CHOOSE: Final = 10
"""Groups of val from which on `auto` looks further than constant width: which kind looks best with fewer is mostly
chance, and on seven plants of real data its intervals came out wider than constant ones."""


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

    With few plants the same out-of-fold rows of a cross-validation may be given as both: rows whose group stands in
    both are then scored by shapes that were fitted without their group.

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
    rows, shape_rows = _read_known(calibration, val, target)
    n_groups = len(np.unique(rows.groups))
    if n_groups == 0:
        return None, ["No image of the calibration split has a true number, so there are no intervals."]
    shape_rows = _thin_out(shape_rows, seed)
    kind, fitted, remarks = _choose_shape(shape_rows, kind, target, coverage, seed)
    scores = find_margins(fitted, kind, rows.observed, target).score(rows.errors)
    if fitted is not None and np.isin(rows.groups, shape_rows.groups).any():
        # A shape fits the rows it was fitted on too well, so they are scored by shapes that never saw their group.
        folds = _deal_groups(np.union1d(rows.groups, shape_rows.groups), seed)
        for inside, margins in _fit_apart(kind, shape_rows, rows, folds, target=target, coverage=coverage):
            scores[inside] = margins.score(rows.errors[inside])
    quantile, promised = group_quantile(scores, rows.groups, coverage)
    if promised < coverage:
        remarks.append(word_promise("intervals", n_groups, promised, coverage))
    return IntervalRule(kind, quantile, promised, lowest, fitted), remarks


def _choose_shape(
    val: _Known, kind: IntervalKind, target: int, coverage: float, seed: int
) -> tuple[IntervalKind, dict[str, Any] | None, list[str]]:
    if kind is IntervalKind.constant:
        return kind, None, []
    count, least = len(np.unique(val.groups)), LEAST_TO_CHOOSE if kind is IntervalKind.auto else LEAST_GROUPS
    if count < least or len(val.errors) < LEAST_ROWS:
        remark = (
            f"Intervals have the same width for all images: the val split has {len(val.errors)} images of {count} "
            f"groups (plants) with a true number, and {LEAST_ROWS} of {least} are needed to tell where errors are "
            "larger."
        )
        return IntervalKind.constant, None, [remark]
    chosen = _compare_kinds(val, target, coverage, seed) if kind is IntervalKind.auto else kind
    fitted = fit_shape(chosen, val.observed, val.errors, val.weigh(), target=target, coverage=coverage)
    if fitted is not None or chosen is IntervalKind.constant:
        return chosen, fitted, []
    remark = (
        "Intervals have the same width for all images: answers and novelty of the val images are all the same, or "
        "there are no errors."
    )
    return IntervalKind.constant, None, [remark]


def _compare_kinds(val: _Known, target: int, coverage: float, seed: int) -> IntervalKind:
    codes, groups = np.unique(val.groups, return_inverse=True)
    folds = _deal_groups(codes, seed)
    scores = {kind: _score_kind(val, folds, kind, target, coverage) for kind in FIXED}
    counts = np.bincount(groups.reshape(-1))
    means = {kind: np.bincount(groups.reshape(-1), scores[kind]) / counts for kind in FIXED}
    best = min(FIXED, key=lambda kind: float(means[kind].mean()))
    for kind in FIXED:
        behind = means[kind] - means[best]
        if behind.mean() <= behind.std(ddof=1) / math.sqrt(len(codes)):
            return kind
    return best


def _score_kind(val: _Known, folds: dict[int, int], kind: IntervalKind, target: int, coverage: float) -> Floats:
    # Interval score of each row, shape (N,).
    answers = val.observed.answers[:, target]
    truth = answers + val.errors
    parts = _fit_apart(kind, val, val, folds, target=target, coverage=coverage)
    stretches, total = np.empty(len(answers)), np.empty(len(answers))
    for inside, margins in parts:
        stretches[inside] = margins.score(val.errors[inside])
    stretch, promised = group_quantile(stretches, val.groups, coverage)
    for inside, margins in parts:
        lower, upper = margins.ends(answers[inside], stretch)
        missed = np.maximum(lower - truth[inside], 0) + np.maximum(truth[inside] - upper, 0)
        total[inside] = (upper - lower) + missed * 2 / (1 - promised)
    return total


def _deal_groups(codes: NDArray[np.int64], seed: int) -> dict[int, int]:
    # Number of a group -> its fold.
    dealt = np.random.default_rng(seed).permutation(len(codes)) % min(FOLDS, len(codes))
    return dict(zip(codes.tolist(), dealt.tolist(), strict=True))


def _fit_apart(
    kind: IntervalKind, learned: _Known, scored: _Known, folds: dict[int, int], *, target: int, coverage: float
) -> list[tuple[NDArray[np.int64], Margins]]:
    # Places of the scored rows of each fold, and their margins by a shape that was fitted without these groups.
    fold_learned = np.array([folds[code] for code in learned.groups.tolist()])
    fold_scored = np.array([folds[code] for code in scored.groups.tolist()])
    parts = []
    for number in np.unique(fold_scored):
        rows = learned.take(fold_learned != number)
        fitted = fit_shape(kind, rows.observed, rows.errors, rows.weigh(), target=target, coverage=coverage)
        inside = np.flatnonzero(fold_scored == number)
        # Without a shape, as where no error is left, every row counts as it would at constant width.
        parts.append((inside, find_margins(fitted, kind, scored.take(inside).observed, target)))
    return parts


def _read_known(calibration: Labelled, val: Labelled, target: int) -> tuple[_Known, _Known]:
    # Groups are numbered over both, so that one that stands in both can be told.
    codes, _ = number_groups(np.concatenate([calibration.groups, val.groups]))
    parts = []
    for rows, numbers in ((calibration, codes[: len(calibration)]), (val, codes[len(calibration) :])):
        answers = rows.observed.answers
        if len(rows) == 0:
            parts.append(_Known(Observed(np.zeros((0, target + 1)), np.zeros(0)), np.zeros(0), numbers))
            continue
        errors = np.asarray(rows.truth, dtype=np.float64)[:, target] - answers[:, target]
        known = np.flatnonzero(np.isfinite(errors))
        parts.append(_Known(Observed(answers[known], rows.observed.novelty[known]), errors[known], numbers[known]))
    return parts[0], parts[1]


def _thin_out(rows: _Known, seed: int) -> _Known:
    if len(rows.errors) <= MOST_ROWS:
        return rows
    return rows.take(np.sort(np.random.default_rng(seed).choice(len(rows.errors), MOST_ROWS, replace=False)))
