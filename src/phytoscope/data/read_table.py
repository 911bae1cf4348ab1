"""Reads spreadsheets as people export them: CSV, TSV, XLSX or Parquet, with decimal commas and German words."""

import codecs
import contextlib
import csv
import datetime
import io
import math
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
from openpyxl.utils.exceptions import InvalidFileException

from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError, PhytoscopeError, suggest

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".parquet")
DECIMAL_COMMA = "decimal_comma"
"""Key in the `attrs` of a table: column -> whether its texts write decimals with a comma."""
_SEPARATOR = "separator"
_EMPTY = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "--", "#n/a", "#nv", "?"})
_BOOLEANS = {"wahr": True, "falsch": False, "true": True, "false": False}
# A group of thousands never starts with 0 and always has three digits; anything else after one comma is a decimal.
_DECIMAL_COMMA = re.compile(r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),(?:\d{1,2}|\d{4,})$|^[+-]?0,\d+$")
_DECIMAL_POINT = re.compile(r"^[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)\.(?:\d{1,2}|\d{4,})$|^[+-]?0\.\d+$")
# Decimals of exactly three digits, or thousands: only the rest of the file can tell.
_EITHER = re.compile(r"^[+-]?[1-9]\d{0,2},\d{3}$")
_GERMAN = re.compile(r"^[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d*)(?:,\d+)?(?:[eE][+-]?\d+)?$")
_ENGLISH = re.compile(r"^[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?$")
_LEADING_ZERO = re.compile(r"^[+-]?0\d")
# Above this a float skips whole numbers, and two plants would become one.
_LARGEST_EXACT = 2**53


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
        DataNotFoundError: The file cannot be opened, or the table has no row.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        hint = " Save the workbook as .xlsx." if suffix in (".xls", ".ods", ".xlsm") else ""
        message = (
            f"{str(path)!r}: tables with the extension {path.suffix!r} cannot be read; "
            f"allowed: {', '.join(TABLE_SUFFIXES)}.{hint}"
        )
        raise ConfigError(message)
    reader = {".xlsx": _read_xlsx, ".parquet": _read_parquet}.get(suffix, _read_csv)
    try:
        raw = reader(path)
    except PhytoscopeError:
        raise
    except OSError as error:
        message = f"{str(path)!r} cannot be opened ({error.strerror or error})."
        raise DataNotFoundError(message) from error
    separator = raw.attrs.get(_SEPARATOR)
    repeated = sorted({name for name in raw.columns if list(raw.columns).count(name) > 1})
    if repeated:
        message = (
            f"{str(path)!r}: two columns have the same name: {', '.join(map(repr, repeated))}; rename one of each."
        )
        raise DataValidationError(message)
    if raw.empty:
        message = f"{str(path)!r} has a header but no row."
        raise DataNotFoundError(message)
    cells = {name: [_clean(value) for value in raw[name]] for name in raw.columns}
    commas = _find_decimal_commas(cells, separator)
    table = pd.DataFrame(
        {name: _plain_type(values, raw.index, comma=commas[name]) for name, values in cells.items()}, index=raw.index
    )
    table.attrs[DECIMAL_COMMA] = commas
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
    number = math.nan
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            number = float(value)
    else:
        text = re.sub("[\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}']", "", str(value).strip())
        pattern = _GERMAN if comma else _ENGLISH
        if pattern.match(text) and any(char.isdigit() for char in text):
            text = text.replace(".", "").replace(",", ".") if comma else text.replace(",", "")
            with contextlib.suppress(ValueError):
                number = float(text)
    if not math.isfinite(number):
        message = f"{str(value)!r} is not a number"
        raise ValueError(message)
    return number


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
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value).strip() or None


def _read_csv(path: Path) -> pd.DataFrame:
    content = path.read_bytes()
    if not content.strip():
        message = f"{str(path)!r} is empty."
        raise DataNotFoundError(message)
    text = _decode(content)
    if "\0" in text:
        message = f"{str(path)!r} is not a text file: it holds binary data."
        raise DataValidationError(message)
    # Spreadsheet programs write and read this line to say which separator follows.
    declared = re.match(r"sep=(.)[ \t]*\r?\n", text, re.IGNORECASE)
    if declared:
        separator = declared[1]
        # The line is emptied and not removed, so that line numbers stay those of the file.
        text = text[declared.end() - 1 :]
    else:
        separator = "\t" if path.suffix.lower() == ".tsv" else _sniff_separator(text)
    try:
        lines: list[list[Any]] = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        message = (
            f"{str(path)!r} cannot be read as a table ({error}): a quotation mark is opened and not closed, or stands "
            "inside a cell without being doubled."
        )
        raise DataValidationError(message) from error
    table = _to_frame(path, lines)
    table.attrs[_SEPARATOR] = separator
    return table


