"""The user's other columns: numbers, truth values, times and text, with odd cells named and not guessed."""

import numpy as np
import pandas as pd
import pytest

from phytoscope.data.readers.covariates import explain_number, read_covariates


def read(name, cells, *, comma=False, groups=()):
    """Reads one column; gives its values (None where missing) and the cells that were odd."""
    kind = float if all(isinstance(cell, float | int) and not isinstance(cell, bool) for cell in cells) else object
    table = pd.DataFrame({name: pd.Series(cells, dtype=kind, index=range(2, len(cells) + 2))})
    names = pd.Series([f"{line}.png" for line in table.index], index=table.index)
    columns, faults = read_covariates(table, names, {name: comma}, groups)
    values = [None if pd.isna(value) else value for value in columns[name]]
    return values, [(fault.source_row, fault.value) for fault in faults]


FOUR_NUMBERS = ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("name", "cells", "values", "odd"),
    [
        ("age", [*FOUR_NUMBERS, "5 days"], [1.0, 2.0, 3.0, 4.0, None], [(6, "5 days")]),
        ("age", ["1", "2", "x", "y"], ["1", "2", "x", "y"], []),
        ("plant", ["01", "02", "03", "04", "x"], ["01", "02", "03", "04", "x"], []),
        ("lit", [True, False, None], [True, False, None], []),
        ("lit", ["True", "False", "TRUE", "FALSCH", "ja"], [True, False, True, False, True], []),
        ("lit", ["True", "False", "TRUE", "FALSCH", "dim"], [True, False, True, False, None], [(6, "dim")]),
        ("note", ["yes", "no"], ["yes", "no"], []),
        ("age", [1.0, -999.0, 3.0], [1.0, None, 3.0], [(3, "-999")]),
        ("change", [-1.0, -999.0, 3.0], [-1.0, -999.0, 3.0], []),
        ("seen", ["21.03.2024", "2024-03-22 14:05"], ["2024-03-21", "2024-03-22T14:05:00"], []),
        ("seen", ["2024-03-21"] * 4 + ["30.02.2024"], ["2024-03-21"] * 4 + [None], [(6, "30.02.2024")]),
        ("time", [1.7e9, 1.7e12, np.nan], [1.7e9, 1.7e9, None], []),
        ("time", [1.7e9] * 4 + [0.0], [1.7e9] * 4 + [None], [(6, "0")]),
        ("time", ["1700000000"] * 4 + ["2023-11-14T22:13:20Z"], [1.7e9] * 5, []),
        ("date", ["21.03.2024"] * 4 + ["1711029900"], ["2024-03-21"] * 4 + ["2024-03-21T14:05:00"], []),
        ("count", [1.7e9, 1.7e12], [1.7e9, 1.7e12], []),
        ("empty", [np.nan, np.nan], [None, None], []),
    ],
)
def test_column_is_read(name, cells, values, odd):
    """Most cells say what the column is; the others are named with their line."""
    assert read(name, cells) == (values, odd)


def test_columns_of_the_group_stay_names():
    """A plant called 7 is not a number, and one that is nearly called like another is named."""
    assert read("plant", [7.0, 8.0], groups=["plant"]) == (["7", "8"], [])
    cells = ["P1", "P1", "p 1", "P1_1", "P11"]
    assert read("plant", cells, groups=["plant"]) == (cells, [(4, "p 1")])


@pytest.mark.parametrize(
    ("text", "comma", "match"),
    [
        ("0.131", True, "write 0,131"),
        ("0,131", False, "write 0.131"),
        ("12.5 g", False, "write the number alone, 12.5"),
        ("#DIV/0!", False, "error of the spreadsheet program"),
        ("=A1", False, "formula that was not computed"),
        ("2024-03-01", False, "this is a date"),
        ("ca. 2", False, "write a plain number"),
    ],
)
def test_remedy_fits_the_cell(text, comma, match):
    """The commonest slips are answered with what to write."""
    assert match in explain_number(text, comma=comma)
