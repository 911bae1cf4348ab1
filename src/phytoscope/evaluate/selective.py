"""What it costs to answer more images: the risk-coverage curve of selective prediction."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from phytoscope.schema.trust_report import RiskPoint

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MAX_POINTS: Final = 200
RATES: Final = ("0.01", "0.05", "0.1")
"""Error rates for which it is said how many images can be answered."""


@dataclass(frozen=True)
class RiskCurve:
    """Mean loss among the surest images, for each number of them.

    Attributes:
        coverage: Share of all images that are answered, shape (P,), rising, 0-1.
        risk: Their mean loss, shape (P,).
        threshold: Confidence of the least sure of them, shape (P,), falling.
    """

    coverage: FloatArray
    risk: FloatArray
    threshold: FloatArray

    def thin_out(self) -> list[RiskPoint]:
        """At most 200 points of the curve, its ends among them."""
        places = np.unique(np.linspace(0, len(self.risk) - 1, MAX_POINTS).round().astype(np.int64))
        places = places[places >= 0] if len(self.risk) else places[:0]
        return [
            RiskPoint(float(self.coverage[i]), float(self.risk[i]), float(self.threshold[i])) for i in places.tolist()
        ]

    def find_answerable(self, rate: float) -> float:
        """Largest share of images, the surest first, that can be answered with a risk of at most `rate`; 0 if none."""
        good = np.flatnonzero(self.risk <= rate)
        return float(self.coverage[good[-1]]) if len(good) > 0 else 0.0


def trace_risk(confidence: FloatArray, loss: FloatArray, answerable: BoolArray) -> RiskCurve:
    """Orders answers from the surest to the least sure, and sums up what answering them costs.

    Selective prediction: Geifman and El-Yaniv 2017, arXiv 1705.08500.

    Args:
        confidence: Larger is surer, shape (N,), float64; NaN where unknown, which is never answered.
        loss: What each answer costs, shape (N,), float64: 1 where it is wrong, or its absolute error.
        answerable: Which images are answered at all, shape (N,), bool; the others count among all images.
    """
    kept = np.flatnonzero(answerable & ~np.isnan(confidence))
    order = kept[np.argsort(-confidence[kept], kind="stable")]
    ordered = confidence[order]
    # Equally sure answers are given together.
    last = np.append(ordered[1:] != ordered[:-1], np.ones(min(len(ordered), 1), dtype=bool))
    number = np.arange(1, len(order) + 1)
    risk = np.cumsum(loss[order]) / number
    return RiskCurve((number / max(len(loss), 1))[last], risk[last], ordered[last])
