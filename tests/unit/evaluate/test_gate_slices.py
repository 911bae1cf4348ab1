"""The chance behind a slice: paired sign flips over groups, one level for all slices."""

import numpy as np
import pytest
from scipy import stats

from phytoscope.evaluate.gate_slices import choose_clear, find_least_chances, find_relative_gain, flip_signs


@pytest.mark.parametrize(("losses", "wins"), [(6, 0), (8, 2), (5, 5), (1, 9)])
def test_chance_is_that_of_the_sign_test(losses, wins) -> None:
    """Where every group differs by one image the chance is binomial."""
    differences = np.array([-1.0] * losses + [1.0] * wins + [0.0] * 7)[:, None]
    expected = stats.binom.cdf(wins, losses + wins, 0.5)
    assert flip_signs(differences, 0)[0] == pytest.approx(expected, abs=4 * 0.5 / 100)


def test_chance_of_many_small_losses_is_that_of_students_t() -> None:
    """With many groups the flips agree with the test that assumes a normal distribution."""
    differences = np.random.default_rng(0).normal(-0.15, 1.0, (300, 3))
    expected = stats.ttest_1samp(differences, 0.0, alternative="less").pvalue
    assert flip_signs(differences, 0) == pytest.approx(expected, abs=0.01)


def test_chance_is_never_nothing() -> None:
    """However clear a loss is, as many draws as there are cannot show more than one in ten thousand."""
    assert flip_signs(-np.ones((200, 1)), 0)[0] == pytest.approx(1e-4)


def test_equal_slices_are_never_clear() -> None:
    """Where no group differs the chance is 1."""
    assert flip_signs(np.zeros((20, 2)), 0).tolist() == [1.0, 1.0]


def test_level_is_shared_by_step_down() -> None:
    """Holm's rule: the smallest of three is held against a third, the next against a half, until one fails."""
    assert choose_clear(np.array([0.02, 0.001, 0.04]), 0.05, np.zeros(3)).tolist() == [True, True, True]
    assert choose_clear(np.array([0.03, 0.001, 0.02]), 0.05, np.zeros(3)).tolist() == [True, True, True]
    assert choose_clear(np.array([0.03, 0.001, 0.04]), 0.05, np.zeros(3)).tolist() == [False, True, False]
    assert choose_clear(np.array([0.02, 0.02, 0.02]), 0.05, np.zeros(3)).tolist() == [False, False, False]


def test_one_level_holds_over_many_slices() -> None:
    """Of a hundred pairs of equally good models about one in twenty has any slice called worse among thirty."""
    rng = np.random.default_rng(1)
    blamed = 0
    for seed in range(100):
        differences = rng.integers(-1, 2, (40, 30)).astype(np.float64)
        blamed += bool(choose_clear(flip_signs(differences, seed), 0.05, find_least_chances(differences)).any())
    assert stats.binomtest(blamed, 100, 0.05, alternative="greater").pvalue > 1e-3


def test_least_chance_is_that_of_all_groups_losing() -> None:
    """No slice can show less than it does when each group that differs loses; groups that are alike say nothing."""
    differences = np.array([[-1.0, -2.0, 0.0], [-1.0, 0.0, 0.0], [-3.0, 0.0, 0.0]])
    assert find_least_chances(differences).tolist() == [0.125, 0.5, 1.0]
    assert flip_signs(differences, 0) == pytest.approx(find_least_chances(differences), abs=4 * 0.5 / 100)


def test_class_that_is_lost_wholly_is_seen_among_many_in_which_nothing_changed() -> None:
    """Ten plants that all lose show one in a thousand: too much for sixty slices, enough where the others cannot."""
    rng = np.random.default_rng(0)
    differences = np.zeros((600, 60))
    for place, groups in enumerate(np.arange(600).reshape(60, 10)):
        differences[groups, place] = -1.0 if place == 0 else rng.choice([0, 0, 0, 0, 1, -1], 10)
    least = find_least_chances(differences)
    assert least[0] > 0.05 / 60
    assert np.flatnonzero(choose_clear(flip_signs(differences, 0), 0.05, least)).tolist() == [0]


def test_slices_with_few_differences_keep_the_level() -> None:
    """Of equally good models that differ on a few plants a slice, at most one pair in twenty has a slice blamed."""
    rng = np.random.default_rng(2)
    blamed = 0
    for seed in range(100):
        differences = rng.choice([0.0, 1.0, -1.0], (12, 20), p=[0.3, 0.35, 0.35])
        blamed += bool(choose_clear(flip_signs(differences, seed), 0.05, find_least_chances(differences)).any())
    assert stats.binomtest(blamed, 100, 0.05, alternative="greater").pvalue > 1e-3


def test_relative_gain_is_a_share_of_the_champions_error() -> None:
    """Half the error is a gain of one half; no error on either side is no gain, and against none any loss is large."""
    champion = np.array([2.0, 0.0, 0.0, np.nan, 1.0])
    challenger = np.array([1.0, 0.0, 1.0, 1.0, 1e6])
    assert find_relative_gain(champion, challenger) == pytest.approx([0.5, 0.0, -99.0, np.nan, -99.0], nan_ok=True)
