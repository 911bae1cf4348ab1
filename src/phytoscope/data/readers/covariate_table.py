"""Reads a table of what is known of some images beside their pictures, for a model that was trained with it."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from phytoscope.data.readers.cells import canonical_text
from phytoscope.data.readers.covariates import map_unique, read_covariates
from phytoscope.data.readers.read_labels import find_image_column
from phytoscope.data.readers.read_table import DECIMAL_COMMA, match_name, read_table
from phytoscope.data.readers.units import fold_name, same_unit, split_unit
from phytoscope.data.source import Fault
from phytoscope.errors import ConfigError, suggest


@dataclass(frozen=True)
class CovariateTable:
    """What a table says of some images.

    Attributes:
        images: Name of each row's image.
        columns: The columns that were asked for and found, under the names that were asked for.
        absent: Names that the table has no column for.
        faults: Cells that could not be read; they count as missing.
    """

    images: list[str]
    columns: pd.DataFrame
    absent: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def read_covariate_table(path: Path, names: tuple[str, ...]) -> CovariateTable:
    """Reads the rows that name an image.

    Args:
        path: A table in any format that `read_table` understands, with a column of image names.
        names: Columns to look for; they are matched as in `find_column`.

    Raises:
        ConfigError: There is no column of image names, none of the columns is there, or one is in another unit.
        DataNotFoundError: The file cannot be opened, or the table has no row.
        DataValidationError: The file cannot be read.
    """
    table = read_table(path)
    image_column = find_image_column(table, None)
    commas = table.attrs[DECIMAL_COMMA]
    images = map_unique(table[image_column], canonical_text).dropna()
    own = {name: _find(name, [str(column) for column in table.columns]) for name in names}
    found = {name: column for name, column in own.items() if column is not None}
    if not found:
        message = (
            f"{str(path)!r} has none of the columns that the model sees ({', '.join(map(repr, names))}); "
            f"{suggest(names[0], map(str, table.columns))}"
        )
        raise ConfigError(message)
    columns, faults = read_covariates(table.loc[images.index, list(found.values())], images, commas, [])
    columns = pd.DataFrame({name: columns[column] for name, column in found.items()})
    return CovariateTable(
        [str(name) for name in images], columns, [name for name in names if name not in found], faults
    )


def _find(name: str, columns: list[str]) -> str | None:
    # A name that fits several columns is the user's to settle; one that fits none is missing.
    if not any(fold_name(column) == fold_name(name) for column in columns):
        return None
    found = match_name(name, columns, "--table")
    learned, given = split_unit(name)[1], split_unit(found)[1]
    if learned and given and not same_unit(learned, given):
        message = f"the model learned the column {name!r}, in {learned}, but the table has {found!r}: convert it first."
        raise ConfigError(message)
    return found
