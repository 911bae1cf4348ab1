"""Cross-validation by group: every image is predicted by a network that never saw its group, and all vote at last."""

import contextlib
import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from phytoscope import __version__
from phytoscope.cluster.jobs import Ask, open_jobs
from phytoscope.data.split import hash_split, split_by_group
from phytoscope.data.split.leaks import check_split
from phytoscope.errors import ConfigError, SplitError
from phytoscope.evaluate.classification import measure_classification
from phytoscope.evaluate.regression import measure_regression
from phytoscope.schema.artifact import hash_content, hash_file, write_atomic
from phytoscope.schema.config import RunConfig
from phytoscope.schema.engine import EngineKind
from phytoscope.schema.events import EventLog, RunKind
from phytoscope.schema.report import EvaluationReport, MetricValue
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import (
    FOLD,
    LABEL,
    PREDICTION,
    PROB_PREFIX,
    SAMPLE_ID,
    SPLIT,
    SPLIT_COLUMNS,
    TARGET,
    Split,
    Task,
)
from phytoscope.steps.context import Begin, RunContext, take_step
from phytoscope.steps.ensemble import JoinedFolds, join_folds
from phytoscope.steps.evaluate import build_predictor, predict_rows
from phytoscope.steps.external_classes import check_external
from phytoscope.steps.job_place import at_work, bound_cores, check_jobs
from phytoscope.steps.prepare import run_prepare
from phytoscope.steps.prepared import PreparedData, open_cache, read_prepared
from phytoscope.steps.pseudo_labels import keep_apart
from phytoscope.steps.row_engine import with_engine
from phytoscope.steps.run_log import RunLog, log_said
from phytoscope.steps.telling import begin_parent, tell_fold, tell_folds
from phytoscope.steps.tracking import ended, find_key, tracked
from phytoscope.steps.train import train_prepared
from phytoscope.steps.training_job import fit_preprocess
from phytoscope.steps.trust import fit_reference
from phytoscope.storage.mirror import kept_folder, publish
from phytoscope.train.speed.threads import use_threads
from phytoscope.transforms.preprocess import Preprocess


@dataclass(frozen=True)
class FoldsFolder:
    """Names of what cross-validation writes into the folder of a run.

    Attributes:
        root: The folder `folds/`.
    """

    root: Path

    def fold(self, number: int) -> RunFolder:
        """Network and predictions of one fold."""
        return RunFolder(self.root / str(number))

    @property
    def ensemble(self) -> RunFolder:
        """Predictions, report and package of all networks together."""
        return RunFolder(self.root / "ensemble")

    @property
    def predictions(self) -> Path:
        """One row an image outside of test, predicted by the network that never saw its group."""
        return self.root / "oof_predictions.parquet"

    @property
    def metrics(self) -> Path:
        """One row a metric: every fold, their mean and spread, and the value over all predictions at once."""
        return self.root / "metrics.csv"


@dataclass(frozen=True)
class CrossValidation:
    """What cross-validation found.

    Attributes:
        folder: Where everything lies.
        metrics: Columns `metric`, `unit`, `mean`, `sd` (over folds), `pooled` (over all predictions at once), and
            `fold_<number>`; missing where a metric is not defined.
        n_folds: Number of networks.
        report: The ensemble on the test split; None when the split has no test.
    """

    folder: FoldsFolder
    metrics: pd.DataFrame
    n_folds: int
    report: EvaluationReport | None


@dataclass(frozen=True)
class FoldWork:
    """What whoever trains the network of a fold must know.

    Attributes:
        config: Settings of the run.
        root: Folder of the run.
        parent: Key of the tracked cross-validation; None when nobody tracks it.
        prepared: The data of the run.
        preprocess: How images become squares.
    """

    config: RunConfig
    root: Path
    parent: str | None
    prepared: PreparedData
    preprocess: Preprocess


