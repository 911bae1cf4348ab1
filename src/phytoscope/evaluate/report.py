"""The one public step of this room: predictions in, EvaluationReport out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from phytoscope.errors import ArtifactError, ConfigError
from phytoscope.evaluate.baselines import StraightLine, fit_constant_class, fit_constant_value, fit_green_pixels
from phytoscope.evaluate.bootstrap import BootstrapPlan, FloatArray, GroupSampler
from phytoscope.evaluate.caveats import count_ungrouped, deciding_metrics, list_warnings, loses_to
from phytoscope.evaluate.checks import EVALUATED_SPLITS, check_table, check_train_rows
from phytoscope.evaluate.class_sums import count_class_rows, prepare_class_rows
from phytoscope.evaluate.classification import (
    compute_confusion_matrix,
    describe_classes,
    find_confusions,
    measure_classification,
)
from phytoscope.evaluate.intervals import (
    bound_classes,
    bound_deciles,
    bound_lead,
    bound_metrics,
    bound_values,
    find_worst_groups,
)
from phytoscope.evaluate.more_targets import fit_target_evaluator
from phytoscope.evaluate.regression import describe_deciles, find_worst, measure_regression
from phytoscope.evaluate.slices import Slice, choose_columns, cut_column, evaluate_slices
from phytoscope.evaluate.value_sums import ValueRows, prepare_value_rows
from phytoscope.schema.report import Baseline, EvaluationReport, SplitReport
from phytoscope.schema.table import (
    GREEN_PX,
    GROUP_ID,
    LABEL,
    MODEL_ID,
    PREDICTION,
    PROB_PREFIX,
    PROBABILITY,
    SAMPLE_ID,
    SPLIT,
    TARGET,
    Split,
    Task,
)

WORST_IMAGES = 12


def main_metric(task: Task) -> tuple[str, bool]:
    """The metric that decides between models, and whether more of it is better."""
    return ("macro_f1", True) if task == Task.classification else ("rmse", False)


@dataclass(frozen=True)
class Subject:
    """What predictions are about: the fields of the report that their table does not hold.

    Attributes:
        task: Classification or regression.
        class_names: In the order of the probabilities; for regression it is not read.
        target_name: The user's own column name, or `class`.
        unit: Unit of the target; empty for classification.
        name: Name of the run.
        data_hash: Content hash of the manifest.
        split_hash: Content hash of the split.
        more_targets: Name of each further target -> its unit (regression).
    """

    task: Task
    class_names: Sequence[str]
    target_name: str
    unit: str
    name: str
    data_hash: str
    split_hash: str
    more_targets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportPlan:
    """What the report shall hold.

    Attributes:
        deciles: Most slices of the true value, at least 1 (regression).
        confusions: Most pairs of confused classes to list, at least 0 (classification).
        bootstrap: Draws of groups for the interval of every metric; 0 leaves intervals out.
        confidence: Level of these intervals, above 0 and below 1.
        seed: Seed of the draws.
        slices: Further columns of the predictions by which the numbers are shown apart, with or without the prefix
            `meta/` or `photo/`, beside the columns of photo quality and those of the user with few values.
    """

    deciles: int = 10
    confusions: int = 8
    bootstrap: int = 0
    confidence: float = 0.95
    seed: int = 0
    slices: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuses counts that cannot be.

        Raises:
            ConfigError: `deciles` is below 1, or `confusions` below 0.
        """
        if self.deciles < 1 or self.confusions < 0:
            message = (
                f"deciles is {self.deciles} and confusions is {self.confusions}; at least 1 and 0 are allowed: "
                "correct them."
            )
            raise ConfigError(message)


