"""Tables in parts, here and at an address."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phytoscope.errors import ConfigError
from phytoscope.predict.table_parts import INDEX_NAME, check_parts, hand_over, output_exists, write_parts
from phytoscope.storage.publishing import ObjectFolder

SCHEMA = pa.schema([("path", pa.string())])


def _tables(*lengths: int) -> Iterator[pa.Table]:
    first = 0
    for length in lengths:
        yield pa.table({"path": [str(number) for number in range(first, first + length)]}, schema=SCHEMA)
        first += length


def _write(folder: Path, *lengths: int, rows_per_part: int = 4) -> Path:
    folder.mkdir()
    write_parts(folder, _tables(*lengths), SCHEMA, rows_per_part=rows_per_part)
    return folder


@pytest.mark.parametrize(("lengths", "parts"), [((3, 3, 3), [4, 4, 1]), ((9,), [4, 4, 1]), ((4, 4), [4, 4]), ((), [0])])
def test_rows_are_cut_into_parts_in_their_order(tmp_path: Path, lengths: tuple[int, ...], parts: list[int]) -> None:
    """Every part but the last is full, the index counts rows, and the folder reads as one table."""
    folder = _write(tmp_path / "whole", *lengths)
    index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    assert list(index["parts"].values()) == parts
    assert index["rows"] == sum(lengths)
    rows = pq.read_table(folder).column("path").to_pylist()
    assert rows == [str(number) for number in range(sum(lengths))]


def test_an_older_table_is_replaced_whole(tmp_path: Path) -> None:
    """No part of the older, longer table is left."""
    output = tmp_path / "answers"
    hand_over(_write(tmp_path / "first", 9), output)
    hand_over(_write(tmp_path / "second", 2), output)
    assert sorted(entry.name for entry in output.iterdir()) == [INDEX_NAME, "part-00000.parquet"]
    assert not (tmp_path / "second").exists()


def test_a_foreign_folder_is_never_replaced(tmp_path: Path) -> None:
    """A folder of photographs is refused before any work is done."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "leaf.png").touch()
    with pytest.raises(ConfigError, match="not a folder of answers"):
        check_parts(tmp_path / "photos")


def test_parts_at_an_address(tmp_path: Path) -> None:
    """Parts are published with the index last, and those of an older table go."""
    url = f"memory://parts-{secrets.token_hex(4)}/answers"
    assert not output_exists(Path(url))
    hand_over(_write(tmp_path / "first", 9), Path(url))
    hand_over(_write(tmp_path / "second", 2), Path(url))
    assert ObjectFolder(url).list_files() == [INDEX_NAME, "part-00000.parquet"]
    assert output_exists(Path(url))


def test_a_file_at_an_address(tmp_path: Path) -> None:
    """A table of one file is published under its name."""
    url = f"memory://parts-{secrets.token_hex(4)}/answers.csv"
    (tmp_path / "rows").write_bytes(b"path\n")
    hand_over(tmp_path / "rows", Path(url))
    assert output_exists(Path(url))
    assert ObjectFolder(url.rpartition("/")[0]).read("answers.csv") == b"path\n"