def cross_validate(context: RunContext) -> CrossValidation:
    """Trains one network a fold, and joins them to an ensemble. Finished folds are skipped.

    The images of test have no part in it, until the ensemble is evaluated on them. The fold that is predicted chooses
    nothing either: what stops the training is drawn by group from the other folds, with the share of `data.split.val`.

    Args:
        context: Settings and folder of the run; its prepared data are used, and `folds/` is written into it.

    Raises:
        SplitError: There are too few groups.
        PhytoscopeError: Anything else the user can mend; finished folds are kept.
    """
    folder = FoldsFolder(context.run.root / "folds")
    # Its own log: the run itself may be trained in the same folder.
    told = dataclasses.replace(context, run=RunFolder(folder.root), say=log_said(context.say))
    check_jobs(context)
    kept = kept_folder(context.run.root, context.say)
    with kept, context.run.locked(), RunLog(context.run), tracked(told) as tracking, with_engine(tracking) as working:
        journal = working.journal
        context = dataclasses.replace(working, run=context.run)
        # A wrong further set is told before hours of training; its classes once the data are prepared.
        _check_has_report(context.config)
        check_external(context.config)
        run_prepare(context)
        check_external(context.config, context.run)
        prepared = read_prepared(context)
        if context.config.task.pseudo_labels:
            # The test images are not among the rows of a fold, so what hangs together with them must go before.
            prepared = keep_apart(context, prepared, learned_from=(Split.train, Split.val, Split.calibration))
        learned = prepared.rows[prepared.rows[SPLIT] != Split.test.value]
        # How images become squares depends on their sizes alone, and members of an ensemble must see the same squares.
        preprocess = fit_preprocess(context.config, learned)
        numbers = sorted(int(number) for number in learned[FOLD].unique())
        begin_parent(context, context.config, prepared, RunKind.cross_validation)
        work = FoldWork(context.config, context.run.root, find_key(context.journal), prepared, preprocess)
        tables = _do_folds(context, work, numbers)
        metrics = _summarise(context, folder, tables, learned)
        tell_folds(journal, folder.metrics, metrics)
        folds = [folder.fold(number) for number in numbers]
        seen = hold_out(prepared, numbers[0], context.config).of(Split.train)
        joined = JoinedFolds(folder.ensemble, folds, folder.predictions, seen, preprocess)
        report = join_folds(context, prepared, joined)
    return CrossValidation(folder, metrics, len(numbers), report)


def _check_has_report(config: RunConfig) -> None:
    if config.evaluate.external and config.data.split.test == 0 and config.data.split.column is None:
        message = (
            "evaluate.external asks for further sets, which stand in the report of the ensemble, and data.split.test=0 "
            "leaves that report out: keep plants for the test, or leave the further sets out here and give them to "
            "`phytoscope predict`."
        )
        raise ConfigError(message)


def hold_out(prepared: PreparedData, fold: int, config: RunConfig) -> PreparedData:
    """The data as the network of one fold sees them: that fold is its test, and the run's own test is not there.

    Args:
        prepared: The data of the run.
        fold: The fold to predict.
        config: `data.split` and `seed` are read.

    Returns:
        Rows outside of the run's test: `test` is the fold, `val` is drawn by group from the other folds, the rest is
        `train`.

    Raises:
        SplitError: The other folds have too few groups to draw val from.
        SplitLeakageError: A group would stand on both sides.
    """
    rows = prepared.rows[prepared.rows[SPLIT] != Split.test.value].reset_index(drop=True)
    others = rows[rows[FOLD] != fold]
    asked = config.data.split
    # As large as in the run, where val is a share of all images.
    share = dataclasses.replace(asked, val=asked.val / (1 - asked.test), calibration=0.0, test=0.0, column=None)
    try:
        drawn = split_by_group(others, config.data.task, share, config.seed).set_index(SAMPLE_ID)[SPLIT]
    except SplitError as error:
        message = f"fold {fold}: val cannot be drawn from the other folds: {error} Lower data.split.folds."
        raise type(error)(message) from error
    split = rows[SAMPLE_ID].map(drawn).fillna(Split.test.value).astype(str)
    rows = rows.assign(**{SPLIT: split})
    table = rows[list(SPLIT_COLUMNS)]
    check_split(rows, table)
    return PreparedData(rows, table, prepared.data_hash, hash_split(table), prepared.unit, prepared.unlabelled)


def do_fold(work: FoldWork, number: int, ask: Ask) -> None:
    """Trains the network of a fold in a worker of a cluster, and predicts the fold.

    Args:
        work: The cross-validation.
        number: The fold.
        ask: Passes sentences on to the user.

    Raises:
        ClusterError: This machine does not see the folder of the run.
        PhytoscopeError: Anything else the user can mend.
        KeyboardInterrupt: Whoever started the cross-validation gave up.
    """
    run, fold = RunFolder(work.root), FoldsFolder(work.root / "folds").fold(number)
    with at_work(fold, run.record("prepare")), RunLog(fold):
        _do_fold(RunContext(bound_cores(work.config, work.config.engine.cores), run, say=log_said(ask)), work, number)


def _do_folds(context: RunContext, work: FoldWork, numbers: list[int]) -> list[pd.DataFrame]:
    folder = FoldsFolder(work.root / "folds")
    if context.config.engine.kind is EngineKind.local:
        for number in numbers:
            _do_fold(context, work, number)
    else:
        # Decoded once, before several workers would do so at the same time.
        open_cache(context, hold_out(work.prepared, numbers[0], work.config), work.preprocess)
        left = [*numbers]
        with open_jobs(context.config.engine, context.say) as jobs:
            found = jobs.run(
                partial(do_fold, work),
                lambda: left.pop(0) if left else None,
                answer=lambda _, text: context.say(text),
            )
            # Closed at once, so that workers are interrupted while the cluster is there.
            with contextlib.closing(found):  # type: ignore[type-var]
                for number, _ in found:
                    publish(folder.fold(number).root)
    return [pd.read_parquet(folder.fold(number).predictions) for number in numbers]


