"""Trust fitted by nobody: limits that the tests choose."""

from phytoscope.schema.choices import IntervalKind, SetKind
from phytoscope.schema.table import Task
from phytoscope.trust.intervals import IntervalRule
from phytoscope.trust.photo import PhotoLimits
from phytoscope.trust.sets import SetRule
from phytoscope.trust.trust import Trust
from phytoscope.trust.verdict import VerdictLimits


def make_trust(task, *, least=0.0, widest=10.0, half_width=0.5, smallest_px=0.0, targets=1) -> Trust:
    """Every class belongs to each set, and every interval is equally wide.

    Args:
        task: Classification or regression.
        least: Least probability that is accepted (classification).
        widest: Widest interval that is accepted (regression).
        half_width: Half the width of each interval (regression).
        smallest_px: Shorter side below which a photograph is too small.
        targets: Number of targets (regression).
    """
    photo = PhotoLimits(lowest={"side_px": smallest_px})
    if task is Task.classification:
        sets = SetRule(SetKind.lac, (1.0,), 0.9)
        return Trust(task, sets=sets, photo=photo, limits=VerdictLimits(least_probability=least))
    rule = IntervalRule(IntervalKind.constant, half_width, 0.9)
    return Trust(task, intervals=(rule,) * targets, photo=photo, limits=VerdictLimits(widest=widest))
