"""A workbook is read as a person sees it: merged cells count for all they cover, formulas need a result."""

import openpyxl
import pytest

from factories.tables import make_dataset
from phytoscope.data.readers.read_labels import read_labels
from phytoscope.data.readers.read_table import read_table
from phytoscope.data.readers.workbook import read_workbook
from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.schema.choices import DataKind
from phytoscope.schema.data_config import DataConfig


def save(path, rows, merged=(), sheets=()):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for area in merged:
        book.active.merge_cells(area)
    for name in sheets:
        book.create_sheet(name)
    book.save(path)
    return path


def test_merged_cell_counts_for_every_row(tmp_path):
    """The id of a plant that was merged over its two photographs belongs to both of them."""
    rows = [["file", "plant"], ["a.png", "p1"], ["b.png", None], ["c.png", None], ["d.png", "p2"], ["e.png"]]
    table = read_table(save(tmp_path / "t.xlsx", rows, ["B2:B3", "B5:B6"]))
    assert table["plant"].fillna("").tolist() == ["p1", "p1", "", "p2", "p2"]


def test_merged_cells_across_and_too_far(tmp_path):
    """A range over two columns fills both; what lies beyond the rows or holds nothing is left alone."""
    rows = [["file", "shoot", "root"], ["a.png", 1.5, None], ["b.png", 2.0, 3.0]]
    table = read_table(save(tmp_path / "t.xlsx", rows, ["B2:C2", "A3:A900", "E1:E3", "E7:F9"]))
    assert table.to_numpy().tolist() == [["a.png", 1.5, 1.5], ["b.png", 2.0, 3.0]]


def test_merged_header_names_nothing_else(tmp_path):
    """A cell merged over the header is no second column of the same name."""
    path = save(tmp_path / "t.xlsx", [["file", None, "plant"], ["a.png", None, "p1"]], ["A1:B1"])
    assert list(read_table(path).columns) == ["file", "plant"]


def test_formula_without_a_result_is_kept_as_text(tmp_path):
    """What was never computed is not silently empty; a formula with the result nothing is."""
    sheet = read_workbook(save(tmp_path / "t.xlsx", [["file", "total"], ["a.png", "=1+1"], ["b.png", 2.0]]))
    assert sheet.rows[1:] == [["a.png", "=1+1"], ["b.png", 2.0]]


def test_sheets_are_named(tmp_path):
    """Whoever has the data on another sheet is told which there are."""
    assert read_workbook(save(tmp_path / "t.xlsx", [["a"], [1]], sheets=["Daten"])).names == ["Sheet", "Daten"]


def configure(folder, **answer):
    return DataConfig(DataKind.table, table=str(folder / "t.xlsx"), images=str(folder / "images"), **answer)


@pytest.mark.parametrize("answer", [{"target": "total"}, {"label": "total"}])
def test_answer_that_was_never_computed_is_a_fault(tmp_path, answer):
    """The reason says that it is a formula, and the remedy how it gets its result."""
    make_dataset(tmp_path, [["a.png", 1, 1]])
    save(tmp_path / "t.xlsx", [["file", "total"], ["a.png", "=1+1"], ["b.png", "=A1+1"]])
    faults = read_labels(configure(tmp_path, **answer)).faults
    assert [fault.value for fault in faults] == ["=1+1", "=A1+1"]
    assert {fault.reason for fault in faults} == {"the cell holds a formula without a stored result"}
    assert {fault.remedy for fault in faults} == {"open the table and save it in the spreadsheet program"}


WRONG_PLACES = {
    "title": ([["Trial 2024"], ["file", "w"], ["a.png", 1]], DataValidationError, "header seems to stand in line 2"),
    "wide_title": ([["Trial", "2024"], ["file", "w"], ["a.png", 1]], ConfigError, "header seems to stand in line 2"),
    "other_sheet": ([["Readme"], ["contact"]], ConfigError, "first sheet of the workbook is read, 'Sheet'.*'Daten'"),
}


@pytest.mark.parametrize("case", WRONG_PLACES)
def test_table_in_another_place_is_pointed_out(tmp_path, case):
    """A title above the header, and data on another sheet."""
    rows, kind, match = WRONG_PLACES[case]
    make_dataset(tmp_path, [["a.png", 1, 1]])
    save(tmp_path / "t.xlsx", rows, sheets=["Daten"])
    with pytest.raises(kind, match=match):
        read_labels(configure(tmp_path, target="w"))
