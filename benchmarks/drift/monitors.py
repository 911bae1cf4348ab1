"""Monitors whose images are drawn as numbers, so that what has changed is known."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.evaluate.drift import DriftPlan, DriftSide, compare_batch
from phytoscope.schema.drift import LookSummary
from phytoscope.schema.table import GROUP_ID

PROMISE = 0.05
PER_PLANT = 5
ALIKE = 0.7
WIDTH = 8
CLASSES = ("blight", "healthy", "rust")
Floats = NDArray[np.float64]


def draw_side(
    rng: np.random.Generator, n_plants: int, *, shift: float = 0.0, darker: float = 0.0, rust: float = 1 / 3
) -> DriftSide:
    """Plants that differ, with five photographs each that are alike.

    Args:
        rng: Source of chance.
        n_plants: Plants.
        shift: By how much all features move, in standard deviations of a photograph.
        darker: By how many of its own standard deviations (30 grey levels) the brightness falls.
        rust: Share of plants with rust.
    """
    codes = np.repeat(np.arange(n_plants), PER_PLANT)

    def draw(columns: int = 1) -> Floats:
        common = rng.normal(size=(n_plants, columns))[codes] * np.sqrt(ALIKE)
        return np.asarray(common + rng.normal(size=(len(codes), columns)) * np.sqrt(1 - ALIKE))

    labels = np.array(CLASSES, dtype=object)[rng.choice(3, n_plants, p=[(1 - rust) / 2, (1 - rust) / 2, rust])[codes]]
    sure = 1 / (1 + np.exp(-1.5 - draw()[:, 0]))
    novelty = 0.3 + 0.05 * (draw()[:, 0] + shift)
    table = pd.DataFrame(
        {
            GROUP_ID: codes,
            "photo/brightness": 120 + 30 * (draw()[:, 0] - darker),
            "prediction": labels,
            "probability": sure,
            "novelty": novelty,
            "verdict": np.array(["accept", "reject"], dtype=object)[(novelty > 0.36).astype(int)],
        }
    )
    return DriftSide((draw(WIDTH) + shift).astype(np.float32), table)


Draw = Callable[[np.random.Generator, int], DriftSide]


def watch(draw: Draw, n_reference: int, looks: int, seed: int, *, window: int = 10) -> list[LookSummary]:
    """One monitor from its first look to its last; it goes on after an alarm.

    Args:
        draw: Draws the new images of a look, by its number.
        n_reference: Plants of the reference.
        looks: Looks.
        seed: Seed of everything.
        window: Looks that are also taken together.
    """
    rng = np.random.default_rng(seed)
    reference = draw_side(rng, n_reference)
    plan = DriftPlan(PROMISE, 99, seed, window)
    past: list[LookSummary] = []
    earlier: list[DriftSide] = []
    for look in range(1, looks + 1):
        batch = draw(rng, look)
        past.append(compare_batch(reference, batch, plan, past, earlier=earlier).summarize())
        earlier = [*earlier, batch][-(window - 1) :] if window > 1 else []
    return past
