"""How people call the parts of a split."""

from collections import Counter
from typing import Final

import pandas as pd

from phytoscope.data.readers.cells import canonical_text
from phytoscope.errors import SplitError
from phytoscope.schema.table import Split

NAMES_OF_SPLIT: Final = {
    Split.train: ("train", "training"),
    Split.val: ("val", "valid", "validation", "dev"),
    Split.calibration: ("calibration", "calib", "cal"),
    Split.test: ("test", "testing", "holdout"),
}
"""How people call the splits; upper and lower case are the same."""
_SPLIT_OF_NAME = {name: str(split) for split, names in NAMES_OF_SPLIT.items() for name in names}
_SHOWN = 10


def official_split_of(names: pd.Series) -> pd.Series:
    """Translates what people call the splits (`training`, `Dev`, `holdout`, ...) into the four names used here.

    Args:
        names: One name an image.

    Returns:
        `train`, `val`, `calibration` or `test` for each image, with the same index.

    Raises:
        SplitError: A value is missing or none of the names understood; the text counts them and lists the names.
    """
    texts = [canonical_text(value) if value is not pd.NA else None for value in names]
    wrong = Counter(text for text in texts if text is None or not is_split_name(text)).most_common()
    if wrong:
        shown = ", ".join(
            f"{'nothing' if text is None else repr(text)} ({number} images)" for text, number in wrong[:_SHOWN]
        )
        more = f" and {len(wrong) - _SHOWN} other values" if len(wrong) > _SHOWN else ""
        allowed = "; ".join(f"{split}: {', '.join(words)}" for split, words in NAMES_OF_SPLIT.items())
        message = (
            f"the official split says {shown}{more} where the name of a split should stand. Understood are {allowed}. "
            "Correct the column, or leave out data.split.column so that a split is drawn."
        )
        raise SplitError(message)
    splits = [_SPLIT_OF_NAME[str(text).strip().casefold()] for text in texts]
    return pd.Series(splits, index=names.index, dtype=object)


def is_split_name(name: str) -> bool:
    """Whether a folder or value of this name is a split: `train`, `Validation`, `holdout`, ..."""
    return name.strip().casefold() in _SPLIT_OF_NAME
