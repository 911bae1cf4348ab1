"""From source rows to the manifest: every image opened once, every fault collected, the rest can be learned from."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.source import Fault, Source, faults_to_table
from phytoscope.errors import DataValidationError, ImageReadError
from phytoscope.schema.config import DataConfig
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import (
    GREEN_PX,
    GROUP_ID,
    HEIGHT_PX,
    LABEL,
    MANIFEST_COLUMNS,
    META_PREFIX,
    PATH,
    SAMPLE_ID,
    SHA256,
    SOURCE_ROW,
    TARGET,
    WIDTH_PX,
    Task,
)
from phytoscope.transforms.decode import IMAGE_SUFFIXES, decode_image, read_bytes
from phytoscope.transforms.stream import map_ordered

_PIXELS_LOOKED_AT = 1_000_000


@dataclass(frozen=True)
class Validated:
    """The manifest (one row an image that can be used) and the rejected rows, one row a fault."""

    manifest: pd.DataFrame
    rejected: pd.DataFrame


@dataclass(frozen=True)
class ImageFacts:
    """What one look at an image gives; `reason` is set, and the rest empty, when it cannot be read."""

    sha256: str = ""
    width_px: int = 0
    height_px: int = 0
    green_px: int = 0
    reason: str = ""


def validate_source(source: Source, config: DataConfig, progress: Progress) -> Validated:
    """Opens every image and sorts the rows into usable and rejected ones.

    Args:
        source: The user's rows.
        config: Allowed range of the target, size limit, number of workers.
        progress: Told about every image.

    Returns:
        Manifest and rejected rows. The manifest may be empty: see `check_learnable`.
    """
    faults = [*source.faults, *_label_faults(source, config), *_repeated_names(source)]
    unusable = {(fault.source_row, fault.path) for fault in faults}
    keep = [
        (None if pd.isna(row) else int(row), name) not in unusable
        for row, name in zip(source.rows[SOURCE_ROW], source.rows[SAMPLE_ID], strict=True)
    ]
    # An image with a fault in its row is still opened, so that one pass names all its faults.
    facts = _look_at_images(source.rows[PATH], config, progress)
    faults += _image_faults(source, facts)
    readable = np.array([not fact.reason for fact in facts], dtype=bool)
    usable = readable & np.array(keep, dtype=bool)
    manifest = _manifest(source.rows[usable], [fact for fact, use in zip(facts, usable, strict=True) if use])
    manifest, more = _reject_contradictions(manifest, source)
    return Validated(manifest, faults_to_table([*faults, *more]))


def check_learnable(validated: Validated, source: Source) -> None:
    """Refuses a manifest from which nothing can be learned.

    Raises:
        DataValidationError: No usable row, fewer than two classes, or a target that never changes; the text sums up
            why rows were rejected.
    """
    manifest = validated.manifest
    why = summarise_rejected(validated.rejected)
    if manifest.empty:
        known = set(source.rows[SAMPLE_ID])
        total = len(source.rows) + sum(fault.path not in known for fault in source.faults)
        remedies = validated.rejected["remedy"].value_counts()
        first = f" First: {remedies.index[0]}." if len(remedies) else ""
        message = f"none of the {total} images can be used: {why or 'there are none'}.{first}"
        raise DataValidationError(message)
    if source.task is Task.classification:
        classes = sorted(manifest[LABEL].unique())
        if len(classes) < 2:
            message = (
                f"there is only one class with usable images ({classes[0]!r}); at least two are needed. "
                f"Rejected: {why or 'none'}."
            )
            raise DataValidationError(message)
    elif manifest[TARGET].nunique() < 2:
        value = manifest[TARGET].iloc[0]
        message = (
            f"the target {source.target_name!r} is {value:g} in every usable row; there is nothing to learn. "
            f"Rejected: {why or 'none'}."
        )
        raise DataValidationError(message)


def summarise_rejected(rejected: pd.DataFrame, limit: int = 6) -> str:
    """The reasons with their counts, most frequent first, in one line; empty when nothing was rejected."""
    kinds = pd.Series([reason.partition(":")[0] for reason in rejected["reason"]], dtype=object).value_counts()
    parts = [f"{count} x {reason}" for reason, count in kinds.head(limit).items()]
    return "; ".join(parts) + (f"; and {len(kinds) - limit} other reasons" if len(kinds) > limit else "")


def count_green_pixels(pixels: NDArray[np.uint8]) -> int:
    """Counts the pixels that belong to the plant because they are greener than the rest.

    Excess green 2g - r - b (Woebbecke et al. 1995, doi 10.13031/2013.27838), cut where Otsu's threshold (1979, doi
    10.1109/TSMC.1979.4310076) parts the picture: a fixed threshold fails under a colour cast.

    Args:
        pixels: Shape (H, W, 3), uint8, RGB, 0-255.
    """
    # A large photograph is looked at in every second, third, ... row and column: the share of green is the same.
    stride = max(1, math.isqrt(pixels.shape[0] * pixels.shape[1] // _PIXELS_LOOKED_AT))
    red, green, blue = (pixels[::stride, ::stride, channel].astype(np.int16) for channel in range(3))
    excess = np.clip(2 * green - red - blue, 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(excess, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    share = float(np.mean(excess > threshold))
    height, width = pixels.shape[:2]
    return int(share * height * width + 0.5)


def _look_at_images(paths: pd.Series, config: DataConfig, progress: Progress) -> list[ImageFacts]:
    progress.start("Looking at images", len(paths))
    facts = list(map_ordered(lambda path: _look_at(path, config.max_megapixels), paths, config.workers, progress))
    progress.finish()
    return facts


def _look_at(path: str, max_megapixels: float) -> ImageFacts:
    suffix = Path(path).suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        return ImageFacts(reason=f"unknown image extension {suffix!r}")
    try:
        content = read_bytes(Path(path))
        pixels = decode_image(content, name=path, max_megapixels=max_megapixels)
    except ImageReadError as error:
        return ImageFacts(reason=error.reason)
    height, width = pixels.shape[:2]
    return ImageFacts(hashlib.sha256(content).hexdigest(), width, height, count_green_pixels(pixels))


def _label_faults(source: Source, config: DataConfig) -> list[Fault]:
    rows, name = source.rows, source.target_name
    if source.task is Task.classification:
        missing = rows[LABEL].isna()
        return [
            _row_fault(row, name, "the label is missing", "label the image or leave it out")
            for row in _rows(rows[missing])
        ]
    # A target that is text was read as missing and has its fault already.
    named = {fault.source_row for fault in source.faults if fault.column == name}
    faults = [
        _row_fault(row, name, "the target is missing", "measure it or leave the row out")
        for row in _rows(rows[rows[TARGET].isna()])
        if row[SOURCE_ROW] not in named
    ]
    for bound, is_low in ((config.target_min, True), (config.target_max, False)):
        if bound is None:
            continue
        outside = rows[TARGET] < bound if is_low else rows[TARGET] > bound
        reason = f"the target is {'below' if is_low else 'above'} {bound:g}"
        remedy = f"correct the value, or change data.target_{'min' if is_low else 'max'}"
        faults += [_row_fault(row, name, reason, remedy, value=f"{row[TARGET]:g}") for row in _rows(rows[outside])]
    return faults


def _rows(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _row_fault(row: dict[str, Any], column: str, reason: str, remedy: str, value: str = "") -> Fault:
    line = row[SOURCE_ROW]
    return Fault(row[SAMPLE_ID], reason, remedy, column, value, None if pd.isna(line) else int(line))


def _repeated_names(source: Source) -> list[Fault]:
    rows = source.rows
    answer = LABEL if source.task is Task.classification else TARGET
    faults: list[Fault] = []
    for _, part in rows[rows[SAMPLE_ID].duplicated(keep=False)].groupby(SAMPLE_ID, sort=False):
        records = _rows(part)
        if len(part[answer].unique()) > 1:
            lines = ", ".join(str(row[SOURCE_ROW]) for row in records)
            reason = f"the image is listed more than once with different values: lines {lines}"
            faults += [_row_fault(row, source.image_column, reason, "keep the right row only") for row in records]
        else:
            reason = f"the image is listed more than once: first in line {records[0][SOURCE_ROW]}"
            faults += [_row_fault(row, source.image_column, reason, "remove the row") for row in records[1:]]
    return faults


_REMEDIES = {
    "the file does not exist": "copy the image to this place or remove the row",
    "the file is empty": "copy the image again",
    "the file is truncated": "copy the image again",
}


def _image_faults(source: Source, facts: list[ImageFacts]) -> list[Fault]:
    faults = []
    for row, fact in zip(_rows(source.rows), facts, strict=True):
        if fact.reason:
            remedy = next(
                (text for start, text in _REMEDIES.items() if fact.reason.startswith(start)),
                "convert or replace the image",
            )
            faults.append(_row_fault(row, source.image_column, fact.reason, remedy))
    return faults


def _manifest(rows: pd.DataFrame, facts: list[ImageFacts]) -> pd.DataFrame:
    manifest = rows.reset_index(drop=True).copy()
    for column, values in (
        (SHA256, [fact.sha256 for fact in facts]),
        (WIDTH_PX, [fact.width_px for fact in facts]),
        (HEIGHT_PX, [fact.height_px for fact in facts]),
        (GREEN_PX, [fact.green_px for fact in facts]),
    ):
        manifest[column] = values
    for column in (LABEL, TARGET):
        if column not in manifest:
            manifest[column] = None if column == LABEL else np.nan
    # An image without a group is a group of its own, named after its content so that a copy of it comes along.
    alone = manifest[GROUP_ID].isna()
    manifest[GROUP_ID] = (
        manifest[GROUP_ID].where(~alone, [f"image/{sha256[:16]}" for sha256 in manifest[SHA256]]).astype(object)
    )
    manifest[LABEL] = manifest[LABEL].astype(object)
    meta = [name for name in manifest.columns if str(name).startswith(META_PREFIX)]
    return manifest[[*MANIFEST_COLUMNS, *meta]].sort_values(SAMPLE_ID, kind="stable", ignore_index=True)


def _reject_contradictions(manifest: pd.DataFrame, source: Source) -> tuple[pd.DataFrame, list[Fault]]:
    answer = LABEL if source.task is Task.classification else TARGET
    faults: list[Fault] = []
    for _, part in manifest[manifest[SHA256].duplicated(keep=False)].groupby(SHA256, sort=False):
        if len(part[answer].unique()) > 1:
            records = _rows(part)
            for row in records:
                others = ", ".join(f"{other[SAMPLE_ID]} ({other[answer]})" for other in records if other is not row)
                reason = f"the same picture has another answer elsewhere: {others}"
                faults.append(
                    _row_fault(
                        row,
                        source.target_name,
                        reason,
                        "find out which is right and remove the other",
                        str(row[answer]),
                    )
                )
    rejected = {fault.path for fault in faults}
    return manifest[~manifest[SAMPLE_ID].isin(rejected)].reset_index(drop=True), faults
