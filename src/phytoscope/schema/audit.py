"""AuditReport: what `inspect.json` holds and the inspection page shows."""

import dataclasses
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from phytoscope.errors import ArtifactError
from phytoscope.schema.table import Task

AUDIT_FORMAT = 2


class Severity(StrEnum):
    """How much a finding matters.

    `error`: numbers computed from these data will be wrong; `warning`: they may be; `note`: worth knowing.
    """

    error = "error"
    warning = "warning"
    note = "note"


@dataclass(frozen=True)
class Finding:
    """One thing that the inspection found.

    Attributes:
        check: Machine-readable name, `<area>/<what>`, for example `duplicates/exact` or `shortcut/border`.
        severity: How much it matters.
        title: The verdict in one short sentence with its number, about 110 characters at most.
        detail: What it means for a model trained on these data.
        remedy: What to do about it.
        count: Images, pairs or rows concerned; 0 where it is not a count.
        sample_ids: Examples, the worst first.
    """

    check: str
    severity: Severity
    title: str
    detail: str = ""
    remedy: str = ""
    count: int = 0
    sample_ids: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LabelRow:
    """One class with its numbers of images and groups, and whether it has too few groups to be split."""

    label: str
    images: int
    groups: int
    too_few_groups: bool = False


@dataclass(frozen=True)
class TargetSummary:
    """Distribution of a numeric target in the user's unit: of the images, skewness with each group weighing the same.

    Attributes:
        n: Images with a target.
        n_groups: Groups with a target.
        mean: Mean.
        sd: Standard deviation (n - 1).
        quantiles: Minimum, 5 %, 25 %, 50 %, 75 %, 95 % and maximum.
        skewness: Sample skewness; None for a constant.
        skewness_log1p: Skewness after log(1 + x); None when it cannot be taken.
        suggested_transform: `log1p` or `none`.
        why: The suggestion in words.
    """

    n: int
    n_groups: int
    mean: float
    sd: float
    quantiles: list[float]
    skewness: float | None
    skewness_log1p: float | None
    suggested_transform: str
    why: str


@dataclass(frozen=True)
class Correlation:
    """How one column of numbers, truth values or times goes with the target, each group weighing the same.

    Attributes:
        column: The user's own name.
        n: Groups with both numbers.
        pearson: Pearson's r; None when undefined.
        spearman: Spearman's rank correlation; None when undefined.
        missing: Share of images without the number, 0-1.
    """

    column: str
    n: int
    pearson: float | None
    spearman: float | None
    missing: float


@dataclass(frozen=True)
class Breakdown:
    """Target or class share by the values of one column (condition, robot, month), one row a value.

    Attributes:
        column: The user's own name, or `group size`.
        rows: Value, images, groups, and mean, median and sd of the target (regression) or the most frequent class and
            its share (classification): keys `value`, `images`, `groups`, `mean`, `median`, `sd`, `label`, `share`.
    """

    column: str
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Missing:
    """Share of missing values in one column, 0-1."""

    column: str
    missing: float
    n: int


@dataclass(frozen=True)
class QualityIssue:
    """Images that stand out in one respect.

    Attributes:
        name: `dark`, `light`, `blurry`, `low_information`, `odd_size`, `odd_aspect`, `greyscale`, ...
        description: What was measured and where the line was drawn, with numbers.
        count: Images.
        share: Of all readable images, 0-1.
        sample_ids: The worst first.
    """

    name: str
    description: str
    count: int
    share: float
    sample_ids: list[str]


@dataclass(frozen=True)
class DuplicateCluster:
    """Pictures that are copies of each other.

    Attributes:
        kind: `exact` (same bytes) or `near` (same picture: re-compressed, resized, mirrored, turned).
        sample_ids: All members.
        labels: Their labels or targets as texts, in the same order.
        conflicting: Whether their labels contradict each other.
        groups: Declared groups they belong to.
        files: Different files (by their bytes) among the members; None stands for 1 of exact and all of near copies.
    """

    kind: str
    sample_ids: list[str]
    labels: list[str]
    conflicting: bool
    groups: list[str]
    files: int | None = None

    @property
    def exact_spares(self) -> int:
        """Members that have the same bytes as another one, which is not counted."""
        known = 1 if self.kind == "exact" else len(self.sample_ids)
        return len(self.sample_ids) - (known if self.files is None else self.files)


@dataclass(frozen=True)
class SuspectLabel:
    """An image whose label is worth a look: images like it carry another.

    Attributes:
        sample_id: The image.
        given: Label or target as given.
        suggested: What images like it have.
        confidence: Cross-validated probability of the given label, 0-1 (classification), or the label quality score.
    """

    sample_id: str
    given: str
    suggested: str
    confidence: float


@dataclass(frozen=True)
class Probe:
    """What a small model that sees only one part of the evidence can predict, scored on kept-back groups.

    Attributes:
        name: `whole_image`, `border_pixels`, `colour`, `metadata`, `plant_erased`.
        description: What the model was shown.
        metric: `balanced_accuracy` or `r2`.
        score: Of all predictions for kept-back groups, pooled over the folds; None when it could not be measured.
        chance: What guessing reaches.
        low: Lower end of the 95 % interval of the score (bootstrap over groups).
        high: Upper end.
        n: Images it was scored on.
        verdict: In words.
        severity: How much it matters.
    """

    name: str
    description: str
    metric: str
    score: float | None
    chance: float
    low: float | None
    high: float | None
    n: int
    verdict: str
    severity: Severity


