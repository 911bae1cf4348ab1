"""Measures the forms of one network beside torch: the same images, the same metrics, times taken side by side."""

import copy
import dataclasses
import statistics
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.evaluate.answers import judge_table
from phytoscope.evaluate.bootstrap import BootstrapPlan
from phytoscope.evaluate.compare import Answers, compare_answers
from phytoscope.predict.engines.engine import Engine
from phytoscope.predict.engines.speed import find_batch_size, measure_latency, measure_rate
from phytoscope.predict.predictor import Predictor
from phytoscope.schema.certificate import FormReport
from phytoscope.schema.comparison import MetricDifference
from phytoscope.schema.table import PREDICTION, PROB_PREFIX, SPLIT, Split, Task
from phytoscope.schema.trust_report import TrustReport
from phytoscope.schema.verdict import Verdict
from phytoscope.steps.context import RunContext
from phytoscope.steps.evaluate import predict_rows, report_trust

LOSS_WORDS: Final = {
    Task.classification: "the larger of what is lost in accuracy and in macro F1 (0.005 is half a point)",
    Task.regression: "the larger of the shares by which RMSE and MAE grow (0.005 is half a percent)",
}
_LOSS_METRICS: Final = {Task.classification: ("accuracy", "macro_f1"), Task.regression: ("rmse", "mae")}
_ROUNDS: Final = 5
_SECONDS: Final = 0.3


@dataclass(frozen=True)
class Form:
    """One form of the network, ready to answer.

    Attributes:
        name: What to call it.
        predictor: The model on this form's engine, with the trust that its answers are judged by.
        size_bytes: Bytes of its files.
        remark: What is to be said of it; may be empty.
        published: Whether it may be handed on, as far as is known before it is measured.
    """

    name: str
    predictor: Predictor
    size_bytes: int
    remark: str = ""
    published: bool = True


@dataclass(frozen=True)
class Measured:
    """What a form answered for the rows of one split.

    Attributes:
        predictions: Table 7.
        answers: Table 8a, the same rows.
        trust: Whether judged answers can be believed; None when nothing judges them.
    """

    predictions: pd.DataFrame
    answers: pd.DataFrame
    trust: TrustReport | None = field(repr=False)


def put_on_engine(predictor: Predictor, engine: Engine) -> Predictor:
    """The same model on another engine; the given one stays as it is."""
    moved = copy.copy(predictor)
    moved.use(engine)
    return moved


def answer_rows(
    context: RunContext, predictor: Predictor, cache: PixelCache, rows: pd.DataFrame, split: Split
) -> Measured:
    """Lets a form answer some rows and judges its answers.

    Args:
        context: Settings.
        predictor: The model on the engine of the form.
        cache: Squares of the rows.
        rows: Rows of the manifest joined with a split, numbered from 0.
        split: Their split.
    """
    predictions = predict_rows(context, predictor, cache, rows)
    return judge_rows(context, predictor, predictions, split)


def judge_rows(context: RunContext, predictor: Predictor, predictions: pd.DataFrame, split: Split) -> Measured:
    """Judges the rows of one split that a form has answered; see `answer_rows`."""
    shown = predictions[predictions[SPLIT] == split.value].reset_index(drop=True)
    if predictor.trust is None:
        return Measured(shown, shown, None)
    more = [target.name for target in predictor.meaning.targets[1:]]
    answers = judge_table(shown, predictor.trust, predictor.description.class_names, more)
    return Measured(shown, answers, report_trust(context.config, predictor, shown, answers, split.value))


def compare_metrics(
    predictor: Predictor, first: pd.DataFrame, second: pd.DataFrame, split: Split, plan: BootstrapPlan
) -> list[MetricDifference]:
    """Metrics of two forms on the same rows, with intervals of their differences by groups.

    Args:
        predictor: The model.
        first: Answers of torch.
        second: Answers of the other form.
        split: The rows' split.
        plan: How intervals are made.

    Raises:
        ArtifactError: They have no row in common.
        DataValidationError: A table cannot be trusted.
    """
    about = predictor.description
    sides = [
        Answers(name, table, about.task, about.class_names, about.unit, about.target_name)
        for name, table in (("torch", first), ("other form", second))
    ]
    return compare_answers(sides[0], sides[1], split=split, plan=plan)[0].metrics


