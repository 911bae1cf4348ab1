"""Which answers of a network are believed, and how much they count."""

import numpy as np

from phytoscope.data.datamodule import Samples
from phytoscope.train.pseudo_labels import Believed, add_believed, choose_agreeing, choose_sure


def test_sure_classes():
    """Kept is what is at least as probable as the threshold."""
    probs = np.array([[0.95, 0.05], [0.5, 0.5], [0.04, 0.96]])
    assert choose_sure(probs, 0.95).tolist() == [0, 2]
    assert choose_sure(probs, 1.0).tolist() == []


def test_agreeing_numbers():
    """Kept is the share whose views agree best, each target measured by its own usual spread."""
    spreads = np.array([[1.0, 100.0], [2.0, 300.0], [0.5, 900.0], [1.0, 150.0]])
    assert choose_agreeing(spreads, 0.5).tolist() == [0, 3]
    assert choose_agreeing(spreads, 1.0).tolist() == [0, 1, 2, 3]
    assert choose_agreeing(spreads, 0.1).tolist() == []
    assert choose_agreeing(np.zeros((2, 1)), 0.5).tolist() == [0]


def test_believed_images_count_half():
    """Labelled images stand twice beside a believed one, with their own answers, pixels and covariates."""
    pixels = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    train = Samples(pixels, np.array([0, 1]), np.array([1, 0]), np.ones((2, 1), np.float32), ("a", "b"), ("g", "h"))
    others = Samples(
        pixels, np.array([4, 5]), np.zeros(2, np.int64), np.full((2, 1), 7, np.float32), ("e", "f"), ("i", "j")
    )
    joined = add_believed(train, others, Believed(np.array([1]), np.array([1])))
    assert joined.rows.tolist() == [0, 1, 0, 1, 5]
    assert joined.target.tolist() == [1, 0, 1, 0, 1]
    assert joined.covariates[:, 0].tolist() == [1, 1, 1, 1, 7]
    assert joined.sha256 == ("a", "b", "a", "b", "f")
    assert joined.group_ids == ("g", "h", "g", "h", "j")
