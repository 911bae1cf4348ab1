"""Which images are most worth a label: those the model is unsure of, and no two of a kind."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phytoscope.trust.observed import Floats

SAME_PICTURE = 0.12
"""Distance of two features of length 1 below which two images count as copies of one picture."""


@dataclass(frozen=True)
class Picked:
    """The images to label first.

    Attributes:
        places: Their places, the most worthwhile first, shape (n,), int64.
        like: How many of the images are nearest to each of them, itself among them, shape (n,), int64; they sum to the
            number of images.
    """

    places: NDArray[np.int64]
    like: NDArray[np.int64]


def measure_doubts(probs: Floats, belief: Floats) -> Floats:
    """What a label could change in the answers: the error of each class if the predicted one were right.

    Args:
        probs: Calibrated probabilities, shape (N, classes).
        belief: How far each answer can be believed, shape (N,), 0-1; the rest of it is shared by all classes.

    Returns:
        Shape (N, classes).
    """
    believed = belief[:, None] * probs + (1 - belief[:, None]) / probs.shape[1]
    doubts = believed.copy()
    doubts[np.arange(len(probs)), probs.argmax(axis=1)] -= 1.0
    return np.asarray(doubts)


def pick_images(features: NDArray[np.float32], doubts: Floats, n: int, rng: np.random.Generator) -> Picked:
    """Picks images that are doubtful and unlike each other (BADGE; Ash 2020, arXiv 1906.03671).

    Each image stands where its label would move the last layer: at the product of its features and its doubts. The
    first one is the farthest from where nothing moves, each further one is drawn with a probability that grows with the
    squared distance to the nearest one picked before (k-means++). So an image counts for little when the model is sure
    of it, or when one like it was picked; copies of a picked image are never picked.

    Args:
        features: Shape (N, F), float32, any length but 0.
        doubts: What a label could change: shape (N, classes) from `measure_doubts`, or (N, 1), the error to be expected
            of each number.
        n: How many to pick; fewer are picked when no more are doubtful and different.
        rng: Draws.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = np.asarray(features / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
    weights = np.asarray(doubts, dtype=np.float64)
    squares = (weights**2).sum(axis=1)
    left = squares.copy()
    nearest, owner = np.full(len(unit), -np.inf), np.zeros(len(unit), dtype=np.int64)
    places: list[int] = []
    while len(places) < n and left.max(initial=0.0) > 0:
        place = int(left.argmax()) if not places else int(rng.choice(len(left), p=left / left.sum()))
        alike = (unit @ unit[place]).astype(np.float64)
        closer = alike > nearest
        nearest, owner = np.where(closer, alike, nearest), np.where(closer, len(places), owner)
        places.append(place)
        apart = squares + squares[place] - 2 * (weights @ weights[place]) * alike
        left = np.minimum(left, np.maximum(apart, 0.0))
        left[2 - 2 * alike < SAME_PICTURE**2] = 0.0
        left[place] = 0.0
    return Picked(np.array(places, dtype=np.int64), np.bincount(owner, minlength=len(places))[: len(places)])