def find_loss(task: Task, metrics: list[MetricDifference]) -> float:
    """What the second of two forms loses against the first, see `LOSS_WORDS`; below 0 where it is better.

    Args:
        task: Classification or regression.
        metrics: What `compare_metrics` gave.

    Returns:
        Infinite where a metric is not defined, or where an error grows from nothing.
    """
    losses = []
    for metric in metrics:
        if metric.name not in _LOSS_METRICS[task]:
            continue
        if metric.first is None or metric.second is None:
            losses.append(np.inf)
        elif task is Task.classification:
            losses.append(metric.first - metric.second)
        elif metric.first > 0:
            losses.append(metric.second / metric.first - 1.0)
        else:
            losses.append(np.inf if metric.second > 0 else 0.0)
    return float(max(losses, default=np.inf))


def describe_form(form: Form, torch: Measured, own: Measured, split: Split, plan: BootstrapPlan) -> FormReport:
    """Everything about a form but its speed.

    Args:
        form: The form.
        torch: What torch answered for the rows.
        own: What the form answered for the same rows.
        split: The rows' split.
        plan: How intervals are made.

    Raises:
        DataValidationError: A table cannot be trusted.
    """
    task = form.predictor.description.task
    columns = [PREDICTION]
    agreement = None
    if task is Task.classification:
        columns = [PROB_PREFIX + name for name in form.predictor.description.class_names]
        agreement = float((torch.predictions[PREDICTION] == own.predictions[PREDICTION]).mean())
    first, second = (table[columns].to_numpy(dtype=np.float64) for table in (torch.predictions, own.predictions))
    differences = np.abs(second - first).max(axis=1)
    metrics = compare_metrics(form.predictor, torch.answers, own.answers, split, plan)
    report = FormReport(
        name=form.name,
        runtime=form.predictor.engine.runtime.value,
        precision=form.predictor.engine.precision.value,
        published=form.published,
        reason=form.remark,
        largest_difference=float(differences.max()),
        usual_difference=float(np.quantile(differences, 0.99)),
        agreement=agreement,
        metrics=metrics,
        loss=find_loss(task, metrics),
        size_bytes=form.size_bytes,
    )
    return _add_trust(report, own.trust)


def _add_trust(report: FormReport, trust: TrustReport | None) -> FormReport:
    if trust is None:
        return report
    coverage = None if trust.sets is None else trust.sets.rows[0].coverage
    if trust.intervals and trust.intervals[0].rows:
        coverage = trust.intervals[0].rows[0].coverage
    return dataclasses.replace(
        report,
        coverage=coverage,
        verdicts=dict(trust.verdicts.shares),
        accepted_error=trust.verdicts.errors.get(Verdict.accept.value),
    )


def time_forms(forms: list[Form], reports: list[FormReport]) -> list[FormReport]:
    """Adds how fast each form is, measured in turns, so that what else the machine does meets all of them alike.

    Args:
        forms: The forms.
        reports: What is known of them, in the same order.
    """
    engines = [form.predictor.engine for form in forms]
    sizes = [(form.predictor.preprocess.size_px, form.predictor.meaning.covariate_dim) for form in forms]
    batches = [find_batch_size(engine, *size)[0] for engine, size in zip(engines, sizes, strict=True)]
    singles: list[list[float]] = [[] for _ in forms]
    rates: list[list[float]] = [[] for _ in forms]
    for _ in range(_ROUNDS):
        for place, (engine, size) in enumerate(zip(engines, sizes, strict=True)):
            singles[place].append(measure_latency(engine, *size))
            rates[place].append(measure_rate(engine, *size, batch_size=batches[place], seconds=_SECONDS))
    return [
        dataclasses.replace(
            report,
            latency_ms=1000.0 * statistics.median(singles[place]),
            images_per_second=statistics.median(rates[place]),
            batch_size=batches[place],
        )
        for place, report in enumerate(reports)
    ]
