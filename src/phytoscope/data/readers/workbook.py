"""Reads the first sheet of a workbook as a person sees it: merged cells filled, formulas without a result named."""

import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils.cell import coordinate_to_tuple, range_boundaries
from openpyxl.utils.exceptions import InvalidFileException

from phytoscope.errors import DataValidationError

# Read from the file itself: a million rows need not be held as objects of cells to learn which of them are merged.
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*?\bref="([A-Z]+[0-9]+:[A-Z]+[0-9]+)"')
# A formula that has a text as its result may have an empty one.
_UNCOMPUTED = re.compile(
    rb'<(?:\w+:)?c\b(?![^>]*\bt="str")[^>]*?\br="([A-Z]+[0-9]+)"[^>]*>\s*'
    rb"<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>([^<]*)</(?:\w+:)?f>)\s*(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*"
    rb"</(?:\w+:)?c>"
)
_CHUNK_BYTES = 1 << 24
# The longest formula has 8192 characters.
_OVERLAP_BYTES = 1 << 16


@dataclass(frozen=True)
class Sheet:
    """The first sheet of a workbook.

    Attributes:
        rows: Its cells, from line 1 on.
        names: Names of all sheets of the workbook.
    """

    rows: list[list[Any]]
    names: list[str]


def read_workbook(path: Path) -> Sheet:
    """Reads the first sheet of a workbook.

    A merged cell below the header counts for every row and column that it covers. A formula without a stored result is
    given as its own text, which begins with `=`.

    Args:
        path: An `.xlsx` file.

    Raises:
        DataValidationError: It is no workbook, is damaged, or has a password.
    """
    try:
        with warnings.catch_warnings():
            # What openpyxl leaves out (styles, drop-down lists) holds no data.
            warnings.simplefilter("ignore", UserWarning)
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                sheet = book.worksheets[0]
                # Some programs write a wrong size of the sheet, and only that part would be read.
                sheet.reset_dimensions()
                rows = [list(row) for row in sheet.iter_rows(values_only=True)]
                merged, uncomputed = _scan(path, sheet._worksheet_path)  # noqa: SLF001 (there is no public name)
                names = list(book.sheetnames)
            finally:
                book.close()
    except (OSError, ValueError, LookupError, SyntaxError, InvalidFileException, zipfile.BadZipFile) as error:
        message = (
            f"{str(path)!r} cannot be read as a workbook ({error}): open it and save it as .xlsx again, "
            "without a password."
        )
        raise DataValidationError(message) from error
    for place, formula in uncomputed.items():
        line, column = coordinate_to_tuple(place)
        if line <= len(rows) and column <= len(rows[line - 1]):
            rows[line - 1][column - 1] = formula
    _fill_merged(rows, merged)
    return Sheet(rows, names)


def is_blank(cell: Any) -> bool:
    """Whether a person sees nothing in the cell."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _scan(path: Path, sheet: str) -> tuple[list[str], dict[str, str]]:
    """The merged ranges of a sheet, and its formulas without a result by their cell."""
    merged: dict[str, None] = {}
    uncomputed: dict[str, str] = {}
    with zipfile.ZipFile(path) as archive, archive.open(sheet) as file:
        rest = b""
        while chunk := file.read(_CHUNK_BYTES):
            part = rest + chunk
            if b"mergeCell" in part:
                merged |= dict.fromkeys(match[1].decode() for match in _MERGED.finditer(part))
            if b"<f" in part or b":f" in part:
                for match in _UNCOMPUTED.finditer(part):
                    uncomputed[match[1].decode()] = f"={(match[2] or b'').decode('utf-8', 'replace')}"
            rest = part[-_OVERLAP_BYTES:]
    return list(merged), uncomputed


def _fill_merged(rows: list[list[Any]], merged: list[str]) -> None:
    # A merged title or header stands above several columns and names none of them.
    header = next((number for number, row in enumerate(rows, start=1) if not all(map(is_blank, row))), 0)
    filled = [not all(map(is_blank, row)) for row in rows]
    for area in merged:
        left, top, right, bottom = range_boundaries(area)
        if top <= header or top > len(rows) or left > len(rows[top - 1]):
            continue
        value = rows[top - 1][left - 1]
        if is_blank(value):
            continue
        width = max(len(row) for row in rows[:top])
        for line in range(top, min(bottom, len(rows)) + 1):
            row = rows[line - 1]
            # A line that holds nothing of its own is no row of the table.
            if filled[line - 1]:
                row.extend([None] * (min(right, width) - len(row)))
                row[left - 1 : min(right, width)] = [value] * (min(right, width) - left + 1)
