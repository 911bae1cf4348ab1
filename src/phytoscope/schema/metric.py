"""One measured number, with its interval."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricValue:
    """One number of the report.

    Attributes:
        name: Standard name, for example `macro_f1` or `rmse`.
        value: The number; None where it is not defined (for example R2 of one sample).
        unit: Unit of the value; empty for fractions and counts.
        higher_is_better: Which direction is better.
        low: Lower end of the interval of the value for other plants like these; None where it is not known.
        high: Upper end of the interval.
    """

    name: str
    value: float | None
    unit: str
    higher_is_better: bool
    low: float | None = None
    high: float | None = None


def count_hundred(share: float) -> str:
    """A share 0-1 as a count of a hundred; one close to 0 or 100 is never rounded to it."""
    count = 100.0 * share
    if 0.0 < count < 1.0:
        return f"{math.ceil(10.0 * count - 1e-9) / 10.0:g}"
    if 99.0 < count < 100.0:
        return f"{math.floor(10.0 * count + 1e-9) / 10.0:g}"
    return f"{count:.0f}"
