"""Reads spreadsheets as people export them: CSV, TSV, XLSX or Parquet, with decimal commas and German words."""

import csv
import io
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
from openpyxl.utils.exceptions import InvalidFileException

from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError, suggest

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".parquet")
DECIMAL_COMMA = "decimal_comma"
"""Key in the `attrs` of a table: whether its texts write decimals with a comma."""
_EMPTY = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "#n/a", "#nv", "?"})
_BOOLEANS = {"wahr": True, "falsch": False, "true": True, "false": False}
# A group of thousands never starts with 0 and always has three digits; anything else after one comma is a decimal.
_DECIMAL_COMMA = re.compile(r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),(?:\d{1,2}|\d{4,})$|^[+-]?0,\d+$")
_GERMAN = re.compile(r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d*)(?:,\d+)?(?:[eE][+-]?\d+)?$")
_ENGLISH = re.compile(r"^[+-]?(?:\d{1,3}(?:,\d{3})+|\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?$")
_LEADING_ZERO = re.compile(r"^[+-]?0\d")


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table and gives every column one plain type: float, bool or text.

    Decimal commas and `WAHR`/`FALSCH` are understood; empty cells and the usual words for nothing become missing. A
    column of numbers in which some cells are not numbers stays text, so that validation can name those cells.

    Args:
        path: A `.csv`, `.tsv`, `.txt`, `.xlsx` or `.parquet` file. Of a workbook the first sheet is read.

    Returns:
        The table, one row per line; the index is the line number as a spreadsheet counts (the header is line 1).

    Raises:
        ConfigError: The extension is not one of these.
        DataValidationError: The file cannot be read as such, or two columns have the same name.
        DataNotFoundError: The table has no row.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        hint = " Save the workbook as .xlsx." if suffix in (".xls", ".ods", ".xlsm") else ""
        message = f"{str(path)!r}: tables with the extension {path.suffix!r} cannot be read; allowed: {', '.join(TABLE_SUFFIXES)}.{hint}"
        raise ConfigError(message)
    reader = {".xlsx": _read_xlsx, ".parquet": _read_parquet}.get(suffix, _read_csv)
    raw = reader(path)
    repeated = sorted({name for name in raw.columns if list(raw.columns).count(name) > 1})
    if repeated:
        message = (
            f"{str(path)!r}: two columns have the same name: {', '.join(map(repr, repeated))}; rename one of each."
        )
        raise DataValidationError(message)
    if raw.empty:
        message = f"{str(path)!r} has a header but no row."
        raise DataNotFoundError(message)
    raw = raw.map(_clean).astype(object)
    comma = _uses_decimal_comma(raw)
    table = pd.DataFrame({name: _plain_type(raw[name], comma=comma) for name in raw.columns}, index=raw.index)
    table.attrs[DECIMAL_COMMA] = comma
    return table


def to_number(value: object, *, comma: bool = False) -> float:
    """Reads one cell as a number.

    Args:
        value: A cell: a number, a text, or nothing.
        comma: Whether the decimal separator is a comma.

    Returns:
        The number; NaN when the cell is empty.

    Raises:
        ValueError: The cell holds something that is not a finite number.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return math.nan
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip().replace("\N{NO-BREAK SPACE}", "").replace("'", "")
    pattern = _GERMAN if comma else _ENGLISH
    if not pattern.match(text) or not any(char.isdigit() for char in text):
        message = f"{text!r} is not a number"
        raise ValueError(message)
    text = text.replace(".", "").replace(",", ".") if comma else text.replace(",", "")
    return float(text)


def find_column(table: pd.DataFrame, name: str, key: str) -> str:
    """Finds a column by its name, first to the letter, then without regard to case and spaces around it.

    Args:
        table: The table.
        name: What the user wrote.
        key: The setting it was written for, for the error.

    Raises:
        ConfigError: There is no such column; the text names the nearest.
    """
    if name in table.columns:
        return name
    folded = {str(column).strip().lower(): str(column) for column in table.columns}
    if name.strip().lower() in folded:
        return folded[name.strip().lower()]
    message = f"{key}: the table has no column {name!r}; {suggest(name, map(str, table.columns))}"
    raise ConfigError(message)


def canonical_text(value: object) -> str | None:
    """One spelling for a cell used as a name: `2`, `2.0` and `" 2 "` are the same plant; None when empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip() or None


