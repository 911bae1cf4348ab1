"""From which novelty on an image is sent back, so that a stated share of good ones is."""

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import DataValidationError
from phytoscope.trust.observed import Floats

_FEWEST_GROUPS, _FEWEST_IMAGES = 5, 20
_LARGEST_TAIL, _SMALLEST_TAIL, _TAIL_GROUPS = 0.25, 0.1, 15.0
_REVIEWED = 3.0


def fit_novelty_limits(
    novelty: Floats, groups: NDArray[np.object_], false_reject: float
) -> tuple[float | None, float | None]:
    """Finds the novelty that only a stated share of images like the training images exceeds.

    A rare share would rest on the one or two strangest images if it were counted. So it is counted up to where enough
    images are left, and carried on from there by an exponential tail with the mean excess of those images (peaks over
    a threshold; Pickands 1975, doi 10.1214/aos/1176343003, with shape 0). How many are enough is counted in groups,
    because the images of one plant are strange together.

    Args:
        novelty: Novelty of images that nothing was learned from, shape (N,), larger is stranger; NaN where not
            measured, which does not count.
        groups: Group (leaf, plant) of each, shape (N,).
        false_reject: Share of such images that may be rejected, above 0 and below 0.5.

    Returns:
        Novelty above which an image is rejected, and the one above which a person should look, which three times as
        many exceed; None for both where fewer than 5 groups or 20 images were measured, from which no such share can
        be told.

    Raises:
        DataValidationError: The share is out of range, or the arrays do not have the same length.
    """
    if not 0 < false_reject < 0.5:
        message = f"false_reject={false_reject} must be above 0 and below 0.5."
        raise DataValidationError(message)
    if len(novelty) != len(groups):
        message = f"{len(novelty)} values of novelty come with {len(groups)} groups: give each its group."
        raise DataValidationError(message)
    known = np.isfinite(novelty)
    values = np.asarray(novelty, dtype=np.float64)[known]
    n_groups = len(np.unique(groups[known].astype(str)))
    if n_groups < _FEWEST_GROUPS or len(values) < _FEWEST_IMAGES:
        return None, None
    tail = float(np.clip(_TAIL_GROUPS / n_groups, _SMALLEST_TAIL, _LARGEST_TAIL))
    return _find_limit(values, false_reject, tail), _find_limit(values, min(_REVIEWED * false_reject, 0.5), tail)


def _find_limit(values: Floats, share: float, tail: float) -> float:
    """The value that this share exceeds; beyond the largest `tail` of the values it is carried on."""
    if share >= tail:
        return float(np.quantile(values, 1 - share, method="higher"))
    start = float(np.quantile(values, 1 - tail, method="higher"))
    beyond = values[values > start]
    within = len(beyond) / len(values)
    return start if within <= share else start + float(np.mean(beyond - start)) * float(np.log(within / share))
