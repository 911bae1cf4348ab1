"""What is measured of a picture is what was put into it."""

import cv2
import numpy as np
import pytest

from factories.images import encode
from factories.textures import draw_texture
from phytoscope.data.facts.descriptor import describe_pixels
from phytoscope.data.facts.image_features import measure_green_fraction, measure_pixels, shrink
from phytoscope.schema.image_facts import COLOUR_COLUMNS, LONG_COLUMNS, PERCEPTUAL_HASH, QUALITY_COLUMNS
from phytoscope.schema.table import GREEN_PX
from phytoscope.transforms.decode import decode_with_facts


def test_all_columns_are_measured():
    """Every column that comes from pixels is filled with a finite number."""
    found = measure_pixels(draw_texture())
    assert set(found) == {*QUALITY_COLUMNS, *COLOUR_COLUMNS, PERCEPTUAL_HASH, *LONG_COLUMNS} - {GREEN_PX}
    assert all(np.isfinite(found[name]) for name in (*QUALITY_COLUMNS, *COLOUR_COLUMNS) if name != GREEN_PX)


def test_numbers_of_a_known_picture():
    """One half black, one half white: mean, spread, entropy and clipping are known."""
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:, 32:] = 255
    found = measure_pixels(pixels)
    assert found["brightness"] == pytest.approx(0.5)
    assert found["contrast"] == pytest.approx(0.5)
    assert found["entropy"] == pytest.approx(1.0)
    assert (found["clipped_dark"], found["clipped_light"]) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (found["brightness_p05"], found["brightness_p99"], found["saturation"]) == (0.0, 1.0, 0.0)


def test_colours_and_border_of_a_known_picture():
    """A green square on a red ground: the border is red, the mean is between."""
    pixels = np.full((64, 64, 3), (200, 0, 0), dtype=np.uint8)
    pixels[16:48, 16:48] = (0, 200, 0)
    found = measure_pixels(pixels)
    assert found["red_mean"] == pytest.approx(0.75 * 200 / 255)
    assert found["green_mean"] == pytest.approx(0.25 * 200 / 255)
    assert found["green_fraction"] == pytest.approx(0.25)
    assert (found["border_red_mean"], found["border_green_mean"]) == (pytest.approx(200 / 255), 0.0)
    assert found["border_contrast"] == pytest.approx(0.0)


def test_percentiles_are_those_of_numpy():
    """The numbers taken from the histogram are those of the pixels, to one level."""
    pixels = draw_texture(seed=2)
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    found = measure_pixels(pixels)
    assert found["brightness_p05"] == pytest.approx(np.percentile(grey, 5) / 255, abs=1.01 / 255)
    assert found["brightness_p99"] == pytest.approx(np.percentile(grey, 99) / 255, abs=1.01 / 255)
    assert found["brightness"] == pytest.approx(grey.mean() / 255)
    assert found["contrast"] == pytest.approx(grey.std() / 255, rel=1e-6)


@pytest.mark.parametrize("name", ["brightness", "contrast", "sharpness", "entropy", "saturation", "green_fraction"])
def test_resolution_does_not_matter(name):
    """The same view photographed with four times the pixels gives nearly the same numbers."""
    small = cv2.GaussianBlur(draw_texture(256, 192, seed=4), None, 1.0)
    large = np.repeat(np.repeat(small, 4, axis=0), 4, axis=1)
    assert measure_pixels(large)[name] == pytest.approx(measure_pixels(small)[name], rel=0.02)


def test_reduced_decoding_does_not_matter():
    """A large JPEG decoded at a quarter of its size gives the numbers of the whole, and its own size."""
    large = cv2.resize(draw_texture(256, 320, seed=6), (1600, 1280), interpolation=cv2.INTER_CUBIC)
    content = encode(large, "JPEG", quality=95)
    whole = decode_with_facts(content, name="", max_megapixels=10, least_px=None)
    part = decode_with_facts(content, name="", max_megapixels=10, least_px=256)
    assert (whole.pixels.shape, part.pixels.shape) == ((1280, 1600, 3), (320, 400, 3))
    assert (part.width_px, part.height_px) == (1600, 1280)
    first, second = measure_pixels(whole.pixels), measure_pixels(part.pixels)
    assert (first[PERCEPTUAL_HASH] ^ second[PERCEPTUAL_HASH]).bit_count() <= 1
    for name in ("brightness", "contrast", "entropy", "saturation", "red_mean", "green_fraction"):
        assert second[name] == pytest.approx(first[name], rel=0.02), name
    thumbnails = [np.frombuffer(found["thumbnail"], np.uint8).astype(int) for found in (first, second)]
    assert np.abs(thumbnails[0] - thumbnails[1]).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3000, 2), (5, 7), (32, 32)])
def test_odd_sizes_are_measured(size):
    """A strip or a single pixel is no reason to fail."""
    found = measure_pixels(np.full((*size, 3), 90, dtype=np.uint8))
    assert found["brightness"] == pytest.approx(90 / 255)
    assert len(found["thumbnail"]) == 3072


def test_picture_is_never_enlarged():
    """What is small stays as it is; what is large has 256 pixels on its longer side."""
    assert shrink(np.zeros((10, 20, 3), np.uint8)).shape == (10, 20, 3)
    assert shrink(np.zeros((300, 1200, 3), np.uint8)).shape == (64, 256, 3)


def test_share_of_green_is_that_of_the_original():
    """The share is that of the picture given, also where only every second pixel is looked at."""
    pixels = np.full((1200, 2000, 3), (120, 110, 100), dtype=np.uint8)
    pixels[:600] = (40, 160, 50)
    assert measure_green_fraction(pixels) == pytest.approx(0.5, rel=0.01)


def test_descriptor_tells_textures_and_colours_apart():
    """Copies have nearly the same description, other pictures another, and all numbers are of one order."""
    pixels = draw_texture(seed=1)
    own = describe_pixels(pixels).astype(float)
    copy = describe_pixels(cv2.resize(pixels, (200, 200), interpolation=cv2.INTER_AREA)).astype(float)
    others = [np.linalg.norm(own - describe_pixels(draw_texture(seed=seed)).astype(float)) for seed in range(2, 12)]
    assert own.shape == (343,)
    assert np.abs(own).max() < 2
    assert np.linalg.norm(own - copy) < 0.5 * min(others)
