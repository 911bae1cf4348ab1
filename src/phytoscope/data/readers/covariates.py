"""Reads the user's other columns: each becomes numbers, truth values, times or text, and odd cells are named."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from phytoscope.data.readers.cells import BOOLEANS, canonical_text, has_leading_zero, to_number
from phytoscope.data.readers.spellings import find_codes, fold_label
from phytoscope.data.readers.times import from_unix, is_time_name, parse_time, to_unix, unify_unix
from phytoscope.data.source import Fault

_MOST = 0.8
"""Share of the cells of a column that must be of one kind before the others are called odd."""
_YES_NO = {
    **BOOLEANS,
    "ja": True,
    "nein": False,
    "yes": True,
    "no": False,
    "y": True,
    "n": False,
    "1": True,
    "0": False,
}
_REMEDY_EMPTY = "correct the cell or empty it; until then it counts as missing"
_Odd = dict[Any, tuple[str, str]]
"""Cell that cannot be read -> reason and remedy."""


def read_covariates(
    table: pd.DataFrame, names: pd.Series, commas: Mapping[str, bool], group_columns: Iterable[str]
) -> tuple[pd.DataFrame, list[Fault]]:
    """Gives every column one type that a Parquet file can hold.

    A column of which four fifths of the cells are numbers, truth values or times is one of that kind; its other cells
    are named and become missing. Times become ISO texts, unless all of them are seconds or milliseconds since 1970:
    those become seconds. Columns that name the group are texts as they are.

    Args:
        table: The columns, index as in the table's lines.
        names: Image of each line.
        commas: Whether a column writes decimals with a comma.
        group_columns: Columns that name the group.

    Returns:
        The columns, and the cells that could not be read.
    """
    columns: dict[str, pd.Series] = {}
    faults: list[Fault] = []
    for name in map(str, table.columns):
        column = table[name]
        odd: _Odd = {}
        if name in set(group_columns):
            columns[name] = _as_texts(column)
            faults += _name_cells(columns[name], names, name, _find_spellings(columns[name]))
            continue
        if column.dtype != float:
            column, odd = _read_texts(column, comma=commas.get(name, False), is_time=is_time_name(name))
            faults += _name_cells(table[name], names, name, odd)
        if column.dtype == float:
            numbers = column
            column, odd = _read_numbers(numbers, is_time=is_time_name(name))
            faults += _name_cells(numbers, names, name, odd)
        columns[name] = column
    return pd.DataFrame(columns, index=table.index), faults


def explain_number(text: str, *, comma: bool) -> str:
    """Says what to do about a cell that should be a number.

    Args:
        text: The cell.
        comma: Whether the column writes decimals with a comma.
    """
    sign, other = (",", ".") if comma else (".", ",")
    if text.startswith("#"):
        return "this is an error of the spreadsheet program: correct the formula, or empty the cell"
    if text.startswith("="):
        return "this is a formula that was not computed: save the table with its values"
    if re.fullmatch(rf"[+-]?\d+\{other}\d+", text):
        return f"the column writes decimals with {sign!r}: write {text.replace(other, sign)}"
    with_unit = re.fullmatch(r"(?P<number>[+-]?[\d.,]+)\s*(?P<unit>[^\W\d]+\d?|%|°C)", text)
    if with_unit:
        return (
            f"write the number alone, {with_unit['number']}; the unit belongs into the name of the column or data.unit"
        )
    if parse_time(text) is not None:
        return "this is a date, perhaps made from a number by the spreadsheet program: write the number"
    return "write a plain number, or empty the cell"


def map_unique(column: pd.Series, function: Callable[[Any], Any]) -> pd.Series:
    """Applies a function to every different cell once; empty cells stay None.

    Args:
        column: Cells of one type.
        function: What to do with a cell.
    """
    codes, uniques = pd.factorize(column)
    values = np.empty(len(uniques) + 1, dtype=object)
    values[:-1] = [function(value) for value in uniques]
    # The code of an empty cell is -1, the last place.
    values[-1] = None
    return pd.Series(values[codes], index=column.index, dtype=object)


def _as_texts(column: pd.Series) -> pd.Series:
    return map_unique(column, canonical_text)


def _name_cells(column: pd.Series, names: pd.Series, name: str, odd: _Odd) -> list[Fault]:
    if not odd:
        return []
    found = column[column.isin(list(odd))]
    faults = []
    for line, cell in found.items():
        reason, remedy = odd[cell]
        text = f"{cell:.15g}" if isinstance(cell, float) else str(cell)
        faults.append(Fault(str(names[line]), reason, remedy, name, text, int(line)))  # type: ignore[call-overload]
    return faults


def _read_numbers(column: pd.Series, *, is_time: bool) -> tuple[pd.Series, _Odd]:
    values = column.to_numpy(dtype=float)
    odd: _Odd = {}
    if is_time:
        seconds = unify_unix(values)
        known, read = np.count_nonzero(~np.isnan(values)), np.count_nonzero(~np.isnan(seconds))
        if known and read >= _MOST * known:
            reason = "the time is neither seconds nor milliseconds since 1970 as the rest of the column"
            strange = values[np.isnan(seconds) & ~np.isnan(values)]
            return pd.Series(seconds, index=column.index), {float(x): (reason, _REMEDY_EMPTY) for x in set(strange)}
    codes = find_codes(values)
    if codes.any():
        reason = "the cell looks like a code for 'not measured'"
        odd = {float(code): (reason, "leave the cell empty; it counts as missing") for code in set(values[codes])}
        column = column.mask(codes)
    return column, odd


def _read_texts(column: pd.Series, *, comma: bool, is_time: bool) -> tuple[pd.Series, _Odd]:
    codes, uniques = pd.factorize(column)
    counts = np.bincount(codes[codes >= 0], minlength=len(uniques))
    total = int(counts.sum())
    cells = list(uniques)
    if not total or all(isinstance(cell, bool) for cell in cells):
        return column.astype("boolean"), {}
    for way in _list_ways(cells, comma=comma, is_time=is_time):
        sure = np.array([way.is_sure(str(cell)) for cell in cells])
        if counts[sure].sum() >= _MOST * total:
            values = [way.read(str(cell)) for cell in cells]
            odd = {
                cell: (f"{way.reason}: {str(cell)!r}", way.remedy(str(cell)))
                for cell, value in zip(cells, values, strict=True)
                if value is None
            }
            return _take(values, codes, column.index), odd
    return _as_texts(column), {}


@dataclass(frozen=True)
class _Way:
    """How the cells of a column may be read.

    Attributes:
        is_sure: Whether a cell speaks for this way.
        read: The value of a cell; None when it has none. It understands more than speaks for it.
        reason: What is wrong with a cell that has no value.
        remedy: What to do about it.
    """

    is_sure: Callable[[str], bool]
    read: Callable[[str], Any]
    reason: str
    remedy: Callable[[str], str]


def _list_ways(cells: list[Any], *, comma: bool, is_time: bool) -> list[_Way]:
    """How the cells of a text column may be read, in the order in which it is tried."""

    def read_number(text: str) -> float | None:
        try:
            return to_number(text, comma=comma)
        except ValueError:
            return None

    def read_number_or_time(text: str) -> float | None:
        number, iso = read_number(text), parse_time(text) if is_time else None
        return number if iso is None else to_unix(iso)

    def read_time(text: str) -> str | None:
        iso, number = parse_time(text), read_number(text) if is_time else None
        if number is None:
            return iso
        seconds = unify_unix(np.array([number]))[0]
        return None if np.isnan(seconds) else from_unix(float(seconds))

    ways = [
        # Yes and no are words like others, unless the rest of the column says TRUE and FALSE.
        _Way(
            lambda text: text.lower() in BOOLEANS,
            lambda text: _YES_NO.get(text.lower()),
            "the cell is no truth value",
            lambda _: "write TRUE or FALSE, or empty the cell",
        ),
        _Way(
            lambda text: read_time(text) is not None,
            read_time,
            "the cell is no time",
            lambda _: "write it as 2024-03-21 14:05, or empty the cell",
        ),
    ]
    # A leading zero belongs to a name (plant 02), not to a number.
    if not any(has_leading_zero(str(cell)) for cell in cells):
        number = _Way(
            lambda text: read_number(text) is not None,
            read_number_or_time,
            "the cell is not a number",
            lambda text: explain_number(text, comma=comma),
        )
        ways.insert(0, number)
    return ways


def _take(values: list[Any], codes: np.ndarray, index: pd.Index) -> pd.Series:
    known = [value for value in values if value is not None]
    kind = type(known[0])
    if kind is float:
        table = np.array([np.nan if value is None else value for value in [*values, None]], dtype=float)
        return pd.Series(table[codes], index=index)
    objects = np.empty(len(values) + 1, dtype=object)
    objects[:] = [*values, None]
    column = pd.Series(objects[codes], index=index, dtype=object)
    return column.astype("boolean") if kind is bool else column


def _find_spellings(column: pd.Series) -> _Odd:
    counts = column.value_counts()
    usual: dict[str, str] = {}
    odd: _Odd = {}
    for name, _ in sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))):
        first = usual.setdefault(fold_label(str(name)), str(name))
        if first != name:
            reason = f"the name of the group differs from another only by case, space or underscore: {first!r}"
            odd[name] = (reason, f"if it is the same as {first!r}, write it alike, so that both stay in one split")
    return odd
