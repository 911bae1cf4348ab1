"""Names and numbers as people read them, safe to put into a figure or a page."""

import math
import re
import textwrap
import unicodedata
from collections.abc import Sequence

_FIGURE_WIDTH = 52
_MINUS = "\u2212"
NO_BREAK = "\u00a0"
"""Stands between a number and its unit, so that both stay on one line."""
# Unicode categories: control characters, and halves of characters, which stand for bytes that are not UTF-8.
_REPLACED = {"Cc": " ", "Cs": "\ufffd"}


def clean_text(text: str) -> str:
    """Removes what no page or figure can show: control characters, and bytes of file names that are not UTF-8."""
    return "".join(_REPLACED.get(unicodedata.category(char), char) for char in text)


def figure_text(text: str, width: int = _FIGURE_WIDTH) -> str:
    """Text for a figure: at most `width` characters, and never read as a formula, whatever dollar signs it holds."""
    shown = clean_text(text)
    if len(shown) > width:
        shown = shown[: width - 1].rstrip() + "\u2026"
    return shown.replace("$", r"\$")


def shorten_middle(text: str, width: int) -> str:
    """At most `width` characters: the start and, because file names differ there, more of the end."""
    if len(text) <= width:
        return text
    tail = 2 * (width - 1) // 3
    return f"{text[: width - 1 - tail]}\u2026{text[len(text) - tail :]}"


def wrap_figure_text(text: str, width: int, lines: int) -> str:
    """Like `figure_text`, broken into at most `lines` lines of `width` characters."""
    wrapped = textwrap.wrap(clean_text(text), width, max_lines=lines, placeholder="\u2026")
    return "\n".join(wrapped).replace("$", r"\$")


def prettify_class(name: str) -> str:
    """Turns a folder name such as `Corn_(maize)___Common_rust_` into words: `Corn (maize): common rust`."""
    parts = [re.sub(r"[_\s]+", " ", part).strip() for part in clean_text(name).split("___")]
    crop, *rest = [part for part in parts if part] or [name]
    return ": ".join([crop, *(_lower_first(part) for part in rest)])


def prettify_classes(names: Sequence[str]) -> dict[str, str]:
    """Class name -> its words; names whose words would be the same keep their own spelling."""
    pretty = {name: prettify_class(name) for name in names}
    shown = list(pretty.values())
    return {name: words if shown.count(words) == 1 else clean_text(name) for name, words in pretty.items()}


def _lower_first(part: str) -> str:
    # "Esca" starts a sentence, "TMV" and "X disease" are names.
    return part[0].lower() + part[1:] if len(part) > 1 and part[1].islower() else part


def format_number(value: float | None, digits: int = 3) -> str:
    """A number with about `digits` significant digits, thousands separated, without an exponent where avoidable."""
    if value is None or not math.isfinite(value):
        return "\u2013"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 12 or size < -6:
        return f"{value:.{digits - 1}e}".replace("-", _MINUS)
    decimals = max(0, digits - 1 - size)
    return f"{value:,.{decimals}f}".replace("-", _MINUS)


def format_quantity(value: float | None, unit: str, digits: int = 3) -> str:
    """A number with its unit, kept on one line by a no-break space."""
    number = format_number(value, digits)
    return f"{number}\u00a0{unit}" if unit and value is not None else number


def format_percent(fraction: float | None, decimals: int = 1) -> str:
    """A fraction 0-1 as a percentage, kept on one line by a no-break space."""
    return "\u2013" if fraction is None else f"{100.0 * fraction:.{decimals}f}\u00a0%"


def format_count(count: int, singular: str, plural: str | None = None) -> str:
    """A count with its noun: `1 photograph`, `1,204 photographs`."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def name_quantity(name: str, unit: str) -> str:
    """A number and its unit for an axis, the unit once, also where the user's column has it in its name."""
    shown = figure_text(name)
    bracket = f"({figure_text(unit)})"
    return shown if unit == "" or shown.endswith(bracket) else f"{shown} {bracket}"
