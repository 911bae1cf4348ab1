"""Turns the cells of a column into one plain type: numbers, truth values or text, whole columns at a time."""

import contextlib
import datetime
import math
import re
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

EMPTY = frozenset(
    {
        "",
        "na",
        "n/a",
        "n.a.",
        "n. a.",
        "nan",
        "null",
        "none",
        "-",
        "--",
        "#n/a",
        "#nv",
        "?",
        "<na>",
        "nat",
        "k.a.",
        "k. a.",
    }
)
"""What people write into a cell that holds nothing, lower case."""
BOOLEANS = {"wahr": True, "falsch": False, "true": True, "false": False}
# A group of thousands never starts with 0 and always has three digits; anything else after one comma is a decimal.
_DECIMAL_COMMA = r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),(?:\d{1,2}|\d{4,})$|^[+-]?0,\d+$"
_DECIMAL_POINT = r"^[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)\.(?:\d{1,2}|\d{4,})$|^[+-]?0\.\d+$"
# A space or an apostrophe parts thousands, so what follows the other sign is decimals.
_SPACES = "[ \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}']"
_SPACED_COMMA = rf"^[+-]?[1-9]\d{{0,2}}(?:{_SPACES}\d{{3}})+,\d+$"
_SPACED_POINT = rf"^[+-]?[1-9]\d{{0,2}}(?:{_SPACES}\d{{3}})+\.\d+$"
_HAS_SPACES = re.compile(_SPACES)
# Decimals of exactly three digits, or thousands: only the rest of the file can tell.
_EITHER = r"^[+-]?[1-9]\d{0,2},\d{3}$"
_EITHER_POINT = r"^[+-]?[1-9]\d{0,2}\.\d{3}$"
_GERMAN = re.compile(r"^[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d*)(?:,\d+)?(?:[eE][+-]?\d+)?$")
_ENGLISH = re.compile(r"^[+-]?(?:[1-9]\d{0,2}(?:,\d{3})+|\d*)(?:\.\d*)?(?:[eE][+-]?\d+)?$")
_SPACED = re.compile(r"^[+-]?[1-9]\d{0,2}(?: \d{3})+(?:[.,]\d+)?$")
_SIGNS_OF_THOUSANDS = re.compile("[\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}']")
_LEADING_ZERO = re.compile(r"^[+-]?0\d")
# Numbers without a sign of thousands, short enough that a float holds every digit of a whole one.
_PLAIN = r"^-?(?:(?:0|[1-9]\d{0,14})(?:\.\d{1,18})?|\.\d{1,18})(?:[eE][+-]?\d{1,2})?$"
_PLAIN_COMMA = r"^-?(?:0|[1-9]\d{0,14})?(?:,\d{1,18})?$"
_HAS_DIGIT_START = "^[+\\-\N{MINUS SIGN}.,]?[0-9.,]"
# Above this a float skips whole numbers, and two plants would become one.
_LARGEST_EXACT = 2**53

Cells: TypeAlias = pa.ChunkedArray | list[Any]
"""The cells of one column: texts without spaces around, None where empty; or a list of values of any type."""


def has_leading_zero(text: str) -> bool:
    """Whether a text starts with a zero before another digit, as names do (plant 02) and numbers do not."""
    return _LEADING_ZERO.match(text) is not None


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
        text = _SIGNS_OF_THOUSANDS.sub("", str(value).strip()).replace("\N{MINUS SIGN}", "-")
        if _SPACED.match(text):
            text = text.replace(" ", "")
        pattern = _GERMAN if comma else _ENGLISH
        if pattern.match(text) and any(char.isdigit() for char in text):
            text = text.replace(".", "").replace(",", ".") if comma else text.replace(",", "")
            with contextlib.suppress(ValueError):
                number = float(text)
    if not math.isfinite(number):
        message = f"{str(value)!r} is not a number"
        raise ValueError(message)
    return number


def canonical_text(value: object, *, comma: bool = False) -> str | None:
    """One spelling for a cell used as a name: `2`, `2.0` and `" 2 "` are the same plant; None when empty.

    Args:
        value: A cell.
        comma: Whether a number that is no text yet is written with a decimal comma, as the texts of its column are.
    """
    if isinstance(value, str):
        return value.strip() or None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    text = str(value).strip()
    if comma and isinstance(value, float | np.floating):
        text = text.replace(".", ",")
    return text or None


def clean_texts(chunks: list[pa.Array]) -> pa.ChunkedArray:
    """Texts without spaces around them; None where a person would see an empty cell.

    Args:
        chunks: Arrays of strings.
    """
    texts = pa.chunked_array(chunks, pa.string())
    trimmed = pc.utf8_trim_whitespace(texts)
    empty = pc.is_in(pc.utf8_lower(trimmed), pa.array(sorted(EMPTY)))
    return pc.if_else(empty, pa.scalar(None, pa.string()), trimmed)


def clean_values(values: list[Any]) -> Cells:
    """The cells of a workbook: as texts when they all are, else as they are with None where nothing is."""
    if all(value is None or isinstance(value, str) for value in values):
        return clean_texts([pa.array(values, pa.string())])
    return [_clean(value) for value in values]


