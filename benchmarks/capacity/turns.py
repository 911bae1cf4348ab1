"""Takes turns: every part is measured once a round, so that what else the machine does falls on all of them."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Doing = Callable[[], int]
"""Does a part on some images, and gives how many."""


@dataclass(frozen=True)
class Cost:
    """Processor time of one image, in milliseconds of one core.

    Attributes:
        median: Over the rounds.
        low: The cheapest round.
        high: The dearest.
    """

    median: float
    low: float
    high: float


def measure_in_turns(parts: Mapping[str, Doing], rounds: int, say: Callable[[str], None]) -> dict[str, Cost]:
    """Processor time of this process and its threads for each part; a round before the first does not count."""
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(rounds + 1):
        for name, do in parts.items():
            began = time.process_time()
            count = do()
            spent = 1000 * (time.process_time() - began) / count
            if number > 0:
                taken[name].append(spent)
        say(f"round {number} of {rounds}")
    return {name: Cost(statistics.median(values), min(values), max(values)) for name, values in taken.items()}
