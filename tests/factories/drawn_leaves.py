"""Small leaves with and without a lesion, several a plant, for estimators; and a tiny network that looks at them."""

from pathlib import Path

import numpy as np
from PIL import Image

from factories.colour_net import draw_leaf

TINY = {"backbone": "test_resnet", "weights": "random", "image_size": 32, "accelerator": "cpu", "random_state": 0}
"""Parameters of an estimator that is done in a moment."""
PLAIN = {**TINY, "augment": "none"}
"""The same without changed views."""


def draw_leaves(plants=12, photos=2):
    """Photographs (n, 64, 64, 3), uint8, their labels, how many pixels are sick, and their plants."""
    rng = np.random.default_rng(0)
    pictures, labels, sizes, groups = [], [], [], []
    for plant in range(plants):
        radius = int(rng.integers(6, 13)) if plant % 2 else 0
        for photo in range(photos):
            where = tuple(int(place) for place in rng.integers(24, 40, 2))
            pixels, _, lesion = draw_leaf(where, radius, seed=100 * plant + photo)
            pictures.append(pixels)
            labels.append("sick" if plant % 2 else "healthy")
            sizes.append(float(lesion.sum()))
            groups.append(f"plant-{plant}")
    return np.stack(pictures), np.array(labels), np.array(sizes), np.array(groups)


def write_leaves(pictures, folder):
    """Write each photograph without loss; gives the paths in the same order."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder) / f"{number:03d}.png" for number in range(len(pictures))]
    for path, pixels in zip(paths, pictures, strict=True):
        Image.fromarray(pixels).save(path)
    return paths
