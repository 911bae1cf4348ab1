"""A table means the same whatever program exported it, and what cannot be read is said."""

import datetime
import math
import zipfile

import numpy as np
import openpyxl
import pandas as pd
import pytest

from factories.tables import HEADER, ROWS, write_csv, write_xlsx
from phytoscope.data.readers.cells import canonical_text, to_number
from phytoscope.data.readers.read_table import DECIMAL_COMMA, DOUBTFUL, find_column, read_table
from phytoscope.errors import ConfigError, DataNotFoundError, DataValidationError


def read_text(folder, text, name="table.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return read_table(path)


def plain(table):
    return [[None if pd.isna(value) else value for value in row] for row in table.itertuples(index=False)]


CSV_DIALECTS = {
    "english": {},
    "german": {"separator": ";", "comma": True},
    "german_commas_quoted": {"separator": ",", "comma": True},
    "tabs": {"separator": "\t"},
    "bom": {"encoding": "utf-8-sig"},
    "utf16": {"encoding": "utf-16", "separator": "\t"},
    "unix": {"end": "\n"},
    "old_mac": {"end": "\r"},
    "cp1252": {"encoding": "cp1252", "separator": ";"},
}


@pytest.mark.parametrize("dialect", CSV_DIALECTS)
def test_every_dialect_gives_the_same_table(tmp_path, dialect):
    """Separator, decimal sign, encoding and line ends leave no trace."""
    table = read_table(write_csv(tmp_path / "table.csv", **CSV_DIALECTS[dialect]))
    pd.testing.assert_frame_equal(table, read_table(write_xlsx(tmp_path / "table.xlsx")))
    assert plain(table) == ROWS
    assert list(table.columns) == HEADER
    assert list(table.index) == [2, 3, 4, 5]


def test_parquet_gives_the_same_table(tmp_path):
    """Columns that already have types keep their meaning."""
    pd.DataFrame(ROWS, columns=HEADER).to_parquet(tmp_path / "table.parquet")
    assert plain(read_table(tmp_path / "table.parquet")) == ROWS


def test_named_index_of_parquet_is_a_column(tmp_path):
    """A table saved with the file names as index has not lost them."""
    pd.DataFrame(ROWS, columns=HEADER).set_index("filename").to_parquet(tmp_path / "table.parquet")
    assert list(read_table(tmp_path / "table.parquet")["filename"]) == ["a.png", "b.png", "c.png", "d.png"]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-8-sig", "utf-16"])
def test_umlauts_survive(tmp_path, encoding):
    """Names keep their letters whatever the code page."""
    table = read_text(tmp_path, "Bild;Größe\nBlätter/ä.png;3,5\n", encoding=encoding)
    assert list(table.columns) == ["Bild", "Größe"]
    assert plain(table) == [["Blätter/ä.png", 3.5]]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1.5", "2"], [1.5, 2.0]),
        (["1,5", "2"], [1.5, 2.0]),
        (["1.234,5", "2"], [1234.5, 2.0]),
        (["1,234.5", "2"], [1234.5, 2.0]),
        (["1,234", "2,100"], [1234.0, 2100.0]),
        (["0,130", "1,234"], [0.13, 1.234]),
        (["0.130", "1.234"], [0.13, 1.234]),
        (["1.234.567", "0,5"], [1234567.0, 0.5]),
        (["1e-3", "2E2"], [0.001, 200.0]),
        (["+1", "-2"], [1.0, -2.0]),
        (["1'234.5", "1\N{NO-BREAK SPACE}000"], [1234.5, 1000.0]),
        (["1\N{NO-BREAK SPACE}200,5", "2"], [1200.5, 2.0]),
        (["1\N{NARROW NO-BREAK SPACE}200,500", "2"], [1200.5, 2.0]),
        (["1\N{THIN SPACE}200.5", "2"], [1200.5, 2.0]),
        (["1 200,5", "2"], [1200.5, 2.0]),
        (["WAHR", "falsch"], [True, False]),
        (["TRUE", ""], [True, None]),
        (["1", "0"], [1.0, 0.0]),
        (["007", "8"], ["007", "8"]),
        (["0.5", "0"], [0.5, 0.0]),
        (["", "NA"], [None, None]),
        (["1", "ten"], ["1", "ten"]),
        (["1,5", "1.5"], ["1,5", "1.5"]),
        (["12345678901234567890", "12345678901234567891"], ["12345678901234567890", "12345678901234567891"]),
        (["1e999", "1"], ["1e999", "1"]),
        (["=A1", "#DIV/0!"], ["=A1", "#DIV/0!"]),
        (["True", "5"], ["True", "5"]),
        (["2024-05-01", "2024-05-02"], ["2024-05-01", "2024-05-02"]),
    ],
)
def test_cells_get_one_plain_type(tmp_path, cells, expected):
    """A column is numbers, truth values or text, never a guess that loses something."""
    path = write_csv(tmp_path / "table.csv", ["name", "value"], [["a", cells[0]], ["b", cells[1]]])
    assert [row[1] for row in plain(read_table(path))] == expected


