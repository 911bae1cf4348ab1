"""Sums that answers keep: total = shoot + root."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.choices import RegressionLoss
from phytoscope.schema.train_config import TaskConfig

_NAME = re.compile(r"\s*(?:`(?P<quoted>[^`]+)`|(?P<name>[^\W\d][\w.]*))\s*")
# A target that was never wrong would take the whole correction from the others.
_SMALLEST_SHARE = 1e-9


@dataclass(frozen=True)
class SumRule:
    """One target is the sum of others.

    Attributes:
        whole: Its place among the targets.
        parts: The places of the others.
    """

    whole: int
    parts: tuple[int, ...]


@dataclass(frozen=True)
class Sums:
    """All sums, in an order in which parts are known before what is made of them.

    Attributes:
        rules: The sums.
        variances: How far each answer is usually off, squared, in the user's units: answers that are more certain
            are changed less.
    """

    rules: tuple[SumRule, ...]
    variances: tuple[float, ...]

    def keep(self, values: NDArray[np.float64], lowest: Sequence[float | None]) -> NDArray[np.float64]:
        """Changes answers as little as possible so that every sum holds.

        The change is the weighted least-squares reconciliation of Wickramasuriya 2019 (doi
        10.1080/01621459.2018.1448825); then parts are raised to what is possible and the wholes are added up again.

        Args:
            values: Shape (N, targets), the user's units.
            lowest: Smallest value that is possible for each target; None when any is.

        Returns:
            Shape (N, targets), where each whole is its parts added up in floating point.
        """
        matrix = np.zeros((len(self.rules), len(self.variances)))
        for row, rule in enumerate(self.rules):
            matrix[row, rule.whole] = 1
            matrix[row, list(rule.parts)] = -1
        weights = np.asarray(self.variances)
        weights = np.maximum(weights / max(weights.max(), np.finfo(np.float64).tiny), _SMALLEST_SHARE)
        shares = np.linalg.solve(matrix @ (weights[:, None] * matrix.T), matrix)
        kept: NDArray[np.float64] = values - values @ (weights[:, None] * matrix.T @ shares).T
        wholes = {rule.whole for rule in self.rules}
        for place, low in enumerate(lowest):
            if low is not None and place not in wholes:
                kept[:, place] = np.maximum(kept[:, place], low)
        for rule in self.rules:
            kept[:, rule.whole] = kept[:, list(rule.parts)].sum(axis=1)
        return kept

    def weighted_by(self, variances: Sequence[float]) -> "Sums":
        """The same sums with other variances."""
        return dataclasses.replace(self, variances=tuple(float(variance) for variance in variances))

    def to_dict(self) -> dict[str, Any]:
        """The sums as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Sums":
        """Rebuilds sums from `to_dict`'s result."""
        rules = (SumRule(entry["whole"], tuple(entry["parts"])) for entry in content["rules"])
        return cls(tuple(rules), tuple(content["variances"]))


def read_sums(config: TaskConfig, names: Sequence[str], variances: Sequence[float]) -> Sums | None:
    """Reads `task.sums`.

    Args:
        config: The rules, such as `total = shoot + root`, and the loss.
        names: The user's names of the targets, in the order of the answers.
        variances: How far each answer is off, squared, in the user's units: the variance of the training targets as
            long as nothing else is known.

    Returns:
        The sums; None when no rule is given.

    Raises:
        ConfigError: A rule cannot be read, names what is no target or does not fit the others or the loss.
    """
    if len(config.sums) == 0:
        return None
    if config.loss is RegressionLoss.quantile:
        message = (
            "task.sums cannot be kept with task.loss=quantile, because quantiles of parts do not add up to a quantile "
            "of the whole: leave out task.sums, or choose task.loss=huber."
        )
        raise ConfigError(message)
    rules = [_read_rule(text, names) for text in config.sums]
    wholes = [rule.whole for rule in rules]
    twice = [names[whole] for whole in set(wholes) if wholes.count(whole) > 1]
    if twice:
        message = f"task.sums: {twice[0]!r} is the sum in two rules: keep one of them."
        raise ConfigError(message)
    by_whole = {rule.whole: rule for rule in rules}
    try:
        order = list(TopologicalSorter({rule.whole: rule.parts for rule in rules}).static_order())
    except CycleError as error:
        message = f"task.sums: {'; '.join(config.sums)} go round in a circle: a part cannot hold what it is a part of."
        raise ConfigError(message) from error
    ordered = tuple(by_whole[place] for place in order if place in by_whole)
    return Sums(ordered, tuple(float(variance) for variance in variances))


def _read_rule(text: str, names: Sequence[str]) -> SumRule:
    left, sign, right = text.replace("==", "=").partition("=")
    if not sign or "=" in right:
        _refuse(text, "it needs exactly one '='")
    whole, *parts = [_read_name(text, part, names) for part in (left, *_split_parts(right))]
    if len(set(parts)) < len(parts) or len(parts) < 2:
        _refuse(text, "the right side must be two or more different columns joined by '+'")
    return SumRule(whole, tuple(parts))


def _split_parts(side: str) -> list[str]:
    # A plus sign between backquotes belongs to the name of a column.
    return re.split(r"\+(?=(?:[^`]*`[^`]*`)*[^`]*$)", side)


def _read_name(text: str, part: str, names: Sequence[str]) -> int:
    match = _NAME.fullmatch(part)
    if match is None:
        _refuse(text, f"{part.strip()!r} is no name of a column; only '+' may join names")
    name = (match["quoted"] or match["name"]).strip()
    if name in names:
        return list(names).index(name)
    folded = [known.casefold() for known in names]
    if folded.count(name.casefold()) != 1:
        _refuse(text, f"{name!r} is neither data.target nor one of data.more_targets; {suggest(name, names)}")
    return folded.index(name.casefold())


def _refuse(text: str, why: str) -> NoReturn:
    end = "" if why.endswith((".", "?")) else "."
    message = f"task.sums: {text!r} cannot be kept: {why}{end} Write for example 'total = shoot + root'."
    raise ConfigError(message)
