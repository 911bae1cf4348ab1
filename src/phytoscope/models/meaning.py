"""What the outputs of a network mean, and how they become what the user reads."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phytoscope.models.covariates import CovariateEncoder
from phytoscope.models.sums import Sums
from phytoscope.models.target import TargetScale
from phytoscope.schema.table import Task


@dataclass(frozen=True)
class TargetMeaning:
    """One number that is predicted.

    Attributes:
        name: The user's name of its column.
        unit: Its unit; may be empty.
        scale: The scale on which it is learned.
    """

    name: str
    unit: str
    scale: TargetScale


@dataclass(frozen=True)
class Meaning:
    """What goes into a network beside the image, and what its outputs are.

    Attributes:
        class_names: In the order of the outputs (classification).
        targets: In the order of the outputs, the main one first (regression).
        covariates: Encoder of the columns that are seen beside the image; None when there are none.
        sums: Sums that the answers keep; None when none are declared.
    """

    class_names: tuple[str, ...] = ()
    targets: tuple[TargetMeaning, ...] = ()
    covariates: CovariateEncoder | None = None
    sums: Sums | None = None

    @property
    def task(self) -> Task:
        """Classification when there are classes."""
        return Task.classification if self.class_names else Task.regression

    @property
    def outputs(self) -> int:
        """Number of outputs of the network."""
        return len(self.class_names) if self.class_names else len(self.targets)

    @property
    def covariate_dim(self) -> int:
        """Numbers that are seen beside the image."""
        return 0 if self.covariates is None else self.covariates.dim

    def answer(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """From what the network says to what the user reads.

        Args:
            outputs: Logits of shape (N, classes), or numbers on the learned scales of shape (N, targets).

        Returns:
            Probabilities of shape (N, classes), or values of shape (N, targets) in the user's units.
        """
        if self.class_names:
            shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            probs: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
            return probs
        columns = [target.scale.inverse(outputs[:, place]) for place, target in enumerate(self.targets)]
        values = np.stack(columns, axis=1)
        return values if self.sums is None else self.sums.keep(values, [target.scale.lower for target in self.targets])

    def to_dict(self) -> dict[str, Any]:
        """The meaning as plain values, ready for JSON."""
        return {
            "class_names": list(self.class_names),
            "targets": [
                {"name": target.name, "unit": target.unit, "scale": target.scale.to_dict()} for target in self.targets
            ],
            "covariates": None if self.covariates is None else self.covariates.to_dict(),
            "sums": None if self.sums is None else self.sums.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Meaning":
        """Rebuilds a meaning from `to_dict`'s result."""
        targets = (
            TargetMeaning(entry["name"], entry["unit"], TargetScale.from_dict(entry["scale"]))
            for entry in content["targets"]
        )
        found = content["covariates"]
        return cls(
            tuple(content["class_names"]),
            tuple(targets),
            None if found is None else CovariateEncoder.from_dict(found),
            None if not content.get("sums") else Sums.from_dict(content["sums"]),
        )
