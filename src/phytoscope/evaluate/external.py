"""How a model does on a further set: judged answers in, ExternalReport out."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from phytoscope.evaluate.bootstrap import BootstrapPlan, GroupSampler
from phytoscope.evaluate.class_sums import prepare_class_rows
from phytoscope.evaluate.classification import compute_confusion_matrix, describe_classes, measure_classification
from phytoscope.evaluate.external_examples import GIVEN_LABEL, choose_examples
from phytoscope.evaluate.intervals import bound_classes, bound_metrics, bound_values
from phytoscope.evaluate.regression import measure_regression
from phytoscope.evaluate.trust_report import measure_trust
from phytoscope.evaluate.value_sums import prepare_value_rows
from phytoscope.schema.external import ExternalClass, ExternalReport
from phytoscope.schema.metric import MetricValue
from phytoscope.schema.table import (
    GROUP_ID,
    LABEL,
    PREDICTION,
    PREDICTION_PREFIX,
    PROB_PREFIX,
    TARGET,
    TARGET_PREFIX,
    VERDICT,
    Task,
)
from phytoscope.schema.verdict import Verdict
from phytoscope.trust.fit import TrustWishes
from phytoscope.trust.trust import Trust

_FEWEST = 30


@dataclasses.dataclass(frozen=True)
class ExternalScale:
    """What the numbers of every further set are measured with.

    Attributes:
        trust: What judged the answers.
        wishes: What was wanted of it.
        class_names: In the order of the probabilities (classification).
        units: Name of each target, the main one first -> its unit (regression).
        plan: How intervals are made.
    """

    trust: Trust
    wishes: TrustWishes
    class_names: Sequence[str]
    units: Mapping[str, str]
    plan: BootstrapPlan


def measure_external(
    about: ExternalReport, predictions: pd.DataFrame, answers: pd.DataFrame, scale: ExternalScale
) -> ExternalReport:
    """Measures the answers for a further set.

    Args:
        about: What is known of the set before any answer: name, source, classes, remarks.
        predictions: Rows of table 7 for its images, uncalibrated: `label` is the model's name of the class (missing
            where it has none or nobody said) and `given_label` the set's own, or `target` and `target/<name>` (missing
            where unknown).
        answers: The same rows judged, in the same order.
        scale: What to measure with.

    Returns:
        `about` with all numbers.
    """
    is_regression = scale.trust.task is Task.regression
    known = (answers[TARGET] if is_regression else answers[LABEL]).notna().to_numpy(dtype=bool)
    labelled = answers[known].reset_index(drop=True)
    report = dataclasses.replace(
        about,
        n=len(answers),
        n_labelled=len(labelled),
        n_groups=int(labelled[GROUP_ID].nunique()),
        trust=measure_trust(
            predictions,
            answers,
            scale.trust,
            scale.wishes,
            class_names=scale.class_names,
            units=scale.units,
            seed=scale.plan.seed,
            draws=scale.plan.draws,
        ),
        foreign_verdicts={} if is_regression else _share_verdicts(answers[answers[GIVEN_LABEL].notna() & ~known]),
        examples=choose_examples(answers, scale.wishes.tolerance, next(iter(scale.units.values()), None)),
    )
    if is_regression:
        report = _add_values(report, answers, labelled, scale)
    elif len(labelled) > 0:
        report = _add_classes(report, labelled, scale)
    return dataclasses.replace(report, remarks=[*about.remarks, *_word_remarks(report)])


def restrict_probs(probs: npt.NDArray[np.float64], classes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Probabilities when only some classes are allowed.

    Args:
        probs: Shape (N, C), float64, rows sum to 1.
        classes: Indices of the allowed classes, shape (K,), int64.

    Returns:
        Shape (N, K), rows sum to 1; all equal where none of the allowed classes had any probability.
    """
    chosen = probs[:, classes]
    total = chosen.sum(axis=1, keepdims=True)
    return np.where(total > 0, chosen / np.where(total > 0, total, 1.0), 1.0 / len(classes))


