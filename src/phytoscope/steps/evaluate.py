"""Rows 7 and 8 of the data flow: from the checkpoint to predictions and report."""

import dataclasses
import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from phytoscope import __version__
from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.evaluate.answers import judge_table
from phytoscope.evaluate.checks import check_predictions
from phytoscope.evaluate.report import ReportPlan, Subject, evaluate_predictions
from phytoscope.evaluate.slices import choose_columns
from phytoscope.evaluate.trust_report import measure_trust
from phytoscope.models.meaning import Meaning
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.package import state_hash
from phytoscope.predict.prediction_table import predict_table
from phytoscope.predict.predictor import Predictor
from phytoscope.predict.reference_files import FeatureKeeper, choose_reference, keep_reference
from phytoscope.predict.trust_files import write_trust
from phytoscope.schema.artifact import hash_content, hash_file, read_json, write_atomic, write_json
from phytoscope.schema.config import RunConfig
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import (
    GREEN_PX,
    GROUP_ID,
    HEIGHT_PX,
    LABEL,
    META_PREFIX,
    MODEL_ID,
    PATH,
    PHOTO_PREFIX,
    SAMPLE_ID,
    SHA256,
    SPLIT,
    TARGET,
    TARGET_PREFIX,
    WIDTH_PX,
    Split,
    Task,
)
from phytoscope.schema.trust_report import TrustReport
from phytoscope.steps.context import Begin, RunContext, plain_settings, take_step
from phytoscope.steps.explain import explain_run
from phytoscope.steps.external import hash_external, score_external
from phytoscope.steps.prepared import PreparedData, open_cache, read_prepared
from phytoscope.steps.report_page import write_page
from phytoscope.steps.robustness import measure_robustness
from phytoscope.steps.telling import tell_evaluation
from phytoscope.steps.train import check_trained
from phytoscope.steps.training_job import load_trained, read_columns
from phytoscope.steps.trust import fit_reference, fit_run_trust, read_wishes
from phytoscope.trust.photo import MEASURES
from phytoscope.visualize.figures import shown_split


def run_evaluate(context: RunContext) -> None:
    """Predicts val, calibration and test with the best checkpoint, and writes table, report, page and figures.

    Raises:
        ArtifactError: The data are not prepared, or the model is not trained with these settings.
        ConfigError: A column of `evaluate.slices` is not there.
    """
    prepared = read_prepared(context)
    check_trained(context, prepared)
    _check_slices(prepared, context.config)
    settings = plain_settings(context.config)
    inputs = hash_content(
        [
            hash_file(context.run.weights),
            prepared.split_hash,
            settings["evaluate"],
            context.config.seed,
            hash_external(context.config),
            prepared.unit,
            settings["name"],
            __version__,
        ]
    )
    take_step(context, "evaluate", inputs, lambda begin: _write(context, prepared, begin))
    tell_evaluation(context, prepared)


def _check_slices(prepared: PreparedData, config: RunConfig) -> None:
    # Before the settings are kept in the folder of the run, where a wrong one would fail again and again.
    own = [name for name in prepared.rows.columns if name.startswith(META_PREFIX)]
    columns = [*own, *(PHOTO_PREFIX + name for name in MEASURES)]
    choose_columns(pd.DataFrame(columns=pd.Index(columns, dtype=object)), config.evaluate.slices)


def build_predictor(config: RunConfig, run: RunFolder, prepared: PreparedData) -> Predictor:
    """Builds the predictor of a trained run.

    Args:
        config: Settings of the run.
        run: Its folder.
        prepared: The data it was trained with.

    Raises:
        ArtifactError: The run is not trained.
        WeightsError: The trained weights are damaged.
    """
    about = read_json(run.model)
    meaning = Meaning.from_dict(about["meaning"])
    state = load_trained(run)
    description = describe_run(config, prepared, about, meaning, state)
    return Predictor(description, state)


def describe_run(
    config: RunConfig, prepared: PreparedData, about: dict[str, Any], meaning: Meaning, state: dict[str, torch.Tensor]
) -> ModelDescription:
    """Says everything that a package needs to know of a trained network, or of several.

    Args:
        config: Settings of the run.
        prepared: The data it was trained with.
        about: What was written beside its weights.
        meaning: What goes in beside the image, and what the outputs are.
        state: Its parameters, each in its own shape.
    """
    return ModelDescription(
        name=config.name,
        model_id=state_hash(state),
        backbone=config.model.backbone,
        preprocess=about["preprocess"],
        weights_origin=about["weights_origin"],
        data_hash=prepared.data_hash,
        split_hash=prepared.split_hash,
        licence=config.package.licence,
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=__version__,
        views=config.evaluate.views,
        **{**describe_meaning(meaning), "unit": prepared.unit},
    )


