"""Evaluated runs with all that can be known of a model filled in by hand: trust, further sets, slices, heat maps."""

import dataclasses
from types import SimpleNamespace

import numpy as np

from factories.predictions import LONG_CLASS_NAMES
from factories.reports import build_classification, build_regression
from phytoscope.schema.explanation import (
    ExplainedImage,
    ExplanationMethod,
    ExplanationReport,
    HeatTest,
    report_explanations,
)
from phytoscope.schema.external import ExternalClass, ExternalExample, ExternalReport
from phytoscope.schema.report import GroupRow, MetricValue, SliceReport
from phytoscope.schema.robustness import RobustnessReport, RobustnessRow
from phytoscope.schema.table import Task
from phytoscope.schema.trust_report import (
    CalibrationReport,
    CoverageRow,
    IntervalReport,
    ReliabilityBin,
    RiskPoint,
    SetReport,
    TrustReport,
    VerdictReport,
)

ACCURACY = MetricValue("accuracy", 0.12, "", True, 0.07, 0.18)
SHARES = {"accept": 0.81, "review": 0.12, "reject": 0.07}


def make_verdicts(
    shares=None, *, n=400, among=0.03, overall=0.08, wanted=0.05, low=0.01, high=0.045, curve=True
) -> VerdictReport:
    """Verdicts whose surest answers are the best ones.

    Args:
        shares: Verdict -> share.
        n: Images.
        among: Error among accepted answers.
        overall: Error among all; None where the truth is not known, so that nothing else is either.
        wanted: Error rate that was wished for; None for numbers without a tolerance.
        low: Lower end of the interval of the error among accepted answers.
        high: Its upper end.
        curve: Whether there is a risk-coverage curve.
    """
    shares = SHARES if shares is None else shares
    if overall is None:
        return VerdictReport(n, shares, {}, None, None, wanted, {"no_plant": 0.61, "unlike_training": 0.9})
    errors = {"all": overall, "accept": among, "review": 3 * overall, "reject": 5 * overall}
    points = [RiskPoint(x, overall * x**2, 1.0 - 0.6 * x) for x in np.linspace(0.01, 1.0, 60)] if curve else []
    reasons = {"unlike_training": 0.04, "too_dark": 0.02, "blurred": 0.015, "somewhat_unlike": 0.03, "unsure": 0.09}
    answered = {"0.01": 0.42, "0.05": 0.86, "0.1": 1.0} if wanted is not None else {}
    return VerdictReport(n, shares, errors, low, high, wanted, reasons, points, answered)


def make_calibration() -> CalibrationReport:
    """Probabilities that were too sure of themselves and are honest after calibration."""
    confidence = np.linspace(0.3, 0.985, 12)
    count = [12, 14, 18, 20, 22, 25, 31, 38, 45, 52, 58, 65]
    rng = np.random.default_rng(0)
    before = [ReliabilityBin(n, float(c), float(c * (0.72 + 0.2 * c))) for n, c in zip(count, confidence, strict=True)]
    after = [
        ReliabilityBin(n, float(c), float(np.clip(c + rng.normal(0, 0.02), 0, 1)))
        for n, c in zip(count, confidence, strict=True)
    ]
    return CalibrationReport(
        "temperature",
        1.62,
        {"ece": 0.082, "brier": 0.141, "nll": 0.41},
        {"ece": 0.017, "brier": 0.122, "nll": 0.29},
        before,
        after,
    )


def make_sets(class_names=LONG_CLASS_NAMES, promised=0.9) -> SetReport:
    """Sets that keep their promise overall and break it in the last class."""
    rows = [CoverageRow("all", "", 400, 120, 0.915, 0.885, 0.94, 1.32)]
    for number, name in enumerate(class_names):
        held = 0.97 - 0.055 * number
        low, high = (held - 0.07, min(1.0, held + 0.04)) if number != 1 else (None, None)
        rows.append(CoverageRow("class", name, 60 + number, 20, held, low, high, 1.1 + 0.15 * number))
    rows.append(CoverageRow("group", "leaf-17", 6, 1, 0.33, None, None, 1.5))
    return SetReport("raps", 0.9, promised, rows, {1: 300, 2: 70, 3: 25, 5: 5})


def make_intervals(name="fresh_weight_total", unit="g", promised=0.83) -> IntervalReport:
    """Intervals of a weight, promised less than wanted, that miss the largest plants."""
    rows = [CoverageRow("all", "", 400, 60, 0.86, 0.80, 0.91, 0.21)]
    for number in range(10):
        held = 0.93 - 0.03 * number
        low = 0.02 * 1.6**number
        rows.append(
            CoverageRow("decile", f"{low:.3g} to {1.6 * low:.3g}", 40, 20, held, held - 0.1, held + 0.05, 2.2 * low)
        )
    rows.append(CoverageRow("group", "plant-3", 8, 1, 0.25, None, None, 0.4))
    return IntervalReport(name, unit, "scaled", 0.9, promised, rows, 0.44)


