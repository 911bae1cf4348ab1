"""Pictures that stand out: too dark, too light, blurry, empty, of another size or shape, grey, misnamed, turned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.facts.image_facts import ImageFacts
from phytoscope.schema.audit import QualityIssue
from phytoscope.schema.image_facts import (
    BRIGHTNESS_HIGH,
    BRIGHTNESS_LOW,
    CONTRAST,
    DETAIL,
    ENTROPY,
    EXIF_ORIENTATION,
    FORMAT,
    REASON,
    SATURATION,
    SHARPNESS,
)
from phytoscope.schema.table import HEIGHT_PX, PATH, SAMPLE_ID, WIDTH_PX

EXAMPLES = 50
"""So many pictures of each kind are named unless the caller says otherwise."""

_DARK_BELOW = 0.32
_LIGHT_ABOVE = 0.93
_BLURRY_BELOW = 0.012
_SOFT_BELOW = 0.298
_MAYBE_BLURRY_BELOW = 0.04
_LITTLE_BITS = 3.0
_GREY_BELOW = 0.02
_ASPECT_ABOVE = 1 / 0.35
_OUTLIER = 4.0
_FENCE = 3.0
_MANY = 0.2
"""Share of the pictures beyond a fixed line from which on it is the set that is so, and not some of its pictures."""
_ENOUGH = 20
_SUFFIXES = {
    "JPEG": {".jpg", ".jpeg"},
    "MPO": {".jpg", ".jpeg"},
    "PNG": {".png"},
    "BMP": {".bmp"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
}


@dataclass(frozen=True)
class _Check:
    """One way of standing out: which pictures do, and how badly (larger is worse)."""

    name: str
    description: str
    flagged: NDArray[np.bool_]
    badness: NDArray[np.float64]


def find_quality_issues(pictures: pd.DataFrame, facts: ImageFacts, *, examples: int = EXAMPLES) -> list[QualityIssue]:
    """Finds the pictures of a manifest that stand out; see `judge_quality`.

    Args:
        pictures: Columns `sample_id` and `path`; every path is one of the facts'.
        facts: What is known of the image files.
        examples: So many are named of each kind.
    """
    position = pd.Index(facts.table[PATH]).get_indexer_for(pictures[PATH].drop_duplicates())
    rows = facts.table.iloc[position].set_index(PATH, drop=False).loc[pictures[PATH]].reset_index(drop=True)
    return judge_quality(rows, pictures[SAMPLE_ID].tolist(), examples=examples)


def judge_quality(table: pd.DataFrame, sample_ids: Sequence[str], *, examples: int = EXAMPLES) -> list[QualityIssue]:
    """Finds pictures that stand out in one respect.

    Some lines are fixed: what is black, white, blurred or empty is so in any set. The others are drawn from the set
    itself with robust statistics (median and quartiles), which a few odd pictures cannot move.

    Args:
        table: Small columns of the image facts; unreadable files are passed over.
        sample_ids: Name of each row.
        examples: So many are named of each kind.

    Returns:
        One issue for each kind that occurs, in a fixed order; empty when nothing stands out.
    """
    readable = (table[REASON] == "").to_numpy()
    rows = table.loc[readable]
    names = np.asarray(sample_ids, dtype=object)[readable]
    if len(rows) == 0:
        return []
    issues = []
    for check in [check for find in _CHECKS for check in _tell_set_apart(find(rows))]:
        found = np.flatnonzero(check.flagged)
        if len(found):
            worst = found[np.argsort(-check.badness[found], kind="stable")]
            share = len(found) / len(rows)
            issues.append(
                QualityIssue(check.name, check.description, len(found), share, names[worst[:examples]].tolist())
            )
    return issues


def _numbers(rows: pd.DataFrame, column: str) -> NDArray[np.float64]:
    return rows[column].to_numpy(dtype=np.float64)


def _tell_set_apart(check: _Check) -> list[_Check]:
    """Where many pictures are dark or light, one check for the set, and one for those that are so beside the others."""
    share = float(check.flagged.mean())
    if check.name not in ("dark", "light") or len(check.flagged) < _ENOUGH or share <= _MANY:
        return [check]
    _, unusual = _robust(np.log(np.abs(check.badness) + 1e-3))
    beyond = unusual < -_OUTLIER if check.name == "dark" else unusual > _OUTLIER
    text = f"{check.description} So many are that the light of the set is like that, and the pictures are no outliers."
    return [
        replace(check, flagged=check.flagged & beyond),
        replace(check, name=f"{check.name}_set", description=text),
    ]


def _find_dark(rows: pd.DataFrame) -> _Check:
    high = _numbers(rows, BRIGHTNESS_HIGH)
    text = f"99 % of the pixels are darker than {_DARK_BELOW:g} of full brightness."
    return _Check("dark", text, high < _DARK_BELOW, -high)


def _find_light(rows: pd.DataFrame) -> _Check:
    low = _numbers(rows, BRIGHTNESS_LOW)
    text = f"95 % of the pixels are lighter than {_LIGHT_ABOVE:g} of full brightness."
    return _Check("light", text, low > _LIGHT_ABOVE, low)


def _find_blurry(rows: pd.DataFrame) -> _Check:
    # Divided by the contrast, because a dim picture has weak edges without being blurred.
    ratio = _numbers(rows, SHARPNESS) / np.maximum((255 * _numbers(rows, CONTRAST)) ** 2, 1.0)
    detail = _numbers(rows, DETAIL)
    usual, unusual = _robust(np.log(np.maximum(ratio, 1e-6)))
    outlier = (ratio < _MAYBE_BLURRY_BELOW) & (unusual < -_OUTLIER)
    text = (
        f"Edges at 256 pixels, relative to the contrast, are below {_BLURRY_BELOW:g} (half of these images have more "
        f"than {np.exp(usual):.2g}), or below {_MAYBE_BLURRY_BELOW:g} and far from the rest, or the picture is soft "
        f"even at 64 pixels (score below {_SOFT_BELOW:g})."
    )
    return _Check("blurry", text, (ratio < _BLURRY_BELOW) | outlier | (detail < _SOFT_BELOW), -ratio)


def _find_low_information(rows: pd.DataFrame) -> _Check:
    bits = _numbers(rows, ENTROPY)
    text = f"The levels of brightness hold less than {_LITTLE_BITS:g} bits a pixel of 8: there is little to be seen."
    return _Check("low_information", text, bits < _LITTLE_BITS, -bits)


def _find_odd_size(rows: pd.DataFrame) -> _Check:
    side = np.sqrt(_numbers(rows, WIDTH_PX) * _numbers(rows, HEIGHT_PX))
    first, middle, third = np.percentile(side, [25, 50, 75])
    low, high = first - _FENCE * (third - first), third + _FENCE * (third - first)
    # A rounding of one pixel is no other size.
    flagged = ((side < low) & (side < 0.99 * middle)) | ((side > high) & (side > 1.01 * middle))
    text = (
        f"The square root of the area is outside {max(0.0, low):.0f} to {high:.0f} pixels; half of the images have "
        f"less than {middle:.0f}."
    )
    return _Check("odd_size", text, flagged & (len(rows) >= _ENOUGH), np.abs(np.log(side / middle)))


def _find_odd_aspect(rows: pd.DataFrame) -> _Check:
    width, height = _numbers(rows, WIDTH_PX), _numbers(rows, HEIGHT_PX)
    aspect = np.maximum(width / height, height / width)
    text = f"One side is more than {_ASPECT_ABOVE:.2g} times the other."
    return _Check("odd_aspect", text, aspect > _ASPECT_ABOVE, aspect)


def _find_greyscale(rows: pd.DataFrame) -> _Check:
    saturation = _numbers(rows, SATURATION)
    text = f"The mean saturation is below {_GREY_BELOW:g}: the picture has no colours."
    return _Check("greyscale", text, saturation < _GREY_BELOW, -saturation)


def _find_misnamed(rows: pd.DataFrame) -> _Check:
    flagged = np.array(
        [
            PurePath(path).suffix.lower() not in _SUFFIXES.get(name, set())
            for path, name in zip(rows[PATH], rows[FORMAT], strict=True)
        ],
        dtype=bool,
    )
    pairs = sorted(
        {
            f"{name} named {PurePath(path).suffix}"
            for path, name in rows.loc[flagged, [PATH, FORMAT]].itertuples(index=False)
        }
    )
    text = f"The extension does not match the content ({', '.join(pairs)}); other programs may refuse the file."
    return _Check("misnamed", text, flagged, flagged.astype(np.float64))


def _find_turned(rows: pd.DataFrame) -> _Check:
    flagged = (rows[EXIF_ORIENTATION] > 1).to_numpy()
    text = (
        "The camera recorded that the picture must be turned or mirrored. It is shown upright here; programs that "
        "ignore the record see it lying."
    )
    return _Check("exif_rotated", text, flagged, flagged.astype(np.float64))


_CHECKS: tuple[Callable[[pd.DataFrame], _Check], ...] = (
    _find_dark,
    _find_light,
    _find_blurry,
    _find_low_information,
    _find_odd_size,
    _find_odd_aspect,
    _find_greyscale,
    _find_misnamed,
    _find_turned,
)


def _robust(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Median, and how far each value is from it in robust standard deviations, shape (N,)."""
    median = float(np.median(values))
    # In an even set the spread is tiny and everything would be far away: a factor of 1.5 is never far.
    deviation = max(1.4826 * float(np.median(np.abs(values - median))), 0.4)
    return median, (values - median) / deviation
