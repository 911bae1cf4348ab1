"""How much of the promised false alarms each look may spend, so that all looks together keep the promise."""

from collections.abc import Sequence
from typing import Final

from scipy.special import zeta

from phytoscope.schema.drift import LookSummary

EXPONENT: Final = 1.3
"""The share of look k falls as k to minus this. Close to 1, late looks keep more and early ones less; see decision
0020."""


def share_of_look(place: int) -> float:
    """Share of all false alarms that one look may spend; the shares of all looks ever sum to 1.

    The chance of any false alarm is at most the sum of the chances of each (Boole's inequality), however the looks
    depend on each other. They do depend: all of them share one reference.

    Args:
        place: 1 for the first look.

    Returns:
        Above 0, below 1.
    """
    return float(place**-EXPONENT / zeta(EXPONENT))


def find_alpha(false_alarm: float, past: Sequence[LookSummary]) -> float:
    """What the next look may spend.

    Args:
        false_alarm: Promised chance of ever crying wolf, 0-1.
        past: All earlier looks.

    Returns:
        0 or above; never more than what earlier looks left, whatever was promised to them.
    """
    spent = [look.alpha for look in past if look.alpha > 0]
    left = false_alarm - sum(spent)
    return max(0.0, min(false_alarm * share_of_look(len(spent) + 1), left))
