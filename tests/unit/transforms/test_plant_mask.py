"""The mask of a plant against drawn plants whose place is known."""

import cv2
import numpy as np
import pytest

from factories.leaves import (
    BLACK,
    BLACK_SPOT,
    BROWN,
    DARK_GREEN,
    GREEN,
    PAPER,
    SOIL,
    YELLOW,
    draw_leaf,
    draw_rosette,
)
from phytoscope.data.synthetic.leaf_photo import draw_leaf as draw_blade
from phytoscope.data.synthetic.leaf_photo import photograph_leaf
from phytoscope.errors import DataValidationError
from phytoscope.transforms.plant_mask import find_percentile, mask_plant, measure_plant_fraction

SKY, SKIN, RED, WHITE = (90, 130, 190), (200, 160, 130), (220, 40, 50), (240, 240, 240)


def overlap(found, truth):
    return np.count_nonzero(found & truth) / np.count_nonzero(found | truth)


@pytest.mark.parametrize(
    "leaf",
    [
        {"colour": GREEN},
        {"colour": YELLOW},
        {"colour": DARK_GREEN},
        {"colour": GREEN, "spots": BROWN},
        {"colour": GREEN, "spots": BLACK_SPOT},
        {"colour": YELLOW, "spots": BROWN},
        {"colour": GREEN, "half_brown": True},
        {"colour": BROWN},
        {"colour": GREEN, "background": BLACK},
        {"colour": GREEN, "background": (255, 255, 255), "half_brown": True},
        {"colour": GREEN, "background": SOIL},
        {"colour": GREEN, "side": 64},
        {"colour": GREEN, "side": 500},
    ],
)
def test_leaf_is_found_whatever_its_disease(leaf):
    """Healthy, yellow, spotted and half dead leaves are found, and their shadows are not."""
    pixels, truth = draw_leaf(**leaf)
    assert overlap(mask_plant(pixels), truth) > 0.9


@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (0.25, 0.7, 0.3), (1.3, 1.0, 0.7)])
def test_rosette_is_found_under_any_light(light):
    """Daylight, the green dusk of a growth chamber and a warm lamp."""
    pixels, truth = draw_rosette(light=light)
    assert overlap(mask_plant(pixels), truth) > 0.85


def test_small_rosette_leaves_the_soil_out():
    """What lies between the leaves is soil, so that the area can be believed."""
    pixels, truth = draw_rosette(side=200)
    assert measure_plant_fraction(pixels) == pytest.approx(truth.mean(), rel=0.12)


def test_leaf_that_fills_the_picture_is_all_plant():
    """A close-up has no background, so the mask is nearly everything."""
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal(GREEN, 10, (96, 128, 3)), 0, 255).astype(np.uint8)
    cv2.circle(pixels, (40, 40), 8, BROWN, -1)
    assert measure_plant_fraction(pixels) > 0.97


@pytest.mark.parametrize(
    ("colour", "on_paper"),
    [(colour, on) for colour in (PAPER, SKY, RED, WHITE, BLACK) for on in (False, True)] + [(SKIN, False)],
)
def test_other_things_are_no_plant(colour, on_paper):
    """Paper, sky, skin, a red car, white and black hold no plant."""
    rng = np.random.default_rng(1)
    picture = np.full((120, 160, 3), PAPER if on_paper else colour, dtype=np.float64)
    cv2.rectangle(picture, (50, 40), (110, 80), colour, -1)
    pixels = np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    assert measure_plant_fraction(pixels) < 0.01


def test_photographed_leaves_are_found():
    """Drawn photographs with relief, gloss, grain and cast shadows: half to all of the frame's middle is leaf."""
    for seed in range(6):
        rng = np.random.default_rng(seed)
        pixels = photograph_leaf(draw_blade(rng, None, size_px=128), rng, size_px=128)
        mask = mask_plant(pixels)
        assert 0.1 < mask.mean() < 0.75
        assert mask[44:84, 44:84].mean() > 0.7


def test_mask_has_the_size_of_the_picture():
    """Any size and shape, from one pixel on."""
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 50), (700, 300)):
        pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        mask = mask_plant(pixels)
        assert (mask.shape, mask.dtype) == (shape, np.bool_)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 4), np.uint8)],
)
def test_what_is_no_picture_is_refused(pixels):
    """Grey, floating-point, empty and transparent arrays are named instead of guessed at."""
    for function in (mask_plant, measure_plant_fraction):
        with pytest.raises(DataValidationError, match="shape"):
            function(pixels)


@pytest.mark.parametrize("percent", [0, 1, 50, 80, 99, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 10, 4096])
def test_percentiles_are_those_of_numpy(percent, count):
    """Of whole numbers to the last bit, of others but for rounding."""
    rng = np.random.default_rng(count)
    whole, broken = rng.integers(0, 256, count).astype(np.uint8), rng.normal(0, 20, count).astype(np.float32)
    assert find_percentile(whole, percent) == np.percentile(whole, percent)
    assert find_percentile(broken, percent) == pytest.approx(float(np.percentile(broken, percent)), rel=1e-6, abs=1e-6)
