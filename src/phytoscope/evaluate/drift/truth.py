"""Errors of answers whose truth became known later, over time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from phytoscope.errors import DataValidationError
from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.evaluate.drift.permute import FloatArray, find_least_p, permute
from phytoscope.evaluate.drift.side import DriftPlan
from phytoscope.evaluate.drift.spending import find_alpha
from phytoscope.evaluate.verdict_shares import bound_mean
from phytoscope.schema.drift import DriftFinding, DriftKind, LookSummary, LookWindow, TruthReport, TruthWindow

_BOOTSTRAP_DRAWS = 1000
_FEWEST_GROUPS = 2


@dataclass(frozen=True)
class ErrorSide:
    """How wrong some answers were.

    Attributes:
        errors: 1 where an answer is wrong and 0 where it is right, or its absolute error, shape (N,), float64, finite.
        groups: Group of each image, shape (N,), any type that can be sorted.
        windows: Stretch of time of each image, shape (N,), text that sorts by time, for example `2026-11`.
    """

    errors: npt.NDArray[np.float64]
    groups: npt.NDArray[np.object_]
    windows: npt.NDArray[np.object_]

    def __post_init__(self) -> None:
        """Checks the errors.

        Raises:
            DataValidationError: Lengths differ, there is nothing, or an error is not a number of 0 or more.
        """
        n = len(self.errors)
        if n == 0 or len(self.groups) != n or len(self.windows) != n:
            message = (
                f"there are {n} errors, {len(self.groups)} groups and {len(self.windows)} times: one of each for each "
                "image is needed, and at least one image."
            )
            raise DataValidationError(message)
        wrong = ~(np.isfinite(self.errors) & (self.errors >= 0))
        if wrong.any():
            message = (
                f"{int(wrong.sum())} errors are not numbers of 0 or more (the first is {self.errors[wrong][0]}): leave "
                "images out whose truth or answer is missing."
            )
            raise DataValidationError(message)


def compare_errors(
    reference: ErrorSide,
    new: ErrorSide,
    plan: DriftPlan,
    past: Sequence[LookSummary] = (),
    *,
    unit: str = "",
    confidence: float = 0.95,
) -> TruthReport:
    """True errors over time, and whether they are worse than on the reference.

    The newest stretch and all new images together are each held against the reference by a permutation test of the
    groups' mean errors, one-sided. The difference is divided by its standard error, so that the promise holds exactly
    where nothing has changed and for many groups also where errors only scatter more than before (Chung and Romano
    2013, doi 10.1214/13-AOS1090). The looks share the promised false alarms as those of `compare_batch` do.

    Args:
        reference: Errors on the images that the model was measured on.
        new: Errors on all new images whose truth is known by now.
        plan: How they are compared; `window`, `max_images` and `unit` have no part in it.
        past: All earlier looks at errors with this reference, the oldest first.
        unit: Unit of the errors; empty for shares of wrong answers.
        confidence: Level of the intervals, above 0 and below 1.

    Raises:
        ConfigError: The level is not above 0 and below 1.
    """
    bootstrap = BootstrapPlan(_BOOTSTRAP_DRAWS, confidence, plan.seed)
    number = max((one.look for one in past), default=0) + 1
    newest = max(new.windows)
    parts = {LookWindow.batch: new.windows == newest}
    if not parts[LookWindow.batch].all():
        parts[LookWindow.recent] = np.ones(len(new.errors), dtype=np.bool_)
    share = find_alpha(plan.false_alarm, past) / len(parts)
    before = _average(reference.errors, reference.groups)
    findings: list[DriftFinding] = []
    alpha, drawn = 0.0, 0
    for place, (window, rows) in enumerate(parts.items()):
        after = _average(new.errors[rows], new.groups[rows])
        # A single group has no spread, and too few cannot be told from chance: such a look spends nothing.
        enough = min(len(before), len(after)) >= _FEWEST_GROUPS and find_least_p(len(before), len(after)) <= share
        threshold = share if enough else 0.0
        alpha += threshold
        found, draws = _compare_means(
            before, after, _Question(window, unit, plan.draws, threshold), [plan.seed, number, place]
        )
        findings.append(found)
        drawn = max(drawn, draws)
    return TruthReport(
        look=number,
        unit=unit,
        n=len(new.errors),
        n_groups=len(np.unique(new.groups)),
        reference=_describe("reference", reference.errors, reference.groups, bootstrap, share=not unit),
        windows=list(_describe_windows(new, bootstrap, share=not unit)),
        false_alarm=plan.false_alarm,
        alpha=alpha,
        alpha_spent=sum(one.alpha for one in past) + alpha,
        draws=drawn,
        fired=any(finding.fired for finding in findings),
        findings=findings,
        reasons=list(_find_reasons(findings, len(before))),
        confidence=confidence,
    )


@dataclass(frozen=True)
class _Question:
    """Of which new images, and how sure the answer must be."""

    window: LookWindow
    unit: str
    draws: int
    threshold: float


def _compare_means(
    before: FloatArray, after: FloatArray, question: _Question, seed: list[int]
) -> tuple[DriftFinding, int]:
    means = np.concatenate([before, after])
    p_values, drawn = permute(
        lambda sides: _divide_by_error(sides, means)[:, None],
        len(before),
        len(after),
        question.threshold,
        question.draws,
        seed,
    )
    p_value, first, second = float(p_values[0]), float(before.mean()), float(after.mean())
    words = f"wrong answers {100 * first:.1f} % -> {100 * second:.1f} %"
    if question.unit:
        words = f"mean absolute error {first:.3g} -> {second:.3g} ({question.unit})"
    finding = DriftFinding(
        kind=DriftKind.error,
        name=DriftKind.error.value,
        window=question.window,
        statistic=(second - first) ** 2,
        p_value=p_value,
        threshold=question.threshold,
        fired=question.threshold > 0 and p_value <= question.threshold,
        before=first,
        after=second,
        unit=question.unit,
        effect=words,
    )
    return finding, drawn


def _divide_by_error(is_new: npt.NDArray[np.float32], means: FloatArray) -> FloatArray:
    """Difference of both sides' means over its standard error, one for each way to deal the groups, shape (draws,)."""
    n_new = is_new[0].sum(dtype=np.float64)
    n_reference = len(means) - n_new
    # Around their mean, so that nothing is lost where squares are subtracted.
    centred = means - means.mean()
    sums = np.asarray(is_new @ np.column_stack([centred, centred**2]), dtype=np.float64)
    rest = np.array([centred.sum(), (centred**2).sum()]) - sums
    difference = sums[:, 0] / n_new - rest[:, 0] / n_reference
    squared = _square_error(sums, n_new) + _square_error(rest, n_reference)
    known = squared > 1e-12 * float((centred**2).mean())
    beyond = np.where(difference > 0, np.inf, np.where(difference < 0, -np.inf, 0.0))
    return np.asarray(np.where(known, difference / np.sqrt(np.where(known, squared, 1.0)), beyond))


