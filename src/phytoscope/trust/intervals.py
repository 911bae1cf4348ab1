"""Intervals that hold the true number as often as promised (conformal prediction)."""

from dataclasses import dataclass
from typing import Any

from phytoscope.schema.choices import IntervalKind
from phytoscope.trust.observed import Floats, Observed


@dataclass(frozen=True)
class IntervalRule:
    """The interval around one number.

    Attributes:
        kind: How its width comes about; never `auto`.
        quantile: What the width is multiplied by, or what is added to it.
        promised: Share of intervals that hold the truth for a new group; below what was wanted where the calibration
            split has too few groups to promise more.
        lowest: Value below which no interval reaches; None when there is no such value.
        fitted: What else was fitted, plain numbers by name.
    """

    kind: IntervalKind
    quantile: float
    promised: float
    lowest: float | None = None
    fitted: dict[str, Any] | None = None

    def bound(self, observed: Observed, target: int) -> tuple[Floats, Floats]:
        """Ends of the intervals.

        Args:
            observed: What is known of N images.
            target: Place of the number among the targets.

        Returns:
            Lower and upper ends, each of shape (N,), in the user's unit.
        """
        values = observed.answers[:, target]
        return values - self.quantile, values + self.quantile

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain values, ready for JSON."""
        return {
            "kind": self.kind.value,
            "quantile": self.quantile,
            "promised": self.promised,
            "lowest": self.lowest,
            "fitted": self.fitted,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "IntervalRule":
        """Rebuilds a rule from `to_dict`'s result."""
        return cls(**{**content, "kind": IntervalKind(content["kind"])})
