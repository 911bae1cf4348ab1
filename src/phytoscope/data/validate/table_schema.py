"""What a finished manifest promises, checked with pandera."""

import os
from typing import Any

import pandas as pd

from phytoscope.errors import DataValidationError
from phytoscope.schema.table import (
    DUPLICATE_ID,
    GREEN_PX,
    GROUP_ID,
    HEIGHT_PX,
    LABEL,
    PATH,
    SAMPLE_ID,
    SHA256,
    SOURCE_ROW,
    TARGET,
    WIDTH_PX,
    Task,
)

_SHOWN = 5


def check_manifest(manifest: pd.DataFrame, task: Task) -> None:
    """Makes sure that a manifest is what every later step takes it for.

    Columns and their types, names that occur once, hashes that are hashes, sizes above zero, finite targets.

    Args:
        manifest: One row an image.
        task: Whether `label` or `target` must be filled.

    Raises:
        DataValidationError: It is not; the text lists every promise that is broken, with examples.
    """
    # Loading it takes half a second, which no other command should wait for.
    os.environ.setdefault("DISABLE_PANDERA_IMPORT_WARNING", "True")
    import pandera.errors

    try:
        _build_schema(task).validate(manifest, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        parts = []
        for (column, check), part in cases.groupby(["column", "check"], sort=True, dropna=False):
            examples = ", ".join(repr(value) for value in part["failure_case"].head(_SHOWN))
            parts.append(f"{column}: {check} fails for {len(part)} rows ({examples})")
        message = f"the manifest is not sound: {'; '.join(parts)}. Prepare the data again."
        raise DataValidationError(message) from error


def _build_schema(task: Task) -> Any:
    import pandera.pandas as pa

    is_classification = task is Task.classification
    size = pa.Check.ge(1, error="at least 1 px")
    columns = {
        SAMPLE_ID: pa.Column(nullable=False, unique=True),
        PATH: pa.Column(nullable=False),
        SHA256: pa.Column(
            checks=pa.Check.str_matches(r"^[0-9a-f]{64}$", error="64 hexadecimal digits"), nullable=False
        ),
        WIDTH_PX: pa.Column(int, size, coerce=True),
        HEIGHT_PX: pa.Column(int, size, coerce=True),
        GREEN_PX: pa.Column(int, pa.Check.ge(0, error="at least 0 px"), coerce=True),
        SOURCE_ROW: pa.Column("Int64", pa.Check.ge(1, error="a line of the table"), nullable=True),
        LABEL: pa.Column(nullable=not is_classification),
        TARGET: pa.Column(float, pa.Check(_is_finite, error="finite"), nullable=is_classification),
        GROUP_ID: pa.Column(nullable=False),
        DUPLICATE_ID: pa.Column(nullable=False),
    }
    return pa.DataFrameSchema(columns, strict=False)


def _is_finite(values: pd.Series) -> pd.Series:
    return values.abs() != float("inf")
