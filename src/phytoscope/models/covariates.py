"""The user's own columns as numbers that the network sees beside the image."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.errors import ConfigError, suggest

MOST_CATEGORIES = 20
"""A column with more different texts names plants or files rather than a treatment."""
_NO, _YES = "false", "true"
_YES_NO = {
    **dict.fromkeys(("1", "yes", "y", "ja", "wahr"), _YES),
    **dict.fromkeys(("0", "no", "n", "nein", "falsch"), _NO),
}
_SHOWN = 5


@dataclass(frozen=True)
class Covariate:
    """One column.

    Attributes:
        name: The user's name of the column.
        categories: Known values of a column of categories; empty for numbers.
        mean: Mean over the training rows that have the number.
        std: Standard deviation over them.
    """

    name: str
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0

    @property
    def dim(self) -> int:
        """Numbers it becomes: one a category, or the number itself, and the sign that it is missing."""
        return max(1, len(self.categories)) + 1

    def encode(self, cells: pd.Series) -> NDArray[np.float32]:
        """Encodes the column's cells.

        Args:
            cells: Numbers, texts, truth values or nothing, N of them.

        Returns:
            Shape (N, dim), float32: the standardised number or a 1 at its category, and last a 1 where it is missing,
            not a number or not a known category; the others are 0 there.
        """
        encoded = np.zeros((len(cells), self.dim), dtype=np.float32)
        if self.categories:
            places = self._places(cells)
            known = places >= 0
            encoded[np.flatnonzero(known), places[known]] = 1
        else:
            numbers = _to_numbers(cells)
            known = np.isfinite(numbers)
            encoded[known, 0] = (numbers[known] - self.mean) / self.std
        encoded[:, -1] = ~known
        return encoded

    def list_unknown(self, cells: pd.Series) -> list[str]:
        """Cells that hold something, each once, which is not a number or not a known category."""
        known = self._places(cells) >= 0 if self.categories else np.isfinite(_to_numbers(cells))
        held = np.array([_fold(cell) is not None for cell in cells], dtype=bool)
        return sorted({str(cell) for cell in cells[held & ~known]})

    def describe_known(self) -> str:
        """What it takes, in words."""
        return ", ".join(self.categories) if self.categories else "a number"

    def _places(self, cells: pd.Series) -> NDArray[np.int64]:
        place = {str(_fold(name)): position for position, name in enumerate(self.categories)}
        if set(place) == {_NO, _YES}:
            place |= {word: place[meaning] for word, meaning in _YES_NO.items()}
        return np.array([place.get(_fold(cell) or "", -1) for cell in cells], dtype=np.int64)


@dataclass(frozen=True)
class CovariateEncoder:
    """Turns columns into numbers in the way that was fitted on the training rows.

    Attributes:
        columns: The columns, in order; networks that answer together have one each for the same name.
    """

    columns: tuple[Covariate, ...]

    @property
    def dim(self) -> int:
        """Numbers a row becomes."""
        return sum(self.sizes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Numbers that each column becomes; the last of them is the sign that it is missing."""
        return tuple(column.dim for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """The user's names of the columns, each once."""
        return tuple(dict.fromkeys(column.name for column in self.columns))

    def encode(self, table: pd.DataFrame) -> NDArray[np.float32]:
        """Encodes rows; a column that is not there is missing in every row.

        Args:
            table: Columns under the user's names, one row a sample.

        Returns:
            Shape (N, dim), float32; a missing number is 0 and its sign is 1.
        """
        nothing = pd.Series([None] * len(table), index=table.index, dtype=object)
        parts = [column.encode(table.get(column.name, nothing)) for column in self.columns]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(table), 0), dtype=np.float32)

    def encode_missing(self, count: int) -> NDArray[np.float32]:
        """Rows of which nothing is known, shape (count, dim), float32."""
        return self.encode(pd.DataFrame(index=range(count)))

    def read_values(self, values: Mapping[str, Any]) -> pd.DataFrame:
        """One row from names and values.

        Args:
            values: The user's name of a column, upper and lower case do not matter -> its value; None is missing.

        Raises:
            ConfigError: The network sees no such column; the text names the nearest.
        """
        folded = {name.strip().casefold(): name for name in self.names}
        row: dict[str, Any] = {}
        for name, value in values.items():
            known = name if name in self.names else folded.get(name.strip().casefold())
            if known is None:
                message = f"the model sees no column {name!r} beside the image; {suggest(name, self.names)}"
                raise ConfigError(message)
            row[known] = value
        return pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in row.items()}, index=[0])

    def word_unknown(self, table: pd.DataFrame) -> list[str]:
        """One sentence for each column with values that are taken as missing because they are not understood."""
        sentences: dict[str, None] = {}
        for column in self.columns:
            unknown = column.list_unknown(table[column.name]) if column.name in table else []
            if unknown:
                shown = ", ".join(map(repr, unknown[:_SHOWN])) + (", ..." if len(unknown) > _SHOWN else "")
                known = column.describe_known()
                sentences[f"{column.name}: {shown} counts as missing; the model knows {known} there"] = None
        return list(sentences)

    def describe(self) -> dict[str, str]:
        """Name of each column -> what it takes, in words."""
        known = {column.name: column.describe_known() for column in self.columns}
        return {name: known[name] for name in self.names}

    def to_dict(self) -> dict[str, Any]:
        """The encoder as plain values, ready for JSON."""
        columns = [{**dataclasses.asdict(column), "categories": list(column.categories)} for column in self.columns]
        return {"columns": columns}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "CovariateEncoder":
        """Rebuilds an encoder from `to_dict`'s result.

        Raises:
            KeyError: A field is missing.
            TypeError: A field is unknown.
        """
        columns = (Covariate(**{**entry, "categories": tuple(entry["categories"])}) for entry in content["columns"])
        return cls(tuple(columns))


