"""What became of the answers: shares of the verdicts, their reasons, and how often they were wrong."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler, find_bounds
from phytoscope.evaluate.class_sums import divide
from phytoscope.evaluate.selective import RATES, trace_risk
from phytoscope.schema.table import REASONS, VERDICT
from phytoscope.schema.trust_report import VerdictReport
from phytoscope.schema.verdict import REASONS as ALL_REASONS
from phytoscope.schema.verdict import Verdict

FloatArray = npt.NDArray[np.float64]

LEAST_ACCEPTED: Final = 2
"""Groups with accepted answers from which on their error has an interval."""


def count_verdicts(
    answers: pd.DataFrame,
    loss: FloatArray,
    confidence: FloatArray,
    groups: npt.NDArray[np.object_],
    *,
    wanted_error: float | None,
    plan: BootstrapPlan,
) -> VerdictReport:
    """Counts verdicts and reasons, and what the answers cost.

    Args:
        answers: Rows of table 8a.
        loss: 1 where an answer is wrong and 0 where it is right, or its absolute error, shape (N,), float64; NaN where
            the truth is not known.
        confidence: Larger is surer, shape (N,), float64.
        groups: Group of each image, shape (N,).
        wanted_error: Share of wrong answers that is wanted among accepted ones; None where `loss` is an absolute error.
        plan: How intervals are made.
    """
    verdict = answers[VERDICT].to_numpy(dtype=object)
    of = {kind: verdict == kind.value for kind in Verdict}
    known = ~np.isnan(loss)
    low, high = bound_mean(loss[known], of[Verdict.accept][known], groups[known], plan, share=wanted_error is not None)
    curve = trace_risk(confidence[known], loss[known], ~of[Verdict.reject][known])
    answered = {} if wanted_error is None or not known.any() else {rate: float(rate) for rate in RATES}
    return VerdictReport(
        n=len(answers),
        shares={kind.value: float(rows.mean()) for kind, rows in of.items()} if len(answers) else {},
        errors={kind.value: _mean(loss[known & rows]) for kind, rows in of.items()} | {"all": _mean(loss[known])},
        accepted_low=low,
        accepted_high=high,
        wanted_error=wanted_error,
        reasons=_count_reasons(answers[REASONS]),
        curve=curve.thin_out(),
        answered_at={name: curve.find_answerable(rate) for name, rate in answered.items()},
    )


def bound_mean(
    loss: FloatArray,
    counted: npt.NDArray[np.bool_],
    groups: npt.NDArray[np.object_],
    plan: BootstrapPlan,
    *,
    share: bool,
) -> tuple[float | None, float | None]:
    """Interval of the mean loss of some of the images, by drawing groups of all of them.

    Args:
        loss: Of each image, shape (N,), float64.
        counted: Which images are meant, shape (N,), bool.
        groups: Group of each image, shape (N,).
        plan: How intervals are made.
        share: Whether the mean is a share, 0-1.

    Returns:
        Lower and upper end, None where no draw is wanted, or fewer than two groups have a counted image.
    """
    if plan.draws == 0 or not counted.any():
        return None, None
    sampler = GroupSampler(groups, plan)
    behind = len(np.unique(sampler.codes[counted]))
    if behind < LEAST_ACCEPTED:
        return None, None
    units = sampler.units[counted]
    cost = np.bincount(units, weights=loss[counted], minlength=sampler.n_units)
    sums = np.column_stack([cost, np.bincount(units, minlength=sampler.n_units).astype(np.float64)])
    means = sampler.replicate(sums).map(lambda part: {"mean": divide(part[:, 0], part[:, 1])})["mean"]
    low, high = find_bounds(means, behind, plan.confidence, share=share)
    return (None, None) if np.isnan(low) else (float(low), float(high))


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if len(values) else None


def _count_reasons(reasons: "pd.Series[str]") -> dict[str, float]:
    """Reason -> share of images for which it holds, in the order of `schema.verdict.REASONS`; only those that occur."""
    counts = reasons.value_counts()
    words: Sequence[list[str]] = [str(text).split() for text in counts.index]
    shares = {
        reason.value: sum(n for n, found in zip(counts.tolist(), words, strict=True) if reason.value in found)
        for reason in ALL_REASONS
    }
    return {name: count / len(reasons) for name, count in shares.items() if count > 0}