def evaluate_predictions(
    predictions: pd.DataFrame, train_rows: pd.DataFrame, subject: Subject, plan: ReportPlan | None = None
) -> EvaluationReport:
    """Computes every number of the report from the table of predictions alone.

    Args:
        predictions: Table 7: `sample_id`, `path`, `group_id`, `split` (val, calibration or test), `prediction`,
            `model_id`; for classification also `label`, `probability` and `prob/<class>` for each class (0-1, summing
            to 1 within 1e-4); for regression also `target` (in the subject's unit), `green_px` (pixels), and for each
            further target `prediction/<name>` and `target/<name>` (missing where nobody measured it).
        train_rows: Rows of the training split, on which the baselines are fitted: `label`, or `target` and `green_px`,
            and `target/<name>` for each further target.
        subject: What the predictions are about.
        plan: What the report shall hold; the plan's defaults when None.

    Returns:
        The report of every split that has rows, each with the baselines on the same rows.

    Raises:
        ConfigError: `bootstrap` is below 0, `confidence` is no share, or a slice names no column.
        DataValidationError: The predictions or the training rows cannot be trusted; the text lists every fault.
        ArtifactError: The rows come from more than one model.
    """
    plan = ReportPlan() if plan is None else plan
    is_classes = subject.task == Task.classification
    class_names = list(subject.class_names)
    more = {} if is_classes else dict(subject.more_targets)
    draws = BootstrapPlan(plan.bootstrap, plan.confidence, plan.seed)
    columns = choose_columns(predictions, plan.slices)
    check_table(predictions, subject.task, class_names, list(more))
    check_train_rows(train_rows, subject.task, class_names, list(more))
    evaluate_split = (
        _classification_evaluator(train_rows, class_names, plan.confusions, draws, columns)
        if is_classes
        else _regression_evaluator(train_rows, subject.unit, more, plan.deciles, draws, columns)
    )
    splits = {split: evaluate_split(rows) for split, rows in _iterate_splits(predictions)}
    metric, higher = main_metric(subject.task)
    ungrouped = count_ungrouped(predictions, Split.test)
    return EvaluationReport(
        task=subject.task,
        name=subject.name,
        target_name=subject.target_name,
        unit=subject.unit,
        class_names=class_names if is_classes else [],
        model_id=_read_model_id(predictions),
        data_hash=subject.data_hash,
        split_hash=subject.split_hash,
        splits=splits,
        beats_baseline=_beats_baseline(splits.get(str(Split.test)), metric, higher_is_better=higher),
        warnings=list_warnings(subject.task, splits, metric, higher_is_better=higher, ungrouped=ungrouped),
        bootstrap=plan.bootstrap,
        confidence=plan.confidence,
    )


def _beats_baseline(test: SplitReport | None, metric: str, *, higher_is_better: bool) -> bool | None:
    if test is None:
        return None
    return not any(loses_to(test, name, higher_is_better=higher_is_better) for name in deciding_metrics(metric))


