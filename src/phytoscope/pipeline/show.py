"""Metadata of assets and checks: tables and pictures in Markdown, paths and links, as Dagster's page shows them."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

MOST_ROWS = 30


def show_table(rows: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """A table; of a long one the first rows, and how many more there are.

    Args:
        rows: Column -> value, the same columns in every row; a value that is None or no number is shown as a gap.
    """
    if not rows:
        return dg.MetadataValue.md("nothing")
    names = list(rows[0])
    lines = [_line(names), _line(["---"] * len(names))]
    lines += [_line([_word(row.get(name)) for name in names]) for row in rows[:MOST_ROWS]]
    more = f"\n\n... and {len(rows) - MOST_ROWS} more rows" if len(rows) > MOST_ROWS else ""
    return dg.MetadataValue.md("\n".join(lines) + more)


def show_file(path: Path | str) -> dg.PathMetadataValue:
    """A file or folder on this machine."""
    return dg.MetadataValue.path(str(path))


def show_values(values: Mapping[str, float | int | str | bool]) -> dict[str, dg.MetadataValue[Any]]:
    """Numbers and words by name; a number that is not finite is told as a word, for which JSON has none."""
    shown: dict[str, dg.MetadataValue[Any]] = {}
    for name, value in values.items():
        match value:
            case bool():
                shown[name] = dg.MetadataValue.bool(value)
            case int():
                shown[name] = dg.MetadataValue.int(value)
            case float() if math.isfinite(value):
                shown[name] = dg.MetadataValue.float(value)
            case _:
                shown[name] = dg.MetadataValue.text(str(value))
    return shown


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _word(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)