def _read_csv(path: Path) -> pd.DataFrame:
    content = path.read_bytes()
    if not content.strip():
        message = f"{str(path)!r} is empty."
        raise DataNotFoundError(message)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Spreadsheet programs on Windows still export this code page; it decodes any byte they write.
        text = content.decode("cp1252", errors="replace")
    if "\0" in text:
        message = f"{str(path)!r} is not a text file: it holds binary data."
        raise DataValidationError(message)
    separator = "\t" if path.suffix.lower() == ".tsv" else _sniff_separator(text)
    lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    header = [name.strip() for name in lines[0]]
    while header and not header[-1]:
        header.pop()
    body = [(number, row) for number, row in enumerate(lines[1:], start=2) if any(cell.strip() for cell in row)]
    wrong = [str(number) for number, row in body if any(cell.strip() for cell in row[len(header) :])]
    if wrong:
        message = (
            f"{str(path)!r}: more cells than the {len(header)} columns of the header in line {', '.join(wrong[:10])}; "
            "put quotes around cells that hold the separator."
        )
        raise DataValidationError(message)
    cells = [(row + [""] * len(header))[: len(header)] for _, row in body]
    return pd.DataFrame(cells, columns=header, index=[number for number, _ in body], dtype=object)


def _sniff_separator(text: str) -> str:
    header = next(line for line in text.splitlines() if line.strip())
    counts = {separator: header.count(separator) for separator in (";", "\t", ",")}
    return max(counts, key=lambda separator: counts[separator])


def _read_xlsx(path: Path) -> pd.DataFrame:
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (OSError, ValueError, KeyError, SyntaxError, InvalidFileException) as error:
        message = f"{str(path)!r} cannot be read as a workbook ({error}): open it and save it as .xlsx again."
        raise DataValidationError(message) from error
    try:
        lines = [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]
    finally:
        book.close()
    if not lines:
        message = f"{str(path)!r}: the first sheet is empty."
        raise DataNotFoundError(message)
    header = ["" if name is None else str(name).strip() for name in lines[0]]
    keep = [position for position, name in enumerate(header) if name]
    body = [(number, row) for number, row in enumerate(lines[1:], start=2) if any(cell is not None for cell in row)]
    cells = [[row[position] if position < len(row) else None for position in keep] for _, row in body]
    names = [header[position] for position in keep]
    return pd.DataFrame(cells, columns=names, index=[number for number, _ in body], dtype=object)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        message = f"{str(path)!r} cannot be read as Parquet ({error})."
        raise DataValidationError(message) from error
    table.columns = [str(name) for name in table.columns]
    table.index = pd.RangeIndex(2, len(table) + 2)
    return table.astype(object)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        return None if text.lower() in _EMPTY else text
    return None if value is None or value is pd.NA or value is pd.NaT or value != value else value


def _uses_decimal_comma(raw: pd.DataFrame) -> bool:
    texts = [value for name in raw.columns for value in raw[name] if isinstance(value, str)]
    return any(_DECIMAL_COMMA.match(text) for text in texts)


def _plain_type(column: pd.Series, *, comma: bool) -> pd.Series:
    present = [value for value in column if value is not None]
    if not present:
        return pd.Series(np.full(len(column), np.nan), index=column.index, name=column.name)
    lowered = {str(value).strip().lower() for value in present}
    if lowered <= set(_BOOLEANS):
        values = [None if value is None else _BOOLEANS[str(value).strip().lower()] for value in column]
        return pd.Series(values, index=column.index, name=column.name, dtype=object)
    # A leading zero belongs to a name (plant 02), not to a number.
    if any(isinstance(value, str) and _LEADING_ZERO.match(value) for value in present):
        return column.map(canonical_text, na_action="ignore").astype(object)
    try:
        numbers = [to_number(value, comma=comma and isinstance(value, str)) for value in column]
    except ValueError:
        return column.map(canonical_text, na_action="ignore").astype(object)
    return pd.Series(numbers, index=column.index, name=column.name, dtype=float)
