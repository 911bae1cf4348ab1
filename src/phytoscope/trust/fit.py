"""Learns from answers whose truth is known how far further ones can be believed."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phytoscope.schema.choices import CalibrationKind, IntervalKind, SetKind
from phytoscope.schema.table import Task
from phytoscope.schema.verdict import Verdict
from phytoscope.trust.calibration import fit_calibration
from phytoscope.trust.intervals import IntervalRule, fit_intervals
from phytoscope.trust.novelty_limits import fit_novelty_limits
from phytoscope.trust.observed import Judged, Labelled, Observed
from phytoscope.trust.photo import fit_photo_limits
from phytoscope.trust.sets import fit_sets
from phytoscope.trust.thresholds import NO_WIDTH, NOTHING_ACCEPTED, fit_least_probability, fit_widest
from phytoscope.trust.trust import Trust
from phytoscope.trust.verdict import VerdictLimits

_ACCEPT = tuple(Verdict).index(Verdict.accept)
_UNTESTED = (
    "Every answer is for review: there is no calibration image of known truth to show how sure an answer must be. Give "
    "the calibration split a larger share."
)
_FEW_FOR_NOVELTY = (
    "No image is rejected as unlike the training images: calibration and validation split have fewer than 5 groups "
    "(leaves, plants) or 20 images together."
)


@dataclass(frozen=True)
class TrustWishes:
    """What is wanted of the answers; see `EvaluateConfig` for each.

    Attributes:
        calibration: How probabilities are made honest.
        coverage: Share of sets and intervals that shall hold the truth.
        sets: How sets are made.
        class_conditional: Whether that shall hold in every class.
        intervals: How intervals are made.
        false_reject: Share of images like the training images that may be rejected.
        error_rate: Share of wrong answers wanted among accepted ones.
        tolerance: Largest error that counts as right, in the unit of the main target; None when not stated.
        lowest: Value below which a target cannot be, in the order of the targets; None where there is none.
        seed: Seed of what is drawn.
        confidence: Level of the intervals around measured shares, 0-1.
    """

    calibration: CalibrationKind = CalibrationKind.temperature
    coverage: float = 0.9
    sets: SetKind = SetKind.raps
    class_conditional: bool = False
    intervals: IntervalKind = IntervalKind.auto
    false_reject: float = 0.02
    error_rate: float = 0.05
    tolerance: float | None = None
    lowest: tuple[float | None, ...] = ()
    seed: int = 0
    confidence: float = 0.95


def fit_trust(task: Task, calibration: Labelled, val: Labelled, wishes: TrustWishes) -> Trust:
    """Fits everything, in this order: calibration, sets or intervals, limits of photograph and novelty, and how sure an
    accepted answer must be, which is asked of the rows that nothing else speaks against.

    Args:
        task: Classification or regression.
        calibration: Rows of the calibration split, which nothing was chosen by; may be empty.
        val: Rows of the validation split, for what must not be fitted on the calibration rows (the shape of the width
            of intervals); nothing that is promised rests on them.
        wishes: What is wanted.

    Returns:
        What was learned; remarks say what could not be fitted or promised. Rows with answers that are not numbers are
        left out.

    Raises:
        ConfigError: `wishes.coverage` is not between 0 and 1.
    """
    calibration, val = _drop_broken(calibration), _drop_broken(val)
    trust = _fit_classes(calibration, val, wishes) if task is Task.classification else Trust(task)
    if task is Task.regression:
        trust = _fit_numbers(calibration, val, wishes)
    trust = _fit_image_limits(trust, calibration, val, wishes)
    limits, remarks = _fit_sureness(trust, calibration, wishes)
    return replace(trust, limits=limits, remarks=(*trust.remarks, *remarks))


def _drop_broken(rows: Labelled) -> Labelled:
    whole = np.asarray(np.isfinite(rows.observed.answers).all(axis=1))
    return rows if whole.all() else _take(rows, whole)


def _take(rows: Labelled, places: NDArray[np.bool_]) -> Labelled:
    observed = rows.observed
    photo = {name: values[places] for name, values in observed.photo.items()}
    kept = Observed(observed.answers[places], observed.novelty[places], photo)
    return Labelled(kept, rows.truth[places], rows.groups[places])


def _fit_classes(calibration: Labelled, val: Labelled, wishes: TrustWishes) -> Trust:
    scaling, remarks = fit_calibration(wishes.calibration, calibration)
    honest, honest_val = (
        replace(rows, observed=replace(rows.observed, answers=scaling.apply(rows.observed.answers)))
        for rows in (calibration, val)
    )
    sets, more = fit_sets(
        honest, honest_val, kind=wishes.sets, coverage=wishes.coverage, class_conditional=wishes.class_conditional
    )
    return Trust(Task.classification, scaling, sets, remarks=(*remarks, *more))


def _fit_numbers(calibration: Labelled, val: Labelled, wishes: TrustWishes) -> Trust:
    rules: list[IntervalRule | None] = []
    remarks: list[str] = []
    for target in range(calibration.observed.answers.shape[1]):
        lowest = wishes.lowest[target] if target < len(wishes.lowest) else None
        rule, more = fit_intervals(
            calibration,
            val,
            target=target,
            coverage=wishes.coverage,
            kind=wishes.intervals,
            lowest=lowest,
            seed=wishes.seed,
        )
        rules.append(rule)
        remarks += more
    return Trust(Task.regression, intervals=tuple(rules), remarks=tuple(remarks))


def _fit_image_limits(trust: Trust, calibration: Labelled, val: Labelled, wishes: TrustWishes) -> Trust:
    """Limits of photograph and novelty, from both splits: the model learned its weights from neither."""
    parts = (calibration.observed, val.observed)
    photo = {
        name: np.concatenate([part.photo[name] for part in parts])
        for name in parts[0].photo
        if all(name in part.photo for part in parts)
    }
    novelty = np.concatenate([part.novelty for part in parts])
    groups = np.concatenate([calibration.groups, val.groups])
    reject, review = fit_novelty_limits(novelty, groups, wishes.false_reject)
    remarks = trust.remarks
    if reject is None and np.isfinite(novelty).any():
        remarks = (*remarks, _FEW_FOR_NOVELTY)
    limits = replace(trust.limits, reject_novelty=reject, review_novelty=review)
    return replace(trust, photo=fit_photo_limits(photo, wishes.false_reject), limits=limits, remarks=remarks)


def _fit_sureness(trust: Trust, rows: Labelled, wishes: TrustWishes) -> tuple[VerdictLimits, list[str]]:
    """How sure an accepted answer must be, and remarks."""
    judged = trust.judge(rows.observed)
    usable = judged.verdict == _ACCEPT
    if trust.task is Task.classification:
        if not usable.any():
            return replace(trust.limits, least_probability=NOTHING_ACCEPTED), [_UNTESTED]
        probability, wrong = judged.answers.max(axis=1), judged.answers.argmax(axis=1) != rows.truth
        least, remarks = fit_least_probability(
            probability[usable], wrong[usable], rows.groups[usable], wishes.error_rate
        )
        return replace(trust.limits, least_probability=least), remarks
    width, off = _measure_main(judged, rows)
    usable &= np.isfinite(width) & np.isfinite(off)
    if not usable.any():
        return replace(trust.limits, widest=NO_WIDTH), [_UNTESTED]
    widest, remarks = fit_widest(
        width[usable], off[usable], rows.groups[usable], error_rate=wishes.error_rate, tolerance=wishes.tolerance
    )
    return replace(trust.limits, widest=widest), remarks


def _measure_main(judged: Judged, rows: Labelled) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Width of the interval and absolute error of the main number, each of shape (N,), NaN where not known."""
    off = np.abs(np.asarray(rows.truth, dtype=np.float64)[:, 0] - judged.answers[:, 0])
    if judged.lower is None or judged.upper is None:
        return np.full_like(off, np.nan), off
    return judged.upper[:, 0] - judged.lower[:, 0], off
