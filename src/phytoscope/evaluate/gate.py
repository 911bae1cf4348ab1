"""The gate: whether a challenger takes the place of the champion. Tables in, decision out; no model is known here."""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

import numpy as np

from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler, Replicates, find_bounds
from phytoscope.evaluate.class_sums import prepare_class_rows
from phytoscope.evaluate.compare import Answers, Matched, check_alike, match_rows
from phytoscope.evaluate.gate_slices import Duel, SliceRules, find_relative_gain, measure_slices
from phytoscope.evaluate.gate_trust import check_calibration, check_coverage, is_judging, word_verdicts
from phytoscope.evaluate.gate_words import (
    word_groups,
    word_kept,
    word_overall,
    word_promoted,
    word_slices,
)
from phytoscope.evaluate.intervals import to_value
from phytoscope.evaluate.report import main_metric
from phytoscope.evaluate.value_sums import prepare_value_rows
from phytoscope.schema.operate import PromoteConfig
from phytoscope.schema.promotion import Contender, PromotionCheck, PromotionDecision, PromotionVerdict, SliceGain
from phytoscope.schema.table import GROUP_ID, LABEL, PREDICTION, PROB_PREFIX, SPLIT, TARGET, Split, Task

DRAWS: Final = 2000
"""Draws of groups behind each interval."""
FAR: Final = 2.0
"""How many margins worse a challenger must not be, with the confidence of the rules."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class GateSide:
    """One of the two models.

    Attributes:
        contender: Who it is.
        answers: Its judged answers on rows that neither model learned from.
        promised: Share of its sets or intervals that is promised to hold the truth; None where it promises nothing.
    """

    contender: Contender
    answers: Answers
    promised: float | None = None


@dataclass(frozen=True)
class GatePlan:
    """How a decision is made.

    Attributes:
        rules: When a challenger passes.
        draws: Draws of groups behind each interval.
        seed: Seed of the draws.
        slices: Columns that are looked at, beside those that always are.
    """

    rules: PromoteConfig = field(default_factory=PromoteConfig)
    draws: int = DRAWS
    seed: int = 0
    slices: Sequence[str] = ()

    @property
    def bootstrap(self) -> BootstrapPlan:
        """How intervals are made: each end holds with the confidence of the rules."""
        return BootstrapPlan(self.draws, max(2.0 * self.rules.confidence - 1.0, 0.01), self.seed)


@dataclass(frozen=True)
class _Measured:
    """What was found on the rows that both answered."""

    duel: Duel
    sampler: GroupSampler
    values: tuple[float, float]
    gain: Replicates


def decide_promotion(
    name: str,
    challenger: GateSide,
    champion: GateSide | None,
    proofs: Sequence[PromotionCheck],
    plan: GatePlan,
    *,
    left_out: Mapping[str, int] | None = None,
) -> PromotionDecision:
    """Decides whether a challenger takes the place of the champion.

    Overall it must be shown not to be worse: the estimated loss is at most `margin`, and a loss of twice the margin is
    ruled out with `confidence` (a test of non-inferiority: the lower end of the one-sided interval by paired draws of
    groups). In each slice, in calibration and in coverage it must not be clearly worse: beyond the margin and beyond
    chance. Without a champion there is nothing to lose against, and its own checks decide.

    Args:
        name: Name of the registered model.
        challenger: The new model.
        champion: The present one; None when there is none.
        proofs: What the challenger had to show before: `golden`, `parity`, `baseline`.
        plan: How the decision is made.
        left_out: Test images that are not among the answers -> why, in words.

    Raises:
        ArtifactError: The models answer different questions, or the tables tell different truths.
        DataValidationError: A table cannot be trusted.
        ConfigError: There is no such column.
    """
    if champion is not None:
        check_alike(champion.answers, challenger.answers)
    task = challenger.answers.task
    metric, _ = main_metric(task)
    decision = PromotionDecision(
        name=name,
        task=task,
        metric=metric,
        unit=(challenger.answers.unit or "") if task is Task.regression else "",
        verdict=PromotionVerdict.kept,
        reason="",
        challenger=challenger.contender,
        champion=None if champion is None else champion.contender,
        champion_value=None,
        challenger_value=None,
        checks=[],
        left_out=dict(left_out or {}),
        decided_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        rules={**asdict(plan.rules), "draws": plan.draws, "seed": plan.seed},
    )
    measured = _measure(challenger, champion, plan)
    if measured is None:
        missing = PromotionCheck("groups", False, word_groups(0, plan.rules.min_groups, decision.left_out), 0.0)
        return _close(replace(decision, checks=[missing, *proofs]))
    checks, slices = _check(measured, challenger, champion, plan, decision.left_out)
    champion_value, challenger_value = measured.values
    decision = replace(
        decision,
        champion_value=None if champion is None else champion_value,
        challenger_value=challenger_value,
        checks=[*checks, *proofs],
        slices=slices,
        n=len(measured.duel.rows),
        n_groups=measured.sampler.n_groups,
        notes=word_verdicts(None if champion is None else measured.duel.rows, measured.duel.others),
    )
    return _close(decision)


def _measure(challenger: GateSide, champion: GateSide | None, plan: GatePlan) -> _Measured | None:
    # Alone, a challenger is measured against itself; what follows from a comparison is then not asked for.
    first = challenger if champion is None else champion
    tables = (first.answers.table, challenger.answers.table)
    if any(not (table[SPLIT].astype(str) == Split.test.value).any() for table in tables):
        return None
    matched = match_rows(first.answers, challenger.answers, Split.test)
    sampler = GroupSampler(matched.first[GROUP_ID], plan.bootstrap)
    names = first.answers.class_names
    if first.answers.task is Task.classification:
        return _measure_classes(matched, names, sampler)
    return _measure_values(matched, sampler)


def _measure_classes(matched: Matched, names: list[str], sampler: GroupSampler) -> _Measured:
    index = {name: place for place, name in enumerate(names)}
    true = np.array([index[str(label)] for label in matched.first[LABEL]], dtype=np.int64)
    found, right = [], []
    for table in (matched.first, matched.second):
        predicted = np.array([index[str(label)] for label in table[PREDICTION]], dtype=np.int64)
        probs = table[[PROB_PREFIX + name for name in names]].to_numpy(dtype=np.float64)
        rows = prepare_class_rows(true, predicted, probs)
        found.append(sampler.replicate(rows.sum_units(sampler)).map(rows.build_measure())["macro_f1"])
        right.append((predicted == true).astype(np.float64))
    duel = Duel(matched.first, matched.second, true, right[0], right[1], Task.classification, names)
    values = float(found[0].whole[0]), float(found[1].whole[0])
    return _Measured(duel, sampler, values, found[1].minus(found[0]))


def _measure_values(matched: Matched, sampler: GroupSampler) -> _Measured:
    target = matched.first[TARGET].to_numpy(dtype=np.float64)
    found, sizes = [], []
    for table in (matched.first, matched.second):
        preds = table[PREDICTION].to_numpy(dtype=np.float64)
        rows = prepare_value_rows(target, preds)
        found.append(sampler.replicate(rows.sum_units(sampler)).map(rows.build_measure())["rmse"])
        sizes.append(np.abs(preds - target))
    champion, challenger = found
    values = float(champion.whole[0]), float(challenger.whole[0])
    parts = ("whole", "drawn", "without")
    gain = Replicates(*(find_relative_gain(getattr(champion, part), getattr(challenger, part)) for part in parts))
    duel = Duel(matched.first, matched.second, target, sizes[0], sizes[1], Task.regression, [])
    return _Measured(duel, sampler, values, gain)


def _check(
    measured: _Measured,
    challenger: GateSide,
    champion: GateSide | None,
    plan: GatePlan,
    left_out: Mapping[str, int],
) -> tuple[list[PromotionCheck], list[SliceGain]]:
    rules, duel, sampler = plan.rules, measured.duel, measured.sampler
    enough = sampler.n_groups >= rules.min_groups
    words = word_groups(sampler.n_groups, rules.min_groups, left_out)
    checks = [PromotionCheck("groups", enough, words, float(sampler.n_groups), float(rules.min_groups))]
    slices: list[SliceGain] = []
    if champion is not None:
        slice_rules = SliceRules(rules.slice_margin, rules.min_groups, 1.0 - rules.confidence, plan.seed)
        slices = measure_slices(duel, sampler, slice_rules, plan.slices)
        checks += [_check_overall(measured, rules), _check_slices(slices, duel.task, rules)]
        if duel.task is Task.classification:
            checks.append(check_calibration(duel, sampler, rules.calibration_margin, rules.confidence))
    if champion is not None and is_judging(duel.rows, duel.task) and not is_judging(duel.others, duel.task):
        words = "the champion says how far its answers can be believed, the challenger does not: evaluate it first."
        checks.append(PromotionCheck("coverage", False, words))
    else:
        coverage = check_coverage(duel.others, duel.task, challenger.promised, rules.coverage_margin, plan.bootstrap)
        checks.append(coverage)
    return checks, slices


def _check_overall(measured: _Measured, rules: PromoteConfig) -> PromotionCheck:
    sampler, gain = measured.sampler, float(measured.gain.whole[0])
    low, high = (to_value(end) for end in find_bounds(measured.gain, sampler.n_groups, 2.0 * rules.confidence - 1.0))
    limit = 0.0 if rules.must_win else -rules.margin
    if rules.must_win:
        passed = low is not None and low > 0.0
    else:
        passed = gain >= limit - _ROUNDING and low is not None and low >= FAR * limit - _ROUNDING
    needed = None if passed or low is None else _find_needed(gain, low, FAR * limit, sampler.n_groups)
    check = PromotionCheck("overall", passed, "", gain, limit, low, high)
    reason = word_overall(check, measured.duel.task, measured.values, rules, needed=needed, far=FAR)
    return replace(check, reason=reason)


def _find_needed(gain: float, low: float, bound: float, n_groups: int) -> int | None:
    """About how many groups would rule out the bound if the estimate stayed what it is; None where none would."""
    room = gain - bound
    return math.ceil(n_groups * ((gain - low) / room) ** 2) if room > 0 else None


def _check_slices(slices: list[SliceGain], task: Task, rules: PromoteConfig) -> PromotionCheck:
    judged = [part for part in slices if part.p is not None]
    worst = min((part.gain for part in judged), default=None)
    passed = not any(part.worse for part in slices)
    return PromotionCheck("slices", passed, word_slices(slices, task, rules), worst, -rules.slice_margin)


def _close(decision: PromotionDecision) -> PromotionDecision:
    if not all(check.passed for check in decision.checks):
        return replace(decision, reason=word_kept(decision))
    verdict = PromotionVerdict.first if decision.champion is None else PromotionVerdict.promoted
    decision = replace(decision, verdict=verdict)
    return replace(decision, reason=word_promoted(decision))
