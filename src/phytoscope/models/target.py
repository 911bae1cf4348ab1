"""The scale on which a number is learned: optional log1p, then mean 0 and deviation 1, fitted on training rows."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import DataValidationError
from phytoscope.schema.config import TargetTransform

# Beyond this skewness the few large values would own the loss; log1p is then the scale people would plot on.
_SKEWED = 1.0


@dataclass(frozen=True)
class TargetScale:
    """A change of scale that can be undone.

    Attributes:
        transform: `none` or `log1p`.
        unit_value: Targets are divided by this before log1p, so that "1" is a typical size whatever the unit.
        mean: Mean of the transformed training targets.
        std: Standard deviation of the transformed training targets.
        lower: Smallest value the answer may take, in the user's unit: what log1p allows, or what was declared possible.
    """

    transform: TargetTransform
    unit_value: float
    mean: float
    std: float
    lower: float | None = None

    def forward(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        """Brings targets to the learned scale.

        Args:
            target: Shape (N,), the user's unit.

        Returns:
            Shape (N,), mean 0 and standard deviation 1 on the training rows.
        """
        values = np.log1p(target / self.unit_value) if self.transform is TargetTransform.log1p else target
        return (values - self.mean) / self.std

    def inverse(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Brings answers back.

        Args:
            scaled: Shape (N,), the learned scale.

        Returns:
            Shape (N,), the user's unit.
        """
        values = scaled * self.std + self.mean
        if self.transform is TargetTransform.log1p:
            values = np.expm1(values) * self.unit_value
        return values if self.lower is None else np.maximum(values, self.lower)

    def to_dict(self) -> dict[str, Any]:
        """The scale as plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "transform": self.transform.value}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TargetScale":
        """Rebuilds a scale from `to_dict`'s result."""
        return cls(**{**content, "transform": TargetTransform(content["transform"])})


def fit_target_scale(
    target: NDArray[np.float64], transform: TargetTransform, lower: float | None = None
) -> TargetScale:
    """Fits the scale on the training rows only.

    Args:
        target: Shape (N,), the user's unit.
        transform: `auto` takes log1p when no target is negative and their skewness is above 1.
        lower: Smallest value that is possible, in the user's unit; None when any is.

    Raises:
        DataValidationError: log1p is asked for and a target is negative, or the target never changes.
    """
    if transform is TargetTransform.auto:
        skewed = target.min() >= 0 and skewness(target) > _SKEWED
        transform = TargetTransform.log1p if skewed else TargetTransform.none
    unit_value = 1.0
    values = target
    if transform is TargetTransform.log1p:
        if target.min() < 0:
            message = (
                "task.target_transform=log1p needs targets that are not negative, but the smallest is "
                f"{target.min():g}: choose task.target_transform=none."
            )
            raise DataValidationError(message)
        positive = target[target > 0]
        unit_value = float(np.median(positive)) if positive.size else 1.0
        lower = 0.0 if lower is None else max(0.0, lower)
        values = np.log1p(target / unit_value)
    std = float(values.std())
    if std == 0:
        message = f"the target is {target[0]:g} in every training row; there is nothing to learn."
        raise DataValidationError(message)
    return TargetScale(transform, unit_value, float(values.mean()), std, lower)


def skewness(values: NDArray[np.float64]) -> float:
    """Third standardised moment of the values, shape (N,); 0 when they never change."""
    spread = float(values.std())
    if spread == 0:
        return 0.0
    return float((((values - values.mean()) / spread) ** 3).mean())
