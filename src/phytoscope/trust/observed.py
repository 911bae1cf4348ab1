"""What is known of some images before they are judged, and what is said of them afterwards."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Observed:
    """What the network says about N images, and what the images themselves tell.

    Attributes:
        answers: Uncalibrated probabilities of shape (N, classes), or values of shape (N, targets) in the user's units.
        novelty: How unlike the training images each one is, shape (N,), larger is stranger; NaN where not measured.
        photo: Name of each measure of the photograph (see `photo.MEASURES`) -> its values, shape (N,).
    """

    answers: Floats
    novelty: Floats
    photo: dict[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.answers)


@dataclass(frozen=True)
class Labelled:
    """Observed images whose truth is known.

    Attributes:
        observed: What is known of them.
        truth: Class indices of shape (N,), or true values of shape (N, targets), NaN where nobody measured one.
        groups: Group (leaf, plant) of each image, shape (N,), any type that can be compared for equality.
    """

    observed: Observed
    truth: NDArray[np.int64] | Floats
    groups: NDArray[np.object_]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.observed)


@dataclass(frozen=True)
class Judged:
    """What is said of N images.

    Attributes:
        answers: Calibrated probabilities of shape (N, classes), or values of shape (N, targets).
        sets: Which classes belong to the prediction set, shape (N, classes), bool, at least one a row; None for
            numbers, and where no sets were fitted.
        lower: Lower ends of the intervals, shape (N, targets), in the user's units; None for classes.
        upper: Upper ends of the intervals, shape (N, targets).
        verdict: Place in `Verdict` of each verdict, shape (N,), int8.
        reasons: Which of `schema.verdict.REASONS` hold, shape (N, reasons), bool.
    """

    answers: Floats
    sets: NDArray[np.bool_] | None
    lower: Floats | None
    upper: Floats | None
    verdict: NDArray[np.int8]
    reasons: NDArray[np.bool_]
