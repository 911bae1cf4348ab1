"""Tests of the share of good images that is sent back."""

import numpy as np
import pytest

from phytoscope.errors import DataValidationError
from phytoscope.trust.novelty_limits import fit_novelty_limits


def draw(groups, per_group, seed, law="normal"):
    """Novelty of images whose plants are strange together, and their plants."""
    rng = np.random.default_rng(seed)
    values = 0.6 * rng.normal(size=(groups, 1)) + 0.8 * rng.normal(size=(groups, per_group))
    names = np.repeat(np.arange(groups), per_group).astype(object)
    return (np.exp(0.5 * values) if law == "lognormal" else values).ravel(), names


@pytest.mark.parametrize("law", ["normal", "lognormal"])
@pytest.mark.parametrize(("groups", "per_group"), [(30, 3), (100, 3), (1000, 1)])
@pytest.mark.parametrize("share", [0.01, 0.02, 0.1])
def test_stated_share_is_rejected(groups, per_group, share, law):
    """Over many draws, about the stated share of new images is rejected, also from few plants."""
    new, _ = draw(20000, 1, 10_000, law)
    rejected = [np.mean(new > fit_novelty_limits(*draw(groups, per_group, seed, law), share)[0]) for seed in range(60)]
    assert 0.6 * share < np.mean(rejected) < 1.4 * share + 0.003


def test_three_times_as_many_are_for_review():
    """The second limit is lower."""
    novelty, groups = draw(2000, 1, 0)
    reject, review = fit_novelty_limits(novelty, groups, 0.02)
    assert np.mean(novelty > review) == pytest.approx(0.06, abs=0.015)
    assert np.mean(novelty > reject) == pytest.approx(0.02, abs=0.01)


@pytest.mark.parametrize(("groups", "per_group"), [(4, 50), (19, 1), (0, 3)])
def test_few_images_give_no_limit(groups, per_group):
    """From four plants or 19 images no share of two in a hundred can be told."""
    assert fit_novelty_limits(*draw(groups, per_group, 0), 0.02) == (None, None)


def test_unmeasured_images_do_not_count():
    """Rows without a measure change nothing."""
    novelty, groups = draw(50, 2, 0)
    more = np.concatenate([novelty, np.full(30, np.nan)])
    assert fit_novelty_limits(more, np.concatenate([groups, groups[:30]]), 0.02) == fit_novelty_limits(
        novelty, groups, 0.02
    )


def test_equal_values_give_that_value():
    """Where all images are equally novel, none of them is rejected."""
    reject, review = fit_novelty_limits(np.full(40, 0.5), np.arange(40).astype(object), 0.02)
    assert reject == review == 0.5


@pytest.mark.parametrize("share", [0.0, 0.5, -1.0, float("nan")])
def test_impossible_share_is_refused(share):
    """All, none or half of the good images cannot be wanted."""
    with pytest.raises(DataValidationError, match="above 0 and below"):
        fit_novelty_limits(*draw(20, 2, 0), share)


def test_every_image_needs_its_group():
    """Arrays of different length are a mistake of the caller."""
    with pytest.raises(DataValidationError, match="come with 3 groups"):
        fit_novelty_limits(np.zeros(4), np.arange(3).astype(object), 0.02)
