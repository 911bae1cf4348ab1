"""A table of answers and what turned out to be true of them, for spreadsheets and `phytoscope drift truth`."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from phytoscope.api.records.database import Database
from phytoscope.api.records.reading import Judged, Wanted, iterate_records
from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.artifact import write_atomic

EXPORT_SUFFIXES: Final = (".csv", ".parquet")
_TIME, _TEXT, _NUMBER, _WHOLE = pa.timestamp("us", tz="UTC"), pa.string(), pa.float64(), pa.int64()
COLUMNS: Final = {
    "id": _TEXT,
    "at": _TIME,
    "model_name": _TEXT,
    "model_id": _TEXT,
    "model_version": _TEXT,
    "task": _TEXT,
    "predicted_label": _TEXT,
    "probability": _NUMBER,
    "predicted_value": _NUMBER,
    "lower": _NUMBER,
    "upper": _NUMBER,
    "unit": _TEXT,
    "verdict": _TEXT,
    "reasons": _TEXT,
    "novelty": _NUMBER,
    "image": _TEXT,
    "width_px": _WHOLE,
    "height_px": _WHOLE,
    "took_ms": _NUMBER,
    "feedback_at": _TIME,
    "label": _TEXT,
    "value": _NUMBER,
    "target": _TEXT,
    "comment": _TEXT,
}
"""`image` is the SHA-256 of the file that was sent; `label` and `value` are the truth."""
_RENAMED: Final = {"label": "predicted_label", "value": "predicted_value", "image_sha256": "image"}
_LEFT_OUT: Final = ("request_id", "answer")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_AT_ONCE: Final = 1000

Write = Callable[[list[dict[str, Any]]], None]


def export_records(database: Database, wanted: Wanted, output: Path, *, target: str | None = None) -> int:
    """Writes a table with one row an answer, the oldest one first.

    Of several feedbacks on one answer the newest counts.

    Args:
        database: Where records are.
        wanted: Which answers.
        output: File to write, `.csv` or `.parquet`.
        target: Further number whose truth is written; the class or the main number when None.

    Returns:
        How many rows were written.

    Raises:
        ConfigError: The extension is another one.
        StorageError: The database cannot be read, or the file cannot be written.
    """
    if output.suffix.lower() not in EXPORT_SUFFIXES:
        message = f"the output {str(output)!r}: {suggest(output.suffix, EXPORT_SUFFIXES)}"
        raise ConfigError(message)
    opener = _open_csv if output.suffix.lower() == ".csv" else _open_parquet
    count, rows = 0, []
    with write_atomic(output) as temporary, opener(temporary) as write:
        for judged in iterate_records(database, wanted):
            row = _to_row(judged, target)
            if wanted.feedback_only and row["feedback_at"] is None:
                continue
            rows.append(row)
            count += 1
            if len(rows) == _AT_ONCE:
                write(rows)
                rows = []
        write(rows)
    return count


def _to_row(judged: Judged, target: str | None) -> dict[str, Any]:
    row = dict.fromkeys(COLUMNS) | {
        _RENAMED.get(name, name): value for name, value in judged.prediction.items() if name not in _LEFT_OUT
    }
    truth = judged.newest.get(target)
    if truth is not None:
        row |= {"feedback_at": truth["at"], **{name: truth[name] for name in ("label", "value", "target", "comment")}}
    return row


@contextmanager
def _open_csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(COLUMNS))
        writer.writeheader()
        yield lambda rows: writer.writerows(map(_to_cells, rows))


def _to_cells(row: dict[str, Any]) -> dict[str, Any]:
    cells = {name: value.isoformat() if COLUMNS[name] == _TIME and value else value for name, value in row.items()}
    # Spreadsheets would compute what a stranger wrote.
    if (cells["comment"] or "").startswith(_FORMULA):
        cells["comment"] = f"'{cells['comment']}"
    return cells


@contextmanager
def _open_parquet(path: Path) -> Iterator[Write]:
    schema = pa.schema(list(COLUMNS.items()))
    with pq.ParquetWriter(path, schema) as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema))
