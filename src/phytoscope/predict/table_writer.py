"""Writers of prediction tables, a few rows at a time."""

import csv
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.table import PROB_PREFIX, Task

OUTPUT_SUFFIXES = (".csv", ".jsonl", ".parquet")
_NUMBERS = ("probability", "value")

Write = Callable[[list[Prediction]], None]


@contextmanager
def open_writer(place: Path, output: Path, model: ModelDescription, *, probs: bool) -> Iterator[Write]:
    """Opens a table for predictions.

    Classification has the columns `path`, `prediction`, `probability`, with `probs` one `prob/<class>` for each class,
    and `error`; regression has `path`, `prediction` (value and unit as text), `value`, `unit`, for each further target
    `value/<name>` and `unit/<name>`, and `error`.

    Args:
        place: Where to write.
        output: The name the user gave; its extension decides the format.
        model: What the model is.
        probs: Whether to write one column a class (classification).

    Yields:
        A function that writes some rows.

    Raises:
        ConfigError: The extension is not `.csv`, `.jsonl` or `.parquet`.
    """
    check_output(output)
    columns = _columns(model, probs=probs)
    opener = {".csv": _open_csv, ".jsonl": _open_jsonl, ".parquet": _open_parquet}[output.suffix.lower()]
    with opener(place, columns) as write:
        yield lambda rows: write([_to_row(row, model, probs=probs) for row in rows])


def check_output(output: Path) -> None:
    """Refuses an output whose format nobody knows, before any work is done.

    Raises:
        ConfigError: The extension is not `.csv`, `.jsonl` or `.parquet`.
    """
    if output.suffix.lower() not in OUTPUT_SUFFIXES:
        message = (
            f"the output {str(output)!r} has the extension {output.suffix!r}; {suggest(output.suffix, OUTPUT_SUFFIXES)}"
        )
        raise ConfigError(message)


def _columns(model: ModelDescription, *, probs: bool) -> list[str]:
    if model.task is Task.regression:
        more = [f"{kind}/{target['name']}" for target in model.more_targets for kind in ("value", "unit")]
        return ["path", "prediction", "value", "unit", *more, "error"]
    classes = [f"{PROB_PREFIX}{name}" for name in model.class_names] if probs else []
    return ["path", "prediction", "probability", *classes, "error"]


def _to_row(row: Prediction, model: ModelDescription, *, probs: bool) -> dict[str, Any]:
    if model.task is Task.regression:
        text = None if row.value is None else f"{_round(row.value)} {row.unit}".strip()
        more: dict[str, Any] = {}
        for name, unit in list(model.units.items())[1:]:
            more |= {f"value/{name}": row.values.get(name), f"unit/{name}": unit}
        known = {"path": row.path, "prediction": text, "value": row.value, "unit": model.unit}
        return {**known, **more, "error": row.error}
    classes = {f"{PROB_PREFIX}{name}": row.probabilities.get(name) for name in model.class_names} if probs else {}
    return {"path": row.path, "prediction": row.label, "probability": row.probability, **classes, "error": row.error}


def _round(value: float) -> str:
    # Four digits, and never the 1.761e+04 of programmers.
    whole_digits = math.floor(math.log10(abs(value))) + 1 if value != 0 else 1
    return f"{value:.{max(0, 4 - whole_digits)}f}"


_WriteRows = Callable[[list[dict[str, Any]]], None]


@contextmanager
def _open_csv(place: Path, columns: list[str]) -> Iterator[_WriteRows]:
    with place.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        yield writer.writerows


@contextmanager
def _open_jsonl(place: Path, columns: list[str]) -> Iterator[_WriteRows]:  # noqa: ARG001 (each row names its columns)
    with place.open("w", encoding="utf-8") as stream:

        def write(rows: list[dict[str, Any]]) -> None:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)

        yield write


@contextmanager
def _open_parquet(place: Path, columns: list[str]) -> Iterator[_WriteRows]:
    numeric = (*_NUMBERS, PROB_PREFIX)
    schema = pa.schema([(name, pa.float64() if name.startswith(numeric) else pa.string()) for name in columns])
    with pq.ParquetWriter(place, schema) as writer:
        yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema=schema))
