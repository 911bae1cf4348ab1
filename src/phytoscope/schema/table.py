"""Names of the columns, splits and tasks that every room agrees on."""

from enum import StrEnum
from typing import Final


class Task(StrEnum):
    """What is predicted: a class or a number."""

    classification = "classification"
    regression = "regression"


class Split(StrEnum):
    """The four parts of the data; each group of images stands in exactly one."""

    train = "train"
    val = "val"
    calibration = "calibration"
    test = "test"


SAMPLE_ID: Final = "sample_id"
"""Unique name of one image: its path relative to the data root, with forward slashes."""
PATH: Final = "path"
SHA256: Final = "sha256"
WIDTH_PX: Final = "width_px"
HEIGHT_PX: Final = "height_px"
GREEN_PX: Final = "green_px"
"""Number of pixels of the original image that are greener than the rest."""
SOURCE_ROW: Final = "source_row"
"""Line of the table the row came from, counted as a spreadsheet does (the header is line 1); missing for folders."""
LABEL: Final = "label"
TARGET: Final = "target"
GROUP_ID: Final = "group_id"
"""What must stay together in one split: leaf, plant, plot, or the image alone."""
DUPLICATE_ID: Final = "duplicate_id"
"""Name of the cluster of copies (same bytes, or the picture re-compressed, resized, mirrored, turned); an image without
a copy is one of its own."""
SPLIT: Final = "split"
FOLD: Final = "fold"

META_PREFIX: Final = "meta/"
"""Prefix of the user's own columns that travel along in the manifest under their own names."""

MANIFEST_COLUMNS: Final = (
    SAMPLE_ID,
    PATH,
    SHA256,
    WIDTH_PX,
    HEIGHT_PX,
    GREEN_PX,
    SOURCE_ROW,
    LABEL,
    TARGET,
    GROUP_ID,
    DUPLICATE_ID,
)
UNLABELLED_COLUMNS: Final = (SAMPLE_ID, PATH, SHA256, WIDTH_PX, HEIGHT_PX, GREEN_PX, SOURCE_ROW, GROUP_ID)
"""Of good images without an answer, which are kept apart; the user's other columns follow as `meta/<name>`."""
REJECTED_COLUMNS: Final = ("source_row", "path", "column", "value", "reason", "remedy")
SPLIT_COLUMNS: Final = (SAMPLE_ID, GROUP_ID, SPLIT, FOLD)

PREDICTION: Final = "prediction"
"""Predicted class name (classification) or value in the user's unit (regression)."""
PROBABILITY: Final = "probability"
"""Probability of the predicted class, 0-1."""
PROB_PREFIX: Final = "prob/"
"""Prefix of one column per class, in the order of the model's class names."""
PREDICTION_PREFIX: Final = "prediction/"
"""Prefix of one column per further target: its predicted value, in its unit."""
TARGET_PREFIX: Final = "target/"
"""Prefix of one column per further target: its true value, missing where nobody measured it."""
MODEL_ID: Final = "model_id"

PREDICTION_COLUMNS: Final = (SAMPLE_ID, PATH, GROUP_ID, SPLIT, PREDICTION, MODEL_ID)
"""In `predictions.parquet`; classification adds label, probability and `prob/<class>`, regression adds target, and
`prediction/<name>` and `target/<name>` for each further target."""

NOVELTY: Final = "novelty"
"""How unlike the training images an image is, larger is stranger; missing where not measured."""
PHOTO_PREFIX: Final = "photo/"
"""Prefix of one column per measure of the photograph itself."""
SET: Final = "set"
"""Prediction set: JSON list of class names, in the order of the model's (classification)."""
SET_SIZE: Final = "set_size"
LOWER: Final = "lower"
"""Lower end of the interval of the main target, in its unit; `lower/<name>` for a further one (regression)."""
UPPER: Final = "upper"
VERDICT: Final = "verdict"
REASONS: Final = "reasons"
"""Names of the reasons against accepting the answer, joined by spaces, the gravest first; empty when accepted."""
