"""Checks the rules that a user declares: what must hold in every row of the table."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.readers.cells import BOOLEANS, canonical_text, to_number
from phytoscope.data.readers.read_table import match_name
from phytoscope.data.source import Fault, Source
from phytoscope.data.validate.fault_log import FaultLog
from phytoscope.data.validate.rule_text import Column, Number, Rule, Term, parse_rule
from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import LABEL, META_PREFIX, SAMPLE_ID, TARGET, Task

_Floats = NDArray[np.float64]
_MOST_DECIMALS = 8
_FLOAT_ERROR = 1e-12


def check_rules(
    rows: pd.DataFrame, source: Source, config: DataConfig, *, faults: FaultLog, warnings: FaultLog
) -> None:
    """Checks every rule in every row where all its columns are filled.

    Two sides are equal when they differ by no more than `data.rule_tolerance` of the larger one, plus what the rounding
    of the columns can make of it: a column whose numbers have up to d decimals is taken to be off by half a unit of the
    d-th (whole numbers are exact), carried through the rule to first order. A row in which a rule divides by zero is
    not checked. `<`, `<=`, `>`, `>=` allow for rounding alone.

    Args:
        rows: The source's rows, index from 0.
        source: Where they came from.
        config: `rules` and `rule_tolerance` are read.
        faults: Receives broken rules that name the target.
        warnings: Receives other broken rules, and rules that are left out because a column is not there.

    Raises:
        ConfigError: A rule cannot be read, names a column that is not there, or needs numbers and finds text.
    """
    for rule in map(parse_rule, config.rules):
        names = resolve_columns(rule, list_columns(source))
        if names is None:
            remedy = "nothing, if the table has no such column; else correct its name"
            warnings.add_known([Fault("", f"a rule is not checked because a column is missing: {rule.text}", remedy)])
            continue
        columns = {wanted: _column(rows, source, name) for wanted, name in names.items()}
        broken = _breaks_membership(rule, columns) if rule.allowed else _breaks_comparison(rule, columns, config)
        first = next(iter(names.values()))
        about_target = source.target_name in names.values()
        (faults if about_target else warnings).add(
            broken,
            f"a rule is broken: {rule.text}",
            _describe_remedy(rule, columns, broken),
            column=source.target_name if about_target else first,
            value=_describe_values(columns, broken),
        )


def check_rule_names(source: Source, config: DataConfig) -> None:
    """Makes sure that every rule can be read and names columns that are there, before any image is looked at.

    Args:
        source: The user's rows.
        config: `rules` is read.

    Raises:
        ConfigError: A rule cannot be read, or names a column that is not there; the text names the nearest.
    """
    for rule in map(parse_rule, config.rules):
        resolve_columns(rule, list_columns(source))


def list_columns(source: Source) -> dict[str, str]:
    """The user's columns that a rule may name: user's name -> column of the source's rows."""
    answer = LABEL if source.task is Task.classification else TARGET
    own = {str(name)[len(META_PREFIX) :]: str(name) for name in source.rows if str(name).startswith(META_PREFIX)}
    return own | {source.target_name: answer} | ({source.image_column: SAMPLE_ID} if source.image_column else {})


def resolve_columns(rule: Rule, columns: dict[str, str]) -> dict[str, str] | None:
    """Finds the columns of a rule.

    Args:
        rule: The rule.
        columns: The user's columns, as `list_columns` gives them.

    Returns:
        Name in the rule -> the user's column; None when one is missing and the rule need not be checked then.

    Raises:
        ConfigError: A column is missing; the text names the nearest.
    """
    try:
        return {name: match_name(name, list(columns), f"data.rules: {rule.text!r}") for name in rule.columns}
    except ConfigError:
        if rule.if_present:
            return None
        raise


def _column(rows: pd.DataFrame, source: Source, name: str) -> pd.Series:
    return rows[list_columns(source)[name]]


def _breaks_membership(rule: Rule, columns: dict[str, pd.Series]) -> NDArray[np.bool_]:
    column = columns[rule.columns[0]]
    texts = column.map(canonical_text, na_action="ignore")
    # 7, 7.0 and "7" are one value, as in a spreadsheet.
    allowed = {_canonical_value(value) for value in rule.allowed}
    among = texts.isin(allowed).to_numpy(dtype=bool)
    broken = among if rule.negated else ~among
    return np.asarray(broken & texts.notna().to_numpy(dtype=bool))


