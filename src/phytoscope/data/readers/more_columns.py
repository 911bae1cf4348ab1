"""Which columns of the table are further targets, and which are seen beside the image."""

from dataclasses import dataclass, field

from phytoscope.data.readers.read_table import match_name
from phytoscope.data.readers.units import check_unit
from phytoscope.errors import ConfigError
from phytoscope.schema.data_config import DataConfig


@dataclass(frozen=True)
class MoreColumns:
    """The user's columns that are used beside image, answer and group.

    Attributes:
        targets: Name of each further target, in the order of the settings -> its unit; may be empty.
        covariates: Names of what the network sees beside the image, in the order of the settings.
    """

    targets: dict[str, str] = field(default_factory=dict)
    covariates: tuple[str, ...] = ()


def find_more_columns(columns: list[str], config: DataConfig) -> MoreColumns:
    """Finds the columns that `data.more_targets` and `data.covariates` name.

    Args:
        columns: The user's own columns.
        config: `more_targets`, `more_units` and `covariates` are read.

    Raises:
        ConfigError: A column is not there or named twice, or the units do not belong to the further targets.
    """
    targets = _match(config.more_targets, columns, "data.more_targets")
    units = config.more_units
    if len(units) not in (0, len(targets)):
        message = (
            f"data.more_units has {len(units)} entries and data.more_targets {len(targets)}: give one unit for each of "
            "them in their order ('' where there is none), or leave the units out."
        )
        raise ConfigError(message)
    given = units or [""] * len(targets)
    in_names = [check_unit(name, unit, "data.more_units") for name, unit in zip(targets, given, strict=True)]
    found = {name: unit.strip() or own for name, unit, own in zip(targets, given, in_names, strict=True)}
    return MoreColumns(found, tuple(_match(config.covariates, columns, "data.covariates")))


def _match(names: list[str], columns: list[str], key: str) -> list[str]:
    found = [match_name(name, columns, key) for name in names]
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        message = f"{key} names {', '.join(map(repr, twice))} twice: leave one of them out."
        raise ConfigError(message)
    return found
