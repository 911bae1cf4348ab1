"""Tests of which images are picked for a label."""

import numpy as np
import pytest

from phytoscope.trust.picking import measure_doubts, pick_images


def draw_pool(n=200, seed=0):
    """Features in ten heaps of equal size, and answers that waver in the first five only."""
    rng = np.random.default_rng(seed)
    heaps = np.arange(n) % 10
    features = (4 * np.eye(10)[heaps] + 0.8 * rng.normal(size=(n, 10))).astype(np.float32)
    sure = np.where(heaps < 5, 0.5, 0.999)
    probs = np.column_stack([sure, 1 - sure, np.zeros(n)])
    return features, probs, heaps


def pick(features, probs, n, seed=0):
    doubts = measure_doubts(probs, np.ones(len(probs)))
    return pick_images(features, doubts, n, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_picked_are_doubtful_and_different(seed):
    """The first ones come from the heaps the model wavers in, and soon from all of them."""
    features, probs, heaps = draw_pool()
    found = heaps[pick(features, probs, 8, seed).places]
    assert np.all(found < 5)
    assert len(set(found.tolist())) >= 4


def test_no_image_twice_and_no_copy():
    """Of copies one is picked at most, whatever small differences they have."""
    features, probs, _ = draw_pool(60)
    copies = np.concatenate([features, features + 0.001, features[:20]])
    places = pick(copies, np.concatenate([probs, probs, probs[:20]]), 140).places
    originals = np.concatenate([np.arange(60), np.arange(60), np.arange(20)])[places]
    assert len(set(originals.tolist())) == len(places) <= 60


def test_sure_images_are_not_worth_a_label():
    """Where the model is certain, a label changes nothing; fewer are picked than were wanted."""
    features, _, _ = draw_pool(30)
    probs = np.tile([1.0, 0.0], (30, 1))
    probs[4] = (0.6, 0.4)
    assert pick(features, probs, 10).places.tolist() == [4]


def test_unbelieved_answers_are_doubtful():
    """An image unlike all training images is worth a label, however sure the model says it is."""
    probs = np.array([[0.999, 0.001], [0.999, 0.001]])
    doubts = np.abs(measure_doubts(probs, np.array([1.0, 0.5]))).sum(axis=1)
    assert doubts[0] == pytest.approx(0.002)
    assert doubts[1] == pytest.approx(0.501)


def test_every_image_is_like_one_that_was_picked():
    """The counts cover the pool, and heaps of equal size have equal counts."""
    features, probs, heaps = draw_pool()
    probs[:] = (0.4, 0.3, 0.3)
    picked = pick(features, probs, 30)
    assert picked.like.sum() == 200
    assert picked.like.min() >= 1
    assert [picked.like[heaps[picked.places] == heap].sum() for heap in range(10)] == pytest.approx([20] * 10, abs=4)


def test_same_seed_same_list():
    """The draws follow the seed."""
    features, probs, _ = draw_pool()
    first, again, other = (pick(features, probs, 20, seed).places.tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_more_wanted_than_there_are():
    """All that differ are picked, and then it ends."""
    features, probs, _ = draw_pool(12)
    probs[:] = (0.5, 0.3, 0.2)
    assert sorted(pick(features, probs, 50).places.tolist()) == list(range(12))


def test_numbers_are_picked_by_their_error():
    """For numbers there is one doubt an image: the error that is to be expected."""
    features, _, heaps = draw_pool()
    expected = np.where(heaps == 7, 5.0, 0.1)[:, None]
    assert heaps[pick_images(features, expected, 1, np.random.default_rng(0)).places[0]] == 7