@dataclass(frozen=True)
class OptimismGap:
    """The same quick model scored on a random split and on a split by group.

    Attributes:
        metric: `accuracy` or `r2`.
        random_score: Cross-validated with random folds.
        group_score: Cross-validated with folds by group.
        gap: random_score - group_score: what a random split would flatter by.
        low: Lower end of the gap's 95 % interval (bootstrap over groups).
        high: Upper end.
        n: Images.
        n_groups: Groups.
        verdict: In words.
    """

    metric: str
    random_score: float
    group_score: float
    gap: float
    low: float
    high: float
    n: int
    n_groups: int
    verdict: str


@dataclass(frozen=True)
class Explained:
    """How much of a numeric target one simple thing explains on kept-back groups.

    Attributes:
        name: `age`, `green_pixels`, `burnt_in_tag`, `border_pixels`, ...
        description: What the straight line or small model was given.
        r2: Cross-validated by group; None when it could not be measured.
        n: Images.
        verdict: In words.
        low: Lower end of the 95 % interval of R² (bootstrap over groups); None when it was not measured.
        high: Upper end.
    """

    name: str
    description: str
    r2: float | None
    n: int
    verdict: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SplitCoverage:
    """How much of the data a split that was given speaks of.

    Attributes:
        images: Images with an answer.
        named: Those of them that it names.
        unknown: Names in it that no image of the data bears.
        unknown_examples: The first of these names.
    """

    images: int
    named: int
    unknown: int
    unknown_examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class AuditReport:
    """What is known about one data set before anything is trained on it.

    Attributes:
        task: Classification or regression.
        name: Name of the data set.
        target_name: The user's own column name, or `class`.
        unit: Unit of the target; empty for classification.
        data_hash: Content hash of the manifest, the data's version.
        counts: `rows`, `images`, `rejected`, `unlabelled`, `groups`, `warnings`.
        findings: Everything worth acting on, the worst first.
        rejected: Reason -> number of faults.
        labels: Classes (classification).
        target: Distribution of the target (regression).
        correlations: Numeric columns, age first, then by strength.
        breakdowns: Target by group size, condition, time and other columns with few values.
        missing: Missing share of every column.
        quality: Outliers in image quality.
        duplicates: Clusters of copies.
        leakage: What stands on both sides of the split that was given, one sentence each; None when none was given.
        coverage: How much of the data that split speaks of; None when none was given.
        suspects: Labels that are worth a look, the least credible first.
        probes: Shortcut probes.
        optimism: Random split against group split; None when there are too few groups.
        explained: What simple things explain of the target (regression).
        skipped: Check -> why it was not done.
        seconds: Stage -> how long it took.
        format: Version of this structure.
    """

    task: Task
    name: str
    target_name: str
    unit: str
    data_hash: str
    counts: dict[str, int]
    findings: list[Finding]
    rejected: dict[str, int] = field(default_factory=dict)
    labels: list[LabelRow] = field(default_factory=list)
    target: TargetSummary | None = None
    correlations: list[Correlation] = field(default_factory=list)
    breakdowns: list[Breakdown] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    quality: list[QualityIssue] = field(default_factory=list)
    duplicates: list[DuplicateCluster] = field(default_factory=list)
    leakage: list[str] | None = None
    coverage: SplitCoverage | None = None
    suspects: list[SuspectLabel] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    optimism: OptimismGap | None = None
    explained: list[Explained] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    format: int = AUDIT_FORMAT

    @property
    def worst(self) -> Severity | None:
        """The highest severity of all findings; None when nothing was found."""
        found = {finding.severity for finding in self.findings}
        return next((severity for severity in Severity if severity in found), None)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "AuditReport":
        """Rebuilds a report from `to_dict`'s result.

        Raises:
            ArtifactError: The content was written in another format or is not complete.
        """
        if content.get("format") != AUDIT_FORMAT:
            message = (
                f"the inspection has format {content.get('format')!r}, this version reads {AUDIT_FORMAT}: "
                "inspect the data again."
            )
            raise ArtifactError(message)
        try:
            return cls(**{**content, **{name: build(content[name]) for name, build in _BUILDERS.items()}})
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            message = f"the inspection is not complete ({type(error).__name__}: {error}): inspect the data again."
            raise ArtifactError(message) from error


def _list_of(kind: Any) -> Any:
    return lambda rows: [kind(**row) for row in rows]


def _graded(kind: Any) -> Any:
    return lambda rows: [kind(**{**row, "severity": Severity(row["severity"])}) for row in rows]


def _maybe(kind: Any) -> Any:
    return lambda row: None if row is None else kind(**row)


_BUILDERS: dict[str, Any] = {
    "task": Task,
    "findings": _graded(Finding),
    "labels": _list_of(LabelRow),
    "target": _maybe(TargetSummary),
    "correlations": _list_of(Correlation),
    "breakdowns": _list_of(Breakdown),
    "missing": _list_of(Missing),
    "quality": _list_of(QualityIssue),
    "duplicates": _list_of(DuplicateCluster),
    "coverage": _maybe(SplitCoverage),
    "suspects": _list_of(SuspectLabel),
    "probes": _graded(Probe),
    "optimism": _maybe(OptimismGap),
    "explained": _list_of(Explained),
}
