"""One quick model for every question of the inspection, cross-validated on whole groups.

The model is kernel ridge regression with a Gaussian kernel in a Nyström approximation (Williams and Seeger 2001,
NeurIPS 13), of the target itself or of one column per class. It is closed-form, so it has no seed of its own but the
draw of its landmarks, and its cost grows linearly with the images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LANDMARKS = 800
"""On 3,549 leaf photographs of 25 classes, 400 lose two points and 1,600 gain one at seven times the time."""
_PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e1)
"""Relative to the number of images; the last one leaves only the mean, so that a model that knows nothing says so."""
WHOLE_PICTURE_SHARPNESS = 0.3
"""Of the kernel on descriptors of whole pictures; pixels and colours are told apart better by a sharper one."""
_USUAL_PENALTY = 3
_FEWEST_FOLDS = 3
"""With two folds, nothing is left to choose the penalty on."""
_SMALLEST_EIGENVALUE = 1e-6
_BLOCK = 4096


def deal_folds(groups: Integers, strata: Integers, folds: int, seed: int) -> Integers:
    """Deals groups out to folds so that every fold holds about the same mixture of strata.

    Args:
        groups: Number of each image's group, shape (N,), counting from 0.
        strata: Number of each image's class or target quantile, shape (N,), counting from 0.
        folds: Folds to fill; fewer when there are fewer groups.
        seed: Seed of the order of equally large groups.

    Returns:
        Fold of each image, shape (N,), int64, counting from 0.
    """
    n_groups, n_strata = int(groups.max()) + 1, int(strata.max()) + 1
    counts = np.zeros((n_groups, n_strata))
    np.add.at(counts, (groups, strata), 1.0)
    sizes, totals = counts.sum(axis=1), counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(n_groups)
    order = order[np.argsort(-sizes[order], kind="stable")]
    folds = min(folds, n_groups)
    # Rare strata weigh as much as frequent ones; the total evens out what rounding within the strata leaves.
    shares = np.hstack([counts / np.maximum(totals, 1.0), sizes[:, None] / sizes.sum()])
    filled = np.zeros((folds, shares.shape[1]))
    fold_of = np.zeros(n_groups, dtype=np.int64)
    for group in order:
        # Rounded, so that the last digit, which differs between processors, decides nothing.
        best = int(np.argmin(np.round(filled @ shares[group], 12)))
        fold_of[group] = best
        filled[best] += shares[group]
    return fold_of[groups]


def map_to_landmarks(values: Floats, seed: int, *, landmarks: int = LANDMARKS, sharpness: float = 1.0) -> Floats:
    """Maps features to coordinates in which a straight line is a smooth curve of the features.

    Args:
        values: Features, shape (N, D), finite; each is standardised over all images, without a look at the answers.
        seed: Seed of the draw of the landmarks.
        landmarks: Images to compare with.
        sharpness: Of the kernel, over the number of features: the larger, the more alike two images must be.

    Returns:
        Coordinates, shape (N, M), float64, M at most `landmarks`.
    """
    scaled = _standardise(values)
    chosen = np.random.default_rng(seed).permutation(len(scaled))[:landmarks]
    marks = np.unique(scaled[np.sort(chosen)], axis=0)
    gamma = sharpness / max(scaled.shape[1], 1)
    values_, vectors = linalg.eigh(_similarity(marks, marks, gamma))
    kept = values_ > _SMALLEST_EIGENVALUE * values_[-1]
    whiten = vectors[:, kept] / np.sqrt(values_[kept])
    blocks = [_similarity(scaled[at : at + _BLOCK], marks, gamma) @ whiten for at in range(0, len(scaled), _BLOCK)]
    return np.concatenate(blocks)


def predict_kept_back(rows: Floats, answers: Floats, fold_of: Integers) -> Floats:
    """Predicts every image by a model that has seen neither it nor any image of its fold.

    The strength of the penalty is chosen for each fold and set of answers on the other folds alone.

    Args:
        rows: Coordinates of the images, shape (N, M).
        answers: What to predict, shape (S, N, K): S sets of answers, each the target in one column, or one column per
            class with 1 in that of the image's class.
        fold_of: Fold of each image, shape (N,), at least two different ones.

    Returns:
        Predictions, shape (S, N, K), float64.
    """
    sets, n, columns = answers.shape
    flat = answers.transpose(1, 0, 2).reshape(n, sets * columns)
    parts = [np.flatnonzero(fold_of == name) for name in np.unique(fold_of)]
    sums = [_Sums.of(rows[part], flat[part]) for part in parts]
    whole = sum(sums[1:], start=sums[0])
    best = _choose_penalties(rows, flat, parts, sums, sets)
    preds = np.empty((n, sets, columns))
    for number, part in enumerate(parts):
        for index, line in enumerate((whole - sums[number]).solve()):
            using = best[number] == index
            if using.any():
                preds[np.ix_(part, using)] = line(rows[part]).reshape(len(part), sets, columns)[:, using]
    return preds.transpose(1, 0, 2)


def _choose_penalties(rows: Floats, flat: Floats, parts: list[Integers], sums: list["_Sums"], sets: int) -> Integers:
    """Number of the best penalty for each fold and set of answers, shape (folds, sets)."""
    if len(parts) < _FEWEST_FOLDS:
        return np.full((len(parts), sets), _USUAL_PENALTY)
    whole = sum(sums[1:], start=sums[0])
    errors = np.zeros((len(parts), len(_PENALTIES), sets))
    for first in range(len(parts)):
        for second in range(first):
            lines = (whole - sums[first] - sums[second]).solve()
            # One pair of folds left out serves both: each judges the penalty for the other.
            for judged, chooser in ((parts[first], second), (parts[second], first)):
                for index, line in enumerate(lines):
                    squared = np.square(flat[judged] - line(rows[judged]))
                    errors[chooser, index] += squared.reshape(len(judged), sets, -1).sum(axis=(0, 2))
    return np.asarray(np.argmin(errors, axis=1), dtype=np.int64)


@dataclass(frozen=True)
class _Line:
    """Answer = mean + (row - centre) @ slope."""

    slope: Floats
    centre: Floats
    mean: Floats

    def __call__(self, rows: Floats) -> Floats:
        result: Floats = (rows - self.centre) @ self.slope + self.mean
        return result


@dataclass(frozen=True)
class _Sums:
    """All that a ridge regression needs to know of some images; sums add up, so leaving a fold out is a subtraction."""

    n: float
    rows: Floats
    answers: Floats
    squares: Floats
    products: Floats

    @classmethod
    def of(cls, rows: Floats, answers: Floats) -> "_Sums":
        return cls(len(rows), rows.sum(axis=0), answers.sum(axis=0), rows.T @ rows, rows.T @ answers)

    def __add__(self, other: "_Sums") -> "_Sums":
        return _Sums(
            self.n + other.n,
            self.rows + other.rows,
            self.answers + other.answers,
            self.squares + other.squares,
            self.products + other.products,
        )

    def __sub__(self, other: "_Sums") -> "_Sums":
        return self + _Sums(-other.n, -other.rows, -other.answers, -other.squares, -other.products)

    def solve(self) -> list[_Line]:
        """The line of each penalty."""
        centre, mean = self.rows / self.n, self.answers / self.n
        squares = self.squares - self.n * np.outer(centre, centre)
        products = self.products - self.n * np.outer(centre, mean)
        lines = []
        for penalty in _PENALTIES:
            ridge = squares + penalty * self.n * np.eye(len(squares))
            lines.append(_Line(linalg.solve(ridge, products, assume_a="pos"), centre, mean))
        return lines


def _standardise(values: Floats) -> Floats:
    spread = values.std(axis=0)
    # A column that hardly varies would be blown up to noise of the size of the others.
    constant = spread <= 1e-9 * np.maximum(np.abs(values).max(axis=0), 1e-12)
    kept = values[:, ~constant]
    scaled: Floats = (kept - kept.mean(axis=0)) / spread[~constant]
    return scaled


def _similarity(left: Floats, right: Floats, gamma: float) -> Floats:
    squared = np.square(left).sum(axis=1)[:, None] + np.square(right).sum(axis=1) - 2 * left @ right.T
    result: Floats = np.exp(-gamma * np.maximum(squared, 0.0))
    return result
