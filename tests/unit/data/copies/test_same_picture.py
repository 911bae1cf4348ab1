"""Copies are told from pictures that merely look alike, on 32 x 32 pixels."""

import cv2
import numpy as np
import pytest

from factories.textures import draw_texture
from phytoscope.data.copies.same_picture import confirm_copies, turn


def shrink(pixels):
    return cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA)


def compress(pixels, quality):
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def is_copy(first, second):
    return bool(confirm_copies(shrink(first)[None], shrink(second)[None])[0])


def draw_pot(seedling=None, soil=0):
    """Draw a pot from above with grainy soil and, when a place is given, a small seedling there."""
    rng = np.random.default_rng(soil)
    pixels = np.clip(rng.normal((60, 45, 35), 12, (256, 256, 3)), 0, 255).astype(np.uint8)
    cv2.circle(pixels, (128, 128), 110, (150, 140, 130), 6)
    if seedling is not None:
        cv2.circle(pixels, seedling, 14, (60, 170, 50), -1)
    return pixels


CHANGES = {
    "nothing": lambda pixels: pixels,
    "JPEG 80": lambda pixels: compress(pixels, 80),
    "JPEG 40": lambda pixels: compress(pixels, 40),
    "half the size": lambda pixels: compress(cv2.resize(pixels, None, None, 0.5, 0.5, cv2.INTER_AREA), 85),
    "brighter": lambda pixels: np.clip(pixels * 1.1, 0, 255).astype(np.uint8),
    "darker": lambda pixels: (pixels * 0.9).astype(np.uint8),
    "cut by 2 %": lambda pixels: pixels[3:-3, 3:-3],
    "other width": lambda pixels: cv2.resize(pixels, (200, 256)),
}


@pytest.mark.parametrize("variant", range(8))
@pytest.mark.parametrize("change", CHANGES)
def test_changed_file_is_a_copy(change, variant):
    """Saved again, resized, brightened or cut a little, in each of the eight mirrored and turned versions."""
    pixels = draw_texture(seed=3)
    changed = turn(CHANGES[change](pixels)[None], variant)[0]
    assert is_copy(pixels, np.ascontiguousarray(changed))


def test_different_pictures_are_no_copies():
    """None of all pairs of forty textures is taken for a copy."""
    small = np.stack([shrink(draw_texture(seed=seed)) for seed in range(40)])
    first, second = np.triu_indices(40, 1)
    assert not confirm_copies(small[first], small[second]).any()


def test_seedlings_in_equal_pots_are_different_pictures():
    """A small plant at another place of the same pot is another picture, although nearly all pixels are the same."""
    assert not is_copy(draw_pot((90, 100)), draw_pot((150, 140)))
    assert not is_copy(draw_pot((90, 100)), draw_pot())
    assert is_copy(draw_pot((90, 100)), compress(draw_pot((90, 100)), 60))


def test_plain_pictures():
    """Two black pictures are copies, a black and a white one are not, and nothing divides by zero."""
    black, white = np.zeros((64, 64, 3), np.uint8), np.full((64, 64, 3), 255, np.uint8)
    assert is_copy(black, black)
    assert is_copy(white, white - 1)
    assert not is_copy(black, white)
    assert not is_copy(black, draw_texture())


@pytest.mark.parametrize("variant", [0, 5])
def test_grey_and_blurred_copies(variant):
    """A picture is found again without its colours, strongly blurred, or squeezed to a quarter of its height."""
    pixels = draw_texture(seed=5)
    grey = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    squeezed = cv2.resize(pixels, (256, 64), interpolation=cv2.INTER_AREA)
    for changed in (grey, cv2.GaussianBlur(pixels, (0, 0), 7), squeezed):
        assert is_copy(pixels, np.ascontiguousarray(turn(changed[None], variant)[0]))
        assert is_copy(changed, pixels)


def test_grey_pictures_of_others_are_no_copies():
    """Without colours, none of all pairs of thirty textures is taken for a copy, whether one is grey or both."""
    small = np.stack([shrink(draw_texture(seed=seed)) for seed in range(30)])
    grey = np.repeat(small.mean(axis=3, keepdims=True).astype(np.uint8), 3, axis=3)
    first, second = np.triu_indices(30, 1)
    assert not confirm_copies(small[first], grey[second]).any()
    assert not confirm_copies(grey[first], grey[second]).any()


def test_many_and_no_pairs():
    """More pairs than fit one batch come back in order; no pairs give no answers."""
    small = shrink(draw_texture(seed=1))
    other = shrink(draw_texture(seed=2))
    second = np.stack([small if number % 3 == 0 else other for number in range(600)])
    assert (confirm_copies(np.stack([small] * 600), second) == (np.arange(600) % 3 == 0)).all()
    assert confirm_copies(second[:0], second[:0]).shape == (0,)
