"""The hash of a mirrored or turned picture is known before anybody mirrors or turns it."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories.images import encode
from factories.textures import draw_texture
from phytoscope.data.facts.perceptual_hash import VARIANTS, hash_variants
from phytoscope.transforms.decode import decode_image

TURNS = {
    "as it is": lambda pixels: pixels,
    "mirrored left to right": lambda pixels: pixels[:, ::-1],
    "mirrored top to bottom": lambda pixels: pixels[::-1],
    "turned by 180 degrees": lambda pixels: pixels[::-1, ::-1],
    "mirrored along the main diagonal": lambda pixels: pixels.transpose(1, 0, 2),
    "turned by 90 degrees clockwise": lambda pixels: np.rot90(pixels, -1),
    "turned by 90 degrees counter-clockwise": np.rot90,
    "mirrored along the other diagonal": lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
}


def hash_of(pixels):
    return hash_variants(cv2.resize(np.ascontiguousarray(pixels), (32, 32), interpolation=cv2.INTER_AREA))


def distance(first, second):
    return int(first ^ second).bit_count()


@pytest.mark.parametrize("size", [(256, 256), (192, 256), (61, 47)])
@pytest.mark.parametrize("place", range(8), ids=VARIANTS)
def test_variant_is_the_hash_of_the_turned_picture(place, size):
    """What is computed from one transform is what the turned file would give."""
    pixels = draw_texture(*size, seed=3)
    assert hash_of(pixels)[place] == hash_of(TURNS[VARIANTS[place]](pixels))[0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_variants_of_a_turned_picture_are_the_same_eight(seed, place):
    """Turning changes their order only."""
    pixels = draw_texture(64, 64, seed=seed)
    assert set(hash_of(pixels).tolist()) == set(hash_of(TURNS[VARIANTS[place]](pixels)).tolist())


def test_even_picture_has_an_even_hash():
    """Where there is nothing, rounding errors make no bits."""
    assert hash_of(np.full((64, 64, 3), 117, dtype=np.uint8)).tolist() == [0] * 8


def test_pictures_of_their_own_are_far_apart_and_copies_near():
    """Compression, another size and a little more light change few of the 64 bits; another picture changes many."""
    pixels = draw_texture(seed=5)
    own = hash_of(pixels)[0]
    compressed = decode_image(encode(pixels, "JPEG", quality=30), name="", max_megapixels=1)
    smaller = cv2.resize(pixels, (100, 100), interpolation=cv2.INTER_AREA)
    for copy in (compressed, smaller, np.clip(pixels * 1.1, 0, 255).astype(np.uint8)):
        assert distance(own, hash_of(copy)[0]) <= 4
    others = [distance(own, hash_of(draw_texture(seed=seed))[0]) for seed in range(10, 40)]
    assert min(others) >= 14
