"""Pieces of Markdown that several pages of the reference are made of."""

import dataclasses
import inspect
import re
import types
from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Final, Union, get_args, get_origin

_PLAIN: Final[dict[Any, str]] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    dict: "table",
    Any: "any value",
    types.NoneType: "null",
}
_FIELD: Final = re.compile(r"^    (\w+): (.*)$")


def render_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Writes a Markdown table.

    Args:
        heads: Heads of the columns.
        rows: Texts of the cells, one line or several.
    """
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_fit_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _fit_cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def quote_code(text: str) -> str:
    """A text as code within a sentence."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def read_summary(documented: object) -> str:
    """The text of a docstring up to its first section, as one paragraph a paragraph."""
    text = (inspect.getdoc(documented) or "").partition("\nAttributes:")[0].partition("\nArgs:")[0]
    return text.partition("\nReturns:")[0].partition("\nRaises:")[0].strip()


def read_attributes(kind: type[Any]) -> dict[str, str]:
    """Meaning of each field that the section `Attributes:` of a class names."""
    section = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break
        if start := _FIELD.match(line):
            name = start[1]
            found[name] = start[2]
        elif name:
            found[name] += f" {line.strip()}"
    return found


def word_kind(kind: Any) -> str:
    """What may stand for a value of a type, in words; a class of fields is a link to its own table."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    arguments = get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(word_kind(argument) for argument in arguments)
    if get_origin(kind) in (list, tuple, set, frozenset):
        return f"list of {word_kind(arguments[0])}" if arguments else "list"
    if get_origin(kind) is dict:
        return f"table of {word_kind(arguments[1])} by name"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(quote_code(str(choice.value)) for choice in kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return quote_code(getattr(kind, "__name__", str(kind)))
