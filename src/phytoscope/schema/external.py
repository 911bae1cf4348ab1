"""ExternalReport: how a model does on a further set, for example photographs from an orchard."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from phytoscope.schema.metric import MetricValue
from phytoscope.schema.trust_report import TrustReport


@dataclass(frozen=True)
class ExternalClass:
    """How one class of the model is met in a further set, each number a share 0-1 or None where undefined.

    Attributes:
        name: The model's name of it.
        n: Images of it.
        recall: Share that was named rightly, any class of the model being allowed.
        recall_low: Lower end of its interval, by groups; None where it is not known.
        recall_high: Upper end.
        recall_restricted: Share that was named rightly when only the classes of the set were allowed.
        accepted: Share whose answer was accepted; None where answers were not judged.
    """

    name: str
    n: int
    recall: float | None
    recall_low: float | None = None
    recall_high: float | None = None
    recall_restricted: float | None = None
    accepted: float | None = None


@dataclass(frozen=True)
class ExternalExample:
    """One image of a further set with its answer.

    Attributes:
        sample_id: Name of the image inside the set.
        path: Where it lies.
        truth: True class as the set calls it, or true value; empty where nobody said.
        answer: Predicted class, or value with its unit.
        probability: Calibrated probability of the answer, 0-1 (classification).
        right: Whether the answer is right; None where that is not known, and for numbers without a tolerance.
        verdict: `accept`, `review` or `reject`; empty where answers were not judged.
        reasons: Names of the reasons why it is not accepted, the gravest first.
    """

    sample_id: str
    path: str
    truth: str
    answer: str
    probability: float | None = None
    right: bool | None = None
    verdict: str = ""
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ExternalReport:
    """All numbers of one further set.

    Attributes:
        name: What the user calls the set.
        source: Folder or table it was read from.
        n: Images that were answered.
        n_unreadable: Images and rows that could not be used.
        n_labelled: Images whose true class is one of the model's, or whose true value is known; 0 for a set without
            labels, of which only verdicts are counted.
        n_groups: Groups (leaves, plants) that the labelled images belong to; each image is one of its own where the set
            does not say.
        class_map: Class of the set -> class of the model (classification).
        foreign: Class of the set that the model does not know -> its images (classification). Whatever is answered is
            wrong there.
        metrics: The model's numbers on the labelled images, any of its classes being allowed.
        metrics_restricted: The same when only the classes that occur in the set were allowed, their probabilities
            scaled to sum to 1 (classification); empty where all occur.
        classes: One row a class that occurs (classification).
        more_targets: Name of each further target -> its numbers (regression).
        trust: Verdicts of all images, and calibration, coverage and errors of the labelled ones; None where answers
            were not judged.
        foreign_verdicts: Verdict -> share of the images of foreign classes, 0-1; empty where there are none.
        examples: Some images: first the ones that are wrong and accepted.
        remarks: What a reader should know, in sentences.
    """

    name: str
    source: str
    n: int
    n_unreadable: int
    n_labelled: int
    n_groups: int
    class_map: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, int] = field(default_factory=dict)
    metrics: list[MetricValue] = field(default_factory=list)
    metrics_restricted: list[MetricValue] = field(default_factory=list)
    classes: list[ExternalClass] = field(default_factory=list)
    more_targets: dict[str, list[MetricValue]] = field(default_factory=dict)
    trust: TrustReport | None = None
    foreign_verdicts: dict[str, float] = field(default_factory=dict)
    examples: list[ExternalExample] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def metric(self, name: str, *, restricted: bool = False) -> MetricValue | None:
        """One number of the labelled images; None where it was not measured.

        Args:
            name: Its standard name, for example `accuracy` or `rmse`.
            restricted: Whether only the classes of the set were allowed.
        """
        rows = self.metrics_restricted if restricted else self.metrics
        return next((row for row in rows if row.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "ExternalReport":
        """Rebuilds a report from `to_dict`'s result.

        Raises:
            KeyError: A part is missing.
            TypeError: A part is not what it should be.
        """
        trust = content["trust"]
        parts = {
            "metrics": _read_metrics(content["metrics"]),
            "metrics_restricted": _read_metrics(content["metrics_restricted"]),
            "classes": [ExternalClass(**row) for row in content["classes"]],
            "more_targets": {name: _read_metrics(rows) for name, rows in content["more_targets"].items()},
            "trust": None if trust is None else TrustReport.from_dict(trust),
            "examples": [ExternalExample(**row) for row in content["examples"]],
        }
        return cls(**{**content, **parts})


def _read_metrics(rows: list[dict[str, Any]]) -> list[MetricValue]:
    return [MetricValue(**row) for row in rows]
