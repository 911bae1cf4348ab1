"""Drawn backgrounds and changes of light: within range, varied, and the same for the same seed."""

import numpy as np
import pytest

from factories.leaves import draw_leaf
from phytoscope.transforms.light import change_light
from phytoscope.transforms.textures import draw_noise, draw_texture

LEAF, TRUTH = draw_leaf(side=64)


def test_same_seed_same_picture():
    """All chance comes from the generator that is given."""
    for draw in (lambda rng: draw_texture(rng, 48), lambda rng: change_light(LEAF, rng)):
        first, again, other = (draw(np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_textures_are_pictures_of_many_kinds():
    """Shape, type and range hold; some are green, some are not, some are rough, some are smooth."""
    textures = [draw_texture(np.random.default_rng(seed), 64) for seed in range(60)]
    assert all(texture.shape == (64, 64, 3) and texture.dtype == np.float32 for texture in textures)
    assert all(texture.min() >= 0 and texture.max() <= 255 for texture in textures)
    means = np.array([texture.mean(axis=(0, 1)) for texture in textures])
    green = means[:, 1] > means[:, [0, 2]].max(axis=1) + 5
    assert 0.4 < green.mean() < 0.95
    assert np.ptp(means.mean(axis=1)) > 120
    roughness = [np.abs(np.diff(texture, axis=1)).mean() for texture in textures]
    assert max(roughness) > 8 * min(roughness)


@pytest.mark.parametrize("side", [1, 2, 7, 33])
def test_small_sides_are_drawn_too(side):
    """No square is too small."""
    for seed in range(8):
        assert draw_texture(np.random.default_rng(seed), side).shape == (side, side, 3)


def test_noise_fills_its_range():
    """Noise goes from 0 to 1 and is smooth between its cells."""
    noise = draw_noise(np.random.default_rng(0), 64, cells=3, octaves=1)
    assert (noise.min(), noise.max()) == (0.0, 1.0)
    assert np.abs(np.diff(noise, axis=0)).max() < 0.15


def test_light_changes_colour_and_brightness_but_not_the_place_of_the_leaf():
    """Colour and exposure vary strongly, and the leaf is still where it was."""
    changed = np.array([change_light(LEAF, np.random.default_rng(seed)) for seed in range(60)]).astype(float)
    assert changed.shape == (60, 64, 64, 3)
    inside, outside = changed[:, TRUTH].mean(axis=1), changed[:, ~TRUTH].mean(axis=1)
    assert np.ptp(inside.mean(axis=1)) > 80
    assert np.std(np.log(outside[:, 0] / outside[:, 2])) > 0.1
    edges = np.abs(inside - outside).sum(axis=1)
    assert np.mean(edges > 20) > 0.8
