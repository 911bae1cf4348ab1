"""Refuses further targets that are no numbers and covariates that would give the answer away."""

from collections.abc import Mapping
from typing import NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phytoscope.data.readers.more_columns import MoreColumns, find_more_columns
from phytoscope.data.readers.read_table import match_name
from phytoscope.data.readers.units import is_amount
from phytoscope.data.source import Source
from phytoscope.data.validate.fault_log import FaultLog
from phytoscope.data.validate.rule_text import parse_rule
from phytoscope.data.validate.rules import list_columns, resolve_columns
from phytoscope.errors import ConfigError
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.table import META_PREFIX, Task

NEAR_COPY = 0.98
"""Absolute correlation with a target above which a covariate is taken for the same quantity measured again."""
_FEWEST_ROWS = 5


def check_more_columns(source: Source, config: DataConfig) -> None:
    """Makes sure that the further targets and the covariates can be used, before any image is looked at.

    Args:
        source: The user's rows.
        config: `more_targets`, `more_units`, `covariates`, `group_by`, `rules` and the column of the split are read.

    Raises:
        ConfigError: A column is not there, named twice or needs a table; a further target is not a column of numbers,
            or a class is predicted; a covariate is the target, a further target, names the group or the split, or is
            tied to a target by a rule.
    """
    if not (config.more_targets or config.more_units or config.covariates):
        return
    if not source.image_column:
        message = (
            "data.more_targets and data.covariates name columns of a table, but these data are a folder of images: use "
            "data=table with data.table=FILE, or leave them out."
        )
        raise ConfigError(message)
    columns = [name.removeprefix(META_PREFIX) for name in map(str, source.rows) if name.startswith(META_PREFIX)]
    for key, names in (("data.more_targets", config.more_targets), ("data.covariates", config.covariates)):
        _refuse_taken(key, names, [*columns, source.target_name, source.image_column], source)
    found = find_more_columns(columns, config)
    _check_targets(source, found)
    _check_covariates(source, config, columns, found)


def drop_negative_amounts(rows: pd.DataFrame, config: DataConfig, warnings: FaultLog) -> None:
    """Makes further targets missing where they are negative and no such quantity can be.

    Args:
        rows: The source's rows, index from 0; their columns of further targets are changed in place.
        config: `more_targets` and `more_units` are read.
        warnings: Receives what is found.

    Raises:
        ConfigError: A further target is not there.
    """
    columns = [name.removeprefix(META_PREFIX) for name in map(str, rows) if name.startswith(META_PREFIX)]
    for name, unit in find_more_columns(columns, config).targets.items():
        values = rows[META_PREFIX + name].to_numpy(dtype=float)
        negative: NDArray[np.bool_] = values < 0
        if not is_amount(name, unit) or not negative.any():
            continue
        warnings.add(
            negative,
            "a further target is negative, which no such quantity can be, and counts as missing",
            "correct the sign, or leave the cell empty",
            column=name,
            value=[f"{value:.12g}" for value in values[negative]],
        )
        rows[META_PREFIX + name] = np.where(negative, np.nan, values)


def find_near_copies(columns: pd.DataFrame, names: tuple[str, ...], targets: Mapping[str, pd.Series]) -> list[str]:
    """Finds covariates that are nearly a target measured again.

    Args:
        columns: The user's own columns of the training rows.
        names: Which of them are covariates.
        targets: The user's name of each target -> its numbers in the same rows.

    Returns:
        One sentence for each covariate of numbers whose correlation with a target is above `NEAR_COPY`.
    """
    sentences = []
    for name in names:
        if not pd.api.types.is_float_dtype(columns[name]):
            continue
        for target, values in targets.items():
            pair = np.stack([columns[name].to_numpy(dtype=float), values.to_numpy(dtype=float)])
            pair = pair[:, np.isfinite(pair).all(axis=0)]
            if pair.shape[1] < _FEWEST_ROWS or (np.ptp(pair, axis=1) == 0).any():
                continue
            correlation = float(np.corrcoef(pair)[0, 1])
            if abs(correlation) > NEAR_COPY:
                sentences.append(
                    f"data.covariates: {name!r} is nearly a copy of the target {target!r} (correlation "
                    f"{correlation:.3f} on the training rows): leave it out unless it is known before the answer is."
                )
    return sentences


def _refuse_taken(key: str, names: list[str], columns: list[str], source: Source) -> None:
    for name in names:
        found = match_name(name, columns, key)
        if found in (source.target_name, source.image_column):
            what = "what is predicted already" if found == source.target_name else "the column with the images"
            message = f"{key}: {name!r} is {what}: leave it out."
            raise ConfigError(message)


def _check_targets(source: Source, found: MoreColumns) -> None:
    if found.targets and source.task is Task.classification:
        message = (
            f"data.more_targets={list(found.targets)}: further numbers can be predicted beside a number only, and here "
            f"the class {source.target_name!r} is predicted: leave data.more_targets out, or give data.target."
        )
        raise ConfigError(message)
    for name in found.targets:
        column = source.rows[META_PREFIX + name]
        if not pd.api.types.is_float_dtype(column):
            example = next((repr(str(cell)) for cell in column.dropna()), "nothing")
            message = (
                f"data.more_targets: the column {name!r} is not a column of numbers (it holds for example {example}): "
                "correct it, or leave it out."
            )
            raise ConfigError(message)


def _check_covariates(source: Source, config: DataConfig, columns: list[str], found: MoreColumns) -> None:
    # The answer may name the group too; it is refused by then.
    known = [*columns, source.target_name, source.image_column]
    groups = {match_name(name, known, "data.group_by") for name in config.group_by}
    split = (config.split.column or "").strip().casefold()
    tied = _find_tied(source, config, {source.target_name, *found.targets})
    for name in found.covariates:
        if name in found.targets:
            _refuse(name, "is a further target, so that its value would be given away")
        if name in groups:
            _refuse(name, "names the plant or leaf (data.group_by); a network would learn plants by their names")
        if name.strip().casefold() == split:
            _refuse(name, "names the split (data.split.column)")
        if name in tied:
            _refuse(name, f"gives the target away, because the rule {tied[name]!r} in data.rules ties them")


def _find_tied(source: Source, config: DataConfig, targets: set[str]) -> dict[str, str]:
    """Columns from which a target follows or by which it is bounded, directly or over others -> the rule."""
    rules = []
    for rule in map(parse_rule, config.rules):
        names = resolve_columns(rule, list_columns(source))
        if names is not None and len(names) > 1:
            rules.append((rule, set(names.values())))
    known = set(targets)
    tied: dict[str, str] = {}

    def spread(*, equalities: bool) -> bool:
        grown = False
        for rule, names in rules:
            if equalities == bool({"=", "=="} & set(rule.signs)) and names & known and names - known:
                tied.update(dict.fromkeys(names - known, rule.text))
                grown = True
                if equalities:
                    known.update(names)
        return grown

    # What follows from what follows from a target gives it away too; a bound does so in one step only.
    while spread(equalities=True):
        pass
    spread(equalities=False)
    return tied


def _refuse(name: str, why: str) -> NoReturn:
    message = f"data.covariates: {name!r} {why}: leave it out."
    raise ConfigError(message)
