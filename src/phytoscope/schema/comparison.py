"""Comparison: two models on the same images, as `comparison.json` holds it."""

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from phytoscope.errors import ArtifactError
from phytoscope.schema.table import Task

COMPARISON_FORMAT = 1


class Winner(StrEnum):
    """Which model is better."""

    first = "first"
    second = "second"
    unclear = "unclear"


@dataclass(frozen=True)
class MetricDifference:
    """One metric of both models.

    Attributes:
        name: Standard name, for example `macro_f1` or `rmse`.
        unit: Unit of the values; empty for fractions and counts.
        higher_is_better: Which direction is better.
        first: Value of the first model; None where it is not defined.
        second: Value of the second model.
        difference: The second minus the first; for the bias, of its size, as the better one is closer to 0.
        low: Lower end of the interval of the difference, both models on the same drawn groups; None where unknown.
        high: Upper end.
        winner: Which one is better by this metric; `unclear` where the interval holds 0 or there is none.
    """

    name: str
    unit: str
    higher_is_better: bool
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    winner: Winner


@dataclass(frozen=True)
class PlaceRow:
    """Who wins on some of the images.

    Attributes:
        what: `class`, `group` (leaf, plant), `decile` of the true value, or the name of a column.
        name: Which one.
        n: Images.
        n_groups: Groups that these belong to.
        first: Accuracy or mean absolute error of the first model.
        second: The same of the second model.
        low: Lower end of the interval of the second minus the first; None for single groups and where unknown.
        high: Upper end.
        first_wins: Images that only the first names rightly, or to which it is closer.
        second_wins: The same of the second.
        winner: Which one is better here, with allowance for how many places were looked at.
    """

    what: str
    name: str
    n: int
    n_groups: int
    first: float
    second: float
    low: float | None
    high: float | None
    first_wins: int
    second_wins: int
    winner: Winner


@dataclass(frozen=True)
class Disagreement:
    """An image on which the models do not say the same.

    Attributes:
        sample_id: The image.
        truth: Its true class or value.
        first: What the first model says.
        second: What the second model says.
        winner: Which one is right or closer; `unclear` when neither is.
    """

    sample_id: str
    truth: str | float
    first: str | float
    second: str | float
    winner: Winner


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images.

    Attributes:
        task: Classification or regression.
        first_name: What the first model is called.
        second_name: What the second model is called.
        split: Which images: `val`, `calibration` or `test` in both runs.
        unit: Unit of the target; empty for classification.
        n: Images that both answered.
        n_groups: Groups that these belong to.
        only_first: Images that only the first has in this split.
        only_second: Images that only the second has in this split.
        deciding: Name of the metric that decides.
        metrics: Every metric of both, and the difference.
        first_wins: Images that only the first names rightly, or to which it is closer.
        second_wins: The same of the second.
        both_right: Images that both name rightly (classification).
        both_wrong: Images that neither names rightly (classification).
        places: By class or decile, by column, and the groups in which they differ most.
        disagreements: Images on which they differ most, at most 200; the table holds all.
        n_disagreements: All of them.
        warnings: Sentences a reader must see before believing the numbers.
        bootstrap: Draws of groups behind each interval.
        confidence: Level of the intervals.
        format: Version of this structure.
    """

    task: Task
    first_name: str
    second_name: str
    split: str
    unit: str
    n: int
    n_groups: int
    only_first: int
    only_second: int
    deciding: str
    metrics: list[MetricDifference]
    first_wins: int
    second_wins: int
    both_right: int | None
    both_wrong: int | None
    places: list[PlaceRow]
    disagreements: list[Disagreement]
    n_disagreements: int
    warnings: list[str] = field(default_factory=list)
    bootstrap: int = 0
    confidence: float = 0.95
    format: int = COMPARISON_FORMAT

    def get_metric(self, name: str) -> MetricDifference:
        """One metric of both models; raises KeyError when there is none of this name."""
        found = {metric.name: metric for metric in self.metrics}
        return found[name]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Comparison":
        """Rebuilds a comparison from `to_dict`'s result.

        Raises:
            ArtifactError: The content was written in another format or is not complete.
        """
        if content.get("format") != COMPARISON_FORMAT:
            message = (
                f"the comparison has format {content.get('format')!r}, this version reads {COMPARISON_FORMAT}: "
                "compare again."
            )
            raise ArtifactError(message)
        try:
            return cls(
                **{
                    **content,
                    "task": Task(content["task"]),
                    "metrics": [MetricDifference(**_with_winner(row)) for row in content["metrics"]],
                    "places": [PlaceRow(**_with_winner(row)) for row in content["places"]],
                    "disagreements": [Disagreement(**_with_winner(row)) for row in content["disagreements"]],
                }
            )
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            message = f"the comparison is not complete ({type(error).__name__}: {error}): compare again."
            raise ArtifactError(message) from error


def _with_winner(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "winner": Winner(row["winner"])}
