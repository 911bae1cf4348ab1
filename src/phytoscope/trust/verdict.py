"""One rule from what is known of an answer to accept, review or reject.

Four things are asked: is the photograph good enough, is it like the training images, is the network sure enough of its
answer, and is the interval narrow enough. The number of classes in a prediction set is not asked. How large a set is
follows from the coverage that was wished for, and how sure an answer must be from the error rate that was wished for;
asking both would miss the error rate. The set is there for the person who reviews: it names the classes to choose from.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.verdict import REASONS, REJECTING, Reason, Verdict
from phytoscope.trust.observed import Floats

_VERDICTS = tuple(Verdict)


@dataclass(frozen=True)
class VerdictLimits:
    """From where on an answer is not accepted; None switches a limit off.

    Attributes:
        reject_novelty: Novelty above which an image is unlike the training images.
        review_novelty: Novelty above which it is rather unlike them.
        least_probability: Calibrated probability of the predicted class below which a person should look
            (classification).
        widest: Widest interval of the main number, in its unit, that needs no second look (regression).
    """

    reject_novelty: float | None = None
    review_novelty: float | None = None
    least_probability: float | None = None
    widest: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The limits as plain values, ready for JSON."""
        return asdict(self)


def find_reasons(
    limits: VerdictLimits,
    *,
    novelty: Floats,
    photo_faults: dict[Reason, NDArray[np.bool_]],
    probability: Floats | None,
    width: Floats | None,
    broken: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Collects everything that speaks against an answer.

    Args:
        limits: From where on.
        novelty: Shape (N,), NaN where not measured.
        photo_faults: Reason -> which photographs have this fault, shape (N,), bool.
        probability: Calibrated probability of the predicted class, shape (N,), 0-1 (classification).
        width: Width of the interval of the main number in its unit, shape (N,) (regression).
        broken: Which answers are not numbers, shape (N,), bool; they are never sure enough, whatever the limits.

    Returns:
        Shape (N, reasons), bool, columns in the order of `REASONS`.
    """
    found = np.zeros((len(novelty), len(REASONS)), dtype=bool)

    def mark(reason: Reason, rows: NDArray[np.bool_]) -> None:
        found[:, REASONS.index(reason)] |= rows

    for reason, rows in photo_faults.items():
        mark(reason, rows)
    unlike = np.zeros(len(novelty), dtype=bool)
    if limits.reject_novelty is not None:
        unlike = novelty > limits.reject_novelty
        mark(Reason.unlike_training, unlike)
    if limits.review_novelty is not None:
        mark(Reason.somewhat_unlike, (novelty > limits.review_novelty) & ~unlike)
    if limits.least_probability is not None and probability is not None:
        # Worded so that a probability that is not a number is not accepted either.
        mark(Reason.unsure, ~(probability >= limits.least_probability))
    if broken is not None:
        mark(Reason.unsure, broken)
    if limits.widest is not None and width is not None:
        mark(Reason.wide_interval, ~(width <= limits.widest))
    return found


def decide(reasons: NDArray[np.bool_]) -> NDArray[np.int8]:
    """The verdict that follows from the reasons.

    Args:
        reasons: Shape (N, reasons), bool, columns in the order of `REASONS`.

    Returns:
        Place of each verdict in `Verdict`, shape (N,), int8.
    """
    rejecting = [REASONS.index(reason) for reason in REJECTING]
    verdict = np.full(len(reasons), _VERDICTS.index(Verdict.accept), dtype=np.int8)
    verdict[reasons.any(axis=1)] = _VERDICTS.index(Verdict.review)
    verdict[reasons[:, rejecting].any(axis=1)] = _VERDICTS.index(Verdict.reject)
    return verdict
