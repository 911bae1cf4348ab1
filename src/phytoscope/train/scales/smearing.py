"""Brings answers back from a curved scale so that they are right on average."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from phytoscope.models.target import TargetScale
from phytoscope.schema.choices import TargetTransform

SMALLEST_GROUPS = 6
"""With fewer validation groups nobody knows how wrong the answers are."""
_KEPT = 33


def fit_residuals(
    scale: TargetScale, outputs: NDArray[np.float64], target: NDArray[np.float64], groups: tuple[str, ...]
) -> TargetScale:
    """Fits the smearing of Duan (1983, doi 10.1080/01621459.1983.10478017) on rows that were not learned from.

    The mean of the residuals is shrunk by how well the groups know it (positive-part James and Stein), and nothing is
    changed where there are too few groups or where the squared error in the user's unit would rise.

    Args:
        scale: The scale as it was learned with.
        outputs: Shape (N,), what the network said.
        target: Shape (N,), the user's unit; NaN where a row lacks it.
        groups: Group of each row.

    Returns:
        The scale with residuals, or as it was.
    """
    known = np.isfinite(target) & np.isfinite(outputs)
    names, group = np.unique(np.asarray(groups)[known], return_inverse=True)
    if scale.log_link or len(names) < SMALLEST_GROUPS:
        return scale
    said, true = outputs[known], target[known]
    wrong = scale.forward(true) - said
    middle = float(wrong.mean())
    # Rows of a group are wrong together, so the groups count, not the rows.
    by_group = np.bincount(group, wrong - middle)
    variance = float((by_group**2).sum()) / len(wrong) ** 2 * len(names) / (len(names) - 1)
    believed = max(0.0, 1 - variance / middle**2) if middle != 0 else 0.0
    smeared = thin_residuals(scale, wrong - (1 - believed) * middle)
    # The way back assumes that answers are wrong by the same amount everywhere on the learned scale. Where they are
    # not, it can do harm, and the rows show it.
    after, before = (float(((back.inverse(said) - true) ** 2).mean()) for back in (smeared, scale))
    return smeared if after <= before else scale


def thin_residuals(scale: TargetScale, wrong: NDArray[np.float64]) -> TargetScale:
    """Puts residuals into a scale: a few quantiles with the mean and the spread of all.

    Args:
        scale: The scale.
        wrong: Shape (N,), truth less answer on the learned scale, of rows that were not learned from.

    Returns:
        The scale with residuals; a straight scale needs their mean alone.
    """
    middle = float(wrong.mean())
    if scale.transform is TargetTransform.none:
        return dataclasses.replace(scale, residuals=(middle,) if middle != 0 else ())
    count = min(len(wrong), _KEPT)
    quantiles = np.quantile(wrong, (np.arange(count) + 0.5) / count, method="hazen")
    quantiles -= quantiles.mean()
    spread = float(quantiles.std())
    if spread > 0:
        quantiles *= float(wrong.std()) / spread
    return dataclasses.replace(scale, residuals=tuple(float(value) for value in quantiles + middle))
