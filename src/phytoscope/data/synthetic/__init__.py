"""Drawn plant pictures whose truth is known, laid out and as dirty as the real data sets they stand for."""

from phytoscope.data.synthetic.files import DrawnDataset
from phytoscope.data.synthetic.leaves import LEAF_CLASSES, draw_field_leaves, draw_leaf_dataset
from phytoscope.data.synthetic.rosettes import draw_rosette_dataset

__all__ = ["LEAF_CLASSES", "DrawnDataset", "draw_field_leaves", "draw_leaf_dataset", "draw_rosette_dataset"]
