"""TrustReport: whether the answers of one split can be believed as far as they say, in numbers."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of about the same confidence.

    Attributes:
        n: Number of them.
        confidence: Their mean probability, 0-1.
        accuracy: Share of them that was right, 0-1.
    """

    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class CalibrationReport:
    """Probabilities before and after calibration.

    Attributes:
        kind: How they were calibrated.
        temperature: By which temperature; None for another kind.
        before: `ece`, `brier`, `nll` of the network's own probabilities.
        after: The same of the calibrated ones.
        bins_before: Reliability diagram, least confident first.
        bins_after: The same after calibration.
    """

    kind: str
    temperature: float | None
    before: dict[str, float]
    after: dict[str, float]
    bins_before: list[ReliabilityBin] = field(default_factory=list)
    bins_after: list[ReliabilityBin] = field(default_factory=list)


@dataclass(frozen=True)
class CoverageRow:
    """How often sets or intervals held the truth.

    Attributes:
        what: `all`, `class`, `decile` or `group`.
        name: Which class, decile or group.
        n: Images.
        n_groups: Groups that these belong to.
        coverage: Share that held the truth, 0-1.
        low: Lower end of its interval, by groups; None where there are too few.
        high: Upper end.
        size: Mean number of classes of the set, or mean width of the interval in the unit of the target.
    """

    what: str
    name: str
    n: int
    n_groups: int
    coverage: float
    low: float | None
    high: float | None
    size: float


@dataclass(frozen=True)
class SetReport:
    """Prediction sets of one split.

    Attributes:
        kind: How they were made.
        wanted: Share that was wished to hold the truth.
        promised: Share that the calibration split could promise.
        rows: First `all`, then each class, then the groups that were held least often.
        sizes: Number of classes -> number of sets.
    """

    kind: str
    wanted: float
    promised: float
    rows: list[CoverageRow]
    sizes: dict[int, int]


@dataclass(frozen=True)
class IntervalReport:
    """Intervals of one target on one split.

    Attributes:
        target: The user's name of it.
        unit: Its unit.
        kind: How they were made.
        wanted: Share that was wished to hold the truth.
        promised: Share that the calibration split could promise.
        rows: First `all`, then each decile of the true value, then the groups that were held least often.
        constant_width: Width of intervals of one width for all that would have held the truth of these images as
            often, for comparison; None where unknown.
    """

    target: str
    unit: str
    kind: str
    wanted: float
    promised: float
    rows: list[CoverageRow]
    constant_width: float | None


@dataclass(frozen=True)
class RiskPoint:
    """One point of the risk-coverage curve.

    Attributes:
        coverage: Share of images that are answered, the surest first, 0-1.
        risk: Share of wrong answers among these (classification and numbers with a tolerance), or their mean absolute
            error in the unit of the target.
        threshold: Confidence of the last one; for numbers the width of its interval.
    """

    coverage: float
    risk: float
    threshold: float


@dataclass(frozen=True)
class VerdictReport:
    """What became of the answers.

    Attributes:
        n: Images.
        shares: Verdict -> share of images, 0-1.
        errors: Verdict -> share of wrong answers among them, 0-1, or mean absolute error for numbers without a
            tolerance; None where there are none or the truth is not known. `all` is over all images.
        accepted_low: Lower end of the interval of the error among accepted answers, by groups; None where unknown.
        accepted_high: Upper end.
        wanted_error: Error rate that was wished for; None for numbers without a tolerance.
        reasons: Reason -> share of images for which it holds.
        curve: Risk-coverage curve, at most 200 points.
        answered_at: Wanted error rate (as text, `0.01`, `0.05`, `0.1`) -> largest share of images, the surest first,
            that can be answered with no more errors than that; empty for numbers without a tolerance.
        tolerance: Largest error that counts as right, in the unit of the main target; None for classes, and for
            numbers where none was stated.
    """

    n: int
    shares: dict[str, float]
    errors: dict[str, float | None]
    accepted_low: float | None
    accepted_high: float | None
    wanted_error: float | None
    reasons: dict[str, float]
    curve: list[RiskPoint] = field(default_factory=list)
    answered_at: dict[str, float] = field(default_factory=dict)
    tolerance: float | None = None


@dataclass(frozen=True)
class TrustReport:
    """All of it for one split or one further set.

    Attributes:
        verdicts: What became of the answers.
        calibration: Probabilities before and after (classification with known truth).
        sets: Prediction sets (classification with known truth).
        intervals: Intervals, in the order of the targets (regression with known truth).
        remarks: What could not be fitted or promised, in words.
    """

    verdicts: VerdictReport
    calibration: CalibrationReport | None = None
    sets: SetReport | None = None
    intervals: list[IntervalReport] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain dictionaries and lists, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TrustReport":
        """Rebuilds a report from `to_dict`'s result.

        Raises:
            KeyError: A part is missing.
            TypeError: A part is not what it should be.
        """
        verdicts = content["verdicts"]
        calibration, sets = content.get("calibration"), content.get("sets")
        return cls(
            VerdictReport(**{**verdicts, "curve": [RiskPoint(**point) for point in verdicts["curve"]]}),
            None if calibration is None else _read_calibration(calibration),
            None
            if sets is None
            else SetReport(
                **{
                    **sets,
                    "rows": [CoverageRow(**row) for row in sets["rows"]],
                    "sizes": {int(size): count for size, count in sets["sizes"].items()},
                }
            ),
            [
                IntervalReport(**{**entry, "rows": [CoverageRow(**row) for row in entry["rows"]]})
                for entry in content["intervals"]
            ],
            list(content["remarks"]),
        )


def _read_calibration(content: dict[str, Any]) -> CalibrationReport:
    bins = {name: [ReliabilityBin(**entry) for entry in content[name]] for name in ("bins_before", "bins_after")}
    return CalibrationReport(**{**content, **bins})
