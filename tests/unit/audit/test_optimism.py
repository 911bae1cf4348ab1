"""The optimism gap is there when pictures of a group look alike, and not otherwise."""

import numpy as np
import pytest

from factories.evidence import make_featured_data
from phytoscope.audit.evidence import Skipped
from phytoscope.audit.optimism import measure_optimism
from phytoscope.schema.progress import SilentProgress


def measure(data, seed=0):
    return measure_optimism(data, folds=4, seed=seed, progress=SilentProgress())


def make_leaves(seed, likeness, *, numbers=False):
    """Forty leaves with five pictures each; `likeness` is how much a leaf has of its own, beside its class."""
    rng = np.random.default_rng(seed)
    leaves = np.arange(200) // 5
    own = rng.normal(0, likeness, (40, 12))[leaves]
    features = own + rng.normal(0, 1.0, (200, 12))
    features[:, 0] += 3.0 * (leaves % 2)
    answers = (leaves % 2 + rng.normal(0, 0.3, 40)[leaves]) if numbers else [f"c{leaf % 2}" for leaf in leaves]
    return make_featured_data(features, answers, leaves.tolist())


@pytest.mark.parametrize("numbers", [False, True])
def test_leaves_that_look_alike_flatter(numbers):
    """A random split is flattered when every leaf has a look of its own."""
    gap = measure(make_leaves(0, 5.0, numbers=numbers))
    assert gap.metric == ("r2" if numbers else "accuracy")
    assert gap.gap == pytest.approx(gap.random_score - gap.group_score)
    assert gap.gap > 0.05
    assert 0 < gap.low < gap.gap < gap.high
    assert (gap.n, gap.n_groups) == (200, 40)
    assert "flatters by" in gap.verdict


def test_pictures_of_their_own_do_not_flatter():
    """Where the pictures of a leaf have nothing in common but their class, both splits give about the same."""
    gap = measure(make_leaves(0, 0.0))
    assert abs(gap.gap) < 0.05
    assert gap.low <= 0 <= gap.high
    assert "No sign" in gap.verdict


def test_groups_of_one_picture_are_skipped():
    """Without groups there is nothing to compare, and the reason says what to do."""
    rng = np.random.default_rng(0)
    data = make_featured_data(rng.normal(size=(40, 3)), ["a", "b"] * 20, list(range(40)))
    found = measure(data)
    assert isinstance(found, Skipped)
    assert "data.group_by" in found.reason
