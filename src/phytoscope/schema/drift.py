"""DriftReport and TruthReport: whether new images, and the errors made on them, are still what they were."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from phytoscope.errors import ArtifactError

DRIFT_FORMAT = 1

_Report = TypeVar("_Report", bound="DriftReport | TruthReport")


class DriftKind(StrEnum):
    """What is compared.

    `features`: what the network sees; `photo`: one measure of the photographs themselves; `prediction`: the mix of
    predicted classes, or the distribution of the predicted number; `novelty`: how unlike the training images they are;
    `verdict`: shares of accept, review and reject; `confidence`: probability of the predicted class, or width of the
    interval; `error`: how wrong the answers were, where the truth is known.
    """

    features = "features"
    photo = "photo"
    prediction = "prediction"
    novelty = "novelty"
    verdict = "verdict"
    confidence = "confidence"
    error = "error"


class LookWindow(StrEnum):
    """Which new images a finding is about: those of this look, or of the last looks together."""

    batch = "batch"
    recent = "recent"


@dataclass(frozen=True)
class LookSummary:
    """What later looks must know of an earlier one.

    Attributes:
        look: Number of the look, 1 for the first one with this reference.
        time: When it was, ISO 8601 in UTC; empty where the caller did not say.
        n: New images.
        n_groups: Groups that these belong to.
        alpha: Part of the promised false alarms that this look spent, 0-1.
        fired: Whether it found a difference.
        p_values: `<window>/<name>` of each finding -> its p-value, 0-1, adjusted for all findings of its window.
    """

    look: int
    time: str
    n: int
    n_groups: int
    alpha: float
    fired: bool
    p_values: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "LookSummary":
        """Rebuilds a summary from `to_dict`'s result.

        Raises:
            ArtifactError: The content is not complete.
        """
        try:
            return cls(**content)
        except TypeError as error:
            message = f"the summary of a look is not complete ({error}): start a new folder for this model's looks."
            raise ArtifactError(message) from error


@dataclass(frozen=True)
class DriftFinding:
    """One comparison of new images with the reference.

    Attributes:
        kind: What is compared.
        name: Which one, for example `photo/brightness`; the kind's own name where there is only one.
        window: Which new images.
        statistic: Squared distance between both sides, each group counting once; 0 when they are alike. Its scale
            depends on what is compared.
        p_value: Chance of a difference as large as this or larger in any finding of this window, if nothing has
            changed, 0-1.
        threshold: The finding fires when the p-value is not above this.
        fired: Whether it does.
        before: Typical value of the reference; None where no single number says it.
        after: The same of the new images.
        unit: Unit of both; empty for shares and numbers without one.
        effect: Size and direction in words, for example `brightness 98 -> 121 (0-255)`.
    """

    kind: DriftKind
    name: str
    window: LookWindow
    statistic: float
    p_value: float
    threshold: float
    fired: bool
    before: float | None
    after: float | None
    unit: str
    effect: str

    @property
    def key(self) -> str:
        """`<window>/<name>`, the name in `LookSummary.p_values`."""
        return f"{self.window.value}/{self.name}"


@dataclass(frozen=True)
class DriftReport:
    """What one look at new images found.

    Attributes:
        look: Number of the look, 1 for the first one with this reference.
        n: New images of this look.
        n_groups: Groups that these belong to.
        n_recent: Images of the last looks together, this one included; equal to `n` when there is no earlier one.
        n_recent_groups: Groups that these belong to.
        n_reference: Images of the reference.
        n_reference_groups: Groups that these belong to.
        false_alarm: Promised chance of ever crying wolf, over all looks together, as long as nothing has changed.
        alpha: Part of it that this look may spend.
        alpha_spent: What all looks have spent together, this one included.
        draws: Most permutations that were drawn for a window.
        fired: Whether any finding fired.
        findings: All comparisons; those that fired first, then by p-value.
        reasons: Sentences a reader must see: what could not be compared, and why.
        time: When the look was, ISO 8601 in UTC; empty until the caller says.
        model_id: Model whose eyes were used; empty until the caller says.
        reference_id: Identity of the reference images; empty until the caller says.
        batch_id: Identity of the new images; empty until the caller says.
        format: Version of this structure.
    """

    look: int
    n: int
    n_groups: int
    n_recent: int
    n_recent_groups: int
    n_reference: int
    n_reference_groups: int
    false_alarm: float
    alpha: float
    alpha_spent: float
    draws: int
    fired: bool
    findings: list[DriftFinding]
    reasons: list[str] = field(default_factory=list)
    time: str = ""
    model_id: str = ""
    reference_id: str = ""
    batch_id: str = ""
    format: int = DRIFT_FORMAT

    def list_fired(self) -> list[DriftFinding]:
        """The findings that fired, the surest first."""
        return [finding for finding in self.findings if finding.fired]

    def summarize(self) -> LookSummary:
        """What later looks must know of this one."""
        p_values = {finding.key: finding.p_value for finding in self.findings}
        return LookSummary(self.look, self.time, self.n, self.n_groups, self.alpha, self.fired, p_values)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "DriftReport":
        """Rebuilds a report from `to_dict`'s result.

        Raises:
            ArtifactError: The content was written in another format or is not complete.
        """
        return _rebuild(cls, content, "findings", _read_finding)


@dataclass(frozen=True)
class TruthWindow:
    """Errors of the answers given in one stretch of time.

    Attributes:
        name: Which one, for example `2026-11`.
        n: Images whose truth is known.
        n_groups: Groups that these belong to.
        error: Share of wrong answers, or mean absolute error in the unit of the target; each image counts once.
        low: Lower end of its interval, by groups; None where there are too few.
        high: Upper end.
    """

    name: str
    n: int
    n_groups: int
    error: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class TruthReport:
    """True errors over time, and whether they are worse than where the model was measured.

    Attributes:
        look: Number of the look, 1 for the first one with this reference.
        unit: Unit of the errors; empty for shares of wrong answers.
        n: New images whose truth is known.
        n_groups: Groups that these belong to.
        reference: Errors on the reference.
        windows: Errors over time, the oldest first.
        false_alarm: Promised chance of ever calling errors worse that are not, over all looks together.
        alpha: Part of it that this look may spend.
        alpha_spent: What all looks have spent together, this one included.
        draws: Permutations that were drawn.
        fired: Whether the errors are worse, in the newest stretch or in all together.
        findings: `error` of the newest stretch (`batch`) and of all (`recent`).
        reasons: Sentences a reader must see.
        confidence: Level of the intervals.
        time: When the look was, ISO 8601 in UTC; empty until the caller says.
        model_id: The model; empty until the caller says.
        format: Version of this structure.
    """

    look: int
    unit: str
    n: int
    n_groups: int
    reference: TruthWindow
    windows: list[TruthWindow]
    false_alarm: float
    alpha: float
    alpha_spent: float
    draws: int
    fired: bool
    findings: list[DriftFinding]
    reasons: list[str] = field(default_factory=list)
    confidence: float = 0.95
    time: str = ""
    model_id: str = ""
    format: int = DRIFT_FORMAT

    def summarize(self) -> LookSummary:
        """What later looks must know of this one."""
        p_values = {finding.key: finding.p_value for finding in self.findings}
        return LookSummary(self.look, self.time, self.n, self.n_groups, self.alpha, self.fired, p_values)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "TruthReport":
        """Rebuilds a report from `to_dict`'s result.

        Raises:
            ArtifactError: The content was written in another format or is not complete.
        """
        read = _rebuild(cls, content, "findings", _read_finding)
        try:
            windows = [TruthWindow(**row) for row in content["windows"]]
            return dataclasses.replace(read, reference=TruthWindow(**content["reference"]), windows=windows)
        except (TypeError, KeyError) as error:
            raise _incomplete(error) from error


def _rebuild(kind: type[_Report], content: Mapping[str, Any], rows: str, read_row: Any) -> _Report:
    if content.get("format") != DRIFT_FORMAT:
        message = (
            f"the report has format {content.get('format')!r}, this version reads {DRIFT_FORMAT}: "
            "start a new folder for this model's looks."
        )
        raise ArtifactError(message)
    try:
        return kind(**{**content, rows: [read_row(row) for row in content[rows]]})
    except (TypeError, KeyError, ValueError) as error:
        raise _incomplete(error) from error


def _incomplete(error: Exception) -> ArtifactError:
    return ArtifactError(f"the report is not complete ({type(error).__name__}: {error}): look again.")


def _read_finding(row: Mapping[str, Any]) -> DriftFinding:
    return DriftFinding(**{**row, "kind": DriftKind(row["kind"]), "window": LookWindow(row["window"])})
