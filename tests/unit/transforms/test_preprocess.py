"""The square a network sees keeps what its mode promises."""

import dataclasses

import cv2
import numpy as np
import pytest
from PIL import Image

from factories.images import make_pixels
from phytoscope.errors import ConfigError
from phytoscope.schema.choices import ResizeMode
from phytoscope.transforms.preprocess import Preprocess, choose_resize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = [(64, 64), (40, 90), (97, 33), (10, 10), (1, 50), (300, 400)]


def make(resize, *, size_px=32, interpolation="bilinear", scale=None, **options):
    if resize == "fixed_scale" and scale is None:
        scale = 0.4
    return Preprocess(size_px, ResizeMode(resize), interpolation, MEAN, STD, scale=scale, **options)


def draw_square(height, width, side):
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    pixels[top : top + side, left : left + side] = 255
    return pixels


def count_bright(pixels):
    return pixels[..., 0].astype(float).sum() / 255


@pytest.mark.parametrize("resize", ["crop", "squash", "letterbox", "fixed_scale"])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_size_becomes_the_square(resize, height, width):
    """Shape and type never depend on the image."""
    square = make(resize)(make_pixels(height, width))
    assert (square.shape, square.dtype) == ((32, 32, 3), np.uint8)


def test_fixed_scale_keeps_areas_comparable():
    """The same plant covers the same number of pixels whatever the size of the picture around it."""
    preprocess = make("fixed_scale", size_px=96, scale=0.5)
    black = dataclasses.replace(preprocess, mean=(0.0, 0.0, 0.0))
    areas = [count_bright(black(draw_square(*size, 40))) for size in ((192, 192), (100, 180), (151, 77), (64, 64))]
    assert areas == pytest.approx([400] * 4, rel=0.03)


def test_letterbox_keeps_the_aspect():
    """A square stays a square, and the border has the mean colour."""
    square = dataclasses.replace(make("letterbox", size_px=64), mean=(0.0, 0.0, 0.0))(draw_square(50, 200, 50))
    rows, columns = np.nonzero(square[..., 0] > 127)
    assert np.ptp(rows) == np.ptp(columns) == 15
    bordered = make("letterbox", size_px=64)(draw_square(50, 200, 50))
    assert tuple(bordered[0, 0]) == tuple(round(255 * value) for value in MEAN)


def test_squash_keeps_all_pixels():
    """Corners of the image are corners of the square."""
    pixels = np.zeros((60, 120, 3), dtype=np.uint8)
    pixels[:30, :60], pixels[30:, 60:] = 200, 100
    square = make("squash", size_px=30)(pixels)
    assert [int(square[row, column, 0]) for row in (0, -1) for column in (0, -1)] == [200, 0, 0, 100]


@pytest.mark.parametrize(("height", "width"), [(300, 400), (400, 300), (301, 500), (257, 1000), (50, 37), (256, 256)])
@pytest.mark.parametrize(("size_px", "crop_pct"), [(224, 0.875), (224, 0.95), (224, 1.0), (225, 0.9), (64, 0.7)])
def test_crop_equals_torchvision(height, width, size_px, crop_pct):
    """Pre-trained weights see the pixels they were trained on."""
    transforms = pytest.importorskip("torchvision.transforms")
    pixels = make_pixels(height, width)
    steps = [
        transforms.Resize(int(size_px / crop_pct), transforms.InterpolationMode.BICUBIC),
        transforms.CenterCrop(size_px),
    ]
    expected = np.array(transforms.Compose(steps)(Image.fromarray(pixels)))
    ours = make("crop", size_px=size_px, crop_pct=crop_pct, interpolation="bicubic")(pixels)
    assert np.abs(ours.astype(int) - expected).max() <= 1


@pytest.mark.parametrize(
    ("resize", "options"), [("crop", {}), ("fixed_scale", {"scale": 40.0}), ("fixed_scale", {"scale": 1.0})]
)
def test_extreme_sizes_cost_no_memory(resize, options):
    """A strip of one pixel's height is not blown up to gigabytes."""
    square = make(resize, **options)(np.full((1, 60_000, 3), 9, dtype=np.uint8))
    assert (square == 9).all(axis=2).any()


def test_large_image_is_trimmed_without_a_trace():
    """Leaving out what cannot be seen changes nothing that can be seen."""
    pixels = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8), (0, 0), 4)
    trimmed = make("fixed_scale", scale=0.5)(pixels).astype(int)
    whole = cv2.resize(pixels, (200, 200), interpolation=cv2.INTER_AREA)[84:116, 84:116].astype(int)
    assert np.abs(trimmed - whole).max() <= 4


@pytest.mark.parametrize("resize", ["crop", "squash", "letterbox", "fixed_scale"])
def test_round_trip(resize):
    """The parameters survive JSON."""
    preprocess = make(resize, crop_pct=0.9, max_megapixels=7.0)
    assert Preprocess.from_dict(preprocess.to_dict()) == preprocess


CHANGES = {
    "size_px": 48,
    "interpolation": "nearest",
    "crop_pct": 0.5,
    "mean": (0.1, 0.2, 0.3),
    "std": (0.5, 0.5, 0.5),
    "max_megapixels": 3.0,
    "scale": 0.7,
}


@pytest.mark.parametrize("resize", ["crop", "squash", "letterbox", "fixed_scale"])
@pytest.mark.parametrize("name", CHANGES)
def test_hash_changes_exactly_when_pixels_can(resize, name):
    """A cache is kept as long as it is right, and no longer."""
    if name == "scale" and resize != "fixed_scale":
        pytest.skip("only fixed_scale has a scale")
    before = make(resize)
    after = dataclasses.replace(before, **{name: CHANGES[name]})
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    pixels_change = before(pixels).shape != after(pixels).shape or (before(pixels) != after(pixels)).any()
    assert (before.pixel_hash != after.pixel_hash) == pixels_change


def test_hash_knows_the_mode():
    """Every mode has caches of its own."""
    assert len({make(resize).pixel_hash for resize in ("crop", "squash", "letterbox", "fixed_scale")}) == 4


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"interpolation": "bicubik"}, "unknown interpolation 'bicubik'; did you mean 'bicubic'"),
        ({"resize": ResizeMode.auto}, "'auto' must be resolved"),
        ({"resize": ResizeMode.fixed_scale}, "'fixed_scale' and scale None do not go together"),
        ({"scale": 0.5}, "'squash' and scale 0.5 do not go together"),
        ({"scale": 0.0, "resize": ResizeMode.fixed_scale}, "scale=0.0 must be above 0"),
        ({"size_px": 0}, "size_px=0 must be 1 or more"),
        ({"crop_pct": 0.0}, "crop_pct=0.0 must be above 0"),
        ({"crop_pct": 1.5}, "crop_pct=1.5 must be"),
    ],
)
def test_impossible_parameters_are_refused(change, match):
    """What could not work is said before the first image."""
    with pytest.raises(ConfigError, match=match):
        dataclasses.replace(make("squash"), **change)


@pytest.mark.parametrize(
    ("resize", "sides", "expected"),
    [
        ("auto", [100, 150, 199], ("fixed_scale", 224 / 199)),
        ("auto", [100, 200], ("letterbox", None)),
        ("fixed_scale", [100, 900], ("fixed_scale", 224 / 900)),
        ("squash", [100, 900], ("squash", None)),
        ("crop", [5], ("crop", None)),
    ],
)
def test_resize_is_chosen_from_the_sizes(resize, sides, expected):
    """One camera keeps its scale; pictures of many sizes are letterboxed."""
    assert choose_resize(ResizeMode(resize), np.array(sides), 224) == expected
