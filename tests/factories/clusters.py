"""Answers about plants of which some are harder than others: images of one plant are alike."""

import numpy as np


def draw_classes(n_groups=20, per_group=10, n_classes=3, alpha=9.0, beta=1.0, seed=0):
    """Draw groups, true classes, predicted classes and probabilities; accuracy is alpha / (alpha + beta) on average.

    Args:
        n_groups: Plants.
        per_group: Images of each.
        n_classes: Number of classes.
        alpha: First parameter of the beta distribution of a plant's own accuracy.
        beta: Second one.
        seed: Seed of the draw.
    """
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), per_group)
    right = rng.random(len(groups)) < rng.beta(alpha, beta, n_groups)[groups]
    true = rng.integers(0, n_classes, len(groups))
    predicted = np.where(right, true, (true + 1) % n_classes)
    probs = rng.dirichlet(np.ones(n_classes), len(groups)) * 0.4
    probs[np.arange(len(groups)), predicted] += 0.6
    return groups, true, predicted, probs


def draw_values(n_groups=20, per_group=10, seed=0):
    """Draw groups, true and predicted values; a plant shifts all its answers (sd 1), an image its own (sd 0.5)."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), per_group)
    target = rng.gamma(3.0, 2.0, len(groups)) + 2.0
    preds = target + rng.normal(0.0, 1.0, n_groups)[groups] + rng.normal(0.0, 0.5, len(groups))
    return groups, target, preds
