"""Features as columns of a kernel."""

import numpy as np
import pytest

from phytoscope.evaluate.drift.kernel import MOST_AXES, average_kernel, find_components, find_width, whiten


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(300, 50), (300, 400), (60, 400)])
def test_whitened_axes_have_variance_one_and_are_uncorrelated(rng, shape):
    """Wide and tall tables of features give as many axes as the images allow, each counting alike."""
    features = (rng.normal(size=shape) * np.linspace(1, 10, shape[1]) + 3).astype(np.float32)
    axes = whiten(features)
    assert axes.shape == (shape[0], min(MOST_AXES, shape[0] // 5))
    np.testing.assert_allclose(axes.T @ axes / shape[0], np.eye(axes.shape[1]), atol=2e-2)
    np.testing.assert_allclose(axes.mean(axis=0), 0.0, atol=1e-2)


def test_wide_and_tall_tables_agree(rng):
    """Whether images or features are more, distances between images are the same."""
    tall = rng.normal(size=(120, 100)).astype(np.float32)
    wide = np.concatenate([tall, np.zeros((120, 40), dtype=np.float32)], axis=1)
    apart = [np.linalg.norm(axes[:, None] - axes, axis=2) for axes in (whiten(tall), whiten(wide))]
    np.testing.assert_allclose(apart[0], apart[1], atol=1e-2)


def test_brightness_of_features_does_not_count(rng):
    """Only the direction of features is compared: all of one image times two is the same image."""
    features = rng.gamma(2.0, size=(100, 20)).astype(np.float32)
    gains = rng.uniform(1, 3, size=(100, 1)).astype(np.float32)
    np.testing.assert_allclose(np.abs(whiten(features)), np.abs(whiten(features * gains)), atol=2e-2)


def test_equal_features_have_one_axis_that_says_nothing():
    """Images that the network sees alike differ in nothing."""
    axes = whiten(np.ones((30, 8), dtype=np.float32))
    np.testing.assert_array_equal(axes, np.zeros((30, 1)))
    assert find_width(axes, np.random.default_rng(0)) == 1.0


def test_width_is_the_median_squared_distance(rng):
    """Two normal images in d directions are 2 d apart on average."""
    axes = rng.normal(size=(2000, 16)).astype(np.float32)
    assert find_width(axes, rng) == pytest.approx(32, rel=0.1)


def test_kernel_is_averaged_over_pairs_of_groups(rng):
    """The mean over all pairs of images of two groups, whatever the order of the images."""
    axes = rng.normal(size=(9, 3)).astype(np.float32)
    codes = np.array([2, 0, 1, 1, 2, 0, 2, 2, 1])
    kernel = np.exp(-((axes[:, None] - axes) ** 2).sum(axis=2) / 4.0)
    truth = [[kernel[np.ix_(codes == one, codes == two)].mean() for two in range(3)] for one in range(3)]
    np.testing.assert_allclose(average_kernel(axes, codes, 4.0), truth, atol=1e-5)


def test_components_give_the_centred_kernel_back(rng):
    """Products of the columns are the kernel between the groups, less its means."""
    points = rng.normal(size=(40, 5))
    kernel = points @ points.T
    columns = find_components(kernel)
    centred = points - points.mean(axis=0)
    np.testing.assert_allclose(columns @ columns.T, centred @ centred.T, atol=1e-8)


def test_at_most_so_many_components(rng):
    """Of two hundred groups the 128 largest components are kept; they hold most of the kernel."""
    points = rng.normal(size=(200, 150)) * np.linspace(1, 0.05, 150)
    columns = find_components(points @ points.T)
    assert columns.shape == (200, 128)
    centred = points - points.mean(axis=0)
    assert (columns**2).sum() == pytest.approx((centred**2).sum(), rel=0.02)