def test_each_column_has_its_own_decimal_sign(tmp_path):
    """A position such as 3,4 does not turn 0.131 grams into 131."""
    table = read_text(tmp_path, 'file,weight,place\na.png,1.234,"3,4"\nb.png,0.131,"1,2"\n')
    assert list(table["weight"]) == [1.234, 0.131]
    assert table.attrs[DECIMAL_COMMA] == {"file": True, "weight": False, "place": True}


def test_three_decimals_in_a_german_file_are_decimals(tmp_path):
    """Where semicolons separate, the comma is a decimal sign even if every number has three digits behind it."""
    table = read_text(tmp_path, "file;weight\na.png;1,234\nb.png;2,100\n")
    assert list(table["weight"]) == [1.234, 2.1]


def test_dates_read_alike_from_workbook_and_text(tmp_path):
    """A day is a day, a time is kept, and a number stored as text is a number."""
    rows = [[datetime.datetime(2024, 5, 1), datetime.datetime(2024, 5, 1, 12, 30), "1.5", True], [None, None, 2, False]]
    table = read_table(write_xlsx(tmp_path / "t.xlsx", ["day", "moment", "number", "flag"], rows))
    assert plain(table) == [["2024-05-01", "2024-05-01 12:30:00", 1.5, True], [None, None, 2.0, False]]


def test_wrong_size_of_a_sheet_is_not_believed(tmp_path):
    """Some programs write that the sheet has one cell; all rows are read all the same."""
    right = write_xlsx(tmp_path / "right.xlsx")
    with zipfile.ZipFile(right) as source, zipfile.ZipFile(tmp_path / "table.xlsx", "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            copy.writestr(name, content.replace(b'<dimension ref="A1:D5"', b'<dimension ref="A1"'))
            assert not name.endswith("sheet1.xml") or b"A1:D5" in content
    assert len(read_table(tmp_path / "table.xlsx")) == 4


def test_blank_lines_are_skipped_and_counted(tmp_path):
    """Line numbers are those a person sees in the spreadsheet, also above the header."""
    table = read_text(tmp_path, "\n\nfile,weight\n,\na.png,1\n\nb.png,2\n")
    assert list(table.index) == [5, 7]
    book = openpyxl.Workbook()
    for row in [[None], [None], ["file", "weight"], [None], ["a.png", 1], ["", " "], ["b.png", 2]]:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert list(read_table(tmp_path / "t.xlsx").index) == [5, 7]


def test_declared_separator_is_taken(tmp_path):
    """The first line that spreadsheet programs write for each other is no header."""
    table = read_text(tmp_path, "sep=|\r\nfile|weight\r\na.png|1\r\n")
    assert list(table.columns) == ["file", "weight"]
    assert list(table.index) == [3]


def test_quoted_cells_may_hold_separators_and_line_breaks(tmp_path):
    """Quotes keep a cell together."""
    table = read_text(tmp_path, 'file,"note; long",weight\na.png,"one, two\nthree ""four""",1\nb.png,,2\n')
    assert plain(table) == [["a.png", 'one, two\nthree "four"', 1.0], ["b.png", None, 2.0]]


def test_running_number_without_a_name_is_left_out(tmp_path):
    """The unnamed first column that programs write is no data."""
    assert list(read_text(tmp_path, ",file,weight\n0,a.png,1\n").columns) == ["file", "weight"]


def test_short_rows_are_filled(tmp_path):
    """Missing cells at the end are empty cells."""
    assert plain(read_text(tmp_path, "file,plant,weight\na.png\nb.png,3,1\n")) == [
        ["a.png", None, None],
        ["b.png", 3, 1],
    ]


FAULTS = {
    "ragged": ("file,weight\na.png,1\nb.png,1,5\nc.png,2,7\n", DataValidationError, "2 columns .* line 3, 4"),
    "same_name_twice": ("file,weight,weight\na.png,1,2\n", DataValidationError, "same name: 'weight'"),
    "header_only": ("file,weight\n\n", DataNotFoundError, "a header but no row"),
    "empty": ("", DataNotFoundError, "is empty"),
    "blank": ("\n ;;\n", DataNotFoundError, "is empty"),
    "binary": ("a\0b\0c", DataValidationError, "holds binary data"),
    "open_quote": ('file,weight\n"a.png,1\nb.png,2\n', DataValidationError, "quotation mark is opened"),
    "long_open_quote": ('file,w\n"a.png,1\n' + "b.png,2\n" * 20_000, DataValidationError, "quotation mark is opened"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_of_a_text_table_is_named(tmp_path, fault):
    """A table that cannot be read as it is, is not read at all."""
    text, kind, match = FAULTS[fault]
    with pytest.raises(kind, match=match):
        read_text(tmp_path, text)


@pytest.mark.parametrize("name", ["table.xls", "table.ods", "table", "table.json"])
def test_unknown_extension_is_refused(tmp_path, name):
    """The message names what can be read, and what to do with an old workbook."""
    match = r"allowed: \.csv, \.tsv, \.txt, \.xlsx, \.parquet"
    with pytest.raises(ConfigError, match=match) as caught:
        read_text(tmp_path, "a,b\n1,2\n", name=name)
    assert ("Save the workbook as .xlsx" in str(caught.value)) == name.endswith((".xls", ".ods"))


@pytest.mark.parametrize("name", ["table.xlsx", "table.parquet"])
@pytest.mark.parametrize("content", [b"", b"file,weight\na.png,1\n", b"PK\x03\x04rubbish", b"PAR1rubbishPAR1"])
def test_other_content_under_a_known_extension_is_refused(tmp_path, name, content):
    """Renaming a file does not make it a workbook."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataValidationError, match="cannot be read as"):
        read_table(tmp_path / name)


def test_truncated_workbook_is_refused(tmp_path):
    """Half a workbook is no workbook."""
    content = write_xlsx(tmp_path / "t.xlsx").read_bytes()
    (tmp_path / "t.xlsx").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataValidationError, match="cannot be read as a workbook"):
        read_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize("rows", [[], [[None, None]], [["file", "weight"]]])
def test_empty_workbook_is_refused(tmp_path, rows):
    """No row is nothing to learn from."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(DataNotFoundError, match=r"is empty|a header but no row"):
        read_table(tmp_path / "t.xlsx")


def test_folder_with_the_name_of_a_table_is_refused(tmp_path):
    """A place that cannot be opened as a file gives a sentence."""
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(DataNotFoundError, match="cannot be opened"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize("value", ["ten", "1,5 g", "1.5", "", True, "1e999", math.inf, "0.131", "1,2,3", 10**400])
def test_what_is_no_number_is_not_read_as_one(value):
    """With a decimal comma, a point is a sign of thousands and nothing else."""
    with pytest.raises(ValueError, match="is not a number"):
        to_number(value, comma=True)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, 3.0), (np.int64(3), 3.0), ("3", 3.0), (" 3,5 ", 3.5), ("1.234", 1234.0), (0, 0.0), ("1.234.567,8", 1234567.8)],
)
def test_numbers_are_read(value, expected):
    """Numbers of any kind and German texts become floats."""
    assert to_number(value, comma=True) == expected


@pytest.mark.parametrize("value", [None, math.nan, np.nan])
def test_nothing_is_not_a_number(value):
    """An empty cell is missing, not zero."""
    assert math.isnan(to_number(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2.0, "2"),
        ("2", "2"),
        (" 2 ", "2"),
        (2, "2"),
        (2.5, "2.5"),
        ("", None),
        (None, None),
        (math.nan, None),
        ("02", "02"),
    ],
)
def test_name_has_one_spelling(value, expected):
    """A plant is the same plant whether its number was typed as text or as a number."""
    assert canonical_text(value) == expected


