"""Names of the groups, from the columns that the user gives for them, and what is doubtful about them."""

import re

import pandas as pd

from phytoscope.data.readers.cells import canonical_text
from phytoscope.data.readers.covariates import map_unique
from phytoscope.data.readers.spellings import fold_label
from phytoscope.data.source import Fault

NAMELESS = "images without a group"
"""Begins the reason of the fault that counts them."""
_LEADING_ZEROS = re.compile(r"(?<![\d.,])0+(?=\d)")
_NO_DECIMALS = re.compile(r"(\d+)[.,]0+")


def name_groups(table: pd.DataFrame, columns: list[str]) -> pd.Series:
    """Joins the cells of several columns to one name.

    Args:
        table: The user's table.
        columns: Its columns that name the group together.

    Returns:
        Name of the group of each line; None where one of the cells is empty.
    """
    parts = [_name(table[name]) for name in columns]
    # A plant without a complete name must not be thrown together with all the others without one.
    complete = ~pd.concat(parts, axis=1).isna().any(axis=1)
    names = parts[0][complete]
    for part in parts[1:]:
        names = names + "/" + part[complete]
    groups = pd.Series([None] * len(table), index=table.index, dtype=object)
    groups[complete] = names
    return groups


def find_nameless(table: pd.DataFrame, columns: list[str], names: pd.Series) -> list[Fault]:
    """One fault that counts the images without a complete name of their group; none when all have one.

    Args:
        table: The user's table.
        columns: Its columns that name the group together.
        names: Image of each line.
    """
    empty = [_name(table[name]).isna() for name in columns]
    nameless = pd.concat(empty, axis=1).any(axis=1)
    if not nameless.any():
        return []
    involved = [name for name, missing in zip(columns, empty, strict=True) if missing.any()]
    plural = "column" if len(involved) == 1 else "columns"
    described = f"{plural} {', '.join(map(repr, involved))} {'is' if len(involved) == 1 else 'are'} empty"
    line = nameless.index[nameless][0]
    reason = (
        f"{NAMELESS}: {int(nameless.sum())} of {len(table)} images have no group id ({described}); "
        "each is treated as a plant of its own"
    )
    remedy = f"fill in the id, from line {line} on; two images of one plant may stand in two splits otherwise"
    return [Fault(str(names[line]), reason, remedy, involved[0], source_row=int(line))]


def find_number_spellings(column: pd.Series, names: pd.Series, what: str) -> list[Fault]:
    """Names that differ from another only by leading zeros or by decimals that are zero: `001`, `1`, `1.0`.

    Args:
        column: Cells of one column.
        names: Image of each line.
        what: What the cells are, for the reason: `group` or `label`.

    Returns:
        One fault for each such name except the most frequent spelling, at the first line that has it.
    """
    texts = _name(column)
    counts = texts.value_counts()
    usual: dict[str, str] = {}
    faults = []
    for text, count in sorted(counts.items(), key=lambda item: (-item[1], str(item[0]))):
        name = str(text)
        other = usual.setdefault(_fold_numbers(name), name)
        # Names that differ by case or spaces are told of elsewhere.
        if other == name or fold_label(other) == fold_label(name):
            continue
        line = texts.index[texts == text][0]
        reason = (
            f"the name of the {what} differs from another only in how its number is written: "
            f"{name!r} ({count} images) and {other!r} ({counts[other]} images)"
        )
        remedy = f"if both are the same {what}, write them alike; they are taken as two"
        faults.append(Fault(str(names[line]), reason, remedy, str(column.name), name, int(line)))
    return faults


def _name(column: pd.Series) -> pd.Series:
    return map_unique(column, canonical_text)


def _fold_numbers(name: str) -> str:
    whole = _NO_DECIMALS.fullmatch(name)
    return _LEADING_ZEROS.sub("", fold_label(whole[1] if whole else name))
