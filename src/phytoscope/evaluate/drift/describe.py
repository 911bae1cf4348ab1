"""What a comparison found, in words and numbers."""

from dataclasses import dataclass

import numpy as np

from phytoscope.evaluate.drift.columns import Compared, average_sides
from phytoscope.schema.drift import DriftFinding, LookWindow


@dataclass(frozen=True)
class Tested:
    """What the permutations say of one comparison.

    Attributes:
        statistic: Squared distance of both sides.
        expected: Its mean by chance alone.
        p_value: Adjusted for all comparisons of the window, 0-1.
        threshold: From where on it fires, 0-1; 0 for never.
    """

    statistic: float
    expected: float
    p_value: float
    threshold: float


def describe(compared: Compared, n_reference: int, window: LookWindow, tested: Tested) -> DriftFinding:
    """Words one comparison.

    Args:
        compared: What was compared.
        n_reference: Groups of the reference.
        window: Which new images.
        tested: What the permutations say.
    """
    before, after, effect = _word(compared, n_reference, tested.statistic - tested.expected)
    return DriftFinding(
        kind=compared.kind,
        name=compared.name,
        window=window,
        statistic=tested.statistic,
        p_value=tested.p_value,
        threshold=tested.threshold,
        fired=tested.threshold > 0 and tested.p_value <= tested.threshold,
        before=before,
        after=after,
        unit=compared.unit,
        effect=effect,
    )


def _word(compared: Compared, n_reference: int, beyond: float) -> tuple[float | None, float | None, str]:
    """Values of both sides, and both in words."""
    if compared.values.shape[1] == 0:
        spread = float((compared.columns**2).sum(axis=1).mean())
        moved = float(np.sqrt(max(beyond, 0.0) / spread)) if spread > 0 else 0.0
        return None, None, f"{compared.words} moved by {moved:.2f} of the usual spread between plants"
    before, after = average_sides(compared.values, n_reference)
    place = int(np.abs(after - before).argmax())
    first, second = float(before[place]), float(after[place])
    if compared.shares:
        return first, second, f"{compared.words} {compared.shares[place]!r} {_percent(first)} -> {_percent(second)}"
    unit = f" ({compared.unit})" if compared.unit else ""
    return first, second, f"{compared.words} {_write(first)} -> {_write(second)}{unit}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share in (0.0, 1.0) or 0.1 <= share <= 0.9 else f"{100 * share:.1f} %"


def _write(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
