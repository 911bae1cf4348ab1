"""Tables in several files read as if they stood in one."""

from pathlib import Path

import pandas as pd
import pytest

from phytoscope.data.readers.read_table import read_table
from phytoscope.data.readers.table_shards import find_table
from phytoscope.errors import DataNotFoundError, DataValidationError


def _write(folder: Path, name: str, **columns: list[object]) -> None:
    folder.mkdir(exist_ok=True)
    table = pd.DataFrame(columns)
    if name.endswith(".parquet"):
        table.to_parquet(folder / name, index=False)
    else:
        table.to_csv(folder / name, index=False)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_folder_of_shards_is_one_table(tmp_path: Path, suffix: str) -> None:
    """Rows stand in the order of the names of the files, whatever the order of the columns, and are counted on."""
    folder = tmp_path / "labels"
    _write(folder, f"part-1{suffix}", weight=[3.5], plant=["c"])
    _write(folder, f"part-0{suffix}", plant=["a", "b"], weight=[1.5, 2.5])
    (folder / "_SUCCESS").touch()
    (folder / f".hidden{suffix}").touch()
    table = read_table(find_table(str(folder), "data.table"))
    assert table["plant"].tolist() == ["a", "b", "c"]
    assert table["weight"].tolist() == [1.5, 2.5, 3.5]
    assert table.index.tolist() == [2, 3, 4]


def test_a_pattern_chooses_shards(tmp_path: Path) -> None:
    """A pattern leaves other tables of the folder out."""
    _write(tmp_path, "part-0.csv", plant=["a"])
    _write(tmp_path, "notes.csv", other=["b"])
    table = read_table(find_table(str(tmp_path / "part-*.csv"), "data.table"))
    assert table["plant"].tolist() == ["a"]


def test_one_type_for_a_column_of_all_shards(tmp_path: Path) -> None:
    """A column that is text in one shard is text in all."""
    _write(tmp_path / "labels", "0.csv", plant=["1", "2"])
    _write(tmp_path / "labels", "1.csv", plant=["x", "y"])
    table = read_table(tmp_path / "labels")
    assert table["plant"].tolist() == ["1", "2", "x", "y"]


def test_other_columns_are_named(tmp_path: Path) -> None:
    """A shard with other columns is refused with its name."""
    _write(tmp_path / "labels", "0.csv", plant=["1"])
    _write(tmp_path / "labels", "1.csv", leaf=["x"])
    with pytest.raises(DataValidationError, match=r"1\.csv has the columns leaf, 0\.csv has plant"):
        read_table(tmp_path / "labels")


def test_several_kinds_are_refused(tmp_path: Path) -> None:
    """CSV beside Parquet may hold the same rows twice."""
    _write(tmp_path / "labels", "0.csv", plant=["1"])
    _write(tmp_path / "labels", "0.parquet", plant=["1"])
    with pytest.raises(DataValidationError, match="several kinds"):
        read_table(tmp_path / "labels")


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    """A folder of photographs is no table."""
    (tmp_path / "photo.png").touch()
    with pytest.raises(DataNotFoundError, match="a folder of tables"):
        read_table(tmp_path)
