"""From source rows to the manifest: every fault is collected in one pass, the rest can be learned from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.facts.image_facts import ImageFacts
from phytoscope.data.readers.missing_images import suggest_files
from phytoscope.data.source import Source
from phytoscope.data.validate.answers import check_answers, find_contradictions
from phytoscope.data.validate.fault_log import FaultLog
from phytoscope.data.validate.more_columns import drop_negative_amounts
from phytoscope.data.validate.rules import check_rules
from phytoscope.data.validate.table_schema import check_manifest
from phytoscope.errors import DataValidationError
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.image_facts import REASON
from phytoscope.schema.progress import Progress
from phytoscope.schema.table import (
    DUPLICATE_ID,
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
    UNLABELLED_COLUMNS,
    WIDTH_PX,
    Task,
)

_FROM_FACTS = (SHA256, WIDTH_PX, HEIGHT_PX, GREEN_PX)
_REMEDIES = {
    "the file does not exist": "copy the image to this place or remove the row",
    "the file is empty": "copy the image again",
    "the file is truncated": "copy the image again",
}


@dataclass(frozen=True)
class Validated:
    """The rows of a source, sorted by what they are good for.

    Attributes:
        manifest: One row an image that can be learned from; `MANIFEST_COLUMNS`, then the user's as `meta/<name>`.
        unlabelled: One row a good image without an answer; `UNLABELLED_COLUMNS`, then the user's as `meta/<name>`.
        rejected: One row a fault for which a row was left out; `REJECTED_COLUMNS`.
        warnings: One row a fault in spite of which the row was kept; `REJECTED_COLUMNS`.
    """

    manifest: pd.DataFrame
    unlabelled: pd.DataFrame
    rejected: pd.DataFrame
    warnings: pd.DataFrame


def validate_source(source: Source, config: DataConfig, facts: ImageFacts, progress: Progress) -> Validated:
    """Finds every fault of the rows and sorts them into usable, unlabelled and rejected ones.

    Args:
        source: The user's rows.
        config: Allowed range of the target, rules, unit.
        facts: What is known of the images of `source.rows`, in the same order; only its table is read.
        progress: Told about the checks.

    Returns:
        Manifest, unlabelled and rejected rows, and warnings. The manifest may be empty: see `check_learnable`.

    Raises:
        ConfigError: A rule cannot be read, or names a column that is not there, as does a further target.
        ValueError: The facts are not those of the rows.
    """
    rows, table = source.rows.reset_index(drop=True), facts.table.reset_index(drop=True)
    if len(rows) != len(table):
        message = f"{len(table)} facts are given for {len(rows)} images; read the facts of source.rows['path']."
        raise ValueError(message)
    progress.start("Checking rows", 4)
    answers, faults, warnings = FaultLog(rows), FaultLog(rows), FaultLog(rows)
    faults.add_known(source.faults)
    warnings.add_known(source.warnings)
    unlabelled = check_answers(rows, source, config, answers)
    progress.advance()
    check_rules(rows, source, config, faults=faults, warnings=warnings)
    drop_negative_amounts(rows, config, warnings)
    _check_repeated(rows, source, faults)
    progress.advance()
    _check_images(rows, source, table, faults, warnings)
    progress.advance()
    # Whoever lacks nothing but the answer is kept apart.
    unlabelled = unlabelled & ~faults.hit
    answers.add_log(faults)
    rows[list(_FROM_FACTS)] = table[list(_FROM_FACTS)]
    find_contradictions(rows, source, answers)
    manifest = _build_manifest(rows[~answers.hit])
    apart = _sort_columns(_name_groups(rows[unlabelled]), UNLABELLED_COLUMNS)
    check_manifest(manifest, source.task)
    progress.advance()
    progress.finish()
    return Validated(manifest, apart, answers.to_table(), warnings.to_table())


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


def check_strict(validated: Validated, listed_in: Path) -> None:
    """Refuses data with any faulty row; warnings do not count.

    Args:
        validated: The checked rows.
        listed_in: Where the faults are listed.

    Raises:
        DataValidationError: There is a fault.
    """
    rejected = validated.rejected
    if len(rejected):
        images = len(rejected[[SOURCE_ROW, PATH]].drop_duplicates())
        message = (
            f"data.strict=true and {len(rejected)} faults in {images} rows: {summarise_rejected(rejected)}. "
            f"All are listed in {str(listed_in)!r}: mend them, or leave these rows out with data.strict=false."
        )
        raise DataValidationError(message)


def summarise_rejected(rejected: pd.DataFrame, limit: int = 6) -> str:
    """The reasons with their counts, most frequent first, in one line; empty when nothing was rejected."""
    kinds = pd.Series([reason.partition(":")[0] for reason in rejected["reason"]], dtype=object).value_counts()
    parts = [f"{count} x {reason}" for reason, count in kinds.head(limit).items()]
    return "; ".join(parts) + (f"; and {len(kinds) - limit} other reasons" if len(kinds) > limit else "")


def _check_images(
    rows: pd.DataFrame, source: Source, table: pd.DataFrame, faults: FaultLog, warnings: FaultLog
) -> None:
    reasons = table[REASON].astype(object)
    broken = (reasons != "").to_numpy(dtype=bool)
    absent = (reasons == "the file does not exist").to_numpy(dtype=bool)
    # A name without its extension is a file that is not there, whatever else it is.
    nameless = reasons.str.startswith("unknown image extension").to_numpy(dtype=bool)
    usual = reasons[broken].map({reason: _remedy(reason) for reason in set(reasons[broken])})
    unfound = rows[absent | nameless]
    guessed = pd.Series(suggest_files(unfound, source.image_folder), index=unfound.index, dtype=object)
    remedies = guessed.dropna().combine_first(usual)
    faults.add(
        broken,
        list(reasons[broken]),
        list(remedies.loc[rows.index[broken]]),
        column=source.image_column,
        value=list(rows.loc[broken, SAMPLE_ID]) if source.image_column else "",
    )
    outside = rows[SAMPLE_ID].str.startswith(("/", "../")).to_numpy(dtype=bool) & ~broken
    warnings.add(
        outside,
        "the image lies outside the image folder",
        "copy it into the folder, or name a folder above both; otherwise the table works on this computer only",
        column=source.image_column,
        value=list(rows.loc[outside, SAMPLE_ID]),
    )


def _remedy(reason: str) -> str:
    return next((text for start, text in _REMEDIES.items() if reason.startswith(start)), "convert or replace the image")


def _check_repeated(rows: pd.DataFrame, source: Source, faults: FaultLog) -> None:
    repeated = rows[SAMPLE_ID].duplicated(keep=False).to_numpy()
    if not repeated.any():
        return
    answer = LABEL if source.task is Task.classification else TARGET
    part = rows.loc[repeated, [SAMPLE_ID, SOURCE_ROW, answer]]
    # Missing beside a value is another answer too.
    different = part.assign(known=part[answer].astype(object).where(part[answer].notna(), "\0")).groupby(SAMPLE_ID)
    differs = (different["known"].transform("nunique") > 1).to_numpy()
    lines = part[SOURCE_ROW].astype(str).groupby(part[SAMPLE_ID])
    all_lines, first_line = part[SAMPLE_ID].map(lines.agg(", ".join)), part[SAMPLE_ID].map(lines.first())
    again = part[SAMPLE_ID].duplicated().to_numpy()
    positions = np.flatnonzero(repeated)
    contradictory, same = _mask(len(rows), positions[differs]), _mask(len(rows), positions[~differs & again])
    faults.add(
        contradictory,
        [f"the image is listed more than once with different values: lines {text}" for text in all_lines[differs]],
        "keep the right row only",
        column=source.image_column,
        value=list(part.loc[differs, SAMPLE_ID]),
    )
    faults.add(
        same,
        [f"the image is listed more than once: first in line {text}" for text in first_line[~differs & again]],
        "remove the row",
        column=source.image_column,
        value=list(part.loc[~differs & again, SAMPLE_ID]),
    )


def _mask(length: int, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    mask = np.zeros(length, dtype=bool)
    mask[positions] = True
    return mask


def _build_manifest(rows: pd.DataFrame) -> pd.DataFrame:
    manifest = _name_groups(rows)
    for column in (LABEL, TARGET):
        if column not in manifest:
            manifest[column] = None if column == LABEL else np.nan
    manifest[LABEL] = manifest[LABEL].astype(object)
    manifest[TARGET] = manifest[TARGET].astype(float)
    # Same bytes, same cluster; near-duplicates join clusters later.
    manifest[DUPLICATE_ID] = manifest[SHA256]
    return _sort_columns(manifest, MANIFEST_COLUMNS)


def _name_groups(rows: pd.DataFrame) -> pd.DataFrame:
    # An image without a group is a group of its own, named after its content so that a copy of it comes along.
    rows = rows.copy()
    groups = rows[GROUP_ID].astype(object)
    rows[GROUP_ID] = groups.where(groups.notna(), _name_by_content(rows))
    return rows


def _name_by_content(rows: pd.DataFrame) -> pd.Series:
    return ("image/" + rows[SHA256].astype(object).str[:16]).astype(object)


def _sort_columns(rows: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    meta = [name for name in rows.columns if str(name).startswith(META_PREFIX)]
    return rows[[*columns, *meta]].sort_values(SAMPLE_ID, kind="stable", ignore_index=True)