def test_column_is_found_in_spite_of_case():
    """Spaces and capitals do not matter, another name does, and an exact match comes first."""
    table = pd.DataFrame([[1, 2, 3]], columns=["Weight ", "weight", "plant"])
    assert find_column(table, "weight", "data.target") == "weight"
    assert find_column(table, "PLANT", "data.target") == "plant"
    with pytest.raises(ConfigError, match=r"data.target: the table has no column 'plnt'; did you mean 'plant'"):
        find_column(table, "plnt", "data.target")


def test_numbers_of_a_workbook_survive_texts_with_commas(tmp_path):
    """One number typed with a comma and one word do not turn the real numbers of the column into others."""
    rows = [["a.png", 1.234], ["b.png", "0,131"], ["c.png", "ca. 2"], ["d.png", 12]]
    table = read_table(write_xlsx(tmp_path / "t.xlsx", ["file", "weight"], rows))
    assert list(table["weight"]) == ["1,234", "0,131", "ca. 2", "12"]
    assert table.attrs[DECIMAL_COMMA]["weight"]


@pytest.mark.parametrize("value", ["1 234", "1 234,5", "\N{MINUS SIGN}0,5", "1\N{THIN SPACE}234"])
def test_signs_of_other_places_are_understood(value):
    """Spaces between thousands, and the minus sign of a text program."""
    assert to_number(value, comma=True) in (1234, 1234.5, -0.5)


@pytest.mark.parametrize(
    ("cells", "doubtful"),
    [
        (["0.5", "1,250", "2.5"], ["1,250"]),
        (["0,5", "1.250", "2,5"], ["1.250"]),
        (["0.5", "1,250", "1,250.5"], []),
        (["0.5", "1,250", "900.5"], []),
        (["1,250", "1,300", "2.5"], []),
        (["0.5", "1,250", "ca. 3"], ["1,250"]),
        (["0", "0", "1,250"], []),
    ],
)
def test_lone_sign_of_thousands_is_doubted(tmp_path, cells, doubtful):
    """Far beyond all other numbers, it may well be a decimal sign; the line is named with both readings."""
    path = write_csv(tmp_path / "table.csv", ["name", "value"], [["a", cell] for cell in cells])
    found = read_table(path).attrs[DOUBTFUL]
    assert [cell[2] for cell in found] == doubtful
    assert [cell[3:] for cell in found] == [(1250.0, 1.25)] * len(doubtful)