def find_decimal_commas(columns: dict[str, Cells], separator: str | None) -> dict[str, bool]:
    """Which columns write decimals with a comma: most of its own cells, else of all columns, else the separator.

    Args:
        columns: The cells of the table.
        separator: What parts the cells of the file; None when that says nothing.
    """
    texts = {name: _texts_of(column) for name, column in columns.items()}
    commas = {name: _count_matches(column, f"{_DECIMAL_COMMA}|{_SPACED_COMMA}") for name, column in texts.items()}
    points = {name: _count_matches(column, f"{_DECIMAL_POINT}|{_SPACED_POINT}") for name, column in texts.items()}
    elsewhere = sum(commas.values()) > sum(points.values())
    if not any(commas.values()) and not any(points.values()) and separator == ";":
        elsewhere = any(_count_matches(column, _EITHER) > 0 for column in texts.values())
    return {name: commas[name] > points[name] if commas[name] != points[name] else elsewhere for name in columns}


def find_doubtful_thousands(cells: Cells, *, comma: bool) -> dict[str, tuple[float, float]]:
    """Cells whose sign of thousands may be a decimal sign: `1,250` among 0.5 and 2.5.

    That is doubted where no other cell of the column has a sign of thousands, most cells have none, and the number lies
    more than ten times beyond all the others.

    Args:
        cells: The cells of one column.
        comma: Whether its texts write decimals with a comma.

    Returns:
        Text of such a cell -> the number that it is read as, and the other that it may be.
    """
    texts = _texts_of(cells)
    sign, pattern = (".", _EITHER_POINT) if comma else (",", _EITHER)
    matches = pc.match_substring_regex(texts, pattern)
    doubtful = texts.filter(matches).to_pylist() if pc.any(matches).as_py() else []
    if not doubtful or 2 * len(doubtful) > len(cells):
        return {}
    others = [value for value in (cells if isinstance(cells, list) else cells.to_pylist()) if value is not None]
    largest = 0.0
    for other in set(others) - set(doubtful):
        try:
            largest = max(largest, abs(to_number(other, comma=comma and isinstance(other, str))))
        except ValueError:
            continue
        if isinstance(other, str) and (sign in other or _HAS_SPACES.search(other)):
            return {}
    readings = {text: (to_number(text, comma=comma), to_number(text, comma=not comma)) for text in set(doubtful)}
    return {text: pair for text, pair in readings.items() if largest > 0 and abs(pair[0]) > 10 * largest}


def give_plain_type(cells: Cells, index: pd.Index, *, comma: bool) -> pd.Series:
    """The cells as one type: float, bool (as objects, None where empty) or text (as objects, None where empty).

    Args:
        cells: The cells of one column.
        index: Lines of the table.
        comma: Whether its texts write decimals with a comma.
    """
    if isinstance(cells, list):
        return _type_values(cells, index, comma=comma)
    if cells.null_count == len(cells):
        return pd.Series(np.full(len(cells), np.nan), index=index)
    numbers = _read_plain_numbers(cells, comma=comma)
    if numbers is not None:
        return pd.Series(numbers, index=index, dtype=float)
    # A column of names repeats itself or cannot be a number; either way each text is looked at once.
    codes = cells.combine_chunks().dictionary_encode()
    if isinstance(codes, pa.ChunkedArray):
        codes = codes.combine_chunks()
    uniques: list[Any] = codes.dictionary.to_pylist()
    positions = codes.indices.fill_null(len(uniques)).to_numpy(zero_copy_only=False)
    if _cannot_be_numbers(codes.dictionary):
        typed = pd.Series(uniques, dtype=object)
    else:
        typed = _type_values(uniques, pd.RangeIndex(len(uniques)), comma=comma)
    values = np.append(typed.to_numpy(), [np.nan if typed.dtype == float else None])
    return pd.Series(values[positions], index=index, dtype=typed.dtype)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        return None if text.lower() in EMPTY else text
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    return None if isinstance(value, float | np.floating) and math.isnan(value) else value


def _texts_of(cells: Cells) -> pa.ChunkedArray:
    if isinstance(cells, list):
        return pa.chunked_array([pa.array([value for value in cells if isinstance(value, str)], pa.string())])
    return cells


def _count_matches(texts: pa.ChunkedArray, pattern: str) -> int:
    # An empty column has no match, which is not the same as not knowing.
    return int(pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0)


def _read_plain_numbers(texts: pa.ChunkedArray, *, comma: bool) -> np.ndarray | None:
    head = texts.slice(0, 1000)
    pattern = _PLAIN_COMMA if comma else _PLAIN
    for part in (head, texts):
        if pc.all(pc.match_substring_regex(part, pattern)).as_py() is False:
            return None
    points = pc.replace_substring(texts, ",", ".") if comma else texts
    try:
        return np.asarray(pc.cast(points, pa.float64()).fill_null(math.nan).to_numpy())
    except pa.ArrowInvalid:
        # A lone sign, for example: the slow way says what it is.
        return None


def _cannot_be_numbers(texts: pa.Array) -> bool:
    if pc.any(pc.is_in(pc.utf8_lower(texts), pa.array(list(BOOLEANS)))).as_py():
        return False
    return pc.all(pc.match_substring_regex(texts, _HAS_DIGIT_START)).as_py() is False


def _type_values(values: list[Any], index: pd.Index, *, comma: bool) -> pd.Series:
    present = [value for value in values if value is not None]
    if not present:
        return pd.Series(np.full(len(values), np.nan), index=index)
    if all(str(value).strip().lower() in BOOLEANS for value in present):
        flags = [None if value is None else BOOLEANS[str(value).strip().lower()] for value in values]
        return pd.Series(flags, index=index, dtype=object)
    texts = pd.Series([canonical_text(value, comma=comma) for value in values], index=index, dtype=object)
    # A leading zero belongs to a name (plant 02), not to a number.
    if any(isinstance(value, str) and has_leading_zero(value) for value in present):
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
