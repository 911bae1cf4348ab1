"""Learns from answers whose truth is known how far further ones can be believed."""

from dataclasses import dataclass

from phytoscope.schema.choices import CalibrationKind, IntervalKind, SetKind
from phytoscope.schema.table import Task
from phytoscope.trust.observed import Labelled
from phytoscope.trust.trust import Trust


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


def fit_trust(task: Task, calibration: Labelled, val: Labelled, wishes: TrustWishes) -> Trust:
    """Fits everything, in this order: calibration, sets or intervals, photo limits, limits of the verdict.

    Args:
        task: Classification or regression.
        calibration: Rows of the calibration split, which nothing was chosen by; may be empty.
        val: Rows of the validation split, for what must not be fitted on the calibration rows (the shape of the width
            of intervals); nothing that is promised rests on them.
        wishes: What is wanted.

    Returns:
        What was learned; remarks say what could not be fitted or promised.
    """
    return Trust(task)
