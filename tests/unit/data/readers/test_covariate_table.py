"""A table of what is known of images, for a model that was trained with it."""

import numpy as np
import pytest

from factories.tables import write_csv
from phytoscope.data.readers.covariate_table import read_covariate_table
from phytoscope.errors import ConfigError

HEADER = ["filename", "Age (d)", "condition", "other"]
ROWS = [["a.png", "14,5", "control", "x"], ["b.png", "", "drought", "y"], ["", "7,5", "control", "z"]]


def test_columns_are_found_and_read(tmp_path) -> None:
    """Names without their unit, decimal commas, empty cells; rows without an image are left out."""
    path = write_csv(tmp_path / "known.csv", HEADER, ROWS, separator=";")
    found = read_covariate_table(path, ("age_days", "condition", "temperature"))
    assert found.images == ["a.png", "b.png"]
    assert list(found.columns) == ["age_days", "condition"]
    np.testing.assert_array_equal(found.columns["age_days"], [14.5, np.nan])
    assert found.columns["condition"].tolist() == ["control", "drought"]
    assert found.absent == ["temperature"]
    assert found.faults == []


def test_odd_cells_are_named(tmp_path) -> None:
    """A word among numbers is missing, with its line."""
    rows = [[f"{number}.png", str(number)] for number in range(9)] + [["9.png", "old"]]
    found = read_covariate_table(write_csv(tmp_path / "known.csv", ["file", "age"], rows), ("age",))
    assert found.columns["age"].isna().sum() == 1
    assert [(fault.source_row, fault.value) for fault in found.faults] == [(11, "old")]


def test_table_about_something_else(tmp_path) -> None:
    """A table with none of the columns is the wrong table."""
    path = write_csv(tmp_path / "known.csv", HEADER, ROWS, separator=";")
    with pytest.raises(ConfigError, match=r"known\.csv' has none of the columns that the model sees \('temperature'\)"):
        read_covariate_table(path, ("temperature",))


def test_other_unit_is_refused(tmp_path) -> None:
    """Hours are not taken for days."""
    path = write_csv(tmp_path / "known.csv", ["file", "age (h)"], [["a.png", "3"]])
    with pytest.raises(ConfigError, match=r"learned the column 'age_days', in days, but the table has 'age \(h\)'"):
        read_covariate_table(path, ("age_days",))