def fit_covariates(table: pd.DataFrame, names: Sequence[str]) -> CovariateEncoder:
    """Fits the encoder on training rows only.

    Numbers are brought to mean 0 and deviation 1; texts and truth values become one number a category.

    Args:
        table: Columns under the user's names, one row a training sample.
        names: Which of them, in order.

    Raises:
        ConfigError: A column is not there, empty or never changes in these rows, or has more than 20 different texts;
            the text lists every one.
    """
    columns, faults = [], []
    for name in names:
        fitted = _fit_column(name, table[name]) if name in table else "is not in the table"
        if isinstance(fitted, str):
            faults.append(f"{name!r} {fitted}")
        else:
            columns.append(fitted)
    if faults:
        message = f"data.covariates: {'; '.join(faults)}: leave out what cannot be used."
        raise ConfigError(message)
    return CovariateEncoder(tuple(columns))


def _fit_column(name: str, cells: pd.Series) -> Covariate | str:
    if pd.api.types.is_numeric_dtype(cells) and not pd.api.types.is_bool_dtype(cells):
        numbers = _to_numbers(cells)
        numbers = numbers[np.isfinite(numbers)]
        if numbers.size == 0:
            return "is empty in every training row"
        if np.ptp(numbers) == 0:
            return f"is {numbers[0]:g} in every training row that has it, so that there is nothing to learn from it"
        return Covariate(name, mean=float(numbers.mean()), std=float(numbers.std()))
    spellings: dict[str, str] = {}
    # Of several spellings of one category the most frequent is shown.
    for cell in cells.dropna().map(str).value_counts(sort=True).index:
        if (folded := _fold(cell)) is not None:
            spellings.setdefault(folded, _NO if folded == _NO else _YES if folded == _YES else cell.strip())
    if not spellings:
        return "is empty in every training row"
    if len(spellings) == 1:
        only = next(iter(spellings.values()))
        return f"is {only!r} in every training row that has it, so that there is nothing to learn from it"
    if len(spellings) > MOST_CATEGORIES:
        return (
            f"has {len(spellings)} different texts in the training rows, at most {MOST_CATEGORIES} are allowed (names "
            "of plants or files are learned by heart)"
        )
    return Covariate(name, tuple(spellings[folded] for folded in sorted(spellings)))


def _to_numbers(cells: pd.Series) -> NDArray[np.float64]:
    return pd.to_numeric(cells, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _fold(cell: Any) -> str | None:
    """One spelling for a category: without case and spaces around it, `2` for `2.0`; None when there is nothing."""
    if cell is None or cell is pd.NA or (isinstance(cell, float | np.floating) and math.isnan(cell)):
        return None
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))
    return str(cell).strip().casefold() or None


def list_values(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, float | str | bool | None]:
    """The columns of one row as plain values, ready for JSON; None where nothing is known."""
    values: dict[str, float | str | bool | None] = {}
    for name in names:
        cell = row.get(name)
        if _fold(cell) is None:
            values[name] = None
        elif isinstance(cell, bool | np.bool_):
            values[name] = bool(cell)
        elif isinstance(cell, int | float | np.number):
            values[name] = float(cell)
        else:
            values[name] = str(cell)
    return values
