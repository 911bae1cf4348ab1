"""Sentences of the model card about what was measured and what is promised."""

import math
from typing import Final

from phytoscope.schema.external import ExternalReport
from phytoscope.schema.metric import MetricValue, count_hundred
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.table import Split, Task
from phytoscope.schema.trust_report import CoverageRow, IntervalReport, SetReport, TrustReport
from phytoscope.schema.verdict import Verdict
from phytoscope.trust.trust import Trust

UNKNOWN_FIELD: Final = (
    "Nothing was measured on photographs from other places, cameras or seasons, where models often lose most of their "
    "skill."
)
_MAIN: Final = {Task.classification: "accuracy", Task.regression: "mae"}
_MEASURES: Final = {
    "brightness": ("its median brightness", "of 255"),
    "highlights": ("its share of burnt-out pixels", ""),
    "sharpness": ("its sharpness", ""),
    "side_px": ("its shorter side", "px"),
    "plant": ("its share of plant pixels", ""),
}


def word_headline(report: EvaluationReport) -> list[str]:
    """How good the model is at home and on each further set, and how much of it it accepts, a sentence each.

    Args:
        report: What was measured.
    """
    name = _MAIN[report.task]
    test = report.splits.get(Split.test.value)
    found = None if test is None else next((metric for metric in test.metrics if metric.name == name), None)
    sentences = []
    if found is not None and found.value is not None:
        home = f"On photographs like those it learned from {_word_value(found, report)}"
        sentences.append(f"{home}{_word_accepts(report.trust)}.")
    return [*sentences, *(word_further(further, report) for further in report.external if further.n > 0)]


def word_further(further: ExternalReport, report: EvaluationReport) -> str:
    """How good the model is on a further set, and how much of it it accepts, in one sentence.

    Args:
        further: The set.
        report: The report that it belongs to.
    """
    metric = further.metric(_MAIN[report.task])
    if metric is not None and metric.value is not None:
        return f"On `{further.name}` {_word_value(metric, report)}{_word_accepts(further.trust)}."
    if further.trust is None or not further.trust.verdicts.shares:
        return f"Of `{further.name}` nothing could be measured."
    shares = further.trust.verdicts.shares
    which = "whose classes it does not know" if further.foreign else "whose truth is not known"
    rejected, accepted = (shares.get(verdict.value, 0.0) for verdict in (Verdict.reject, Verdict.accept))
    return (
        f"Of `{further.name}`, {which}, it rejects {count_hundred(rejected)} of 100 and accepts "
        f"{count_hundred(accepted)}."
    )


def _word_value(metric: MetricValue, report: EvaluationReport) -> str:
    value = metric.value if metric.value is not None else math.nan
    low, high = metric.low, metric.high
    level = f"{100 * report.confidence:g} % range"
    if report.task is Task.regression:
        span = "" if low is None or high is None else f" ({level} {low:.3g} to {high:.3g})"
        return f"it is off by {f'{value:.3g} {metric.unit}'.strip()} on average{span}"
    span = "" if low is None or high is None else f" ({level} {count_hundred(low)} to {count_hundred(high)})"
    return f"{count_hundred(value)} of 100 are named rightly{span}"


def _word_accepts(trust: TrustReport | None) -> str:
    if trust is None or not trust.verdicts.shares:
        return ""
    return f"; it accepts {count_hundred(trust.verdicts.shares.get(Verdict.accept.value, 0.0))} of 100 of its answers"


def describe_limits(trust: Trust, unit: str) -> list[str]:
    """From where on an answer is not accepted, a sentence a limit.

    Args:
        trust: What judges the answers.
        unit: Unit of the main number; may be empty.
    """
    limits = trust.limits
    sentences = ["Every answer is accepted, sent to a person for review, or rejected because of the picture."]
    if limits.least_probability is not None:
        at_least = f"whose calibrated probability is at least {limits.least_probability:.3g}"
        reachable = f"Accepted is an answer {at_least}, and against which nothing else speaks."
        sentences.append(reachable if limits.least_probability <= 1.0 else "No answer is sure enough to be accepted.")
    if limits.widest is not None:
        sentences.append(
            f"Accepted is a number whose interval is at most {f'{limits.widest:.3g} {unit}'.strip()} wide, and against "
            "which nothing else speaks."
            if limits.widest > 0
            else "No number is sure enough to be accepted."
        )
    if limits.reject_novelty is not None:
        sentences.append(f"Rejected is a picture whose novelty is above {limits.reject_novelty:.4g}.")
    if limits.review_novelty is not None:
        sentences.append(f"For review is a picture whose novelty is above {limits.review_novelty:.4g}.")
    sides = [(trust.photo.lowest, "below"), (trust.photo.highest, "above")]
    faults = [_word_measure(name, side, limit) for limits, side in sides for name, limit in limits.items()]
    if faults:
        sentences.append(f"A photograph is not good enough when {'; '.join(faults)}.")
    return sentences


def _word_measure(name: str, side: str, limit: float) -> str:
    what, unit = _MEASURES.get(name, (name, ""))
    return f"{what} is {side} {limit:.3g} {unit}".strip()


def describe_promises(trust: TrustReport) -> list[str]:
    """What was promised and what was held on the images that the report is about, a sentence each.

    Args:
        trust: What was measured.
    """
    sentences = []
    if trust.sets is not None:
        sentences += _word_coverage(trust.sets, "Its sets of classes", "the true class")
    for entry in trust.intervals:
        sentences += _word_coverage(entry, f"Its intervals of `{entry.target}`", "the true value")
    calibration = trust.calibration
    if calibration is not None and "ece" in calibration.before and "ece" in calibration.after:
        sentences.append(
            f"Probabilities are off by {100 * calibration.after['ece']:.3g} points on average "
            f"({100 * calibration.before['ece']:.3g} before calibration, {calibration.kind})."
        )
    verdicts = trust.verdicts
    error = verdicts.errors.get(Verdict.accept.value)
    if error is not None and verdicts.wanted_error is not None:
        low, high = verdicts.accepted_low, verdicts.accepted_high
        span = "" if low is None or high is None else f" ({count_hundred(low)} to {count_hundred(high)})"
        sentences.append(
            f"Of its accepted answers {count_hundred(error)} of 100 are wrong{span}; "
            f"{count_hundred(verdicts.wanted_error)} were wanted."
        )
    return sentences


def _word_coverage(entry: SetReport | IntervalReport, what: str, truth: str) -> list[str]:
    overall: CoverageRow | None = next((row for row in entry.rows if row.what == "all"), None)
    promise = f"{what} promise to hold {truth} for {count_hundred(entry.promised)} of 100 new leaves or plants"
    if overall is None:
        return [f"{promise}."]
    low, high = overall.low, overall.high
    span = "" if low is None or high is None else f" ({count_hundred(low)} to {count_hundred(high)})"
    return [f"{promise}; on test images they held it for {count_hundred(overall.coverage)}{span}."]
