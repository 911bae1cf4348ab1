"""Models a person could write on a napkin, fitted on the training rows only: what a network must beat."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from phytoscope.evaluate.classification import measure_classification
from phytoscope.evaluate.regression import measure_regression
from phytoscope.schema.report import Baseline

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CONSTANT = "constant"
GREEN_PIXELS = "green_pixels"


@dataclass(frozen=True)
class ConstantClass:
    """Always the most frequent class of the training rows (the first one on a tie).

    Attributes:
        frequencies: Share of each class among the training rows, shape (C,), float64, sums to 1.
        class_name: The class it always names.
    """

    frequencies: FloatArray
    class_name: str

    def answer(self, n: int) -> IntArray:
        """Index of the class it names for each of `n` images, shape (n,), int64."""
        return np.full(n, int(np.argmax(self.frequencies)), dtype=np.int64)

    def score(self, true: IntArray) -> Baseline:
        """Scores the baseline on rows whose true class indices are `true`, shape (N,), int64."""
        probs = np.tile(self.frequencies, (len(true), 1))
        predicted = self.answer(len(true))
        share = 100.0 * float(self.frequencies.max())
        text = f"always {self.class_name!r}, the most frequent class of the training images ({share:.1f} % of them)"
        return Baseline(CONSTANT, text, measure_classification(true, predicted, probs))


@dataclass(frozen=True)
class StraightLine:
    """Value = intercept + slope * green pixels; a slope of 0 gives the constant baseline.

    Attributes:
        name: `constant` or `green_pixels`.
        intercept: In the user's unit.
        slope: In the user's unit per pixel.
        unit: The user's unit.
    """

    name: str
    intercept: float
    slope: float
    unit: str

    def answer(self, green_px: FloatArray) -> FloatArray:
        """Its values for images with so many green pixels, both of shape (N,), float64."""
        return self.intercept + self.slope * green_px

    def score(self, target: FloatArray, green_px: FloatArray) -> Baseline:
        """Scores the baseline on rows with true values `target` and `green_px`, both of shape (N,), float64."""
        preds = self.answer(green_px)
        if self.name == CONSTANT:
            text = f"always {self.intercept:.4g} {self.unit}".rstrip() + ", the mean of the training images"
        else:
            sign = "-" if self.slope < 0 else "+"
            line = f"{self.intercept:.4g} {sign} {abs(self.slope):.4g} x number of green pixels"
            text = f"straight line through the training images: {line}"
        return Baseline(self.name, text, measure_regression(target, preds, self.unit))


def fit_constant_class(true: IntArray, class_names: list[str]) -> ConstantClass:
    """Counts the classes of the training rows.

    Args:
        true: Index of the true class of each training row, shape (N,), int64, N at least 1.
        class_names: In the order of the indices.
    """
    counts = np.bincount(true, minlength=len(class_names)).astype(np.float64)
    return ConstantClass(counts / counts.sum(), class_names[int(np.argmax(counts))])


def fit_constant_value(target: FloatArray, unit: str) -> StraightLine:
    """The mean of the training rows' true values, shape (N,), float64, N at least 1, in `unit`."""
    return StraightLine(CONSTANT, float(target.mean()), 0.0, unit)


def fit_green_pixels(target: FloatArray, green_px: FloatArray, unit: str) -> StraightLine:
    """Least-squares line of the true value on the number of green pixels.

    Where all training images have equally many green pixels, the line is flat at the mean.

    Args:
        target: True values of the training rows, shape (N,), float64, N at least 1, in `unit`.
        green_px: Green pixels of the training rows, shape (N,), float64, in pixels.
        unit: The user's unit.
    """
    spread = green_px - green_px.mean()
    total = float(np.sum(spread * spread))
    slope = float(np.sum(spread * (target - target.mean()))) / total if total > 0 else 0.0
    return StraightLine(GREEN_PIXELS, float(target.mean() - slope * green_px.mean()), slope, unit)
