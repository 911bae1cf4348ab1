"""Numbers of plants with known errors: several images a plant, whose errors hang together."""

import numpy as np

from phytoscope.trust.observed import Labelled, Observed


def draw_plants(seed: int, n_plants: int, *, images: int = 6, errors: str = "even", shared: float = 0.7) -> Labelled:
    """Draw answers, novelty and truth of some plants.

    Args:
        seed: Seed of the draw; plants of different draws bear different names.
        n_plants: Number of plants.
        images: Images of each.
        errors: `even`: equally large everywhere; `answer`: in proportion to the answer; `novelty`: growing with it;
            `skewed`: mostly too low, sometimes by far.
        shared: Part of the variance of the errors that is the plant's own, 0-1.
    """
    rng = np.random.default_rng(seed)
    plant = np.repeat(np.arange(n_plants), images)
    size = rng.uniform(0.1, 2, n_plants)[plant] * rng.uniform(0.8, 1.2, len(plant))
    novelty = rng.gamma(2, 1, len(plant))
    noise = np.sqrt(shared) * rng.standard_normal(n_plants)[plant]
    noise += np.sqrt(1 - shared) * rng.standard_normal(len(plant))
    spread = {"answer": 0.3 * size, "novelty": 0.05 + 0.15 * novelty}.get(errors, np.full(len(plant), 0.2))
    error = spread * (np.exp(noise) - 1 if errors == "skewed" else noise)
    groups = np.array([f"plant {seed}-{number}" for number in plant], dtype=object)
    return Labelled(Observed(size[:, None], novelty), (size + error)[:, None], groups)
