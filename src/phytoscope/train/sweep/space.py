"""What a sweep tries: settings, and what may stand there."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phytoscope.errors import ConfigError, require, suggest
from phytoscope.schema.config import SCHEMA_OF_GROUP

TRIED_GROUPS = ("model", "adapt", "task", "trainer")
"""Groups of settings that say how is learned; all others stay as they are, so that trials can be compared."""
_TRIED_DATA = ("data.augment", "data.resize")
_OF_THE_MACHINE = (
    "num_workers",
    "threads",
    "accelerator",
    "devices",
    "num_nodes",
    "strategy",
    "profile",
    "checkpoint_minutes",
)
"""Training settings that belong to the computer and not to the experiment."""
_PARTS = ("low", "high", "log", "choices")


@dataclass(frozen=True)
class Dimension:
    """One setting that is tried.

    Attributes:
        key: The setting, for example `trainer.learning_rate`, or a group, for example `adapt`.
        low: Smallest value; None with choices.
        high: Largest value; None with choices.
        log: Whether values are drawn evenly on a logarithmic scale.
        choices: Values to choose from; empty with a range.
    """

    key: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def corners(self) -> tuple[Any, ...]:
        """Values that must all be allowed: every choice, or both ends of the range."""
        return self.choices if self.choices else (self.low, self.high)

    def to_distribution(self) -> Any:
        """The dimension as Optuna draws from it; whole numbers when both ends are.

        Raises:
            MissingDependencyError: Optuna is not installed.
        """
        distributions = require("optuna").distributions
        if self.choices:
            return distributions.CategoricalDistribution(self.choices)
        is_whole = all(isinstance(end, int) for end in (self.low, self.high))
        kind = distributions.IntDistribution if is_whole else distributions.FloatDistribution
        return kind(self.low, self.high, log=self.log)


def read_space(space: Mapping[str, Any]) -> tuple[Dimension, ...]:
    """Reads what is tried from the settings.

    Args:
        space: Setting -> `{low, high, log}` or `{choices}`; a setting with null is not tried.

    Returns:
        The dimensions in the order of the settings.

    Raises:
        ConfigError: A setting does not exist or must stay the same in all trials, or a range is not one; the text lists
            every fault. Also when nothing is left to try.
    """
    faults: list[str] = []
    found = []
    for key, content in space.items():
        if content is None:
            continue
        fault = _find_key_fault(str(key)) or _find_range_fault(str(key), content)
        if fault is not None:
            faults.append(fault)
        else:
            found.append(_read_dimension(str(key), content))
    if not found and not faults:
        faults.append(
            "sweep.space is empty: name what to try, for example "
            "sweep.space={trainer.learning_rate: {low: 1e-4, high: 1e-2, log: true}}"
        )
    if faults:
        message = "; ".join(faults)
        raise ConfigError(message if message.endswith("?") else f"{message}.")
    return tuple(found)


def word_setting(key: str, value: Any) -> str:
    """One value of a dimension as a word of the command line."""
    if value is None:
        return f"{key}=null"
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def list_tried() -> list[str]:
    """Every setting that a sweep can try, groups first."""
    fields = [
        f"{group}.{field.name}"
        for group in TRIED_GROUPS
        for field in dataclasses.fields(SCHEMA_OF_GROUP[group])
        if group != "trainer" or field.name not in _OF_THE_MACHINE
    ]
    return [*TRIED_GROUPS, *_TRIED_DATA, *fields]


def is_of_the_machine(key: str) -> bool:
    """Whether a setting, for example `trainer.threads`, belongs to the computer and not to the experiment."""
    return key.startswith("trainer.") and key.partition(".")[2] in _OF_THE_MACHINE


def _find_key_fault(key: str) -> str | None:
    if key in list_tried():
        return None
    group, _, name = key.partition(".")
    schema = SCHEMA_OF_GROUP.get(group)
    if schema is not None and name in {"", *(field.name for field in dataclasses.fields(schema))}:
        return f"sweep.space: {key!r} must be the same in all trials; tried can be {', '.join(TRIED_GROUPS)} settings"
    return f"sweep.space: unknown setting {key!r}; {suggest(key, list_tried()).rstrip('.')}"


def _find_range_fault(key: str, content: Any) -> str | None:
    where = f"sweep.space: {key}={content!r}"
    form = "write {low: 1e-4, high: 1e-2, log: true} or {choices: [a, b]}"
    if not isinstance(content, Mapping) or not set(content) <= set(_PARTS):
        return f"{where} is not a range: {form}"
    if "choices" in content:
        return None if _are_choices(content) else f"{where}: choices must be a list of different plain values: {form}"
    low: Any = content.get("low")
    high: Any = content.get("high")
    log = content.get("log", False)
    if not (_is_number(low) and _is_number(high) and isinstance(log, bool)):
        return f"{where}: low and high must be finite numbers, log true or false: {form}"
    if low >= high:
        return f"{where}: low must be below high"
    if log and low <= 0:
        return f"{where}: low must be above 0 on a logarithmic scale"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_choices(content: Mapping[str, Any]) -> bool:
    choices = content["choices"]
    if set(content) != {"choices"} or not isinstance(choices, list) or not choices:
        return False
    is_plain = all(choice is None or isinstance(choice, str | int | float | bool) for choice in choices)
    return is_plain and len({repr(choice) for choice in choices}) == len(choices)


def _read_dimension(key: str, content: Mapping[str, Any]) -> Dimension:
    if "choices" in content:
        return Dimension(key, choices=tuple(content["choices"]))
    return Dimension(key, content["low"], content["high"], content.get("log", False))
