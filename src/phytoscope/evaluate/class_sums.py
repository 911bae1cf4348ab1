"""Every number about predicted classes as a function of sums over images, so that many draws cost little."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from phytoscope.evaluate.bootstrap import FloatArray, GroupSampler, IntArray, Measure
from phytoscope.evaluate.classification import (
    TOP_K_FROM_CLASSES,
    find_confidence_bins,
    find_top_k,
    list_brier,
    list_nll,
)

SHARES: Final = frozenset({"accuracy", "macro_f1", "balanced_accuracy", "top3_accuracy", "precision", "recall", "f1"})
"""Numbers between 0 and 1 of which 0 and 1 themselves are reached by single classes and small sets."""
RECENTRED: Final = frozenset({"ece"})
"""Numbers that drawing pushes up: chance deviations of each bin add up instead of cancelling."""
PER_CLASS: Final = ("precision", "recall", "f1")


@dataclass(frozen=True)
class ClassRows:
    """What each image adds to the sums.

    Attributes:
        true: Index of the true class, shape (N,), int64.
        predicted: Index of the predicted class, shape (N,), int64.
        n_classes: Number of classes.
        parts: Name -> what is added up, shape (N,), float64.
        bins: Bin of the probability of the predicted class, shape (N,), int64.
        n_bins: Number of these bins.
    """

    true: IntArray
    predicted: IntArray
    n_classes: int
    parts: dict[str, FloatArray]
    bins: IntArray
    n_bins: int

    def sum_units(self, sampler: GroupSampler, rows: IntArray | None = None) -> FloatArray:
        """Sums over the images of each unit.

        Args:
            sampler: Which unit each of the N images belongs to.
            rows: Which of the images count, shape (M,), int64; None for all.

        Returns:
            Shape (units, K), the columns being hits, images and answers of each class, then the parts, then
            probability and hits of each bin.
        """
        rows = np.arange(len(self.true)) if rows is None else rows
        units, true, predicted, bins = sampler.units[rows], self.true[rows], self.predicted[rows], self.bins[rows]
        right = true == predicted
        confidence = self.parts["confidence"][rows]
        return np.concatenate(
            [
                _add_up(units[right], sampler.n_units, true[right], self.n_classes),
                _add_up(units, sampler.n_units, true, self.n_classes),
                _add_up(units, sampler.n_units, predicted, self.n_classes),
                *(
                    np.bincount(units, weights=part[rows], minlength=sampler.n_units)[:, None]
                    for name, part in self.parts.items()
                    if name != "confidence"
                ),
                _add_up(units, sampler.n_units, bins, self.n_bins, confidence),
                _add_up(units[right], sampler.n_units, bins[right], self.n_bins),
            ],
            axis=1,
        )

    def build_measure(self) -> Measure:
        """The function from such sums to every number, those of each class with a last axis of classes."""
        n_classes, n_bins = self.n_classes, self.n_bins
        names = [name for name in self.parts if name != "confidence"]

        def measure(sums: FloatArray) -> dict[str, FloatArray]:
            hits, support, chosen = (sums[:, i * n_classes : (i + 1) * n_classes] for i in range(3))
            start = 3 * n_classes
            binned, hit = (
                sums[:, start + len(names) + i * n_bins : start + len(names) + (i + 1) * n_bins] for i in range(2)
            )
            n = support.sum(axis=1)
            numbers = measure_counts(hits, support, chosen)
            numbers |= {name: divide(sums[:, start + i], n) for i, name in enumerate(names)}
            numbers["ece"] = divide(np.abs(binned - hit).sum(axis=1), n)
            return numbers

        return measure


def prepare_class_rows(true: IntArray, predicted: IntArray, probs: FloatArray) -> ClassRows:
    """What each image adds to the sums.

    Args:
        true: Index of the true class, shape (N,), int64.
        predicted: Index of the predicted class, shape (N,), int64.
        probs: Probabilities, shape (N, C), rows sum to 1.
    """
    confidence = probs[np.arange(len(true)), predicted].astype(np.float64)
    parts = {"confidence": confidence, "nll": list_nll(true, probs), "brier": list_brier(true, probs)}
    if probs.shape[1] >= TOP_K_FROM_CLASSES:
        parts["top3_accuracy"] = find_top_k(true, probs).astype(np.float64)
    bins = find_confidence_bins(confidence)
    return ClassRows(true, predicted, probs.shape[1], parts, bins, int(bins.max()) + 1)


def count_class_rows(true: IntArray, predicted: IntArray, n_classes: int) -> ClassRows:
    """What each image adds to the counts of a model that gives no probabilities; its `ece` means nothing.

    Args:
        true: Index of the true class, shape (N,), int64.
        predicted: Index of the predicted class, shape (N,), int64.
        n_classes: Number of classes.
    """
    nothing = np.zeros(len(true), dtype=np.int64)
    return ClassRows(true, predicted, n_classes, {"confidence": nothing.astype(np.float64)}, nothing, 1)


def measure_counts(hits: FloatArray, support: FloatArray, chosen: FloatArray) -> dict[str, FloatArray]:
    """What follows from counts alone.

    Args:
        hits: Images of each class that were given it, shape (T, C).
        support: Images of each class, shape (T, C).
        chosen: Images that were given each class, shape (T, C).

    Returns:
        `accuracy`, `macro_f1`, `balanced_accuracy` of shape (T,); `precision`, `recall`, `f1` of shape (T, C).
    """
    recall, f1 = divide(hits, support), divide(2.0 * hits, support + chosen)
    present = support > 0
    n_present = present.sum(axis=1)
    return {
        "accuracy": divide(hits.sum(axis=1), support.sum(axis=1)),
        "macro_f1": divide(np.where(present, f1, 0.0).sum(axis=1), n_present),
        "balanced_accuracy": divide(np.where(present, recall, 0.0).sum(axis=1), n_present),
        "precision": divide(hits, chosen),
        "recall": recall,
        "f1": f1,
    }


def divide(above: FloatArray, below: FloatArray | IntArray) -> FloatArray:
    """Quotient of two arrays of one shape, NaN where the divisor is not above 0."""
    quotient = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=quotient, where=np.asarray(below) > 0)
    return quotient


def _add_up(
    units: IntArray, n_units: int, kinds: IntArray, n_kinds: int, weights: FloatArray | None = None
) -> FloatArray:
    added = np.bincount(units * n_kinds + kinds, weights=weights, minlength=n_units * n_kinds)
    return added.reshape(n_units, n_kinds).astype(np.float64)
