"""Large JPEGs that are decoded at a part of their size give the squares of the whole."""

import dataclasses
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from phytoscope.errors import ConfigError
from phytoscope.schema.choices import ResizeMode
from phytoscope.transforms.decode import decode_with_facts
from phytoscope.transforms.photo import read_photo
from phytoscope.transforms.preprocess import Preprocess

MODES = [ResizeMode.squash, ResizeMode.letterbox, ResizeMode.crop, ResizeMode.fixed_scale]


def make(mode: ResizeMode, *, reduced: bool, scale: float = 0.08) -> Preprocess:
    """A preparation for squares of 32 pixels on black."""
    fixed = scale if mode is ResizeMode.fixed_scale else None
    return Preprocess(32, mode, "bicubic", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 0.875, fixed, reduced=reduced)


def draw(width: int, height: int, orientation: int = 1, seed: int = 0, kind: str = "JPEG") -> bytes:
    """A photograph of smooth colours with a bright corner, as a camera stores it that was turned."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    image = coarse.resize((width, height), Image.Resampling.BICUBIC)
    image.paste((255, 255, 255), (0, 0, width // 3, height // 4))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stream = io.BytesIO()
    image.save(stream, kind, quality=92, exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_square_is_that_of_the_whole(mode, orientation) -> None:
    """Within a grey level on average, wherever the camera's upper side was; the size is that of the original."""
    content = draw(803, 611, orientation)
    whole, part = (read_photo(content, make(mode, reduced=reduced)) for reduced in (False, True))
    assert (part.width_px, part.height_px) == (whole.width_px, whole.height_px)
    difference = np.abs(whole.square.astype(int) - part.square.astype(int))
    assert 0 < difference.mean() < 1.0, "and it was reduced at all"
    assert np.percentile(difference, 99) <= 12


@settings(deadline=None, max_examples=40)
@given(
    width=st.integers(20, 900),
    height=st.integers(20, 900),
    orientation=st.integers(1, 8),
    mode=st.sampled_from(MODES),
    scale=st.floats(0.02, 2.0),
)
def test_geometry_never_moves(width, height, orientation, mode, scale) -> None:
    """Whatever the sides, the bars of a letterbox stand at the same pixels, and the mean colour stays."""
    content = draw(width, height, orientation)
    whole, part = (read_photo(content, make(mode, reduced=reduced, scale=scale)) for reduced in (False, True))
    assert (part.width_px, part.height_px) == (whole.width_px, whole.height_px)
    if mode is ResizeMode.letterbox:
        filled = [~(square.square > 40).any(axis=2) for square in (whole, part)]
        for axis in (0, 1):
            bars = [mask.all(axis=axis) for mask in filled]
            assert np.abs(bars[0].astype(int) - bars[1]).sum() <= 1
    means = [square.square.mean(axis=(0, 1)) for square in (whole, part)]
    np.testing.assert_allclose(means[0], means[1], atol=3.0)


@pytest.mark.parametrize("mode", MODES)
def test_twice_the_pixels_remain(mode) -> None:
    """What is decoded is at least twice as fine as the square, and a quarter of the size where this allows it."""
    preprocess = make(mode, reduced=True)
    image = decode_with_facts(draw(800, 600), name="", max_megapixels=1, least_px=preprocess.find_least_px)
    shares = {"squash": 32 / 600, "letterbox": 32 / 800, "crop": 36 / 600, "fixed_scale": 0.08}
    left = image.pixels.shape[1] / 800
    assert 2 * shares[mode.value] <= left < 4.2 * shares[mode.value]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_formats_stay_whole(kind) -> None:
    """Only JPEG can be decoded in parts, and small pictures are not."""
    large, small = draw(400, 300, kind=kind), draw(60, 50)
    for content in (large, small):
        whole, part = (read_photo(content, make(ResizeMode.squash, reduced=reduced)) for reduced in (False, True))
        assert np.array_equal(whole.square, part.square)


def test_old_packages_decode_all() -> None:
    """A preparation that does not name it keeps its pixels and its cache; one that does has a cache of its own."""
    new = make(ResizeMode.squash, reduced=True)
    old = {name: value for name, value in new.to_dict().items() if name != "reduced"}
    assert Preprocess.from_dict(old) == dataclasses.replace(new, reduced=False)
    assert Preprocess.from_dict(new.to_dict()) == new
    assert Preprocess.from_dict(old).pixel_hash != new.pixel_hash


def test_anything_but_true_or_false_is_refused() -> None:
    """A damaged package does not decide by chance."""
    with pytest.raises(ConfigError, match="reduced=no must be true or false"):
        Preprocess.from_dict({**make(ResizeMode.squash, reduced=True).to_dict(), "reduced": "no"})