def _canonical_value(text: str) -> str | None:
    if text.lower() in BOOLEANS:
        return str(BOOLEANS[text.lower()])
    try:
        return canonical_text(to_number(text))
    except ValueError:
        return canonical_text(text)


def _breaks_comparison(rule: Rule, columns: dict[str, pd.Series], config: DataConfig) -> NDArray[np.bool_]:
    numbers = {name: _numbers(rule, name, column) for name, column in columns.items()}
    errors = {name: _rounding(values) for name, values in numbers.items()}
    length = len(next(iter(numbers.values())))
    sides = [_evaluate(term, numbers, errors, length) for term in rule.terms]
    broken = np.zeros(length, dtype=bool)
    for sign, (left, left_error), (right, right_error) in zip(rule.signs, sides, sides[1:], strict=False):
        with np.errstate(invalid="ignore"):
            known = np.isfinite(left) & np.isfinite(right)
            larger = np.maximum(np.abs(left), np.abs(right))
            rounding = left_error + right_error
            # Sums of decimals are off in their last binary digits.
            slack = rounding + _FLOAT_ERROR * larger
            same = np.abs(left - right) <= config.rule_tolerance * larger + slack
            holds = {
                "=": same,
                "==": same,
                "!=": ~same,
                "<": left < right + rounding,
                "<=": left <= right + slack,
                ">": left > right - rounding,
                ">=": left >= right - slack,
            }[sign]
        broken |= known & ~holds
    return broken


def _evaluate(
    term: Term, numbers: dict[str, _Floats], errors: dict[str, float], length: int
) -> tuple[_Floats, _Floats]:
    """Value of a term in every row, and how far rounding may have moved it; NaN where a cell is missing."""
    if isinstance(term, Number):
        return np.full(length, term.value), np.zeros(length)
    if isinstance(term, Column):
        return numbers[term.name], np.full(length, errors[term.name])
    left, left_error = _evaluate(term.left, numbers, errors, length)
    right, right_error = _evaluate(term.right, numbers, errors, length)
    with np.errstate(all="ignore"):
        if term.sign == "+":
            return left + right, left_error + right_error
        if term.sign == "-":
            return left - right, left_error + right_error
        if term.sign == "*":
            return left * right, np.abs(left) * right_error + np.abs(right) * left_error
        ratio = np.where(right == 0, np.nan, left / right)
        return ratio, np.abs(left_error / right) + np.abs(ratio * right_error / right)


def _numbers(rule: Rule, name: str, column: pd.Series) -> _Floats:
    if column.dtype != object and not pd.api.types.is_string_dtype(column):
        return np.asarray(column.astype("Float64").to_numpy(dtype=float, na_value=np.nan), dtype=np.float64)
    known: dict[object, float] = {}
    for value in column.dropna().unique():
        try:
            known[value] = to_number(value)
        except ValueError:
            known[value] = np.nan
    if known and np.isnan(list(known.values())).all():
        example = next(iter(known))
        message = (
            f"data.rules: {rule.text!r} needs numbers, but the column {name!r} holds text such as {example!r}; for "
            f"words write '{name} in WORD, WORD'."
        )
        raise ConfigError(message)
    return np.asarray(column.map(known).to_numpy(dtype=float), dtype=np.float64)


def _rounding(values: _Floats) -> float:
    """Half a unit of the last decimal that the numbers have; 0 for whole numbers, which are counts."""
    known = values[np.isfinite(values)]
    for decimals in range(_MOST_DECIMALS):
        if np.allclose(known, np.round(known, decimals), rtol=1e-12, atol=1e-12):
            return 0.5 * 10.0**-decimals if decimals else 0.0
    return 0.0


def _describe_values(columns: dict[str, pd.Series], broken: NDArray[np.bool_]) -> list[str]:
    parts = [[f"{name}={_show(value)}" for value in column[broken]] for name, column in columns.items()]
    return [", ".join(row) for row in zip(*parts, strict=True)]


def _show(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _describe_remedy(rule: Rule, columns: dict[str, pd.Series], broken: NDArray[np.bool_]) -> list[str]:
    if rule.allowed and not rule.negated:
        values = columns[rule.columns[0]][broken]
        known = {
            value: f"correct the value, or change data.rules; {suggest(str(value), rule.allowed)}"
            for value in set(values)
        }
        return [known[value] for value in values]
    return ["correct whichever of these cells is wrong, or change data.rules"] * int(broken.sum())
