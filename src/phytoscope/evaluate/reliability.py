"""Whether probabilities mean what they say: reliability diagram and scores of calibration."""

import numpy as np
import numpy.typing as npt

from phytoscope.evaluate.classification import compute_brier, compute_ece, compute_nll, find_confidence_bins
from phytoscope.schema.trust_report import ReliabilityBin

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def measure_calibration(true: IntArray, probs: FloatArray) -> dict[str, float]:
    """Expected calibration error, Brier score and log loss; see `classification` for each.

    Args:
        true: Index of the true class, shape (N,), int64, N at least 1.
        probs: Probabilities, shape (N, C), float64, rows sum to 1.

    Returns:
        `ece` 0-1, `brier` 0-2, `nll` in nats.
    """
    return {
        "ece": compute_ece(true, probs.argmax(axis=1), probs),
        "brier": compute_brier(true, probs),
        "nll": compute_nll(true, probs),
    }


def draw_reliability(true: IntArray, probs: FloatArray) -> list[ReliabilityBin]:
    """The reliability diagram: how sure the model is, and how often it is then right.

    Args:
        true: Index of the true class, shape (N,), int64, N at least 1.
        probs: Probabilities, shape (N, C), float64, rows sum to 1.

    Returns:
        At most 15 bins of about equally many images, the least confident first: those of the calibration error.
    """
    confidence = probs.max(axis=1)
    bins = find_confidence_bins(confidence)
    count = np.bincount(bins)
    sure = np.bincount(bins, weights=confidence) / count
    right = np.bincount(bins, weights=probs.argmax(axis=1) == true) / count
    return [
        ReliabilityBin(int(n), float(mean), float(share)) for n, mean, share in zip(count, sure, right, strict=True)
    ]
