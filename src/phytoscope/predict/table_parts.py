"""Tables too large for one file: a folder of Parquet parts, which appears whole and tells what it holds."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from phytoscope.errors import ConfigError
from phytoscope.schema.artifact import write_folder_atomic, write_json
from phytoscope.storage.place import as_url
from phytoscope.storage.publishing import ObjectFolder, publish_file

ROWS_PER_PART: Final = 500_000
INDEX_NAME: Final = "_index.json"
"""Names of the parts and their rows; readers of folders pass over what begins with an underscore."""
_FORMAT: Final = 1
_ROW_GROUP: Final = 65_536


def write_parts(folder: Path, tables: Iterator[pa.Table], schema: pa.Schema, *, rows_per_part: int) -> None:
    """Writes a table as `part-00000.parquet` and so on, and the index last.

    Args:
        folder: A new folder.
        tables: The rows in their order, some at a time.
        schema: Names and types of the columns.
        rows_per_part: Rows of every part but the last.
    """
    waiting, count = pa.Table.from_batches([], schema), 0
    rows: list[int] = []
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while len(waiting) >= rows_per_part:
            rows.append(_write_part(folder, len(rows), waiting.slice(0, rows_per_part)))
            waiting = waiting.slice(rows_per_part)
        count += len(table)
    if len(waiting) or not rows:
        rows.append(_write_part(folder, len(rows), waiting))
    parts = {_name_part(number): length for number, length in enumerate(rows)}
    write_json(folder / INDEX_NAME, {"format": _FORMAT, "rows": count, "parts": parts})


def check_parts(output: Path) -> None:
    """Refuses to replace a folder that is not one of parts.

    Raises:
        ConfigError: There is a file of that name, or a folder with other files.
    """
    if not output.exists() or (output.is_dir() and (is_of_parts(output) or not any(output.iterdir()))):
        return
    message = (
        f"the output {str(output)!r} is not a folder of answers that may be replaced: choose another name (a table "
        "ends in .csv, .jsonl or .parquet)."
    )
    raise ConfigError(message)


def output_exists(output: Path) -> bool:
    """Whether there is a table of that name already, on this computer or at an address.

    Raises:
        StorageError: The store does not answer, or refuses.
    """
    address = as_url(output)
    if address is None:
        return output.exists()
    parent, _, name = address.rstrip("/").rpartition("/")
    store = ObjectFolder(parent)
    return name in store.list_files() or store.read(f"{name}/{INDEX_NAME}") is not None


def is_of_parts(folder: Path) -> bool:
    """Whether a folder holds a table in parts, and nothing else."""
    names = {entry.name for entry in folder.iterdir()}
    return INDEX_NAME in names and all(name.startswith("part-") for name in names - {INDEX_NAME})


def hand_over(whole: Path, output: Path) -> None:
    """Gives a finished table, a file or a folder of parts, its name; an older one of that name is replaced.

    Args:
        whole: The table, on the same disk.
        output: Its name, on this computer or at an address.

    Raises:
        ConfigError: The name is that of something else.
        StorageError: The place cannot be written.
    """
    address = as_url(output)
    if address is not None:
        _publish(whole, address)
    elif whole.is_dir():
        check_parts(output)
        with write_folder_atomic(output) as temporary:
            for part in sorted(whole.iterdir()):
                part.replace(temporary / part.name)
    else:
        whole.replace(output)
    if whole.is_dir():
        shutil.rmtree(whole, ignore_errors=True)


def _publish(whole: Path, address: str) -> None:
    if whole.is_file():
        publish_file(whole, address)
        return
    store = ObjectFolder(address)
    # Without an index nothing is there; with the new one everything is.
    store.remove(INDEX_NAME)
    kept = {part.name for part in whole.iterdir()}
    for name in store.list_files():
        if name.startswith("part-") and name not in kept:
            store.remove(name)
    for name in sorted(kept - {INDEX_NAME}):
        store.put(whole / name, name)
    store.put(whole / INDEX_NAME, INDEX_NAME)


def _write_part(folder: Path, number: int, table: pa.Table) -> int:
    with (folder / _name_part(number)).open("wb") as stream:
        pq.write_table(table, stream, row_group_size=_ROW_GROUP)
        stream.flush()
        os.fsync(stream.fileno())
    return len(table)


def _name_part(number: int) -> str:
    return f"part-{number:05d}.parquet"
