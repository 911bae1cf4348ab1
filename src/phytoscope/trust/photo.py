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

_TOO_LOW: Final = {
    "brightness": Reason.too_dark,
    "sharpness": Reason.blurred,
    "side_px": Reason.too_small,
    "plant": Reason.no_plant,
}
_TOO_HIGH: Final = {"brightness": Reason.too_bright, "highlights": Reason.too_bright}
# What a person would call dark, blurred and so on. A photograph on this side of the limit is never sent back for it.
_SEEN_AS_LOW: Final = {"brightness": 40.0, "sharpness": 0.6, "side_px": 100.0, "plant": 0.02}
_SEEN_AS_HIGH: Final = {"brightness": 245.0, "highlights": 0.6}
# Beyond the good ones means clearly beyond, as a share of their distance from the middle to the edge.
_MARGIN = 0.15
_FEWEST = 10


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
            photo: Measure -> values, shape (N,); one that is missing or NaN speaks against nothing.

        Returns:
            Reason -> which photographs have this fault, shape (N,), bool.
        """
        found: dict[Reason, NDArray[np.bool_]] = {}
        for limits, reasons, sign in ((self.lowest, _TOO_LOW, 1.0), (self.highest, _TOO_HIGH, -1.0)):
            for name, limit in limits.items():
                if name in photo and name in reasons:
                    beyond = np.asarray(sign * photo[name] < sign * limit)
                    reason = reasons[name]
                    found[reason] = found[reason] | beyond if reason in found else beyond
        return found

    def to_dict(self) -> dict[str, Any]:
        """The limits as plain values, ready for JSON."""
        return {"lowest": self.lowest, "highest": self.highest}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "PhotoLimits":
        """Rebuilds limits from `to_dict`'s result."""
        return cls(dict(content["lowest"]), dict(content["highest"]))


def fit_photo_limits(photo: dict[str, Floats], false_reject: float) -> PhotoLimits:
    """Finds from where on a photograph is faulty: a person would call it so, and no good one of this model is like it.

    A laboratory whose pictures are all dark is therefore not told so at each of them.

    Args:
        photo: Measure -> its values for photographs that are known to be good, shape (N,), NaN where not measured; what
            was measured of fewer than 10 of them is limited by what a person would say alone.
        false_reject: Share of good photographs that may be called faulty, over all measures together, 0-1.

    Returns:
        Limits of all `MEASURES`.
    """
    share = false_reject / (len(_SEEN_AS_LOW) + len(_SEEN_AS_HIGH))
    lowest = {name: min(limit, _find_end(photo, name, share, np.inf)) for name, limit in _SEEN_AS_LOW.items()}
    highest = {name: max(limit, _find_end(photo, name, 1 - share, -np.inf)) for name, limit in _SEEN_AS_HIGH.items()}
    return PhotoLimits(lowest, highest)


def _find_end(photo: dict[str, Floats], name: str, level: float, unknown: float) -> float:
    """A little beyond the good photographs, on the side that `level` says."""
    values = photo.get(name, np.empty(0))
    values = values[np.isfinite(values)]
    if len(values) < _FEWEST:
        return unknown
    middle = float(np.median(values))
    end = float(np.quantile(values, level, method="lower" if level < 0.5 else "higher"))
    return end + _MARGIN * (end - middle)
