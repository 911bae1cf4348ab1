"""Answers of a classifier to images that come in groups, with a temperature that is known."""

import numpy as np

from phytoscope.trust.observed import Labelled, Observed


def soften(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def draw_classes(
    rng: np.random.Generator,
    n_groups: int,
    n_classes: int = 6,
    *,
    temperature: float = 1.0,
    per_group: int = 1,
    spread: float = 0.0,
    lean: float = 3.0,
) -> Labelled:
    """Draw groups whose true class follows from honest probabilities, and answers sharper than these.

    Args:
        rng: Source of chance.
        n_groups: Groups (leaves); all images of one have the same true class.
        n_classes: Classes.
        temperature: By how much too sharp the answers are: the temperature that makes them honest.
        per_group: Images of a group.
        spread: By how much the logits of images of one group differ (1 standard deviation).
        lean: How much the logits lean to one class; less makes more mistakes.
    """
    base = rng.normal(0.0, 1.0, (n_groups, n_classes))
    base[np.arange(n_groups), rng.integers(0, n_classes, n_groups)] += lean
    truth = (soften(base).cumsum(axis=1) > rng.random((n_groups, 1))).argmax(axis=1)
    places = np.repeat(np.arange(n_groups), per_group)
    logits = (base[places] + rng.normal(0.0, spread, (len(places), n_classes))) * temperature
    observed = Observed(soften(logits), np.full(len(places), np.nan))
    groups = np.array([f"leaf {place}" for place in places], dtype=object)
    return Labelled(observed, truth[places].astype(np.int64), groups)


def draw_regular(n: int, n_classes: int = 4, seed: int = 0) -> Labelled:
    """Draw `n` images, each a group of its own; see `draw_classes`."""
    return draw_classes(np.random.default_rng(seed), n, n_classes)