def _iterate_splits(predictions: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for split in map(str, EVALUATED_SPLITS):
        rows = predictions.loc[predictions[SPLIT] == split].reset_index(drop=True)
        if not rows.empty:
            yield split, rows


def _read_model_id(predictions: pd.DataFrame) -> str:
    found = [str(value) for value in predictions[MODEL_ID].unique()]
    if len(found) != 1:
        message = (
            f"the predictions come from {len(found)} models ({', '.join(found[:5])}); evaluate one model at a time."
        )
        raise ArtifactError(message)
    return found[0]


def _classification_evaluator(
    train_rows: pd.DataFrame, class_names: list[str], confusions: int, plan: BootstrapPlan, columns: list[str]
) -> Callable[[pd.DataFrame], SplitReport]:
    index = {name: i for i, name in enumerate(class_names)}
    constant = fit_constant_class(_to_indices(train_rows[LABEL], index), class_names)

    def evaluate_split(rows: pd.DataFrame) -> SplitReport:
        true, predicted = _to_indices(rows[LABEL], index), _to_indices(rows[PREDICTION], index)
        probs = rows[[PROB_PREFIX + name for name in class_names]].to_numpy(dtype=np.float64)
        certainty = rows[PROBABILITY].to_numpy(dtype=np.float64)
        confusion = compute_confusion_matrix(true, predicted, len(class_names))
        metrics, classes = measure_classification(true, predicted, probs), describe_classes(confusion, class_names)
        sampler, parts = GroupSampler(rows[GROUP_ID], plan), prepare_class_rows(true, predicted, probs)
        del probs
        baseline = constant.score(true)
        if plan.draws > 0:
            replicates = sampler.replicate(parts.sum_units(sampler)).map(parts.build_measure())
            other = count_class_rows(true, constant.answer(len(true)), len(class_names))
            counted = sampler.replicate(other.sum_units(sampler)).map(other.build_measure())
            baseline = bound_lead(baseline, replicates["macro_f1"], counted["macro_f1"], "macro_f1", sampler)
            metrics = bound_metrics(metrics, replicates, sampler.n_groups, plan.confidence)
            classes = bound_classes(classes, replicates, true, predicted, sampler)
        return SplitReport(
            n=len(rows),
            n_groups=sampler.n_groups,
            metrics=metrics,
            baselines=[baseline],
            classes=classes,
            confusion=[[int(count) for count in row] for row in confusion],
            top_confusions=find_confusions(
                true, predicted, certainty, rows[SAMPLE_ID].tolist(), class_names, confusions
            ),
            slices=evaluate_slices(_cut(rows, columns), parts, sampler, metrics, "accuracy"),
            groups=find_worst_groups(
                sampler, (true == predicted).astype(np.float64), "accuracy", higher_is_better=True
            ),
        )

    return evaluate_split


# Many arguments, each a part of the settings that only this task has.
def _regression_evaluator(
    train_rows: pd.DataFrame,
    unit: str,
    more: Mapping[str, str],
    deciles: int,
    plan: BootstrapPlan,
    columns: list[str],
) -> Callable[[pd.DataFrame], SplitReport]:
    train_target, train_green = _to_floats(train_rows[TARGET]), _to_floats(train_rows[GREEN_PX])
    lines = [fit_constant_value(train_target, unit), fit_green_pixels(train_target, train_green, unit)]
    others = {name: fit_target_evaluator(train_rows, name, own_unit, plan) for name, own_unit in more.items()}

    def evaluate_split(rows: pd.DataFrame) -> SplitReport:
        target, preds, green = (_to_floats(rows[column]) for column in (TARGET, PREDICTION, GREEN_PX))
        sampler, parts = GroupSampler(rows[GROUP_ID], plan), prepare_value_rows(target, preds)
        metrics, slices = measure_regression(target, preds, unit), describe_deciles(target, preds, deciles)
        return SplitReport(
            n=len(rows),
            n_groups=sampler.n_groups,
            metrics=bound_values(metrics, parts, sampler),
            baselines=[_score_line(line, target, green, parts, sampler) for line in lines],
            deciles=slices if plan.draws == 0 else bound_deciles(slices, target, preds, sampler),
            worst=find_worst(target, preds, rows[SAMPLE_ID].tolist(), WORST_IMAGES),
            more_targets=[evaluate_target(rows) for evaluate_target in others.values()],
            slices=evaluate_slices(_cut(rows, columns), parts, sampler, metrics, "mae"),
            groups=find_worst_groups(sampler, np.abs(preds - target), "mae", higher_is_better=False),
        )

    return evaluate_split


def _score_line(
    line: StraightLine, target: FloatArray, green: FloatArray, own: ValueRows, sampler: GroupSampler
) -> Baseline:
    baseline = line.score(target, green)
    if sampler.plan.draws == 0:
        return baseline
    found = [
        sampler.replicate(rows.sum_units(sampler)).map(rows.build_measure())["rmse"]
        for rows in (own, prepare_value_rows(target, line.answer(green)))
    ]
    return bound_lead(baseline, found[0], found[1], "rmse", sampler)


def _cut(rows: pd.DataFrame, columns: list[str]) -> list[Slice]:
    return [part for column in columns for part in cut_column(rows, column)]


def _to_indices(names: pd.Series, index: dict[str, int]) -> npt.NDArray[np.int64]:
    return np.array([index[name] for name in names], dtype=np.int64)


def _to_floats(values: pd.Series) -> npt.NDArray[np.float64]:
    return values.to_numpy(dtype=np.float64)
