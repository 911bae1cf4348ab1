"""Whether a photograph is good enough to be answered, from a few measures of it."""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.verdict import Reason
from phytoscope.trust.observed import Floats

MEASURES: Final = ("brightness", "highlights", "sharpness", "side_px", "plant")
"""`brightness`: median luminance 0-255; `highlights`: share of burnt-out pixels 0-1; `sharpness`: detail at the size
that the network sees; `side_px`: shorter side of the original picture in pixels; `plant`: share of plant pixels 0-1."""


@dataclass(frozen=True)
class PhotoLimits:
    """From where on a photograph is not good enough.

    Attributes:
        lowest: Measure -> smallest value that is good enough.
        highest: Measure -> largest value that is good enough.
    """

    lowest: dict[str, float] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)

    def find_faults(self, photo: dict[str, Floats]) -> dict[Reason, NDArray[np.bool_]]:
        """What is wrong with some photographs.

        Args:
            photo: Measure -> values, shape (N,).

        Returns:
            Reason -> which photographs have this fault, shape (N,), bool.
        """
        return {}

    def to_dict(self) -> dict[str, Any]:
        """The limits as plain values, ready for JSON."""
        return {"lowest": self.lowest, "highest": self.highest}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "PhotoLimits":
        """Rebuilds limits from `to_dict`'s result."""
        return cls(dict(content["lowest"]), dict(content["highest"]))
