"""Reads spreadsheets as people export them: CSV, TSV, XLSX or Parquet, with decimal commas and German words."""

import codecs
import csv
import dataclasses
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from phytoscope.data.readers.cells import (
    Cells,
    clean_texts,
    clean_values,
    find_decimal_commas,
    find_doubtful_thousands,
    give_plain_type,
)
from phytoscope.data.readers.table_shards import list_table_shards
from phytoscope.data.readers.units import fold_name
from phytoscope.data.readers.workbook import is_blank, read_workbook
from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError, PhytoscopeError, suggest
from phytoscope.storage.fetching import fetch_place
from phytoscope.storage.reading import read_place

TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".parquet")
DECIMAL_COMMA = "decimal_comma"
"""Key in the `attrs` of a table: column -> whether its texts write decimals with a comma."""
DOUBTFUL = "doubtful"
"""Key in the `attrs` of a table: (line, column, text, number it is read as, number it may be) of doubtful cells."""
SHEETS = "sheets"
"""Key in the `attrs` of a table: names of all sheets of its workbook; empty for other files."""
_LINES_AT_ONCE = 50_000
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class _Raw:
    """A table before its columns have types: names, cells, lines, what parted the cells of the file, and its sheets."""

    columns: list[tuple[str, Cells]]
    lines: pd.Index
    separator: str | None = None
    sheets: list[str] = field(default_factory=list)


def read_table(path: Path) -> pd.DataFrame:
    """Reads a table and gives every column one plain type: float, bool or text.

    Decimal commas and `WAHR`/`FALSCH` are understood; empty cells and the usual words for nothing become missing. A
    column of numbers in which some cells are not numbers stays text, so that validation can name those cells.

    Args:
        path: A `.csv`, `.tsv`, `.txt`, `.xlsx` or `.parquet` file. Of a workbook the first sheet is read. Or a folder
            of `.csv`, `.tsv` or `.parquet` files with the same columns, or a pattern of their names.

    Returns:
        The table, one row per line; the index is the line number as a spreadsheet counts (the header is line 1), and
        of several files as if they stood in one below each other, in the order of their names.

    Raises:
        ConfigError: The extension is not one of these.
        DataValidationError: The file cannot be read as such, or two columns have the same name.
        DataNotFoundError: The file cannot be opened, or the table has no row.
    """
    shards = list_table_shards(path)
    return _give_types(path, _read_raw(path) if shards is None else _join(path, shards))


def _read_raw(path: Path) -> _Raw:
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
        return reader(path)
    except PhytoscopeError:
        raise
    except OSError as error:
        message = (
            f"{str(path)!r} cannot be opened ({error.strerror or error}): "
            "check its permissions, and close it in other programs."
        )
        raise DataNotFoundError(message) from error


def _join(path: Path, shards: list[Path]) -> _Raw:
    """The rows of several files below each other; the columns may stand in any order."""
    raws = [_read_raw(shard) for shard in shards]
    names = [name for name, _ in raws[0].columns]
    for shard, raw in zip(shards, raws, strict=True):
        own = [name for name, _ in raw.columns]
        if sorted(own) != sorted(names):
            message = (
                f"{str(path)!r}: {shard.name} has the columns {', '.join(own)}, {shards[0].name} has "
                f"{', '.join(names)}: all files of a table need the same columns."
            )
            raise DataValidationError(message)
    columns = [(name, _join_cells([dict(raw.columns)[name] for raw in raws])) for name in names]
    separators = {raw.separator for raw in raws}
    separator = separators.pop() if len(separators) == 1 else None
    return _Raw(columns, pd.RangeIndex(2, sum(len(raw.lines) for raw in raws) + 2), separator)


def _join_cells(parts: list[Cells]) -> Cells:
    arrays = [part for part in parts if isinstance(part, pa.ChunkedArray)]
    if len(arrays) == len(parts):
        return pa.chunked_array([chunk for part in arrays for chunk in part.chunks], pa.string())
    return [cell for part in parts for cell in (part if isinstance(part, list) else part.to_pylist())]


