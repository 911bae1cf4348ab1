"""Several ways to write one thing: labels that mean the same, and numbers that mean "not measured"."""

import re
import unicodedata

import numpy as np
from numpy.typing import NDArray

CODES_FOR_MISSING = (-99.0, -999.0, -9999.0, -99999.0, -999999.0)
"""Numbers that people write for "not measured" where no real value is negative."""


def find_codes(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which numbers are codes for "not measured": -99, -999, ... in a column without any other negative number.

    Args:
        values: Shape (N,); NaN is missing.

    Returns:
        Shape (N,), bool.
    """
    codes = np.isin(values, CODES_FOR_MISSING)
    return codes if codes.any() and not (values[~codes] < 0).any() else np.zeros(len(values), dtype=bool)


def fold_label(label: str) -> str:
    """The label without regard to case, spaces and underscores.

    Numbers stay as they are, and what parts two digits stays a parting: `p1_1` is not `p11`. Hyphens and other signs
    count: `-N` (without nitrogen) is not `N`, and `A-` not `A`.
    """
    text = unicodedata.normalize("NFKC", label).casefold().strip()
    if re.search(r"[^\W\d_]", text) is None:
        return text
    return re.sub(r"[\s_]+", "", re.sub(r"(?<=\d)[\s_]+(?=\d)", "/", text))