def make_external(picture, class_names=LONG_CLASS_NAMES) -> list[ExternalReport]:
    """An orchard whose classes are known, with one class too many, and a set without labels that shows no leaves."""
    first, second = class_names[0], class_names[-1]
    examples = [
        ExternalExample(f"orchard/{number}.jpg", str(picture), second, first, 0.97 - 0.05 * number, number > 4,
                        "accept" if number < 5 else "reject", [])
        for number in range(8)
    ]  # fmt: skip
    free = [ACCURACY, MetricValue("balanced_accuracy", 0.11, "", True, 0.06, 0.19)]
    only = [dataclasses.replace(metric, value=0.38, low=0.3, high=0.47) for metric in free]
    orchard = ExternalReport(
        name="orchard",
        source="photographs/orchard",
        n=160,
        n_unreadable=2,
        n_labelled=150,
        n_groups=150,
        class_map={"scab": first, "healthy": second},
        foreign={"Mango___die_back": 10},
        metrics=free,
        metrics_restricted=only,
        classes=[
            ExternalClass(first, 70, 0.2, 0.12, 0.31, 0.5, 0.06),
            ExternalClass(second, 80, 0.05, None, None, 0.27, 0.1),
        ],
        trust=TrustReport(
            make_verdicts(
                {"accept": 0.08, "review": 0.31, "reject": 0.61}, n=160, among=0.25, overall=0.88, low=0.05, high=0.5
            ),
        ),
        foreign_verdicts={"accept": 0.1, "review": 0.2, "reject": 0.7},
        examples=examples,
        remarks=["The set does not say which photographs show the same leaf: each counts as one of its own."],
    )
    shares = {"accept": 0.02, "review": 0.0, "reject": 0.98}
    strange = ExternalReport(
        "not_a_leaf",
        "photographs/not_a_leaf",
        100,
        0,
        0,
        0,
        trust=TrustReport(make_verdicts(shares, n=100, overall=None)),
    )
    return [orchard, strange]


def make_slices(metric="accuracy", unit="", worse_higher=False) -> list[SliceReport]:
    """Slices by camera and sharpness: one worse, one better, one that cannot be told, one too small."""
    sign = 1.0 if worse_higher else -1.0
    rows = []
    for column, value, gap, differs, worse in (
        ("camera", "phone", 0.11, True, True),
        ("camera", "reflex", -0.06, True, False),
        ("sharpness", "0.2 to 0.9", 0.02, False, False),
        ("sharpness", "0.9 to 3.1", -0.01, False, False),
    ):
        difference = MetricValue(metric, sign * gap, unit, not worse_higher, sign * gap - 0.04, sign * gap + 0.04)
        own = [MetricValue(metric, 0.9 + sign * gap, unit, not worse_higher, 0.8, 0.95)]
        rows.append(SliceReport(column, value, 90, 30, own, difference, differs, worse))
    return [*rows, SliceReport("camera", "scanner", 4, 2)]


def make_explanations(task=Task.classification, unit="") -> ExplanationReport:
    """Twelve explained images of which a third rest on the background."""
    rows = []
    for number in range(12):
        right = number < 6
        name = "Apple: apple scab" if task is Task.classification else "fresh_weight_total"
        answer, truth = (
            (name, name if right else "Tomato: healthy") if not unit else (f"0.31 {unit}", f"0.3{number} {unit}")
        )
        outside = 0.2 + 0.05 * number
        test = HeatTest(0.3, 0.7, 0.5, 0.52) if number else HeatTest(0.5, 0.5, 0.4, 0.6)
        rows.append(
            ExplainedImage(f"leaves/{number}.jpg", name, answer, truth, right, outside, 0.4, outside > 0.5, test)
        )
    return report_explanations(ExplanationMethod.hires_cam, rows)


def make_robustness(task=Task.classification, unit="") -> RobustnessReport:
    """Three kinds of spoiling in five strengths; blur breaks the model first."""
    rows = [RobustnessRow("clean", "as they are", 0, 40, 0.95, 0.95, accept=0.8, review=0.1, reject=0.1, accepted=32)]
    for kind, words, slope in (("blur", "motion blur", 0.11), ("dark", "less light", 0.03), ("jpeg", "JPEG", 0.0)):
        for severity in range(1, 6):
            score = 0.95 - slope * severity
            share = 0.8 - slope * severity
            rows.append(
                RobustnessRow(kind, words, severity, 40, score, 0.95, None, share, 0.15, 0.85 - share, 20, 0.05)
            )
    left_out = {"zoom": "it changes the true value"} if task is Task.regression else {}
    return RobustnessReport(task, unit, 40, 20, rows, left_out)


