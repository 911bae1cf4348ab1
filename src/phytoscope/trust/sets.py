"""Prediction sets that hold the true class as often as promised (conformal prediction)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.choices import SetKind
from phytoscope.trust.observed import Floats


@dataclass(frozen=True)
class SetRule:
    """Which classes belong to the set of an image.

    Attributes:
        kind: How the score of a class is made.
        limits: Largest score that belongs to the set: one entry for all classes, or one a class.
        promised: Share of sets that hold the truth for a new group; below what was wanted where the calibration split
            has too few groups to promise more.
        penalty: What each class after the first `free_classes` costs (`raps`).
        free_classes: Classes that cost nothing (`raps`).
    """

    kind: SetKind
    limits: tuple[float, ...]
    promised: float
    penalty: float = 0.0
    free_classes: int = 0

    def choose(self, probs: Floats) -> NDArray[np.bool_]:
        """The classes of each set.

        Args:
            probs: Calibrated probabilities, shape (N, classes).

        Returns:
            Shape (N, classes), bool; the most probable class always belongs to the set.
        """
        return np.asarray(probs >= probs.max(axis=1, keepdims=True))

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain values, ready for JSON."""
        return {
            "kind": self.kind.value,
            "limits": list(self.limits),
            "promised": self.promised,
            "penalty": self.penalty,
            "free_classes": self.free_classes,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "SetRule":
        """Rebuilds a rule from `to_dict`'s result."""
        return cls(**{**content, "kind": SetKind(content["kind"]), "limits": tuple(content["limits"])})
