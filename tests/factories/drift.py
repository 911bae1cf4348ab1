"""Images of plants seen on several days, of which it is known whether and how they have changed."""

import numpy as np
import pandas as pd

from phytoscope.evaluate.drift import DriftSide

CLASSES = ("blight", "healthy", "rust")


def draw_side(rng, n_groups=20, per_group=5, *, shift=0.0, alike=0.7, width=8, rust=1 / 3, darker=0.0, name="plant"):
    """Draw plants that differ, and photographs of one plant that are alike.

    Args:
        rng: Source of chance.
        n_groups: Plants.
        per_group: Photographs of each, or a sequence with as many numbers as plants.
        shift: By how much all features move, in standard deviations of a single photograph.
        alike: Share of the variance that photographs of one plant have in common, 0-1.
        width: Number of features.
        rust: Share of plants with rust; the others share the rest.
        darker: By how many grey levels photographs are darker (their standard deviation is 30).
        name: What plants are called.
    """
    sizes = np.broadcast_to(per_group, n_groups)
    codes = np.repeat(np.arange(n_groups), sizes)

    def draw(columns=1):
        common = rng.normal(size=(n_groups, columns))[codes] * np.sqrt(alike)
        return common + rng.normal(size=(len(codes), columns)) * np.sqrt(1 - alike)

    others = (1 - rust) / 2
    labels = rng.choice(CLASSES, n_groups, p=[others, others, rust])[codes]
    sure = 1 / (1 + np.exp(-1.5 - draw()[:, 0]))
    novelty = 0.3 + 0.05 * draw()[:, 0] + 0.05 * shift
    table = pd.DataFrame(
        {
            "group_id": [f"{name} {code}" for code in codes],
            "photo/brightness": 120 - darker + 30 * draw()[:, 0],
            "photo/sharpness": 0.9 + 0.1 * draw()[:, 0],
            "prediction": labels,
            "probability": sure,
            "novelty": novelty,
            "verdict": np.where(novelty > 0.42, "reject", np.where(sure < 0.6, "review", "accept")),
        }
    )
    features = draw(width) + shift
    return DriftSide(features.astype(np.float32), table)
