"""The eight turned and mirrored views of a square, over which answers can be averaged."""

import numpy as np
from numpy.typing import NDArray

# Mirrored first: two views are then the picture and its mirror image, four add the same upside down.
_TURNS = ((0, False), (0, True), (2, False), (2, True), (1, False), (1, True), (3, False), (3, True))
VIEWS = len(_TURNS)


def turn_images(pixels: NDArray[np.uint8], view: int) -> NDArray[np.uint8]:
    """Turns and mirrors squares.

    Args:
        pixels: Shape (N, S, S, 3), uint8.
        view: 0 (as they are) to 7.

    Returns:
        Shape (N, S, S, 3), uint8.
    """
    quarters, is_mirrored = _TURNS[view]
    turned = np.rot90(pixels, quarters, axes=(1, 2))
    return np.ascontiguousarray(turned[:, :, ::-1] if is_mirrored else turned)
