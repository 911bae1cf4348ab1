"""EvaluationReport: what `report.json` holds and the HTML page shows. Everything in it follows from table 7 alone."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from phytoscope.errors import ArtifactError
from phytoscope.schema.explanation import ExplanationReport
from phytoscope.schema.external import ExternalReport
from phytoscope.schema.metric import MetricValue
from phytoscope.schema.robustness import RobustnessReport
from phytoscope.schema.table import Task
from phytoscope.schema.trust_report import TrustReport

__all__ = [
    "REPORT_FORMAT",
    "Baseline",
    "ClassRow",
    "Confusion",
    "DecileRow",
    "EvaluationReport",
    "GroupRow",
    "MetricValue",
    "SliceReport",
    "SplitReport",
    "TargetReport",
]

REPORT_FORMAT = 1


@dataclass(frozen=True)
class Baseline:
    """A model a person could write on a napkin, scored on the same rows with the same metrics.

    Attributes:
        name: `constant` (most frequent class or mean of the training rows) or `green_pixels` (straight line on the
            number of green pixels, fitted on the training rows).
        description: What it predicts, in words.
        metrics: Same names and order as the model's.
        lead: The model's main metric minus the baseline's, with the interval of this difference; None where there are
            no intervals.
    """

    name: str
    description: str
    metrics: list[MetricValue]
    lead: MetricValue | None = None


@dataclass(frozen=True)
class ClassRow:
    """Numbers of one class, each a fraction 0-1 or None when undefined.

    Attributes:
        name: The class.
        support: Its number of images.
        precision: Share of the images given this name that deserve it.
        recall: Share of the images of this class that were found.
        f1: Both in one.
        precision_low: Lower end of the interval of the precision; None where it is not known, as for the others.
        precision_high: Upper end.
        recall_low: Lower end of the interval of the recall.
        recall_high: Upper end.
        f1_low: Lower end of the interval of F1.
        f1_high: Upper end.
        n_groups: Groups (leaves, plants) with an image of this class; None in reports of older versions.
    """

    name: str
    support: int
    precision: float | None
    recall: float | None
    f1: float | None
    precision_low: float | None = None
    precision_high: float | None = None
    recall_low: float | None = None
    recall_high: float | None = None
    f1_low: float | None = None
    f1_high: float | None = None
    n_groups: int | None = None


@dataclass(frozen=True)
class Confusion:
    """A pair of classes that were mixed up, with the images it happened to (most confident mistake first)."""

    true: str
    predicted: str
    count: int
    share_of_true: float
    sample_ids: list[str]


@dataclass(frozen=True)
class DecileRow:
    """Error within one slice of the true value, all in the user's unit.

    Attributes:
        decile: 1 (smallest true values) to 10; fewer slices when the rows do not suffice.
        lower: Smallest true value of the slice.
        upper: Largest true value of the slice.
        n: Number of images.
        mae: Mean absolute error.
        bias: Mean of predicted minus true.
        mae_low: Lower end of the interval of the mean absolute error; None where it is not known, as for the others.
        mae_high: Upper end.
        bias_low: Lower end of the interval of the bias.
        bias_high: Upper end.
    """

    decile: int
    lower: float
    upper: float
    n: int
    mae: float
    bias: float
    mae_low: float | None = None
    mae_high: float | None = None
    bias_low: float | None = None
    bias_high: float | None = None


@dataclass(frozen=True)
class TargetReport:
    """Numbers of one further target on the images of a split for which it is known.

    Attributes:
        name: The user's own column name.
        unit: Its unit; may be empty.
        n: Images for which it is known.
        n_groups: Groups that these belong to.
        metrics: The model's numbers; empty where no image has a true value.
        baselines: The napkin models' numbers on the same rows.
    """

    name: str
    unit: str
    n: int
    n_groups: int
    metrics: list[MetricValue] = field(default_factory=list)
    baselines: list[Baseline] = field(default_factory=list)


@dataclass(frozen=True)
class SliceReport:
    """Numbers of the images that have something in common.

    Attributes:
        column: What they have in common: a column of the table without its prefix, such as `camera` or `sharpness`.
        value: Its value, or its range for a column of numbers.
        n: Images.
        n_groups: Groups that these belong to.
        metrics: The model's numbers on them.
        difference: Accuracy or mean absolute error (its name says which) of these images minus that of all others,
            with its interval; None where there are too few images or groups to judge.
        differs: Whether the difference is larger than chance explains, with allowance for how many slices were looked
            at.
        worse: Whether it differs to the worse.
    """

    column: str
    value: str
    n: int
    n_groups: int
    metrics: list[MetricValue] = field(default_factory=list)
    difference: MetricValue | None = None
    differs: bool = False
    worse: bool = False


@dataclass(frozen=True)
class GroupRow:
    """How the model does on one group (leaf, plant).

    Attributes:
        group_id: Name of the group.
        n: Images of it.
        metric: `accuracy` or `mae`.
        value: Value of this metric on the images of the group.
    """

    group_id: str
    n: int
    metric: str
    value: float


@dataclass(frozen=True)
class SplitReport:
    """All numbers of one split.

    Attributes:
        n: Images.
        n_groups: Groups (leaves, plants) the images belong to.
        metrics: The model's numbers.
        baselines: The napkin models' numbers on the same rows.
        classes: One row a class (classification only).
        confusion: Counts, rows true, columns predicted, shape (classes, classes) (classification only).
        top_confusions: Most frequent mistakes (classification only).
        deciles: Error by size of the true value (regression only).
        worst: Sample ids of the largest absolute errors, worst first (regression only).
        more_targets: Numbers of the further targets, in the order of the settings (regression only).
        slices: Numbers of parts of the images, column by column.
        groups: The groups with the worst numbers, worst first.
    """

    n: int
    n_groups: int
    metrics: list[MetricValue]
    baselines: list[Baseline] = field(default_factory=list)
    classes: list[ClassRow] = field(default_factory=list)
    confusion: list[list[int]] = field(default_factory=list)
    top_confusions: list[Confusion] = field(default_factory=list)
    deciles: list[DecileRow] = field(default_factory=list)
    worst: list[str] = field(default_factory=list)
    more_targets: list[TargetReport] = field(default_factory=list)
    slices: list[SliceReport] = field(default_factory=list)
    groups: list[GroupRow] = field(default_factory=list)


@dataclass(frozen=True)
class EvaluationReport:
    """What is known about one model on one data set.

    Attributes:
        task: Classification or regression.
        name: Name of the run.
        target_name: The user's own column name, or `class`.
        unit: Unit of the target; empty for classification.
        class_names: In the order of the probabilities; empty for regression.
        model_id: Which model made the predictions.
        data_hash: Content hash of the manifest.
        split_hash: Content hash of the split.
        splits: Split name -> its numbers; `test` is the one to quote.
        beats_baseline: Whether the model is better than every baseline on the test split by the main metric; None
            where there is no test split, so that nothing was compared.
        warnings: Sentences a reader must see before believing the numbers (small test split, loses to a baseline, ...).
        bootstrap: Draws of groups behind each interval; 0 where there are no intervals.
        confidence: Level of the intervals.
        trust: Whether the answers can be believed as far as they say, on the split to quote; None where they were not
            judged.
        external: Numbers of each further set.
        explanations: What the answers rest on; None where nothing was explained.
        robustness: What spoiled pictures do to the answers; None where this was not tried.
        format: Version of this structure.
    """

    task: Task
    name: str
    target_name: str
    unit: str
    class_names: list[str]
    model_id: str
    data_hash: str
    split_hash: str
    splits: dict[str, SplitReport]
    beats_baseline: bool | None
    warnings: list[str] = field(default_factory=list)
    bootstrap: int = 0
    confidence: float = 0.95
    trust: TrustReport | None = None
    external: list[ExternalReport] = field(default_factory=list)
    explanations: ExplanationReport | None = None
    robustness: RobustnessReport | None = None
    format: int = REPORT_FORMAT

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "EvaluationReport":
        """Rebuilds a report from `to_dict`'s result.

        Raises:
            ArtifactError: The content was written in another format or is not complete.
        """
        if content.get("format") != REPORT_FORMAT:
            message = (
                f"the report has format {content.get('format')!r}, this version reads {REPORT_FORMAT}: "
                "evaluate the run again."
            )
            raise ArtifactError(message)
        try:
            parts: dict[str, Any] = {
                "task": Task(content["task"]),
                "splits": {name: _split_from_dict(part) for name, part in content["splits"].items()},
                "external": [ExternalReport.from_dict(entry) for entry in content.get("external", [])],
            }
            for name, kind in _PARTS.items():
                entry = content.get(name)
                parts[name] = None if entry is None else kind.from_dict(entry)
            return cls(**{**content, **parts})
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            message = f"the report is not complete ({type(error).__name__}: {error}): evaluate the run again."
            raise ArtifactError(message) from error

    def metric(self, split: str, name: str) -> float | None:
        """The model's value of one metric on one split; None when the split or the metric is not there."""
        part = self.splits.get(split)
        if part is None:
            return None
        return next((metric.value for metric in part.metrics if metric.name == name), None)


