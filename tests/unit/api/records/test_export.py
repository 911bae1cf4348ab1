"""The table of answers and truths is the same in both formats, and no spreadsheet computes what a stranger wrote."""

import csv

import pandas as pd
import pyarrow.parquet as pq
import pytest

from phytoscope.api.records import export as export_module
from phytoscope.api.records.export import COLUMNS, export_records
from phytoscope.api.records.reading import Wanted
from phytoscope.errors import ConfigError


@pytest.mark.parametrize("at_once", [1000, 3])
def test_both_formats_say_the_same(told, tmp_path, monkeypatch, at_once):
    """One row an answer, the oldest one first, and all columns in both formats."""
    monkeypatch.setattr(export_module, "_AT_ONCE", at_once)
    for name in ("all.csv", "all.parquet"):
        assert export_records(told.database, Wanted(), tmp_path / name) == 8
    table = pq.read_table(tmp_path / "all.parquet").to_pandas()
    text = pd.read_csv(tmp_path / "all.csv", dtype={"id": str, "image": str, "model_version": str})
    assert list(table.columns) == list(text.columns) == list(COLUMNS)
    for column in ("id", "predicted_label", "probability", "predicted_value", "label", "value", "image", "verdict"):
        pd.testing.assert_series_equal(text[column], table[column], check_dtype=False)
    assert pd.to_datetime(text["at"]).tolist() == table["at"].tolist()
    assert table["label"].tolist()[:3] == ["rust", "healthy", "scab"]
    assert table["value"].tolist()[6:] == [11.0, 13.0]
    assert table["reasons"][2] == "blurred unsure"


def test_truth_only(told, tmp_path):
    """A comment alone is no truth."""
    assert export_records(told.database, Wanted(feedback_only=True), tmp_path / "truth.csv") == 5


def test_another_number(told, tmp_path):
    """The truth of a further number is written when it is named."""
    wanted = Wanted(feedback_only=True)
    assert export_records(told.database, wanted, tmp_path / "leaves.csv", target="leaves") == 1
    [row] = csv.DictReader((tmp_path / "leaves.csv").read_text(encoding="utf-8").splitlines())
    assert (row["value"], row["target"]) == ("7.0", "leaves")


def test_no_formula_reaches_a_spreadsheet(told, tmp_path):
    """A comment that a spreadsheet would compute is made a text."""
    export_records(told.database, Wanted(verdict="review"), tmp_path / "one.csv")
    [row] = csv.DictReader((tmp_path / "one.csv").read_text(encoding="utf-8").splitlines())
    assert row["comment"] == "'=cmd()"


def test_other_format(told, tmp_path):
    """Another extension is refused before anything is written."""
    with pytest.raises(ConfigError, match=r"choose one of: \.csv, \.parquet"):
        export_records(told.database, Wanted(), tmp_path / "table.doc")
    assert not (tmp_path / "table.doc").exists()


def test_empty_table(ledger, tmp_path):
    """Without answers the table has its columns and no row."""
    for name in ("none.csv", "none.parquet"):
        assert export_records(ledger.database, Wanted(), tmp_path / name) == 0
    assert pq.read_table(tmp_path / "none.parquet").column_names == list(COLUMNS)
