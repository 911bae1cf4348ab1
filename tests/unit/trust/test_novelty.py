"""Tests of how unlike the training images an image is said to be."""

import time

import numpy as np
import pytest
import safetensors.numpy

from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.schema.choices import NoveltyKind
from phytoscope.trust.novelty import NoveltyReference, fit_novelty

FEATURES, CLASSES = 32, 4


def draw(n, seed, *, shift=0.0):
    """Features of `n` images in four clusters, their logits and classes; `shift` moves all of them away."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).gamma(2.0, size=(CLASSES, FEATURES))
    classes = rng.integers(0, CLASSES, n)
    features = centres[classes] + 0.3 * rng.normal(size=(n, FEATURES))
    features[:, : FEATURES // 2] += shift
    logits = -((features[:, None, :] - centres) ** 2).sum(axis=2)
    return features.astype(np.float32), logits, classes


def fit(kind, n=400, **options):
    features, logits, classes = draw(n, 1)
    return fit_novelty(NoveltyKind(kind), features, logits, classes, seed=0, **options)


@pytest.mark.parametrize("kind", ["knn", "mahalanobis", "energy"])
def test_strange_images_score_higher(kind):
    """Every kind puts images from elsewhere above images like the training images."""
    reference = fit(kind)
    known, strange = draw(200, 2), draw(200, 3, shift=3.0)
    assert np.quantile(reference.score(*strange[:2]), 0.1) > np.quantile(reference.score(*known[:2]), 0.9)


@pytest.mark.parametrize("kind", ["knn", "mahalanobis"])
def test_numbers_need_no_classes(kind):
    """A model of numbers has no classes, and novelty works all the same."""
    features, _, _ = draw(300, 1)
    reference = fit_novelty(NoveltyKind(kind), features, np.zeros((300, 1)), None, seed=0)
    known, strange = draw(100, 2)[0], draw(100, 3, shift=3.0)[0]
    nothing = np.zeros((100, 1))
    assert reference.score(strange, nothing).min() > np.median(reference.score(known, nothing))


def test_energy_of_numbers_is_refused():
    """Energy is made from logits of classes."""
    with pytest.raises(ConfigError, match=r"energy.*use knn or mahalanobis"):
        fit_novelty(NoveltyKind.energy, np.ones((30, 4), np.float32), np.zeros((30, 1)), None, seed=0)


def test_auto_is_knn():
    """What the benchmark found best is the default, and the reference says what it is."""
    assert fit("auto").kind is NoveltyKind.knn
    assert fit("auto").to_dict() == {"kind": "knn"}


@pytest.mark.parametrize("kind", ["knn", "mahalanobis", "energy"])
def test_same_after_a_file(kind, tmp_path):
    """A reference that was written and read again gives the same numbers."""
    reference = fit(kind)
    path = tmp_path / "novelty.safetensors"
    safetensors.numpy.save_file(reference.arrays, path)
    again = NoveltyReference.from_parts(reference.to_dict(), safetensors.numpy.load_file(path))
    features, logits, _ = draw(50, 2)
    np.testing.assert_array_equal(again.score(features, logits), reference.score(features, logits))


@pytest.mark.parametrize(
    ("content", "arrays"),
    [({"kind": "none"}, {}), ({}, {}), ({"kind": "knn"}, {}), ({"kind": "energy"}, {"bank": np.ones((2, 2))})],
)
def test_wrong_parts_are_refused(content, arrays):
    """An unknown kind, or the arrays of another one."""
    with pytest.raises(ArtifactError):
        NoveltyReference.from_parts(content, arrays)


@pytest.mark.parametrize("kind", ["knn", "mahalanobis"])
def test_length_of_features_does_not_count(kind):
    """Features of twice the length point the same way, so they are as novel."""
    reference = fit(kind)
    features, logits, _ = draw(50, 2)
    np.testing.assert_allclose(reference.score(2 * features, logits), reference.score(features, logits), rtol=1e-4)


def test_own_images_are_measured_without_themselves():
    """Against themselves training images would not be novel at all; left out they are like new ones."""
    reference = fit("knn")
    features, logits, _ = draw(400, 1)
    own = reference.score_own()
    assert reference.score(features, logits).max() < 0.02
    assert own.min() > 0.05
    new = reference.score(*draw(400, 2)[:2])
    assert np.median(own) == pytest.approx(np.median(new), rel=0.1)
    with pytest.raises(ConfigError, match="only 'knn'"):
        fit("energy").score_own()


def test_bank_is_drawn_evenly_over_classes_and_groups():
    """When not all fit, a frequent class and a plant with a thousand pictures get no more room than the others."""
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], [9000, 3000])
    groups = np.array([f"a{min(k, 3000)}" for k in range(9000)] + [f"b{k}" for k in range(3000)], dtype=object)
    features = rng.normal(size=(12000, 2)).astype(np.float32) + 5
    # The second feature tells the class, the third the plant with many pictures.
    features = np.column_stack([features, 100.0 * classes, 100.0 * (groups == "a3000")]).astype(np.float32)
    bank = fit_novelty(NoveltyKind.knn, features, np.zeros((12000, 2)), classes, seed=0, groups=groups).arrays["bank"]
    assert bank.shape == (5000, 4)
    assert np.sum(bank[:, 2] > 0.9) == 2500
    assert np.sum(bank[:, 3] > 0.9) == 1


@pytest.mark.parametrize("kind", ["knn", "mahalanobis"])
def test_file_is_small_and_scoring_fast(kind, tmp_path):
    """Below 10 MB for long features and many images, and 1,000 images in about a second."""
    rng = np.random.default_rng(0)
    features = rng.random((3000, 1280), dtype=np.float32)
    reference = fit_novelty(NoveltyKind(kind), features, np.zeros((3000, 38)), rng.integers(0, 38, 3000), seed=0)
    path = tmp_path / "novelty.safetensors"
    safetensors.numpy.save_file(reference.arrays, path)
    assert path.stat().st_size < 10_000_000
    before = time.process_time()
    scores = reference.score(features[:1000], np.zeros((1000, 38)))
    assert time.process_time() - before < 4.0
    assert np.isfinite(scores).all()


def test_one_image_scores_as_among_many():
    """The answer for an image does not depend on what is asked together with it."""
    features, logits, _ = draw(1500, 2)
    for kind in ("knn", "mahalanobis"):
        reference = fit(kind)
        whole = reference.score(features, logits)
        assert reference.score(features[7:8], logits[7:8])[0] == pytest.approx(whole[7], rel=1e-3)
        assert len(reference.score(features[:0], logits[:0])) == 0
