"""Novelty against scikit-learn: its ranking, its distances, its covariance."""

import numpy as np
import pytest

from phytoscope.schema.choices import NoveltyKind
from phytoscope.trust.novelty import fit_novelty

covariance = pytest.importorskip("sklearn.covariance")
metrics = pytest.importorskip("sklearn.metrics")
neighbors = pytest.importorskip("sklearn.neighbors")


@pytest.fixture(scope="module")
def data():
    """Features of training images in three classes, of as many new ones, and of strange ones."""
    rng = np.random.default_rng(0)
    centres = rng.gamma(2.0, size=(3, 24))
    classes = rng.integers(0, 3, 300)
    train, new = (centres[classes] + 0.5 * rng.normal(size=(300, 24)) for _ in range(2))
    strange = centres.mean(axis=0) + 1.2 * rng.normal(size=(200, 24))
    return train.astype(np.float32), classes, new.astype(np.float32), strange.astype(np.float32)


def to_unit(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def rank(ours, theirs, n_new):
    """Area under the curve of both scores, new images first."""
    truth = np.arange(len(ours)) >= n_new
    return metrics.roc_auc_score(truth, ours), metrics.roc_auc_score(truth, theirs)


def test_knn_against_nearest_neighbours(data):
    """Distances to the nearest training image are those of scikit-learn, but for half precision."""
    train, classes, new, strange = data
    asked = np.concatenate([new, strange])
    ours = fit_novelty(NoveltyKind.knn, train, np.zeros((300, 3)), classes, seed=0).score(asked, np.zeros((500, 3)))
    theirs = neighbors.NearestNeighbors(n_neighbors=1).fit(to_unit(train)).kneighbors(to_unit(asked))[0][:, 0]
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
    mine, expected = rank(ours, theirs, 300)
    assert mine == pytest.approx(expected, abs=2e-3)
    assert mine > 0.9


def test_mahalanobis_against_ledoit_wolf(data):
    """Distances to the nearest class are those with scikit-learn's shrunk covariance."""
    train, classes, new, strange = data
    asked = np.concatenate([new, strange])
    ours = fit_novelty(NoveltyKind.mahalanobis, train, np.zeros((300, 3)), classes, seed=0).score(
        asked, np.zeros((500, 3))
    )
    unit = to_unit(train).astype(np.float64)
    means = np.stack([unit[classes == one].mean(axis=0) for one in range(3)])
    fitted = covariance.LedoitWolf(assume_centered=True).fit(unit - means[classes])
    theirs = np.min([fitted.mahalanobis(to_unit(asked) - mean) for mean in means], axis=0)
    np.testing.assert_allclose(ours, theirs, rtol=0.02)
    mine, expected = rank(ours, theirs, 300)
    assert mine == pytest.approx(expected, abs=2e-3)


def test_energy_against_its_formula():
    """Minus the logarithm of the sum of exponentials, also where those overflow."""
    logits = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [900.0, 0.0, 0.0]])
    energy = fit_novelty(NoveltyKind.energy, np.ones((3, 2), np.float32), logits, np.arange(3), seed=0)
    expected = [-np.log(np.exp(logits[0]).sum()), -np.log(3), -900.0]
    np.testing.assert_allclose(energy.score(np.ones((3, 2), np.float32), logits), expected)
