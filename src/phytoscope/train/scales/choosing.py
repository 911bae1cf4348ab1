"""Chooses the curve that bends a target, by cross-validation over the groups of the training rows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phytoscope.models.target import fit_target_scale
from phytoscope.schema.choices import TargetTransform
from phytoscope.train.scales.smearing import thin_residuals

SMALLEST_GROUPS = 5
"""With fewer groups a cross-validation over them is mostly luck."""
_SIMPLEST_FIRST = (TargetTransform.none, TargetTransform.sqrt, TargetTransform.log1p, TargetTransform.yeo_johnson)
_FOLDS = 5
_REPEATS = 3
_MOST_ROWS = 800
# Penalties as shares of the mean variance that the features span, from next to nothing to nearly a constant answer.
_PENALTIES = np.logspace(-5, 1, 9)


@dataclass(frozen=True)
class TransformChoice:
    """The curve that was taken, and what each would have given.

    Attributes:
        transform: The curve.
        rmse: Curve -> root mean squared error in the user's unit on groups that were left out.
        n_groups: Groups that were compared over.
    """

    transform: TargetTransform
    rmse: dict[TargetTransform, float]
    n_groups: int

    def describe(self, name: str, unit: str) -> str:
        """The choice in one sentence.

        Args:
            name: The user's name of the target.
            unit: Its unit; may be empty.
        """
        others = ", ".join(f"{value:.4g} {key.value}" for key, value in self.rmse.items() if key is not self.transform)
        best = min(self.rmse, key=lambda key: self.rmse[key])
        why = "" if best is self.transform else f" ({best.value} is not better by more than one standard error)"
        return (
            f"{name} is learned with target_transform={self.transform.value}: RMSE {self.rmse[self.transform]:.4g} "
            f"{unit + ' ' if unit else ''}in cross-validation over {self.n_groups} training groups, "
            f"against {others}{why}"
        )


@dataclass(frozen=True)
class _Fold:
    """One division of the rows, and the features of both sides turned to the axes of the training side.

    Attributes:
        train: Places of the rows that are learned from.
        held: Places of the others.
        axes: Shape (train, R).
        spans: Shape (R,), variance along the axes.
        seen: Shape (held, R).
    """

    train: NDArray[np.int64]
    held: NDArray[np.int64]
    axes: NDArray[np.float64]
    spans: NDArray[np.float64]
    seen: NDArray[np.float64]


def choose_transform(
    features: NDArray[np.float32],
    target: NDArray[np.float64],
    groups: tuple[str, ...],
    *,
    bounds: tuple[float | None, float | None] = (None, None),
    unbiased: bool = True,
    seed: int = 0,
) -> TransformChoice | None:
    """Compares the curves with a ridge regression on frozen features.

    Each curve is judged by the squared error in the user's unit on groups that were left out, with the penalty and the
    way back (with or without smearing) that suit it best. The simplest curve is taken that is not worse than the best
    one by more than one standard error of their difference over groups (Breiman 1984, ISBN 978-0412048418).

    Args:
        features: Shape (N, F), of training rows alone.
        target: Shape (N,), the user's unit; NaN where a row lacks it.
        groups: Group of each row.
        bounds: Smallest and largest value that is possible; None when any is.
        unbiased: Whether answers may be brought back so that they are right on average.
        seed: Seed of the folds.

    Returns:
        The choice; None with fewer than `SMALLEST_GROUPS` groups, or when a fold's target never changes.
    """
    known = np.flatnonzero(np.isfinite(target))
    names, group = np.unique(np.asarray(groups)[known], return_inverse=True)
    if len(names) < SMALLEST_GROUPS:
        return None
    rng = np.random.default_rng(seed)
    picked = _pick_rows(group, rng)
    group, rows = np.unique(group[picked], return_inverse=True)[1], known[picked]
    values = target[rows]
    seen = features[rows].astype(np.float64)
    spread = seen.std(axis=0)
    seen = (seen - seen.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    candidates = [
        transform
        for transform in _SIMPLEST_FIRST
        if values.min() >= 0 or transform in (TargetTransform.none, TargetTransform.yeo_johnson)
    ]
    n_groups = int(group.max()) + 1
    ways = 2 if unbiased else 1
    errors = {transform: np.zeros((ways * len(_PENALTIES), n_groups)) for transform in candidates}
    for _ in range(_REPEATS):
        folds = list(_divide(seen, group, rng))
        if any(np.ptp(values[fold.train]) == 0 for fold in folds):
            return None
        for transform in candidates:
            squared = _measure(folds, values, transform, bounds=bounds, ways=ways)
            for place, row in enumerate(squared):
                errors[transform][place] += np.bincount(group, row, n_groups) / _REPEATS
    return _take_simplest(errors, len(values))


def _take_simplest(errors: dict[TargetTransform, NDArray[np.float64]], rows: int) -> TransformChoice:
    by_group = {transform: found[found.sum(axis=1).argmin()] for transform, found in errors.items()}
    best = min(by_group, key=lambda transform: by_group[transform].sum())

    def is_close(transform: TargetTransform) -> bool:
        more = by_group[transform] - by_group[best]
        return bool(more.sum() <= np.sqrt(len(more)) * more.std(ddof=1))

    taken = next(transform for transform in by_group if transform is best or is_close(transform))
    rmse = {transform: float(np.sqrt(found.sum() / rows)) for transform, found in by_group.items()}
    return TransformChoice(taken, rmse, len(by_group[best]))


def _pick_rows(group: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    # Whole groups at random; a random share of the rows where there are few large ones.
    order = rng.permutation(int(group.max()) + 1)[group]
    rows = np.argsort(order, kind="stable")[:_MOST_ROWS]
    if len(np.unique(group[rows])) < SMALLEST_GROUPS:
        rows = rng.permutation(len(group))[:_MOST_ROWS]
    return np.sort(rows)


def _divide(seen: NDArray[np.float64], group: NDArray[np.int64], rng: np.random.Generator) -> Iterator[_Fold]:
    n_groups = int(group.max()) + 1
    fold_of = (rng.permutation(n_groups) % min(_FOLDS, n_groups))[group]
    for fold in range(min(_FOLDS, n_groups)):
        train, held = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        middle = seen[train].mean(axis=0)
        centred = seen[train] - middle
        spans, axes = np.linalg.eigh(centred @ centred.T)
        kept = spans > spans[-1] * 1e-10
        spans, axes = spans[kept], axes[:, kept]
        yield _Fold(train, held, axes, spans, (seen[held] - middle) @ centred.T @ axes)


def _measure(
    folds: list[_Fold],
    values: NDArray[np.float64],
    transform: TargetTransform,
    *,
    bounds: tuple[float | None, float | None],
    ways: int,
) -> NDArray[np.float64]:
    scales = [fit_target_scale(values[fold.train], transform, *bounds) for fold in folds]
    answers, wrong = np.zeros((2, len(_PENALTIES), len(values)))
    for fold, scale in zip(folds, scales, strict=True):
        along = fold.axes.T @ scale.forward(values[fold.train])
        penalties = _PENALTIES[:, None] * fold.spans.mean()
        answers[:, fold.held] = (along / (fold.spans + penalties)) @ fold.seen.T
        wrong[:, fold.held] = scale.forward(values[fold.held]) - answers[:, fold.held]
    squared = np.zeros((ways, len(_PENALTIES), len(values)))
    for fold, scale in zip(folds, scales, strict=True):
        for place in range(len(_PENALTIES)):
            # Only rows of other folds say how wrong the answers of this one may be, and plants that are all too small
            # or too large there say nothing about those here.
            others = np.delete(wrong[place], fold.held)
            for way, back in enumerate((scale, thin_residuals(scale, others - others.mean()))[:ways]):
                squared[way, place, fold.held] = (back.inverse(answers[place, fold.held]) - values[fold.held]) ** 2
    return squared.reshape(ways * len(_PENALTIES), -1)
