"""Hash of what a table of answers says, whatever the order of its rows."""

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

_BITS = 256


def hash_answers(path: Path) -> str:
    """Hashes the rows of a table one by one and adds the hashes up, so that their order does not matter.

    Two tables of one format have the same hash when they hold the same rows equally often; one changed digit, or a row
    that is missing or there twice, gives another one. See Clarke et al. (2003), "Incremental multiset hash functions",
    doi:10.1007/978-3-540-40061-5_12.

    Args:
        path: `.csv`, `.jsonl` or `.parquet`, or a folder of the latter.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: The table cannot be read.
    """
    total = 0
    for row in _iterate(path):
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        total += int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest())
    return f"{total % (1 << _BITS):064x}"


def _iterate(path: Path) -> Iterator[list[Any]]:
    suffix = path.suffix.lower()
    if suffix == ".parquet" or path.is_dir():
        for file in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
            with pq.ParquetFile(file) as table:
                for batch in table.iter_batches(65_536):
                    yield from map(list, zip(*(column.to_pylist() for column in batch.columns), strict=True))
        return
    with path.open(encoding="utf-8", newline="") as stream:
        if suffix == ".csv":
            yield from csv.reader(stream)
        else:
            for line in stream:
                yield [json.loads(line)]
