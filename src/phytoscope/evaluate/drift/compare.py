"""Compares one batch of new images with the reference."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from phytoscope.evaluate.drift.columns import build_comparisons, list_comparable
from phytoscope.evaluate.drift.describe import Tested, describe
from phytoscope.evaluate.drift.permute import compare_blocks, find_least_p
from phytoscope.evaluate.drift.pool import pool_sides
from phytoscope.evaluate.drift.side import DriftPlan, DriftSide, join_sides
from phytoscope.evaluate.drift.spending import find_alpha
from phytoscope.schema.drift import DriftFinding, DriftReport, LookSummary, LookWindow
from phytoscope.schema.table import NOVELTY, VERDICT


@dataclass(frozen=True)
class _Look:
    """What one look does not change: the reference, the plan and the number of the look."""

    reference: DriftSide
    plan: DriftPlan
    number: int


def compare_batch(
    reference: DriftSide,
    batch: DriftSide,
    plan: DriftPlan,
    past: Sequence[LookSummary] = (),
    *,
    earlier: Sequence[DriftSide] = (),
) -> DriftReport:
    """Compares one batch of new images with the reference, and the last looks together as well.

    A look that cannot find anything, because the groups are too few, spends nothing of the promised false alarms.

    Args:
        reference: Images that the model was not trained on, of the time when it was measured.
        batch: New images.
        plan: How they are compared.
        past: All earlier looks with this reference, the oldest first.
        earlier: Images of the last of these looks, the oldest first; more than the plan's window are not read.

    Raises:
        DataValidationError: Features of the sides have different lengths.
    """
    look = _Look(reference, plan, max((one.look for one in past), default=0) + 1)
    last = list(earlier[len(earlier) - min(len(earlier), plan.window - 1) :])
    sides = {LookWindow.batch: batch}
    if last:
        sides[LookWindow.recent] = join_sides([*last, batch])
    left = find_alpha(plan.false_alarm, past)
    share = left / len(sides)
    possible = {
        window: side for window, side in sides.items() if find_least_p(reference.n_groups, side.n_groups) <= share
    }
    alpha = share * len(possible)
    findings: list[DriftFinding] = []
    most_drawn = 0
    for window, side in sides.items():
        found, draws = _compare_window(look, window, side, share if window in possible else 0.0)
        findings += found
        most_drawn = max(most_drawn, draws)
    recent = sides.get(LookWindow.recent, batch)
    return DriftReport(
        look=look.number,
        n=len(batch),
        n_groups=batch.n_groups,
        n_recent=len(recent),
        n_recent_groups=recent.n_groups,
        n_reference=len(reference),
        n_reference_groups=reference.n_groups,
        false_alarm=plan.false_alarm,
        alpha=alpha,
        alpha_spent=sum(one.alpha for one in past) + alpha,
        draws=most_drawn,
        fired=any(finding.fired for finding in findings),
        findings=sorted(findings, key=lambda finding: (not finding.fired, finding.p_value, finding.key)),
        reasons=list(_find_reasons(look, batch, left, can_fire=bool(possible))),
    )


def _compare_window(
    look: _Look, window: LookWindow, side: DriftSide, threshold: float
) -> tuple[list[DriftFinding], int]:
    """All comparisons of some new images, and how many permutations they took."""
    plan = look.plan
    seed = [plan.seed, look.number, list(LookWindow).index(window)]
    rng = np.random.default_rng(seed)
    pool = pool_sides(look.reference, side, rng, plan.max_images)
    compared = build_comparisons(pool, plan.unit, rng)
    outcome = compare_blocks(
        [one.columns for one in compared], pool.n_reference, pool.n_new, threshold, plan.draws, seed
    )
    numbers = zip(outcome.statistics.tolist(), outcome.expected.tolist(), outcome.p_values.tolist(), strict=True)
    found = [
        describe(one, pool.n_reference, window, Tested(statistic, expected, p_value, threshold))
        for one, (statistic, expected, p_value) in zip(compared, numbers, strict=True)
    ]
    return found, outcome.draws


def _find_reasons(look: _Look, batch: DriftSide, left: float, *, can_fire: bool) -> Iterator[str]:
    reference = look.reference
    if left == 0:
        yield (
            f"All of the promised {look.plan.false_alarm:.3g} is spent by earlier looks, so nothing can fire any more: "
            "package the model anew, or start a new folder for its looks."
        )
    elif not can_fire:
        yield (
            f"{batch.n_groups} new plants (groups) against {reference.n_groups} of the reference are too few to tell "
            "any difference from chance at this look: collect more before the next one."
        )
    if batch.n_groups == len(batch) and len(reference) > 1.5 * reference.n_groups:
        yield (
            "Each new image counts as a plant of its own, and not so in the reference: if several show one plant, "
            "alarms come too easily. Give the column that names the plant."
        )
    known, new = list_comparable(reference.table), list_comparable(batch.table)
    for name in sorted((known ^ new) | ({NOVELTY, VERDICT} - known - new)):
        where = "the new images" if name in known else "the reference" if name in new else "either side"
        yield f"{name} was not compared: it is not known of {where}."
    most = look.plan.max_images
    if most is not None and max(len(reference), len(batch)) > most:
        yield f"At most {most} images of each side were compared, drawn by group (monitor.max_images)."
