"""Pictures with colours and details, each different, without drawing a plant."""

import cv2
import numpy as np


def draw_texture(height=256, width=256, seed=0):
    """Draw soft coloured patches with fine grain, shape (height, width, 3), uint8, different for every seed."""
    rng = np.random.default_rng(seed)
    patches = cv2.resize(
        rng.uniform(20, 235, (7, 7, 3)).astype(np.float32), (width, height), None, 0, 0, cv2.INTER_CUBIC
    )
    return np.clip(patches + rng.normal(0, 12, (height, width, 1)), 0, 255).astype(np.uint8)
