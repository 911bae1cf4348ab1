"""Tests of what a photograph tells about its quality."""

import cv2
import numpy as np
import pytest

from factories.leaves import draw_leaf
from phytoscope.errors import DataValidationError
from phytoscope.schema.choices import ResizeMode
from phytoscope.transforms.photo_measures import measure_photo
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.trust.photo import MEASURES

SIDE = 160


def draw_photo(height, width):
    """A leaf on paper, cut to a shape."""
    pixels = draw_leaf(side=max(height, width))[0]
    top, left = (max(height, width) - height) // 2, (max(height, width) - width) // 2
    return np.ascontiguousarray(pixels[top : top + height, left : left + width])


def draw_edges():
    """Squares of many greys and colours."""
    coarse = np.random.default_rng(0).integers(30, 220, (16, 16, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(10, axis=0).repeat(10, axis=1))


def prepare(pixels, resize, *, mean=(0.485, 0.456, 0.406), scale=None):
    return Preprocess(SIDE, resize, "bicubic", mean, (0.2, 0.2, 0.2), scale=scale)(pixels)


def measure(square, pixels):
    return measure_photo(square, pixels.shape[1], pixels.shape[0])


def test_measures_are_those_of_the_table():
    """The names are the columns of table 7, in their order."""
    assert tuple(measure_photo(draw_leaf(side=64)[0], 64, 64)) == MEASURES


@pytest.mark.parametrize("mean", [(0.485, 0.456, 0.406), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)])
@pytest.mark.parametrize(("height", "width"), [(120, 300), (300, 120), (299, 200), (200, 200)])
@pytest.mark.parametrize(("resize", "scale"), [(ResizeMode.letterbox, None), (ResizeMode.fixed_scale, 0.4)])
def test_bars_do_not_count(resize, scale, height, width, mean):
    """What fills the square up is neither dark nor burnt out nor plant."""
    pixels = draw_photo(height, width)
    found = measure(prepare(pixels, resize, mean=mean, scale=scale), pixels)
    alone = measure_photo(pixels, width, height)
    assert found["brightness"] == pytest.approx(alone["brightness"], abs=3)
    assert found["highlights"] == pytest.approx(alone["highlights"], abs=0.002)
    assert found["plant"] == pytest.approx(alone["plant"], abs=0.04)
    assert found["side_px"] == min(height, width)


def test_bars_of_a_picture_that_was_cut_do_not_count():
    """A long picture at a fixed scale has bars above and below, and its ends are cut off."""
    pixels = draw_photo(100, 400)
    square = prepare(pixels, ResizeMode.fixed_scale, mean=(0.0, 0.0, 0.0), scale=0.8)
    assert measure(square, pixels)["brightness"] > 60


def test_black_wall_is_part_of_the_picture():
    """Only bars that leave the picture's own shape are cut off: a black half of a square picture is dark."""
    square = draw_leaf(side=SIDE)[0]
    square[: SIDE // 2 + 10] = 0
    assert measure_photo(square, 300, 300)["brightness"] == 0


@pytest.mark.parametrize(("colour", "brightness", "highlights"), [(0, 0, 0), (130, 130, 0), (255, 255, 1)])
def test_picture_of_one_colour(colour, brightness, highlights):
    """It has a brightness, and nothing sharp in it; it is not taken for a bar."""
    found = measure_photo(np.full((64, 64, 3), colour, dtype=np.uint8), 64, 64)
    assert (found["brightness"], found["highlights"], found["sharpness"]) == (brightness, highlights, 0.0)
    assert found["plant"] == 0.0


def test_highlights_are_burnt_out_in_all_colours():
    """Bright yellow is a colour, not a highlight."""
    square = np.zeros((40, 40, 3), dtype=np.uint8)
    square[:10] = 255
    square[10:20] = (255, 255, 0)
    assert measure_photo(square, 40, 40)["highlights"] == pytest.approx(0.25)


def test_sharpness_falls_with_blur_and_not_with_contrast_or_light():
    """It is about one over the width of an edge, whatever its height."""
    sharp = [measure_photo(cv2.GaussianBlur(draw_edges(), (0, 0), blur), 160, 160)["sharpness"] for blur in (0.4, 1, 2)]
    assert np.all(np.diff(sharp) < 0)
    assert sharp[0] > 0.8
    assert sharp[2] < 0.6
    pale = cv2.convertScaleAbs(cv2.GaussianBlur(draw_edges(), (0, 0), 1.0), alpha=0.5, beta=60)
    assert measure_photo(pale, 160, 160)["sharpness"] == pytest.approx(sharp[1], rel=0.12)


@pytest.mark.parametrize("turn", [0, 1])
def test_moved_camera_is_seen(turn):
    """Edges across the movement are soft, and those along it stay sharp."""
    leaf = cv2.GaussianBlur(draw_edges(), (0, 0), 0.6)
    kernel = np.zeros((13, 13), dtype=np.float32)
    kernel[6] = 1 / 13
    moved = cv2.filter2D(np.rot90(leaf, turn).copy(), -1, kernel)
    assert measure_photo(np.rot90(moved, -turn).copy(), 160, 160)["sharpness"] < 0.6


def test_plant_is_a_share_of_the_picture():
    """It is the share of the mask."""
    pixels, mask = draw_leaf(side=SIDE)
    assert measure_photo(pixels, SIDE, SIDE)["plant"] == pytest.approx(mask.mean(), abs=0.02)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 2, 3), (3, 3, 3)])
def test_smallest_pictures(shape):
    """A picture of one pixel has measures too."""
    assert np.isfinite(list(measure_photo(np.full(shape, 9, dtype=np.uint8), 1, 1).values())).all()


@pytest.mark.parametrize("square", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_other_arrays_are_refused(square):
    """Only RGB pixels can be measured."""
    with pytest.raises(DataValidationError, match="expected uint8"):
        measure_photo(square, 4, 4)


def test_size_of_nothing_is_refused():
    """No original has a side of 0 pixels."""
    with pytest.raises(DataValidationError, match="0 x 4 px"):
        measure_photo(np.zeros((4, 4, 3), np.uint8), 0, 4)