def _do_fold(context: RunContext, work: FoldWork, number: int) -> None:
    say, run = context.say, FoldsFolder(work.root / "folds").fold(number)
    context = dataclasses.replace(
        context,
        run=run,
        say=lambda text: say(f"fold {number}: {text}"),
        journal=EventLog(run),
        run_kind=RunKind.fold,
        parent_run=work.parent,
    )
    data = hold_out(work.prepared, number, work.config)
    with ended(context.journal):
        _predict_fold(context, data, number, work.preprocess)


def _predict_fold(context: RunContext, data: PreparedData, number: int, preprocess: Preprocess) -> None:
    config, run = context.config, context.run
    train_prepared(context, data, preprocess=preprocess)

    def predict(begin: Begin) -> list[Path]:
        begin()
        predictor = build_predictor(config, run, data)
        cache = open_cache(context, data, preprocess)
        # The last bits of an answer depend on the number of threads, and folds may be predicted on several machines.
        with use_threads(config.trainer.threads):
            predictor.novelty = fit_reference(context, predictor, cache, data.of(Split.train))
            table = predict_rows(context, predictor, cache, data.of(Split.test).reset_index(drop=True))
        with write_atomic(run.predictions) as temporary:
            table.assign(**{FOLD: number}).to_parquet(temporary, index=False)
        return [run.predictions]

    asked = [config.evaluate.novelty.value, config.evaluate.views]
    take_step(context, "evaluate", hash_content([hash_file(run.weights), data.split_hash, asked, __version__]), predict)
    table = pd.read_parquet(run.predictions)
    tell_fold(context, data, _measure(table, config.data.task, data.unit))


def _summarise(
    context: RunContext, folder: FoldsFolder, tables: list[pd.DataFrame], learned: pd.DataFrame
) -> pd.DataFrame:
    pooled = pd.concat(tables, ignore_index=True)
    # A class that a network never saw has no column of its own.
    probs = [name for name in pooled.columns if name.startswith(PROB_PREFIX)]
    pooled[probs] = pooled[probs].fillna(0.0)
    splits = learned.set_index(SAMPLE_ID)[SPLIT]
    if sorted(pooled[SAMPLE_ID]) != sorted(splits.index):
        message = "the folds do not cover the images outside of test once each: run prepare again."
        raise SplitError(message)
    pooled = pooled.assign(**{SPLIT: pooled[SAMPLE_ID].map(splits)})
    with write_atomic(folder.predictions) as temporary:
        pooled.to_parquet(temporary, index=False)
    metrics = tabulate_metrics(pooled, context.config.data.task, unit=context.config.data.unit)
    with write_atomic(folder.metrics) as temporary:
        metrics.to_csv(temporary, index=False)
    return metrics


def tabulate_metrics(predictions: pd.DataFrame, task: Task, *, unit: str) -> pd.DataFrame:
    """Metrics of every fold, their mean and spread, and over all predictions at once.

    Folds are not independent, because their networks share most of their training images: the spread says how much the
    plants matter, not how sure the mean is.

    Args:
        predictions: One row an image with its `fold`; the columns of row 7 of the data flow.
        task: Classification or regression.
        unit: Unit of the target.

    Returns:
        The columns of `CrossValidation.metrics`.
    """
    measured = {"pooled": _measure(predictions, task, unit)}
    numbers = sorted(predictions[FOLD].unique())
    for number in numbers:
        measured[f"fold_{number}"] = _measure(predictions[predictions[FOLD] == number], task, unit)
    values = {name: {metric.name: metric.value for metric in found} for name, found in measured.items()}
    names = list(values["pooled"])
    table = pd.DataFrame(values, index=names, dtype=float)
    folds = table[[f"fold_{number}" for number in numbers]]
    spread = folds.std(axis=1, ddof=1)
    units = [metric.unit for metric in measured["pooled"]]
    table = pd.concat([folds.mean(axis=1).rename("mean"), spread.rename("sd"), table["pooled"], folds], axis=1)
    return table.rename_axis("metric").reset_index().assign(unit=units)[["metric", "unit", *table.columns]]


def _measure(rows: pd.DataFrame, task: Task, unit: str) -> list[MetricValue]:
    if task is Task.regression:
        target, preds = (rows[name].to_numpy(dtype=np.float64) for name in (TARGET, PREDICTION))
        return measure_regression(target, preds, unit)
    names = [name for name in rows.columns if name.startswith(PROB_PREFIX)]
    place = {name.removeprefix(PROB_PREFIX): position for position, name in enumerate(names)}
    true = np.array([place[name] for name in rows[LABEL]], dtype=np.int64)
    predicted = np.array([place[name] for name in rows[PREDICTION]], dtype=np.int64)
    return measure_classification(true, predicted, rows[names].to_numpy(dtype=np.float64))
