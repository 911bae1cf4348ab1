"""From where on an answer is sure enough, set by the share of wrong answers that is wanted among accepted ones."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phytoscope.trust.observed import Floats
from phytoscope.trust.quantile import weigh_groups

LEAST_PROBABILITY: Final = 0.5
"""An answer that is more probably wrong than right is never accepted, however seldom such answers are."""
NOTHING_ACCEPTED: Final = 2.0
"""Probability that no answer reaches: everything is for review."""
NO_WIDTH: Final = -1.0
"""Width that no interval stays below: everything is for review."""
FEWEST_GROUPS: Final = 3
"""Fewer accepted calibration groups than these say nothing about how often accepted answers are wrong."""
USUAL_WIDTHS: Final = 0.95
"""Share of calibration intervals that are not unusually wide."""
# A width is a difference of two ends and known up to their last digits.
_WIDTH_SLACK = 1e-6


@dataclass(frozen=True)
class Threshold:
    """From which confidence on answers are accepted.

    Attributes:
        confidence: Least confidence; None where nothing can be accepted.
        estimate: Careful estimate of the share of wrong answers among accepted ones, 0-1; None where nothing can be
            accepted.
        reached: Whether the estimate is as low as wanted.
    """

    confidence: float | None
    estimate: float | None
    reached: bool


def find_threshold(
    confidence: Floats, wrong: NDArray[np.bool_], groups: NDArray[Any], error_rate: float, least: float = -np.inf
) -> Threshold:
    """Finds the confidence from which on no more answers are wrong than wanted.

    Selective classification (Geifman and El-Yaniv 2017, arXiv 1705.08500). Every group counts once, and one more group,
    accepted and wrong, is imagined: (wrong + 1) / (accepted + 1). So a rate of 5 % needs at least 19 groups without a
    mistake. Of all confidences that are good enough the lowest is taken, which accepts most.

    Args:
        confidence: Larger is surer, shape (N,), float64.
        wrong: Whether each answer is wrong, shape (N,), bool.
        groups: Group of each image, shape (N,).
        error_rate: Share of wrong answers wanted among accepted ones, 0-1.
        least: Confidence below which nothing is accepted.

    Returns:
        Where no confidence is good enough: of those from which on no more than `error_rate` are wrong, so that only
        groups are missing to prove it, the one with the lowest estimate; none at all where there is none of those, or
        where fewer than three groups would be accepted.
    """
    order = np.argsort(-confidence, kind="stable")
    order = order[confidence[order] >= least]
    if len(order) == 0:
        return Threshold(None, None, reached=False)
    weights, _ = weigh_groups(groups)
    ordered, weights = confidence[order], weights[order]
    # Equal confidences are accepted together.
    last = np.append(ordered[1:] != ordered[:-1], True)
    accepted, mistakes = np.cumsum(weights)[last], np.cumsum(weights * wrong[order])[last]
    estimate, edges = (mistakes + 1.0) / (accepted + 1.0), ordered[last]
    good = np.flatnonzero(estimate <= error_rate)
    if len(good) > 0:
        return Threshold(float(edges[good[-1]]), float(estimate[good[-1]]), reached=True)
    unproved = np.flatnonzero((mistakes <= error_rate * accepted) & (accepted >= FEWEST_GROUPS))
    if len(unproved) == 0:
        return Threshold(None, None, reached=False)
    best = int(unproved[estimate[unproved].argmin()])
    return Threshold(float(edges[best]), float(estimate[best]), reached=False)


def fit_least_probability(
    probability: Floats, wrong: NDArray[np.bool_], groups: NDArray[Any], error_rate: float
) -> tuple[float | None, list[str]]:
    """Calibrated probability of the predicted class below which a person should look.

    Args:
        probability: Of the predicted class, shape (N,), 0-1.
        wrong: Whether each answer is wrong, shape (N,), bool.
        groups: Group of each image, shape (N,).
        error_rate: Share of wrong answers wanted among accepted ones, 0-1.

    Returns:
        The probability, at least 0.5; `NOTHING_ACCEPTED` where accepted answers would be wrong too often. And remarks.
    """
    found = find_threshold(probability, wrong, groups, error_rate, LEAST_PROBABILITY)
    if found.confidence is None:
        return NOTHING_ACCEPTED, [_word_nothing(error_rate)]
    return found.confidence, [] if found.reached else [_word_unproved(found, error_rate)]


def fit_widest(
    width: Floats, off: Floats, groups: NDArray[Any], *, error_rate: float, tolerance: float | None
) -> tuple[float, list[str]]:
    """Widest interval that needs no second look.

    Args:
        width: Of the interval of the main number, shape (N,), in its unit.
        off: Absolute error of each answer, shape (N,), in its unit.
        groups: Group of each image, shape (N,).
        error_rate: Share of wrong answers wanted among accepted ones, 0-1.
        tolerance: Largest error that counts as right, in the unit; None when not stated: then the widths of 95 of 100
            calibration images, every group counting once, are taken for usual.

    Returns:
        The width; `NO_WIDTH` where accepted answers would be wrong too often. And remarks.
    """
    if tolerance is None:
        weights, n_groups = weigh_groups(groups)
        order = np.argsort(width, kind="stable")
        place = int(np.searchsorted(np.cumsum(weights[order]) / n_groups, USUAL_WIDTHS - _WIDTH_SLACK))
        return float(width[order[min(place, len(width) - 1)]]) * (1.0 + _WIDTH_SLACK), []
    found = find_threshold(-round_widths(width), off > tolerance, groups, error_rate)
    if found.confidence is None:
        return NO_WIDTH, [_word_nothing(error_rate)]
    widest = -found.confidence * (1.0 + 10.0 * _WIDTH_SLACK)
    return widest, [] if found.reached else [_word_unproved(found, error_rate)]


def round_widths(width: Floats) -> Floats:
    """Widths of intervals to six digits, so that those are equal that differ by rounding; shape (N,), NaN stays NaN."""
    scale = 10.0 ** (np.floor(np.log10(np.where(width > 0.0, width, 1.0))) - 5.0)
    return np.asarray(np.round(width / scale) * scale)


def _word_nothing(error_rate: float) -> str:
    return (
        f"No answer is accepted: on the calibration split not even the surest ones of {FEWEST_GROUPS} groups (leaves, "
        f"plants) are wrong as seldom as the wanted {error_rate:.1%}. Allow more with evaluate.error_rate, give the "
        "calibration split a larger share, or train a better model."
    )


def _word_unproved(found: Threshold, error_rate: float) -> str:
    estimate = 1.0 if found.estimate is None else found.estimate
    return (
        f"At most {error_rate:.1%} wrong answers among accepted ones were wanted; the calibration split has too few "
        f"groups (leaves, plants) to show less than {estimate:.1%}. The threshold that comes closest is used."
    )