_PARTS: dict[str, Any] = {
    "trust": TrustReport,
    "explanations": ExplanationReport,
    "robustness": RobustnessReport,
}


def _split_from_dict(part: dict[str, Any]) -> SplitReport:
    # What reports of older versions lack keeps its default.
    return SplitReport(
        **{
            **part,
            "metrics": _metrics_from_list(part["metrics"]),
            "baselines": _baselines_from_list(part["baselines"]),
            "classes": [ClassRow(**row) for row in part["classes"]],
            "top_confusions": [Confusion(**row) for row in part["top_confusions"]],
            "deciles": [DecileRow(**row) for row in part["deciles"]],
            "more_targets": [
                TargetReport(
                    **{
                        **row,
                        "metrics": _metrics_from_list(row["metrics"]),
                        "baselines": _baselines_from_list(row["baselines"]),
                    }
                )
                for row in part.get("more_targets", [])
            ],
            "slices": [_slice_from_dict(row) for row in part.get("slices", [])],
            "groups": [GroupRow(**row) for row in part.get("groups", [])],
        }
    )


def _slice_from_dict(row: dict[str, Any]) -> SliceReport:
    difference = row["difference"]
    return SliceReport(
        **{
            **row,
            "metrics": _metrics_from_list(row["metrics"]),
            "difference": None if difference is None else MetricValue(**difference),
        }
    )


def _metrics_from_list(rows: list[dict[str, Any]]) -> list[MetricValue]:
    return [MetricValue(**row) for row in rows]


def _baselines_from_list(rows: list[dict[str, Any]]) -> list[Baseline]:
    return [
        Baseline(
            **{
                **row,
                "metrics": _metrics_from_list(row["metrics"]),
                "lead": None if row.get("lead") is None else MetricValue(**row["lead"]),
            }
        )
        for row in rows
    ]
