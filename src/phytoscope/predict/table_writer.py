"""Rows of prediction tables, as text or as columns."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from phytoscope.errors import ConfigError, suggest
from phytoscope.predict.table_parts import check_parts
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.prediction import Prediction
from phytoscope.schema.table import LOWER, NOVELTY, PROB_PREFIX, PROBABILITY, REASONS, SET, UPPER, VERDICT, Task
from phytoscope.schema.verdict import REASON_WORDS
from phytoscope.storage.place import as_url

OUTPUT_SUFFIXES = (".csv", ".jsonl", ".parquet")
PARTS_SUFFIX = ".parts"
"""Extension of a folder of Parquet parts: a name without any is rather a slip."""
_NUMBERS = (PROBABILITY, NOVELTY, "value", LOWER, UPPER, PROB_PREFIX)
# What stands between the entries of a list where a cell holds one text.
_JOINED_BY = {SET: " | ", REASONS: "; "}


class TableForm:
    """Columns of a table of predictions, and how its rows are written.

    Classification has the columns `path`, `prediction`, `probability`, with `probs` one `prob/<class>` for each class,
    and `set` (classes the answer may be); regression has `path`, `prediction` (value and unit as text), `value`,
    `unit`, `lower` and `upper` (its interval), and for each further target `value/<name>`, `unit/<name>`,
    `lower/<name>` and `upper/<name>`. Both end with `verdict`, `reasons` (in words), `novelty` and `error`. `set` and
    `reasons` are lists in JSON lines; elsewhere they are joined by ` | ` and `; `. What the model cannot tell is empty.

    Attributes:
        suffix: `.csv`, `.jsonl` or `.parquet`.
        is_folder: Whether the table is a folder of Parquet parts.
        columns: Names of the columns, in order.
    """

    def __init__(self, output: Path, model: ModelDescription, *, probs: bool) -> None:
        """Finds the columns.

        Args:
            output: The name the user gave; its extension decides the format, and without one it is a folder of parts.
            model: What the model is.
            probs: Whether to write one column a class (classification).

        Raises:
            ConfigError: The extension is not `.csv`, `.jsonl` or `.parquet`.
        """
        check_output(output)
        self.is_folder = output.suffix.lower() == PARTS_SUFFIX
        self.suffix = ".parquet" if self.is_folder else output.suffix.lower()
        self.columns = _columns(model, probs=probs)
        self._model, self._probs = model, probs

    @property
    def is_text(self) -> bool:
        """Whether further rows can be put behind those that were written."""
        return self.suffix != ".parquet"

    def head(self) -> bytes:
        """What a file of text begins with."""
        return _encode_csv([self.columns]) if self.suffix == ".csv" else b""

    def encode(self, rows: Sequence[Prediction]) -> bytes:
        """Some rows as text."""
        cells = self._describe(rows)
        if self.suffix == ".csv":
            return _encode_csv([list(_join_lists(row).values()) for row in cells])
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in cells).encode("utf-8")

    def tabulate(self, rows: Sequence[Prediction]) -> pa.Table:
        """Some rows as an Arrow table."""
        return pa.Table.from_pylist([_join_lists(row) for row in self._describe(rows)], schema=self.schema)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        numbers = [(name, pa.float64() if name.startswith(_NUMBERS) else pa.string()) for name in self.columns]
        return pa.schema(numbers)

    def _describe(self, rows: Sequence[Prediction]) -> list[dict[str, Any]]:
        return [_to_row(row, self._model, probs=self._probs) for row in rows]


def check_output(output: Path) -> None:
    """Refuses an output whose format nobody knows, before any work is done.

    Raises:
        ConfigError: The extension is not `.csv`, `.jsonl`, `.parquet` or `.parts`; or one that ends in `.parts` is
            something else than a folder of parts.
    """
    if output.suffix.lower() == PARTS_SUFFIX:
        if as_url(output) is None:
            check_parts(output)
    elif output.suffix.lower() not in OUTPUT_SUFFIXES:
        allowed = suggest(output.suffix, (*OUTPUT_SUFFIXES, PARTS_SUFFIX))
        message = f"the output {str(output)!r} has the extension {output.suffix!r}; {allowed}"
        raise ConfigError(message)


_JUDGED = (VERDICT, REASONS, NOVELTY, "error")


def _columns(model: ModelDescription, *, probs: bool) -> list[str]:
    if model.task is Task.regression:
        more = [f"{kind}/{target['name']}" for target in model.more_targets for kind in ("value", "unit", LOWER, UPPER)]
        return ["path", "prediction", "value", "unit", LOWER, UPPER, *more, *_JUDGED]
    classes = [f"{PROB_PREFIX}{name}" for name in model.class_names] if probs else []
    return ["path", "prediction", PROBABILITY, *classes, SET, *_JUDGED]


def _to_row(row: Prediction, model: ModelDescription, *, probs: bool) -> dict[str, Any]:
    judged = {
        VERDICT: row.verdict or None,
        REASONS: [REASON_WORDS[reason] for reason in row.reasons],
        NOVELTY: row.novelty,
        "error": row.error,
    }
    if model.task is Task.regression:
        return {"path": row.path, **_describe_values(row, model), **judged}
    classes = {f"{PROB_PREFIX}{name}": row.probabilities.get(name) for name in model.class_names} if probs else {}
    known = {"path": row.path, "prediction": row.label, PROBABILITY: row.probability}
    return {**known, **classes, SET: list(row.label_set), **judged}


def _describe_values(row: Prediction, model: ModelDescription) -> dict[str, Any]:
    text = None if row.value is None else f"{_round(row.value)} {row.unit}".strip()
    known: dict[str, Any] = {"prediction": text, "value": row.value, "unit": model.unit}
    known |= {LOWER: row.lower, UPPER: row.upper}
    for name, unit in list(model.units.items())[1:]:
        known |= {f"value/{name}": row.values.get(name), f"unit/{name}": unit}
        known |= {f"{LOWER}/{name}": row.lowers.get(name), f"{UPPER}/{name}": row.uppers.get(name)}
    return known


def _join_lists(row: dict[str, Any]) -> dict[str, Any]:
    # Nothing in place of an empty list: a cell that holds nothing is easier to look for than one of no length.
    return row | {name: mark.join(row[name]) or None for name, mark in _JOINED_BY.items() if name in row}


def _round(value: float) -> str:
    # Four digits, and never the 1.761e+04 of programmers.
    if not math.isfinite(value):
        return str(value)
    whole_digits = math.floor(math.log10(abs(value))) + 1 if value != 0 else 1
    return f"{value:.{max(0, 4 - whole_digits)}f}"


def _encode_csv(rows: list[list[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8")
