"""Compares ways to count green pixels as a predictor of a plant's size, plants kept apart.

Usage: python benchmarks/data/count_green.py TABLE IMAGES TARGET GROUP, for example
python benchmarks/data/count_green.py labels.csv images projected_leaf_area_px plant_id
"""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GroupKFold, cross_val_predict

from phytoscope.data.facts.image_features import measure_green_fraction
from phytoscope.data.readers.read_table import read_table
from phytoscope.evaluate.regression import compute_r2
from phytoscope.transforms.decode import read_image

_FOLDS = 5
Pixels = NDArray[np.uint8]


def count_by_chromaticity(pixels: Pixels) -> int:
    """Pixels, shape (H, W, 3), whose excess green on chromaticities is above 0.1."""
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    return int(np.count_nonzero(2 * green - red - blue > 0.1 * (red + green + blue)))


def count_by_hue(pixels: Pixels) -> int:
    """Pixels, shape (H, W, 3), with a green hue (60-180 degrees), some saturation and some light."""
    hue, saturation, value = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))
    return int(np.count_nonzero((hue > 30) & (hue < 90) & (saturation > 60) & (value > 30)))


def count_by_excess(pixels: Pixels) -> int:
    """Pixels, shape (H, W, 3), that phytoscope counts as green."""
    return round(measure_green_fraction(pixels) * pixels.shape[0] * pixels.shape[1])


WAYS: dict[str, Callable[[Pixels], int]] = {
    "fixed threshold on chromaticities": count_by_chromaticity,
    "fixed hue range": count_by_hue,
    "excess green with Otsu's threshold (phytoscope)": count_by_excess,
}


def main(table_path: Path, images: Path, target_name: str, group_name: str) -> None:
    """Prints the cross-validated R2 of a straight line on each count."""
    table = read_table(table_path).dropna(subset=[target_name])
    column = next(name for name in table.columns if str(name).lower() in ("filename", "image", "path"))
    pictures = [read_image(images / name, max_megapixels=100) for name in table[column]]
    target = table[target_name].to_numpy(dtype=float)
    for name, count in WAYS.items():
        counts = np.array([[count(picture)] for picture in pictures], dtype=float)
        preds = cross_val_predict(
            LinearRegression(), counts, target, groups=table[group_name], cv=GroupKFold(_FOLDS), n_jobs=1
        )
        print(f"R2 {compute_r2(target, preds):.2f}  {name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
