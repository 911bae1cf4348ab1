"""Folds never tear a group, and models never see what they are scored on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phytoscope.audit.cross_validation import deal_folds, map_to_landmarks, predict_kept_back
from phytoscope.audit.scoring import choose_balanced, interval_of, shuffle_answers, tally_classes, tally_numbers


@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=40), seed=st.integers(0, 2**32 - 1))
def test_no_group_straddles_folds(sizes, seed):
    """Every group stands in one fold, every fold is filled, the same seed deals the same."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    strata = np.arange(len(groups)) % 3
    folds = deal_folds(groups, strata, 5, seed)
    assert all(len(set(folds[groups == group])) == 1 for group in range(len(sizes)))
    assert len(set(folds)) == min(5, len(sizes))
    np.testing.assert_array_equal(folds, deal_folds(groups, strata, 5, seed))


def test_folds_share_out_every_class():
    """A rare class is spread over the folds like a frequent one."""
    strata = np.repeat([0, 1], [180, 20])
    groups = np.arange(200) // 2
    folds = deal_folds(groups, strata, 5, 0)
    counts = np.array([[np.sum((folds == fold) & (strata == stratum)) for stratum in (0, 1)] for fold in range(5)])
    assert (counts == [36, 4]).all()


def test_a_group_of_its_own_cannot_be_predicted():
    """An answer that only a group's own images know is not known when the group is kept back."""
    rng = np.random.default_rng(0)
    groups = np.arange(100) // 5
    looks, answers = rng.normal(size=(20, 6))[groups], rng.normal(size=20)[groups]
    rows = map_to_landmarks(looks + rng.normal(0, 0.01, (100, 6)), 0)
    grouped = predict_kept_back(rows, answers[None, :, None], deal_folds(groups, np.zeros_like(groups), 5, 0))
    alone = np.arange(100)
    at_random = predict_kept_back(rows, answers[None, :, None], deal_folds(alone, np.zeros_like(alone), 5, 0))
    assert tally_numbers(answers, at_random[0, :, 0], groups).score > 0.9
    assert tally_numbers(answers, grouped[0, :, 0], groups).score < 0.1


def test_sets_of_answers_do_not_touch_each_other():
    """Several sets at once give what each gives alone."""
    rng = np.random.default_rng(0)
    rows = map_to_landmarks(rng.normal(size=(60, 4)), 0)
    sets = rng.normal(size=(3, 60, 2))
    folds = np.arange(60) % 4
    together = predict_kept_back(rows, sets, folds)
    for number in range(3):
        np.testing.assert_allclose(together[number], predict_kept_back(rows, sets[number : number + 1], folds)[0])


def test_constant_columns_are_left_out():
    """Columns that say nothing change nothing, and features without any difference still give coordinates."""
    values = np.random.default_rng(0).normal(size=(30, 3))
    padded = np.column_stack([values, np.full(30, 0.1)])
    np.testing.assert_allclose(map_to_landmarks(padded, 0), map_to_landmarks(values, 0))
    assert np.isfinite(map_to_landmarks(np.ones((30, 2)), 0)).all()


def test_shuffled_answers_keep_their_number():
    """A shuffle is a permutation, and neighbours in a group mostly still share an answer."""
    groups = np.arange(400) // 10
    order = shuffle_answers(groups, np.random.default_rng(0))
    assert sorted(order) == list(range(400))
    answers = groups % 2
    same = [len(set(answers[order][groups == group])) == 1 for group in range(40)]
    assert np.mean(same) == 1.0
    assert (answers[order] != answers).any()


def test_interval_is_wider_with_fewer_groups():
    """Ten pictures of one leaf are one piece of evidence, not ten."""
    rng = np.random.default_rng(0)
    right = rng.random(40) < 0.7
    labels, preds = np.zeros(400, dtype=np.int64), (~np.repeat(right, 10)).astype(np.int64)
    by_leaf = interval_of([tally_classes(labels, preds, np.arange(400) // 10, balanced=False)], (1.0,), 0)
    by_image = interval_of([tally_classes(labels, preds, np.arange(400), balanced=False)], (1.0,), 0)
    assert by_leaf[0] < by_image[0] < right.mean() < by_image[1] < by_leaf[1]


def test_interval_of_a_difference_of_equals_is_zero():
    """The same groups are drawn for both scores."""
    tally = tally_numbers(np.arange(30.0), np.arange(30.0) + np.arange(30) % 3, np.arange(30) // 3)
    assert interval_of([tally, tally], (1.0, -1.0), 0) == pytest.approx((0.0, 0.0))


def test_rare_class_is_chosen_where_it_stands_out():
    """A class that has a tenth of the images is chosen when its score doubles."""
    scores = np.array([[0.75, 0.25], [0.95, 0.05]])
    assert choose_balanced(scores, np.array([0.9, 0.1])).tolist() == [1, 0]
