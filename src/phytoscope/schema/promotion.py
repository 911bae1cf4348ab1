"""PromotionDecision: whether a challenger takes the place of the champion, and every reason."""

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from phytoscope.errors import ArtifactError
from phytoscope.schema.table import Task

PROMOTION_FORMAT = 1


class PromotionVerdict(StrEnum):
    """What becomes of the challenger.

    `promoted`: it takes the place of the champion; `kept`: the champion stays (or nobody becomes champion); `first`: it
    becomes the first champion.
    """

    promoted = "promoted"
    kept = "kept"
    first = "first"


@dataclass(frozen=True)
class Contender:
    """One of the two models.

    Attributes:
        model_id: Hash of its weights.
        name: Name of the run that made it.
        version: Its number in the registry; None outside of one.
        data_hash: Content hash of the data it learned from.
        split_hash: Content hash of their split.
    """

    model_id: str
    name: str = ""
    version: int | None = None
    data_hash: str = ""
    split_hash: str = ""


@dataclass(frozen=True)
class PromotionCheck:
    """One thing that a challenger must fulfil.

    Attributes:
        name: `groups`, `overall`, `slices`, `calibration`, `coverage`, `golden`, `parity`, `baseline` or
            `rollback`.
        passed: Whether it does.
        reason: A sentence that says why, with the numbers in it.
        value: What was measured; None where there is nothing to measure.
        limit: What it is held against.
        low: Lower end of the interval of the value; None where there is none.
        high: Upper end.
    """

    name: str
    passed: bool
    reason: str
    value: float | None = None
    limit: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SliceGain:
    """How much better the challenger is on some of the images.

    Attributes:
        what: `class`, `decile` or the name of a column.
        name: Which one.
        n: Images.
        n_groups: Groups that these belong to.
        champion: Accuracy, or mean absolute error in the unit of the target.
        challenger: The same of the challenger.
        gain: Accuracy of the challenger minus that of the champion; for numbers the share of the champion's error that
            it does without. Below 0 it is worse.
        p: Chance of a loss this large where both are equally good; None where the slice is too small to be judged.
        worse: Whether it is worse by more than the margin and by more than chance explains, with allowance for all
            slices.
    """

    what: str
    name: str
    n: int
    n_groups: int
    champion: float
    challenger: float
    gain: float
    p: float | None
    worse: bool


@dataclass(frozen=True)
class PromotionDecision:
    """Whether a challenger takes the place of the champion.

    Attributes:
        name: Name of the registered model.
        task: Classification or regression.
        metric: Name of the deciding metric.
        unit: Its unit; empty for shares.
        verdict: What becomes of the challenger.
        reason: The verdict as a sentence.
        challenger: The new model.
        champion: The present one; None when there is none.
        champion_value: Deciding metric of the champion on the rows; None when there is no champion.
        challenger_value: The same of the challenger.
        checks: All of them, in the order in which they were made.
        slices: Gains by class or decile and by column; the slices that lose most first.
        n: Images that both answered.
        n_groups: Groups that these belong to.
        left_out: Test images on which nobody was measured -> why, in words.
        notes: What else a reader should know, for example the shares of the verdicts.
        decided_at: When, ISO 8601, UTC.
        rules: The settings of the decision.
        format: Version of this structure.
    """

    name: str
    task: Task
    metric: str
    unit: str
    verdict: PromotionVerdict
    reason: str
    challenger: Contender
    champion: Contender | None
    champion_value: float | None
    challenger_value: float | None
    checks: list[PromotionCheck]
    slices: list[SliceGain] = field(default_factory=list)
    n: int = 0
    n_groups: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    decided_at: str = ""
    rules: dict[str, Any] = field(default_factory=dict)
    format: int = PROMOTION_FORMAT

    @property
    def is_accepted(self) -> bool:
        """Whether the challenger becomes champion."""
        return self.verdict is not PromotionVerdict.kept

    def get_check(self, name: str) -> PromotionCheck:
        """The check of a name; raises KeyError when it was not made."""
        return {check.name: check for check in self.checks}[name]

    def to_dict(self) -> dict[str, Any]:
        """The decision as plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "PromotionDecision":
        """Rebuilds a decision from `to_dict`'s result.

        Raises:
            ArtifactError: The content was written in another format or is not complete.
        """
        if content.get("format") != PROMOTION_FORMAT:
            message = (
                f"the decision has format {content.get('format')!r}, this version reads {PROMOTION_FORMAT}: decide "
                "again with `phytoscope promote`."
            )
            raise ArtifactError(message)
        try:
            champion = content["champion"]
            return cls(
                **{
                    **content,
                    "task": Task(content["task"]),
                    "verdict": PromotionVerdict(content["verdict"]),
                    "challenger": Contender(**content["challenger"]),
                    "champion": None if champion is None else Contender(**champion),
                    "checks": [PromotionCheck(**check) for check in content["checks"]],
                    "slices": [SliceGain(**part) for part in content["slices"]],
                }
            )
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            message = f"the decision is not complete ({type(error).__name__}: {error}): decide again."
            raise ArtifactError(message) from error
