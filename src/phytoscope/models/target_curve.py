"""The curves that bend a target before it is standardised: each takes every finite number and can be undone."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from phytoscope.schema.choices import TargetTransform

# At 0 and at 2 the curve of Yeo and Johnson is the logarithm of positive and of negative numbers. Further out it has a
# ceiling, and answers that come near it would be brought back as anything up to infinity.
_POWERS = (0.0, 2.0)
_NEARLY = 1e-8


def bend(values: NDArray[np.float64], transform: TargetTransform, power: float = 1.0) -> NDArray[np.float64]:
    """Bends numbers; the order is kept.

    Args:
        values: Any shape, divided by a typical size of the target. Numbers below 0 bend as their mirror image where the
            formula is made for amounts, so that a stray one in validation does no harm.
        transform: Which curve; `auto` is none.
        power: Power of the curve of Yeo and Johnson (2000, doi 10.1093/biomet/87.4.954), 0-2.

    Returns:
        The same shape.
    """
    if transform is TargetTransform.log1p:
        return np.sign(values) * np.log1p(np.abs(values))
    if transform is TargetTransform.sqrt:
        return np.sign(values) * np.sqrt(np.abs(values))
    if transform is TargetTransform.yeo_johnson:
        return np.where(values >= 0, _raise(np.maximum(values, 0), power), -_raise(np.maximum(-values, 0), 2 - power))
    return values


def unbend(bent: NDArray[np.float64], transform: TargetTransform, power: float = 1.0) -> NDArray[np.float64]:
    """Undoes `bend`.

    Args:
        bent: Any shape, what `bend` returned.
        transform: Which curve.
        power: Power of the curve of Yeo and Johnson, 0-2.

    Returns:
        The same shape.
    """
    if transform is TargetTransform.log1p:
        return np.sign(bent) * np.expm1(np.abs(bent))
    if transform is TargetTransform.sqrt:
        return np.sign(bent) * bent**2
    if transform is TargetTransform.yeo_johnson:
        return np.where(bent >= 0, _lower(np.maximum(bent, 0), power), -_lower(np.maximum(-bent, 0), 2 - power))
    return bent


def fit_power(values: NDArray[np.float64]) -> float:
    """Finds the power of Yeo and Johnson's curve after which numbers look most like a normal distribution.

    Args:
        values: Shape (N,), divided by a typical size; not all the same.

    Returns:
        The power of largest likelihood, 0-2.
    """
    slope = float((np.sign(values) * np.log1p(np.abs(values))).sum())

    def surprise(power: float) -> float:
        spread = float(bend(values, TargetTransform.yeo_johnson, power).var())
        return 0.5 * len(values) * float(np.log(max(spread, np.finfo(np.float64).tiny))) - (power - 1) * slope

    found = minimize_scalar(surprise, bounds=_POWERS, method="bounded", options={"xatol": 1e-6})
    return float(found.x)


def _raise(amounts: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    logs = np.log1p(amounts)
    # The differences of expm1 keep their digits for amounts near 0, where those of a power would not.
    return logs if abs(power) < _NEARLY else np.expm1(power * logs) / power


def _lower(amounts: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    logs = amounts if abs(power) < _NEARLY else np.log1p(power * amounts) / power
    return np.expm1(logs)
