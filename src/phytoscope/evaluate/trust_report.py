"""Whether answers can be believed as far as they say: raw and judged answers in, TrustReport out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.evaluate.coverage import describe_coverage
from phytoscope.evaluate.reliability import draw_reliability, measure_calibration
from phytoscope.evaluate.verdict_shares import count_verdicts
from phytoscope.schema.table import (
    GROUP_ID,
    LABEL,
    LOWER,
    PREDICTION,
    PREDICTION_PREFIX,
    PROB_PREFIX,
    PROBABILITY,
    SET,
    SET_SIZE,
    TARGET,
    TARGET_PREFIX,
    UPPER,
    Task,
)
from phytoscope.schema.trust_report import CalibrationReport, CoverageRow, IntervalReport, SetReport, TrustReport
from phytoscope.trust.fit import TrustWishes
from phytoscope.trust.thresholds import round_widths
from phytoscope.trust.trust import Trust

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DECILES: Final = 10
LEAST_IN_DECILE: Final = 5
"""Images from which on a part of the true values is looked at by itself."""
_UNKNOWN, _FOREIGN = -1, -2


def measure_trust(
    predictions: pd.DataFrame,
    answers: pd.DataFrame,
    trust: Trust,
    wishes: TrustWishes,
    *,
    class_names: Sequence[str],
    units: Mapping[str, str],
    seed: int,
    draws: int = 1000,
) -> TrustReport:
    """Measures calibration, coverage and verdicts on some rows.

    Args:
        predictions: Rows of table 7, uncalibrated.
        answers: The same rows of table 8a, in the same order; where the truth is not known (`label` or `target` is
            missing in the table or in a row), only verdicts and reasons are counted. An answer for a label that is none
            of the model's classes is always wrong; such rows say nothing of calibration and sets.
        trust: What judged them.
        wishes: What was wanted of it.
        class_names: In the order of the probabilities (classification).
        units: Name of each target, the main one first -> its unit (regression).
        seed: Seed of the draws.
        draws: Draws of groups for intervals; 0 leaves them out.
    """
    plan = BootstrapPlan(draws, wishes.confidence, seed)
    groups = _read_groups(answers)
    if trust.task is Task.regression:
        return _measure_numbers(answers, groups, trust, wishes, units=units, plan=plan)
    truth = _read_classes(answers, class_names)
    right = (answers[PREDICTION].to_numpy(dtype=object) == _read(answers, LABEL)) & (truth >= 0)
    loss = np.where(truth == _UNKNOWN, np.nan, ~right)
    confidence = answers[PROBABILITY].to_numpy(dtype=np.float64)
    verdicts = count_verdicts(answers, loss, confidence, groups, wanted_error=wishes.error_rate, plan=plan)
    rows = np.flatnonzero((truth >= 0) & np.isfinite(confidence))
    if len(rows) == 0:
        return TrustReport(verdicts, remarks=list(trust.remarks))
    known = answers.iloc[rows]
    return TrustReport(
        verdicts,
        _compare_calibration(predictions.iloc[rows], known, truth[rows], trust, class_names),
        _describe_sets(known, truth[rows], groups[rows], trust, wishes, class_names=class_names, plan=plan),
        remarks=list(trust.remarks),
    )


def _compare_calibration(
    predictions: pd.DataFrame, answers: pd.DataFrame, truth: IntArray, trust: Trust, class_names: Sequence[str]
) -> CalibrationReport:
    columns = [PROB_PREFIX + name for name in class_names]
    # One after the other, so that only one of two large arrays is held.
    parts: list[tuple[dict[str, float], list[Any]]] = []
    for table in (predictions, answers):
        probs = np.ascontiguousarray(table[columns].to_numpy(dtype=np.float64))
        parts.append((measure_calibration(truth, probs), draw_reliability(truth, probs)))
    (before, bins_before), (after, bins_after) = parts
    kind = trust.calibration.kind.value
    return CalibrationReport(kind, trust.calibration.temperature, before, after, bins_before, bins_after)


def _describe_sets(
    answers: pd.DataFrame,
    truth: IntArray,
    groups: npt.NDArray[np.object_],
    trust: Trust,
    wishes: TrustWishes,
    *,
    class_names: Sequence[str],
    plan: BootstrapPlan,
) -> SetReport | None:
    if trust.sets is None or SET not in answers:
        return None
    codes, words = pd.factorize(answers[SET])
    place = {name: index for index, name in enumerate(class_names)}
    member = np.zeros((len(words), len(class_names)), dtype=bool)
    for row, word in enumerate(words):
        member[row, [place[name] for name in json.loads(word)]] = True
    size = answers[SET_SIZE].to_numpy(dtype=np.float64)
    rows = describe_coverage(
        member[codes, truth], size, groups, what="class", kinds=truth, names=class_names, plan=plan
    )
    numbers, counts = np.unique(size.astype(np.int64), return_counts=True)
    sizes = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    return SetReport(trust.sets.kind.value, wishes.coverage, trust.sets.promised, rows, sizes)


def _measure_numbers(
    answers: pd.DataFrame,
    groups: npt.NDArray[np.object_],
    trust: Trust,
    wishes: TrustWishes,
    *,
    units: Mapping[str, str],
    plan: BootstrapPlan,
) -> TrustReport:
    off = np.abs(_floats(answers, TARGET) - _floats(answers, PREDICTION))
    width = _floats(answers, UPPER) - _floats(answers, LOWER)
    tolerance = wishes.tolerance
    loss = off if tolerance is None else np.where(np.isnan(off), np.nan, off > tolerance)
    wanted = None if tolerance is None else wishes.error_rate
    verdicts = count_verdicts(answers, loss, -round_widths(width), groups, wanted_error=wanted, plan=plan)
    # The curve tells widths, which are confidence the other way round.
    curve = [replace(point, threshold=-point.threshold) for point in verdicts.curve]
    reports = []
    for (name, unit), rule in zip(units.items(), trust.intervals, strict=True):
        suffix = "" if name == next(iter(units)) else name
        bounds = _read_interval(answers, suffix)
        rows = np.flatnonzero(np.isfinite(bounds).all(axis=1))
        if rule is not None and len(rows) > 0:
            coverage, constant = _describe_interval(bounds[rows], groups[rows], plan)
            about = (rule.kind.value, wishes.coverage, rule.promised)
            reports.append(IntervalReport(name, unit, *about, rows=coverage, constant_width=constant))
    return TrustReport(
        replace(verdicts, curve=curve, tolerance=tolerance), intervals=reports, remarks=list(trust.remarks)
    )


def _describe_interval(
    bounds: FloatArray, groups: npt.NDArray[np.object_], plan: BootstrapPlan
) -> tuple[list[CoverageRow], float]:
    """Coverage of the intervals, and the constant width that would have held the truth as often.

    `bounds` holds truth, answer, lower and upper end of each image, shape (N, 4).
    """
    truth, answer, lower, upper = bounds.T
    held = (lower <= truth) & (truth <= upper)
    kinds, names = _cut(truth)
    rows = describe_coverage(held, upper - lower, groups, what="decile", kinds=kinds, names=names, plan=plan)
    off = np.sort(np.abs(truth - answer))
    return rows, 2.0 * float(off[max(int(held.sum()) - 1, 0)])


def _cut(values: FloatArray) -> tuple[IntArray, list[str]]:
    """Cuts values into about ten parts of about equally many, equal ones together, with the range of each part."""
    parts = max(1, min(DECILES, len(values) // LEAST_IN_DECILE))
    ordered = np.sort(values)
    starts = np.unique(ordered[np.arange(parts) * len(ordered) // parts])
    kinds = np.searchsorted(starts, values, side="right") - 1
    ends = [float(values[kinds == kind].max()) for kind in range(len(starts))]
    names = [f"{low:.4g} to {high:.4g}" for low, high in zip(starts.tolist(), ends, strict=True)]
    return kinds.astype(np.int64), names


def _read_interval(answers: pd.DataFrame, name: str) -> FloatArray:
    """Truth, answer, lower and upper end of a target, shape (N, 4), NaN where not known."""
    end = f"/{name}" if name else ""
    columns = (TARGET_PREFIX + name, PREDICTION_PREFIX + name) if name else (TARGET, PREDICTION)
    return np.column_stack([_floats(answers, column) for column in (*columns, LOWER + end, UPPER + end)])


def _read_classes(answers: pd.DataFrame, class_names: Sequence[str]) -> IntArray:
    """Index of the true class, shape (N,), -1 where it is not known and -2 where it is none of the model's."""
    labels = pd.Series(_read(answers, LABEL), dtype=object)
    places = pd.Index(class_names).get_indexer(pd.Index(labels))
    return np.where(labels.isna(), _UNKNOWN, np.where(places < 0, _FOREIGN, places)).astype(np.int64)


def _read_groups(answers: pd.DataFrame) -> npt.NDArray[np.object_]:
    """Group of each image; one of its own where none is known."""
    alone = np.array([f"image {number}" for number in range(1, len(answers) + 1)], dtype=object)
    groups = _read(answers, GROUP_ID)
    return np.where(pd.isna(groups), alone, groups)


def _read(table: pd.DataFrame, name: str) -> npt.NDArray[np.object_]:
    return table[name].to_numpy(dtype=object) if name in table else np.full(len(table), None, dtype=object)


def _floats(table: pd.DataFrame, name: str) -> FloatArray:
    return table[name].to_numpy(dtype=np.float64) if name in table else np.full(len(table), np.nan)
