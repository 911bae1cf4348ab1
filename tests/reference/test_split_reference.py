"""Folds by group are about as balanced as those of scikit-learn in the classes, and more so in size."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from phytoscope.data.split.deal import count_groups, deal_groups

N_FOLDS = 5


def draw_groups(kind, seed):
    rng = np.random.default_rng(seed)
    n_groups = 200
    sizes = {"equal": np.full(n_groups, 4), "skewed": np.ceil(rng.pareto(1.5, n_groups) * 2 + 0.01).clip(1, 60)}.get(
        kind, rng.integers(1, 9, n_groups)
    )
    groups = np.repeat(np.arange(n_groups), sizes.astype(int))
    if kind == "mixed":
        return groups, rng.integers(0, 6, len(groups))
    return groups, rng.choice(6, n_groups, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.05])[groups]


def measure_imbalance(folds, labels):
    counts = pd.crosstab(labels, folds)
    of_classes = counts.div(counts.sum(axis=1), axis=0).sub(1 / N_FOLDS).abs().to_numpy().mean()
    of_folds = (counts.sum() / len(labels) - 1 / N_FOLDS).abs().max()
    return np.array([of_classes + of_folds, of_folds])


@pytest.mark.parametrize("kind", ["equal", "several", "skewed", "mixed"])
def test_folds_are_as_balanced_as_those_of_scikit_learn(kind):
    """Over ten draws, classes and sizes together are off by at most a tenth more, sizes by less; no group is torn."""
    ours, theirs = [], []
    for seed in range(10):
        groups, labels = draw_groups(kind, seed)
        dealt = deal_groups(count_groups(groups, labels, 200), [1 / N_FOLDS] * N_FOLDS, seed)[groups]
        ours.append(measure_imbalance(dealt, labels))
        reference = np.empty(len(groups), dtype=int)
        folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed).split(labels, labels, groups)
        for number, (_, held) in enumerate(folds):
            reference[held] = number
        theirs.append(measure_imbalance(reference, labels))
        assert len(set(zip(groups, dealt, strict=True))) == 200
    (both, sizes), (their_both, their_sizes) = np.mean(ours, axis=0), np.mean(theirs, axis=0)
    assert both <= 1.1 * their_both
    assert sizes <= their_sizes