def _give_types(path: Path, raw: _Raw) -> pd.DataFrame:
    names = [name for name, _ in raw.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        message = (
            f"{str(path)!r}: two columns have the same name: {', '.join(map(repr, repeated))}; rename one of each."
        )
        raise DataValidationError(message)
    if raw.lines.empty:
        message = f"{str(path)!r} has a header but no row: save it again with its rows."
        raise DataNotFoundError(message)
    cells = dict(raw.columns)
    commas = find_decimal_commas(cells, raw.separator)
    doubtful = [cell for name in names for cell in _doubt_cells(name, cells[name], raw.lines, comma=commas[name])]
    # Each column's cells are let go as soon as they have a type: a million rows are held once.
    typed = {name: give_plain_type(cells.pop(name), raw.lines, comma=commas[name]) for name in names}
    table = pd.DataFrame(typed, index=raw.lines)
    table.attrs[DECIMAL_COMMA] = commas
    table.attrs[DOUBTFUL] = doubtful
    table.attrs[SHEETS] = raw.sheets
    return table


def _doubt_cells(name: str, cells: Cells, lines: pd.Index, *, comma: bool) -> list[tuple[int, str, str, float, float]]:
    readings = find_doubtful_thousands(cells, comma=comma)
    if not readings:
        return []
    texts = cells if isinstance(cells, list) else cells.to_pylist()
    return [
        (int(line), name, text, *readings[text]) for line, text in zip(lines, texts, strict=True) if text in readings
    ]


def find_column(table: pd.DataFrame, name: str, key: str) -> str:
    """Finds a column by its name: to the letter, then without regard to case and spaces around it, then without unit.

    Args:
        table: The table.
        name: What the user wrote; `fresh_weight` finds `fresh weight (g)`.
        key: The setting it was written for, for the error.

    Raises:
        ConfigError: There is no such column, the text names the nearest; or the name fits several.
    """
    return match_name(name, [str(column) for column in table.columns], key)


def match_name(name: str, columns: list[str], key: str) -> str:
    """Finds a name among names; see `find_column`.

    Raises:
        ConfigError: There is no such name, or it fits several.
    """
    if name in columns:
        return name
    folded = {column.strip().lower(): column for column in columns}
    if name.strip().lower() in folded:
        return folded[name.strip().lower()]
    same = [column for column in columns if fold_name(column) == fold_name(name)]
    if len(same) > 1:
        message = f"{key}: {name!r} may be any of the columns {', '.join(map(repr, same))}; write one of them in full."
        raise ConfigError(message)
    if same:
        return same[0]
    message = f"{key}: the table has no column {name!r}; {suggest(name, columns)}"
    raise ConfigError(message)


def _read_csv(path: Path) -> _Raw:
    content = read_place(path)
    if not content.strip():
        message = f"{str(path)!r} is empty: save the table again, or name another file."
        raise DataNotFoundError(message)
    encoding = _find_encoding(content)
    if "\0" in content.decode(encoding, errors="replace") if encoding == "utf-16" else b"\0" in content:
        message = f"{str(path)!r} is not a text file: it holds binary data."
        raise DataValidationError(message)
    head = content[:_HEAD_BYTES].decode(encoding, errors="replace")
    # Spreadsheet programs write and read this line to say which separator follows.
    declared = re.match(r"sep=(.)[ \t]*\r?\n", head, re.IGNORECASE)
    usual = "\t" if path.suffix.lower() == ".tsv" else _sniff_separator(head)
    separator = declared[1] if declared else usual
    with io.TextIOWrapper(io.BytesIO(content), encoding=encoding, errors="replace", newline="") as text:
        if declared:
            text.readline()
        try:
            rows = csv.reader(text, delimiter=separator, strict=True)
            # The line that declares the separator counts as a line of the file.
            return _to_raw(path, rows, skipped=1 if declared else 0, separator=separator)
        except csv.Error as error:
            message = (
                f"{str(path)!r} cannot be read as a table ({error}): a quotation mark is opened and not closed, or "
                "stands inside a cell without being doubled."
            )
            raise DataValidationError(message) from error


def _find_encoding(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Spreadsheet programs on Windows still export this code page; it decodes any byte they write.
        return "cp1252"
    return "utf-8-sig"


def _sniff_separator(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip()), "")
    header = re.sub(r'"[^"]*"', "", header)
    counts = {separator: header.count(separator) for separator in (";", "\t", ",")}
    return max(counts, key=lambda separator: counts[separator])


def _read_xlsx(path: Path) -> _Raw:
    sheet = read_workbook(fetch_place(path))
    return dataclasses.replace(_to_raw(path, sheet.rows), sheets=sheet.names)


def _to_raw(path: Path, rows: Iterable[list[Any]], *, skipped: int = 0, separator: str | None = None) -> _Raw:
    """Parts rows into columns, some thousand lines at a time; texts are held in compact form from there on."""
    numbered = enumerate(rows, start=1 + skipped)
    header: list[str] = []
    for _, row in numbered:
        header = ["" if is_blank(name) else str(name).strip() for name in row]
        if any(header):
            break
    if not any(header):
        message = f"{str(path)!r} is empty: save the table again, or name another file."
        raise DataNotFoundError(message)
    while not header[-1]:
        header.pop()
    # A column without a name is the running number that programs write in front.
    keep = [position for position, name in enumerate(header) if name]
    is_text = separator is not None
    parts: list[list[Any]] = [[] for _ in keep]
    lines: list[int] = []
    wrong: list[str] = []
    while part := list(islice(numbered, _LINES_AT_ONCE)):
        filled = [(number, row) for number, row in part if not _is_empty(row)]
        wrong += [str(number) for number, row in filled if len(row) > len(header) and _has_more(row, len(header))]
        lines += [number for number, _ in filled]
        short = [None] * len(header)
        columns = list(zip(*(row if len(row) >= len(header) else [*row, *short] for _, row in filled), strict=False))
        for place, position in zip(parts, keep, strict=True):
            values = columns[position] if columns else ()
            place.append(pa.array(values, pa.string()) if is_text else values)
    if wrong:
        message = (
            f"{str(path)!r}: more cells than the {len(header)} columns of the header in line {', '.join(wrong[:10])}; "
            f"{_explain_width(wrong, lines, is_text=is_text)}."
        )
        raise DataValidationError(message)
    cells = [
        clean_texts(place) if is_text else clean_values([cell for part in place for cell in part]) for place in parts
    ]
    return _Raw(
        [(header[position], column) for position, column in zip(keep, cells, strict=True)], pd.Index(lines), separator
    )


def _explain_width(wrong: list[str], lines: list[int], *, is_text: bool) -> str:
    if len(wrong) == len(lines) > 1:
        return f"the header seems to stand in line {wrong[0]}, below a title: delete the lines above it"
    return "give every column a name" + (", and put quotes around cells that hold the separator" if is_text else "")


def _is_empty(row: list[Any]) -> bool:
    # Most rows are told by their first cell.
    return not row or (is_blank(row[0]) and all(map(is_blank, row)))


def _has_more(row: list[Any], length: int) -> bool:
    return not all(map(is_blank, row[length:]))


def _read_parquet(path: Path) -> _Raw:
    local = fetch_place(path)
    try:
        table = pd.read_parquet(local)
    except (OSError, ValueError) as error:
        message = f"{str(path)!r} cannot be read as Parquet ({error}): write it again, or save the table as CSV."
        raise DataValidationError(message) from error
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    columns = [(str(name).strip(), _cells_of(table.iloc[:, place])) for place, name in enumerate(table.columns)]
    return _Raw(columns, pd.RangeIndex(2, len(table) + 2))


def _cells_of(column: pd.Series) -> Cells:
    if pd.api.types.is_string_dtype(column) and column.dtype != object:
        return clean_texts([pa.array(column, pa.string(), from_pandas=True)])
    return clean_values(column.astype(object).tolist())