def _decode(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Spreadsheet programs on Windows still export this code page; it decodes any byte they write.
        return content.decode("cp1252", errors="replace")


def _sniff_separator(text: str) -> str:
    header = next(line for line in text.splitlines() if line.strip())
    header = re.sub(r'"[^"]*"', "", header)
    counts = {separator: header.count(separator) for separator in (";", "\t", ",")}
    return max(counts, key=lambda separator: counts[separator])


def _read_xlsx(path: Path) -> pd.DataFrame:
    try:
        with warnings.catch_warnings():
            # What openpyxl leaves out (styles, drop-down lists) holds no data.
            warnings.simplefilter("ignore", UserWarning)
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                sheet = book.worksheets[0]
                # Some programs write a wrong size of the sheet, and only that part would be read.
                sheet.reset_dimensions()
                lines = [list(row) for row in sheet.iter_rows(values_only=True)]
            finally:
                book.close()
    except (OSError, ValueError, LookupError, SyntaxError, InvalidFileException, zipfile.BadZipFile) as error:
        message = (
            f"{str(path)!r} cannot be read as a workbook ({error}): open it and save it as .xlsx again, "
            "without a password."
        )
        raise DataValidationError(message) from error
    return _to_frame(path, lines)


def _is_blank(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _to_frame(path: Path, lines: list[list[Any]]) -> pd.DataFrame:
    first = next((number for number, row in enumerate(lines) if not all(map(_is_blank, row))), None)
    if first is None:
        message = f"{str(path)!r} is empty."
        raise DataNotFoundError(message)
    header = ["" if _is_blank(name) else str(name).strip() for name in lines[first]]
    while not header[-1]:
        header.pop()
    body = [(first + number, row) for number, row in enumerate(lines[first:], start=1) if not all(map(_is_blank, row))]
    body = body[1:]
    wrong = [str(number) for number, row in body if not all(map(_is_blank, row[len(header) :]))]
    if wrong:
        message = (
            f"{str(path)!r}: more cells than the {len(header)} columns of the header in line {', '.join(wrong[:10])}; "
            "give every column a name, and put quotes around cells that hold the separator."
        )
        raise DataValidationError(message)
    # A column without a name is the running number that programs write in front.
    keep = [position for position, name in enumerate(header) if name]
    cells = [[row[position] if position < len(row) else None for position in keep] for _, row in body]
    names = [header[position] for position in keep]
    return pd.DataFrame(cells, columns=names, index=[number for number, _ in body], dtype=object)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        message = f"{str(path)!r} cannot be read as Parquet ({error})."
        raise DataValidationError(message) from error
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    table.columns = [str(name).strip() for name in table.columns]
    table.index = pd.RangeIndex(2, len(table) + 2)
    return table.astype(object)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        return None if text.lower() in _EMPTY else text
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    return None if isinstance(value, float | np.floating) and math.isnan(value) else value


def _find_decimal_commas(cells: dict[str, list[Any]], separator: str | None) -> dict[str, bool]:
    """Which columns write decimals with a comma: its own cells decide, then the other columns, then the separator."""
    texts = {name: [value for value in values if isinstance(value, str)] for name, values in cells.items()}
    commas = {name: any(_DECIMAL_COMMA.match(text) for text in column) for name, column in texts.items()}
    points = {name: any(_DECIMAL_POINT.match(text) for text in column) for name, column in texts.items()}
    elsewhere = any(commas.values())
    if not elsewhere and not any(points.values()) and separator == ";":
        elsewhere = any(_EITHER.match(text) for column in texts.values() for text in column)
    return {name: commas[name] if commas[name] != points[name] else elsewhere for name in cells}


def _plain_type(values: list[Any], index: pd.Index, *, comma: bool) -> pd.Series:
    present = [value for value in values if value is not None]
    if not present:
        return pd.Series(np.full(len(values), np.nan), index=index)
    if all(str(value).strip().lower() in _BOOLEANS for value in present):
        flags = [None if value is None else _BOOLEANS[str(value).strip().lower()] for value in values]
        return pd.Series(flags, index=index, dtype=object)
    texts = pd.Series([canonical_text(value) for value in values], index=index, dtype=object)
    # A leading zero belongs to a name (plant 02), not to a number.
    if any(isinstance(value, str) and _LEADING_ZERO.match(value) for value in present):
        return texts
    try:
        numbers = [to_number(value, comma=comma and isinstance(value, str)) for value in values]
    except ValueError:
        return texts
    if any(
        abs(number) > _LARGEST_EXACT and str(value).isdigit() for number, value in zip(numbers, values, strict=True)
    ):
        return texts
    return pd.Series(numbers, index=index, dtype=float)