def _square_error(sums: FloatArray, n: float) -> FloatArray:
    return np.maximum(sums[:, 1] / n - (sums[:, 0] / n) ** 2, 0.0) / max(n - 1.0, 1.0)


def _average(errors: FloatArray, groups: npt.NDArray[np.object_]) -> FloatArray:
    """Mean error of each group, shape (groups,)."""
    codes, names = pd.factorize(groups, sort=True)
    return np.bincount(codes, weights=errors, minlength=len(names)) / np.bincount(codes, minlength=len(names))


def _describe_windows(new: ErrorSide, bootstrap: BootstrapPlan, *, share: bool) -> Iterator[TruthWindow]:
    for name in sorted(set(new.windows.tolist())):
        rows = new.windows == name
        yield _describe(str(name), new.errors[rows], new.groups[rows], bootstrap, share=share)


def _describe(
    name: str, errors: FloatArray, groups: npt.NDArray[np.object_], bootstrap: BootstrapPlan, *, share: bool
) -> TruthWindow:
    low, high = bound_mean(errors, np.ones(len(errors), dtype=np.bool_), groups, bootstrap, share=share)
    return TruthWindow(name, len(errors), len(np.unique(groups)), float(errors.mean()), low, high)


def _find_reasons(findings: list[DriftFinding], n_reference: int) -> Iterator[str]:
    if all(finding.threshold == 0 for finding in findings):
        yield (
            f"Too few plants (groups) to tell from chance whether errors grew, with {n_reference} of the reference, "
            "or all of the promised false alarms is spent: wait for more of the truth."
        )
