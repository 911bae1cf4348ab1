"""How results look in a notebook: a line of facts, and the first rows of a table."""

import html
from collections.abc import Mapping

import pandas as pd

_ROWS = 5
_LONGEST = 120


def draw_view(title: str, facts: Mapping[str, object], table: pd.DataFrame | None = None) -> str:
    """Writes a result as HTML.

    Args:
        title: What it is.
        facts: Name -> value, shown on one line.
        table: Its first five rows are shown, long texts cut.

    Returns:
        HTML without scripts or styles of its own; every text of the user is escaped.
    """
    shown = " &middot; ".join(f"{html.escape(name)} <b>{html.escape(str(value))}</b>" for name, value in facts.items())
    parts = [f"<p><b>{html.escape(title)}</b><br>{shown}</p>"]
    if table is not None and not table.empty:
        parts.append(table.head(_ROWS).map(_shorten).to_html(index=False, border=0, escape=True))
        if len(table) > _ROWS:
            parts.append(f"<p>{len(table) - _ROWS:,} more rows</p>")
    return "".join(parts)


def count(number: int, noun: str, nouns: str | None = None) -> str:
    """A number with its noun, for example `1 image` and `1,200 images`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def _shorten(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return value if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