def _write(context: RunContext, prepared: PreparedData, begin: Begin) -> list[Path]:
    begin()
    config, run = context.config, context.run
    predictor = build_predictor(config, run, prepared)
    cache = open_cache(context, prepared, predictor.preprocess)
    train = prepared.of(Split.train)
    predictor.novelty = fit_reference(context, predictor, cache, train)
    rows = prepared.rows[prepared.rows[SPLIT] != Split.train.value].reset_index(drop=True)
    keeper = FeatureKeeper(choose_reference(rows, config.seed))
    predictions = predict_rows(context, predictor, cache, rows, keeper)
    check_predictions(predictions, prepared.split)
    wishes = read_wishes(config, predictor)
    predictor.trust = fit_run_trust(predictions, predictor, wishes)
    more = [target.name for target in predictor.meaning.targets[1:]]
    answers = judge_table(predictions, predictor.trust, predictor.description.class_names, more)
    for table, path in ((predictions, run.predictions), (answers, run.answers)):
        with write_atomic(path) as temporary:
            table.to_parquet(temporary, index=False)
    kept = write_trust(run.root, predictor.trust, predictor.novelty)
    kept += keep_reference(run.root, answers, rows[SHA256].tolist(), keeper)
    report = report_predictions(config, prepared, predictor, answers, train, name=config.name)
    explained = explain_run(context, prepared, predictor, cache, answers)
    report = dataclasses.replace(
        report,
        trust=report_trust(config, predictor, predictions, answers, shown_split(report)),
        external=score_external(context, prepared, predictor, wishes),
        explanations=None if explained is None else explained.report,
        robustness=measure_robustness(context, prepared, predictor, cache, answers),
    )
    write_json(run.report, report.to_dict())
    drawn = {} if explained is None else {"explanations_gallery": explained.figure}
    write_page(context, prepared, answers, report, drawn)
    further = [run.external] if run.external.exists() else []
    return [run.predictions, run.answers, *kept, run.report, run.report_page, run.figures, *further]


def report_trust(
    config: RunConfig, predictor: Predictor, predictions: pd.DataFrame, answers: pd.DataFrame, split: str
) -> TrustReport | None:
    """Measures on one split whether judged answers can be believed as far as they say.

    Args:
        config: `evaluate` and `seed` are read.
        predictor: The model with its trust.
        predictions: Table 7.
        answers: Table 8a, the same rows.
        split: Which rows.

    Returns:
        None when the model has no trust.
    """
    if predictor.trust is None:
        return None
    shown = predictions[SPLIT] == split
    return measure_trust(
        predictions[shown].reset_index(drop=True),
        answers[shown].reset_index(drop=True),
        predictor.trust,
        read_wishes(config, predictor),
        class_names=predictor.description.class_names,
        units=predictor.description.units,
        seed=config.seed,
        draws=config.evaluate.bootstrap,
    )


def predict_rows(
    context: RunContext,
    predictor: Predictor,
    cache: PixelCache,
    rows: pd.DataFrame,
    keeper: FeatureKeeper | None = None,
) -> pd.DataFrame:
    """Answers for some rows, beside what is known of them: row 7 of the data flow.

    Args:
        context: Settings.
        predictor: The model.
        cache: Squares of the rows.
        rows: Rows of the manifest joined with a split, numbered from 0.
        keeper: Receives the features of all rows; None when nobody wants them.
    """
    config = context.config
    answers = predict_table(
        predictor,
        cache.pixels,
        cache.rows(rows[SHA256]),
        sizes=rows[[WIDTH_PX, HEIGHT_PX]].to_numpy(dtype=np.int64),
        covariates=read_columns(rows),
        batch_size=config.evaluate.batch_size,
        progress=context.progress,
        keeper=keeper,
    )
    answer = LABEL if config.data.task is Task.classification else TARGET
    more = {target.name: target.unit for target in predictor.meaning.targets[1:]}
    # The user's own columns travel along, so that the answers can be looked at apart by them.
    own = [name for name in rows.columns if name.startswith(META_PREFIX)]
    known = add_more_targets(rows, more)[
        [SAMPLE_ID, PATH, GROUP_ID, SPLIT, answer, GREEN_PX, *(TARGET_PREFIX + name for name in more), *own]
    ]
    return pd.concat([known, answers], axis=1).assign(**{MODEL_ID: predictor.description.model_id})


def report_predictions(
    config: RunConfig,
    prepared: PreparedData,
    predictor: Predictor,
    predictions: pd.DataFrame,
    train_rows: pd.DataFrame,
    *,
    name: str,
) -> EvaluationReport:
    """Measures predictions: row 8 of the data flow.

    Args:
        config: `data.task` and `evaluate` are read.
        prepared: The data they are about.
        predictor: The model that made them.
        predictions: What `predict_rows` gave.
        train_rows: Rows that the model learned from; the baselines learn from them too.
        name: What to call the model in the report.
    """
    more = {target.name: target.unit for target in predictor.meaning.targets[1:]}
    description, wanted = predictor.description, config.evaluate
    subject = Subject(
        task=config.data.task,
        class_names=description.class_names,
        target_name=description.target_name,
        unit=prepared.unit,
        name=name,
        data_hash=prepared.data_hash,
        split_hash=prepared.split_hash,
        more_targets=more,
    )
    plan = ReportPlan(
        wanted.deciles, wanted.confusions, wanted.bootstrap, wanted.confidence, config.seed, wanted.slices
    )
    return evaluate_predictions(predictions, add_more_targets(train_rows, more), subject, plan)


def add_more_targets(rows: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """The rows of a manifest with the true values of further targets as `target/<name>`, missing where unknown."""
    return rows.assign(**{TARGET_PREFIX + name: rows[META_PREFIX + name].astype(float) for name in names})
