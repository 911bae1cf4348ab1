"""What stands beside the answers: the user's own columns and what the files themselves say, each as one plain type."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from phytoscope.audit.evidence import find_roles
from phytoscope.data.readers.times import unify_unix
from phytoscope.schema.image_facts import (
    BRIGHTNESS,
    CAMERA,
    EXIF_TIME,
    GREEN_FRACTION,
    SHARPNESS,
    SIZE_BYTES,
)
from phytoscope.schema.table import GREEN_PX, HEIGHT_PX, META_PREFIX, WIDTH_PX

_FROM_THE_IMAGE = {
    GREEN_PX: "green pixels",
    GREEN_FRACTION: "green share of the picture",
    WIDTH_PX: "image width (px)",
    HEIGHT_PX: "image height (px)",
    BRIGHTNESS: "brightness",
    SHARPNESS: "sharpness",
    SIZE_BYTES: "file size (bytes)",
    CAMERA: "camera (EXIF)",
    EXIF_TIME: "time taken (EXIF)",
}
_ISO = re.compile(r"^\d{4}-\d{2}-\d{2}")
_GERMAN_DATE = re.compile(r"^\d{1,2}\.\d{1,2}\.\d{4}")


@dataclass(frozen=True)
class Column:
    """One column beside the answers.

    Attributes:
        name: The user's own name, or what was measured in the image.
        cells: Texts, numbers or truth values, missing where there is none.
        own: Whether it stands in the user's table.
        numbers: As floats, NaN where missing; None when it holds no numbers.
        times: As times without a zone; None when it holds no times.
        is_age: Whether it is the age of the plant.
    """

    name: str
    cells: pd.Series
    own: bool
    numbers: pd.Series | None
    times: pd.Series | None
    is_age: bool = False

    @property
    def n_distinct(self) -> int:
        """Number of different values, missing ones not counted."""
        return int(self.cells.nunique(dropna=True))


def collect_columns(manifest: pd.DataFrame, facts: pd.DataFrame | None = None) -> list[Column]:
    """Lists every column beside the answers, the user's own first.

    Args:
        manifest: One row an image; the user's columns are `meta/<name>`.
        facts: Table of image facts, one row for each row of the manifest in the same order; None when there is none.
    """
    roles = find_roles(manifest.columns)
    columns = [
        _make_column(
            str(name).removeprefix(META_PREFIX),
            manifest[name].reset_index(drop=True),
            own=True,
            may_be_time=name in roles.times,
            is_age=name == roles.age,
        )
        for name in manifest.columns
        if str(name).startswith(META_PREFIX)
    ]
    for name, words in _FROM_THE_IMAGE.items():
        source = facts if facts is not None and name in facts else manifest
        if name in source:
            values = source[name].reset_index(drop=True).replace("", None)
            if values.notna().any():
                columns.append(_make_column(words, values, own=False, may_be_time=name == EXIF_TIME))
    return columns


def _make_column(name: str, values: pd.Series, *, own: bool, may_be_time: bool, is_age: bool = False) -> Column:
    times = _to_times(values, is_named_time=may_be_time)
    numbers = _to_numbers(values)
    if numbers is None and times is not None:
        numbers = (times - pd.Timestamp(0)).dt.total_seconds()
    return Column(name, values, own, numbers, times, is_age)


def _to_numbers(values: pd.Series) -> pd.Series | None:
    if values.notna().sum() == 0:
        return None
    is_flag = pd.api.types.is_bool_dtype(values) or (
        values.dtype == object and pd.api.types.infer_dtype(values, skipna=True) == "boolean"
    )
    if is_flag or pd.api.types.is_numeric_dtype(values):
        numbers: pd.Series = values.astype("Float64").astype(float)
        return numbers.where(np.isfinite(numbers))
    return None


def _to_times(values: pd.Series, *, is_named_time: bool) -> pd.Series | None:
    present = values.dropna()
    if present.empty:
        return None
    if pd.api.types.is_datetime64_any_dtype(values):
        clock: pd.Series = values.dt.tz_localize(None)
        return clock
    if pd.api.types.is_bool_dtype(values):
        return None
    if pd.api.types.is_numeric_dtype(values):
        return _from_unix(values.astype(float)) if is_named_time else None
    first = str(present.iloc[0])
    if _ISO.match(first):
        times = pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True).dt.tz_localize(None)
    elif _GERMAN_DATE.match(first):
        times = pd.to_datetime(values.str.split().str[0], errors="coerce", format="%d.%m.%Y")
    else:
        return None
    return times if times.notna().sum() >= 0.9 * len(present) else None


def _from_unix(numbers: pd.Series) -> pd.Series | None:
    seconds = pd.Series(unify_unix(numbers.to_numpy(dtype=float)), index=numbers.index)
    # One number that is no time, and nobody knows what the others are.
    return pd.to_datetime(seconds, unit="s") if seconds.notna().sum() == numbers.notna().sum() else None
