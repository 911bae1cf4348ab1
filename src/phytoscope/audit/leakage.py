"""Leakage of a split that was given: what stands on both sides of it, in words."""

import pandas as pd

from phytoscope.audit.evidence import Skipped
from phytoscope.data.split.leaks import find_leaks
from phytoscope.schema.table import SAMPLE_ID


def describe_leaks(manifest: pd.DataFrame, split: pd.DataFrame) -> list[str] | Skipped:
    """Says of every group, file and picture that stands on both sides of a split where two of its images are.

    Args:
        manifest: One row an image with `sample_id`, `sha256`, `group_id` and `duplicate_id`.
        split: Columns `sample_id` and `split`; images that it does not name are left out.

    Returns:
        One sentence a leak, copies first; `Skipped` when the split names no image of the manifest.
    """
    if not split[SAMPLE_ID].isin(manifest[SAMPLE_ID]).any():
        return Skipped("the split names no image of these data")
    return [leak.text for leak in find_leaks(manifest, split)]
