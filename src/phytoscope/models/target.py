"""The scale on which a number is learned, fitted on training rows, and the way back to the user's unit."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.models.target_curve import bend, fit_power, unbend
from phytoscope.schema.choices import RegressionLoss, TargetTransform
from phytoscope.schema.train_config import TaskConfig

# Beyond this skewness the few large values would own the loss; log1p is then the scale people would plot on.
_SKEWED = 1.0
# Answers may lie outside the training targets by so many of their ranges: room for a plant larger than all before, none
# for a curve that runs away.
_ROOM = 2.0
# A spread below this share of the values is what rounding leaves of targets that are all the same.
_ROUNDING = 1e-13
# Deviances of amounts that differ by less are rounding errors in single precision.
_SMALLEST_SPREAD = 1e-3
_FOR_AMOUNTS = (TargetTransform.log1p, TargetTransform.sqrt)
LINKED_LOSSES = (RegressionLoss.gamma, RegressionLoss.tweedie)
"""Losses that are computed in the user's unit over the target's mean, with the network answering its logarithm."""
LINK_LIMIT = 20.0
"""Largest logarithm, upwards and downwards, of an answer over the target's mean."""


@dataclass(frozen=True)
class TargetScale:
    """A change of scale that can be undone.

    Attributes:
        transform: The curve that bends targets before they are standardised.
        unit_value: Targets are divided by this first, so that "1" is a typical size whatever the unit.
        mean: Mean of the bent training targets.
        std: Standard deviation of the bent training targets; with a logarithmic link the factor between an output and
            the logarithm of an answer.
        lower: Smallest value the answer may take, in the user's unit.
        upper: Largest one.
        power: Power of the curve of Yeo and Johnson.
        log_link: Whether outputs are logarithms of the mean while targets stay straight (gamma, tweedie).
        residuals: What the network was wrong by on rows that it did not learn from, on the learned scale: an answer is
            the mean over them, which is right on average where the inverse of the mean alone is not (smearing, Duan
            1983, doi 10.1080/01621459.1983.10478017). Empty when answers are brought back as they are.
        reason: Why this curve, in words; empty when it was asked for.
    """

    transform: TargetTransform
    unit_value: float
    mean: float
    std: float
    lower: float | None = None
    upper: float | None = None
    power: float = 1.0
    log_link: bool = False
    residuals: tuple[float, ...] = ()
    reason: str = ""

    def forward(self, target: NDArray[np.float64]) -> NDArray[np.float64]:
        """Brings targets to the scale on which the loss is computed.

        Args:
            target: Shape (N,), the user's unit; NaN stays NaN.

        Returns:
            Shape (N,), mean 0 and standard deviation 1 on the training rows, or with a logarithmic link mean 1.
        """
        values = target / self.unit_value
        return values if self.log_link else (bend(values, self.transform, self.power) - self.mean) / self.std

    def restore(self, scaled: NDArray[np.float64]) -> NDArray[np.float64]:
        """Undoes `forward`.

        Args:
            scaled: Shape (N,), what `forward` returned.

        Returns:
            Shape (N,), the user's unit.
        """
        values = scaled if self.log_link else unbend(scaled * self.std + self.mean, self.transform, self.power)
        return values * self.unit_value

    def inverse(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turns outputs of a network into answers, between the bounds.

        Args:
            outputs: Shape (N,).

        Returns:
            Shape (N,), the user's unit.
        """
        if self.log_link:
            values = np.exp(np.clip(self.std * outputs, -LINK_LIMIT, LINK_LIMIT)) * self.unit_value
        elif len(self.residuals) == 0:
            values = self.restore(self._hold(outputs))
        else:
            shifted = self._hold(outputs[..., None] + np.asarray(self.residuals))
            values = self.restore(shifted).mean(axis=-1)
        return self._bound(values)

    def to_dict(self) -> dict[str, Any]:
        """The scale as plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "transform": self.transform.value, "residuals": list(self.residuals)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TargetScale":
        """Rebuilds a scale from `to_dict`'s result, also from one that older releases wrote."""
        residuals = tuple(content.get("residuals", ()))
        return cls(**{**content, "transform": TargetTransform(content["transform"]), "residuals": residuals})

    def _hold(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        # The curves rise steeply: what lies beyond the bounds is cut before it can become infinite.
        if self.lower is None and self.upper is None:
            return outputs
        lower = -np.inf if self.lower is None else float(self.forward(np.asarray(self.lower)))
        upper = np.inf if self.upper is None else float(self.forward(np.asarray(self.upper)))
        return np.clip(outputs, lower, upper)

    def _bound(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.lower is None and self.upper is None:
            return values
        return np.clip(values, self.lower, self.upper)


def fit_scale(
    target: NDArray[np.float64], config: TaskConfig, lower: float | None = None, upper: float | None = None
) -> TargetScale:
    """Fits the scale that the loss needs on the training rows only.

    Args:
        target: Shape (N,), the user's unit; NaN where a row lacks it.
        config: Loss and curve.
        lower: Smallest value that is possible, in the user's unit; None when any is.
        upper: Largest value that is possible, in the user's unit; None when any is.

    Raises:
        ConfigError: The loss cannot take a target that is negative or 0, or the curve that is asked for.
        DataValidationError: The curve is for amounts and a target is negative, no row has the target, or it never
            changes.
    """
    if config.loss in LINKED_LOSSES:
        return fit_linked_scale(target, config, lower, upper)
    return fit_target_scale(target, config.target_transform, lower, upper)


def fit_target_scale(
    target: NDArray[np.float64],
    transform: TargetTransform,
    lower: float | None = None,
    upper: float | None = None,
) -> TargetScale:
    """Fits the scale on the training rows only.

    Answers are bounded to the range of the training targets and twice as much beyond each of its ends, and to what is
    possible.

    Args:
        target: Shape (N,), the user's unit; NaN where a row lacks it.
        transform: `auto` takes log1p when no target is negative and their skewness is above 1.
        lower: Smallest value that is possible, in the user's unit; None when any is.
        upper: Largest value that is possible, in the user's unit; None when any is.

    Raises:
        DataValidationError: The curve is for amounts and a target is negative, no row has the target, or it never
            changes.
    """
    target = _check_spread(target)
    if transform is TargetTransform.auto:
        skewed = target.min() >= 0 and skewness(target) > _SKEWED
        transform = TargetTransform.log1p if skewed else TargetTransform.none
    if transform in _FOR_AMOUNTS and target.min() < 0:
        message = (
            f"task.target_transform={transform.value} needs targets that are not negative, but the smallest is "
            f"{target.min():g}: choose task.target_transform=none or yeo_johnson."
        )
        raise DataValidationError(message)
    unit_value = 1.0 if transform is TargetTransform.none else float(np.median(np.abs(target[target != 0])))
    values = target / unit_value
    power = fit_power(values) if transform is TargetTransform.yeo_johnson else 1.0
    bent = bend(values, transform, power)
    lower, upper = _widen(target, lower, upper, not_negative=transform in _FOR_AMOUNTS)
    return TargetScale(transform, unit_value, float(bent.mean()), float(bent.std()), lower, upper, power)


def fit_linked_scale(
    target: NDArray[np.float64], config: TaskConfig, lower: float | None = None, upper: float | None = None
) -> TargetScale:
    """Fits the scale of a loss with a logarithmic link on the training rows only.

    Args:
        target: Shape (N,), the user's unit; NaN where a row lacks it.
        config: The loss and its power.
        lower: Smallest value that is possible, in the user's unit; None when any is.
        upper: Largest value that is possible, in the user's unit; None when any is.

    Raises:
        ConfigError: The loss cannot take a target that is negative or 0, or a curve is asked for as well.
        DataValidationError: No row has the target, or it never changes.
    """
    loss = config.loss.value
    if config.target_transform not in (TargetTransform.auto, TargetTransform.none):
        message = (
            f"task.loss={loss} answers on a logarithmic scale of its own, so task.target_transform="
            f"{config.target_transform.value} cannot apply: leave it out, or choose task.loss=huber."
        )
        raise ConfigError(message)
    target = _check_spread(target)
    smallest = float(target.min())
    if smallest < 0 or (smallest == 0 and config.loss is RegressionLoss.gamma):
        allowed = "above 0" if config.loss is RegressionLoss.gamma else "0 or above"
        remedy = "tweedie, which allows zeros" if smallest == 0 else "huber"
        message = (
            f"task.loss={loss} needs targets {allowed}, but the smallest is {smallest:g}: choose task.loss={remedy}."
        )
        raise ConfigError(message)
    unit_value = float(target.mean())
    ratio = target / unit_value
    lower, upper = _widen(target, lower, upper, not_negative=True)
    # With this factor the loss starts at 1 for every target and falls about as a squared error would.
    spread = max(_SMALLEST_SPREAD, min(float(ratio.std()), float(np.sqrt(max(0.0, _null_deviance(ratio, config))))))
    return TargetScale(TargetTransform.none, unit_value, 0.0, spread, lower, upper, log_link=True)


def skewness(values: NDArray[np.float64]) -> float:
    """Third standardised moment of the values, shape (N,); 0 when they never change."""
    spread = float(values.std())
    if spread == 0:
        return 0.0
    return float((((values - values.mean()) / spread) ** 3).mean())


def _check_spread(target: NDArray[np.float64]) -> NDArray[np.float64]:
    known = target[np.isfinite(target)]
    if len(known) == 0:
        message = "no training row has a number as its target; there is nothing to learn."
        raise DataValidationError(message)
    if float(known.std()) <= _ROUNDING * float(np.abs(known).max()):
        message = f"the target is {known[0]:g} in every training row; there is nothing to learn."
        raise DataValidationError(message)
    return known


def _widen(
    target: NDArray[np.float64], lower: float | None, upper: float | None, *, not_negative: bool
) -> tuple[float, float]:
    room = _ROOM * float(np.ptp(target))
    floors = [float(target.min()) - room, *([0.0] if not_negative else []), *([] if lower is None else [lower])]
    ceiling = float(target.max()) + room
    return max(floors), ceiling if upper is None else min(ceiling, upper)


def _null_deviance(ratio: NDArray[np.float64], config: TaskConfig) -> float:
    if config.loss is RegressionLoss.gamma:
        return -2 * float(np.log(ratio).mean())
    power = config.tweedie_power
    mean = float((ratio ** (2 - power)).mean())
    return 2 * (mean - 1) / ((1 - power) * (2 - power))