def add_ranges(report):
    """The report with an interval around each number of the model and of its classes and slices of the true value."""

    def spread(metric):
        if metric.value is None:
            return metric
        width = 0.05 * max(abs(metric.value), 0.02)
        top = metric.value + width
        limit = 1.0 if metric.name in {"accuracy", "macro_f1", "balanced_accuracy", "top3_accuracy", "r2"} else top
        return dataclasses.replace(metric, low=metric.value - width, high=min(top, limit))

    def widen(row, *names):
        ends = {}
        for name in names:
            value = getattr(row, name)
            if value is not None:
                ends |= {f"{name}_low": max(0.0, value - 0.08), f"{name}_high": value + 0.5 * (1.0 - min(value, 1.0))}
        return dataclasses.replace(row, **ends)

    splits = {}
    for name, part in report.splits.items():
        splits[name] = dataclasses.replace(
            part,
            metrics=[spread(metric) for metric in part.metrics],
            classes=[widen(row, "precision", "recall", "f1") for row in part.classes],
            deciles=[widen(row, "mae", "bias") for row in part.deciles],
        )
    return dataclasses.replace(report, splits=splits, bootstrap=1000)


def build_full_classification(picture) -> SimpleNamespace:
    """A run of classes with everything that can be known of it.

    Args:
        picture: A file that stands for every photograph of the further sets.
    """
    run = build_classification(n_per_class=6, accuracy=0.8)
    report = add_ranges(run.report)
    test = dataclasses.replace(
        report.splits["test"],
        slices=make_slices(),
        groups=[GroupRow(f"leaf-{number}", 3, "accuracy", 0.1 * number) for number in range(12)],
    )
    run.report = dataclasses.replace(
        report,
        splits={**report.splits, "test": test},
        trust=TrustReport(make_verdicts(), make_calibration(), make_sets(), [], ["Sets of rare classes are pooled."]),
        external=make_external(picture),
        explanations=make_explanations(),
        robustness=make_robustness(),
    )
    run.answers = run.predictions.assign(verdict="accept", reasons="")
    return run


def build_full_regression(picture, *, tolerance=None) -> SimpleNamespace:
    """A run of a weight with everything that can be known of it.

    Args:
        picture: A file that stands for every photograph of the further sets.
        tolerance: Largest error that counts as right; None for errors that are no shares.
    """
    run = build_regression(n_per_split=200)
    report = add_ranges(run.report)
    test = dataclasses.replace(
        report.splits["test"],
        slices=make_slices("mae", "g", worse_higher=True),
        groups=[GroupRow(f"plant-{number}", 4, "mae", 0.9 - 0.1 * number) for number in range(4)],
    )
    wanted = None if tolerance is None else 0.05
    verdicts = make_verdicts(among=0.031, overall=0.08, wanted=wanted)
    greenhouse = ExternalReport(
        name="greenhouse B",
        source="photographs/greenhouse.csv",
        n=80,
        n_unreadable=0,
        n_labelled=80,
        n_groups=20,
        metrics=[MetricValue("mae", 0.42, "g", False, 0.31, 0.55), MetricValue("r2", 0.31, "", True)],
        more_targets={"leaf area": [MetricValue("mae", 3.1, "cm²", False), MetricValue("r2", 0.4, "", True)]},
        trust=TrustReport(
            make_verdicts({"accept": 0.2, "review": 0.5, "reject": 0.3}, n=80, among=0.2, overall=0.42, wanted=wanted)
        ),
        examples=[
            ExternalExample("b/1.png", str(picture), "0.9 g", "0.2 g", None, None, "accept"),
            ExternalExample("b/2.png", "nowhere.png", "", "0.2 g", None, None, ""),
        ],
    )
    run.report = dataclasses.replace(
        report,
        splits={**report.splits, "test": test},
        trust=TrustReport(verdicts, intervals=[make_intervals(), make_intervals("leaf area", "cm²", 0.9)]),
        external=[greenhouse],
        explanations=make_explanations(Task.regression, "g"),
        robustness=make_robustness(Task.regression, "g"),
    )
    spread = 0.35 * run.predictions["prediction"]
    run.answers = run.predictions.assign(
        lower=(run.predictions["prediction"] - spread).clip(lower=0.0),
        upper=run.predictions["prediction"] + spread,
        verdict="accept",
        reasons="",
    )
    return run
