"""The eight views of a square."""

import numpy as np
import pytest

from phytoscope.transforms.views import VIEWS, turn_images

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 5, 5, 3), dtype=np.uint8)


def test_first_view_is_the_image() -> None:
    """Nothing is turned in view 0."""
    assert np.array_equal(turn_images(PIXELS, 0), PIXELS)


def test_views_differ() -> None:
    """All eight elements of the symmetry of a square, each once."""
    views = {turn_images(PIXELS, view).tobytes() for view in range(VIEWS)}
    assert len(views) == VIEWS == 8


@pytest.mark.parametrize("view", range(VIEWS))
def test_pixels_are_only_moved(view) -> None:
    """No pixel is lost, and each image keeps its own."""
    turned = turn_images(PIXELS, view)
    for image, moved in zip(PIXELS, turned, strict=True):
        assert sorted(map(tuple, image.reshape(-1, 3).tolist())) == sorted(map(tuple, moved.reshape(-1, 3).tolist()))


def test_second_view_is_the_mirror_image() -> None:
    """Two views are the picture and its mirror image."""
    assert np.array_equal(turn_images(PIXELS, 1), PIXELS[:, :, ::-1])