def _add_classes(report: ExternalReport, labelled: pd.DataFrame, scale: ExternalScale) -> ExternalReport:
    names = list(scale.class_names)
    true = pd.Index(names).get_indexer(pd.Index(labelled[LABEL])).astype(np.int64)
    probs = labelled[[PROB_PREFIX + name for name in names]].to_numpy(dtype=np.float64)
    sampler = GroupSampler(labelled[GROUP_ID], scale.plan)
    metrics, recalls = _measure(true, probs, names, sampler)
    present = np.unique(true)
    narrow: list[MetricValue] = []
    narrow_recalls: dict[str, float | None] = {}
    # With one class left there is nothing to choose, and with all of them nothing is restricted.
    if 1 < len(present) < len(names):
        place = np.searchsorted(present, true).astype(np.int64)
        own = [names[index] for index in present]
        narrow, rows = _measure(place, restrict_probs(probs, present), own, sampler)
        narrow_recalls = {name: row.recall for name, row in rows.items()}
    accepted = (labelled[VERDICT] == Verdict.accept.value).to_numpy(dtype=bool)
    classes = [
        dataclasses.replace(
            recalls[names[index]],
            recall_restricted=narrow_recalls.get(names[index]),
            accepted=float(accepted[true == index].mean()),
        )
        for index in present
    ]
    return dataclasses.replace(report, metrics=metrics, metrics_restricted=narrow, classes=classes)


def _measure(
    true: npt.NDArray[np.int64], probs: npt.NDArray[np.float64], names: list[str], sampler: GroupSampler
) -> tuple[list[MetricValue], dict[str, ExternalClass]]:
    predicted = probs.argmax(axis=1).astype(np.int64)
    metrics = measure_classification(true, predicted, probs)
    rows = describe_classes(compute_confusion_matrix(true, predicted, len(names)), names)
    if sampler.plan.draws > 0:
        parts = prepare_class_rows(true, predicted, probs)
        replicates = sampler.replicate(parts.sum_units(sampler)).map(parts.build_measure())
        metrics = bound_metrics(metrics, replicates, sampler.n_groups, sampler.plan.confidence)
        rows = bound_classes(rows, replicates, true, predicted, sampler)
    classes = {
        row.name: ExternalClass(row.name, row.support, row.recall, row.recall_low, row.recall_high) for row in rows
    }
    return metrics, classes


def _add_values(
    report: ExternalReport, answers: pd.DataFrame, labelled: pd.DataFrame, scale: ExternalScale
) -> ExternalReport:
    main, *more = scale.units.items()
    metrics = _measure_target(labelled, TARGET, PREDICTION, main[1], scale.plan)
    others = {}
    for name, unit in more:
        known = answers[answers[TARGET_PREFIX + name].notna()]
        if len(known) > 0:
            others[name] = _measure_target(known, TARGET_PREFIX + name, PREDICTION_PREFIX + name, unit, scale.plan)
    return dataclasses.replace(report, metrics=metrics, more_targets=others)


def _measure_target(
    rows: pd.DataFrame, target: str, prediction: str, unit: str, plan: BootstrapPlan
) -> list[MetricValue]:
    if len(rows) == 0:
        return []
    true, preds = (rows[name].to_numpy(dtype=np.float64) for name in (target, prediction))
    return bound_values(
        measure_regression(true, preds, unit), prepare_value_rows(true, preds), GroupSampler(rows[GROUP_ID], plan)
    )


def _share_verdicts(rows: pd.DataFrame) -> dict[str, float]:
    if len(rows) == 0:
        return {}
    return {verdict.value: float((rows[VERDICT] == verdict.value).mean()) for verdict in Verdict}


def _word_remarks(report: ExternalReport) -> list[str]:
    remarks = []
    if 0 < report.n_labelled < _FEWEST:
        remarks.append(f"Only {report.n_labelled} of its images have a label: the numbers may be far off.")
    if report.n_unreadable > 0:
        remarks.append(f"{report.n_unreadable} of its images or rows could not be used.")
    return remarks
