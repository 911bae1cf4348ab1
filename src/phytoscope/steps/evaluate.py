"""Rows 7 and 8 of the data flow: from the checkpoint to predictions and report."""

import datetime
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from phytoscope import __version__
from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.evaluate.checks import check_predictions
from phytoscope.evaluate.report import evaluate_predictions
from phytoscope.models.meaning import Meaning
from phytoscope.predict.description import describe_meaning
from phytoscope.predict.package import state_hash
from phytoscope.predict.predictor import Predictor, predict_table
from phytoscope.schema.artifact import hash_content, hash_file, read_json, write_atomic, write_json
from phytoscope.schema.choices import AugmentPreset
from phytoscope.schema.config import RunConfig
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import (
    GREEN_PX,
    GROUP_ID,
    LABEL,
    META_PREFIX,
    MODEL_ID,
    PATH,
    SAMPLE_ID,
    SHA256,
    SPLIT,
    TARGET,
    TARGET_PREFIX,
    Split,
    Task,
)
from phytoscope.steps.context import Begin, RunContext, plain_settings, take_step
from phytoscope.steps.prepared import PreparedData, open_cache, read_prepared
from phytoscope.steps.train import check_trained
from phytoscope.steps.training_job import load_trained, read_columns
from phytoscope.transforms.preprocess import Preprocess
from phytoscope.visualize.figures import draw_figures
from phytoscope.visualize.html import render_report
from phytoscope.visualize.style import save_figures


def run_evaluate(context: RunContext) -> None:
    """Predicts val, calibration and test with the best checkpoint, and writes table, report, page and figures.

    Raises:
        ArtifactError: The data are not prepared, or the model is not trained with these settings.
    """
    prepared = read_prepared(context)
    check_trained(context, prepared)
    settings = plain_settings(context.config)
    inputs = hash_content(
        [
            hash_file(context.run.weights),
            prepared.split_hash,
            settings["evaluate"],
            prepared.unit,
            settings["name"],
            __version__,
        ]
    )
    take_step(context, "evaluate", inputs, lambda begin: _write(context, prepared, begin))


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
    description = ModelDescription(
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
        **{**describe_meaning(meaning), "unit": prepared.unit},
    )
    return Predictor(description, state)


def _write(context: RunContext, prepared: PreparedData, begin: Begin) -> list[Path]:
    begin()
    config, run = context.config, context.run
    predictor = build_predictor(config, run, prepared)
    cache = open_cache(context, prepared, predictor.preprocess)
    rows = prepared.rows[prepared.rows[SPLIT] != Split.train.value].reset_index(drop=True)
    predictions = predict_rows(context, predictor, cache, rows)
    check_predictions(predictions, prepared.split)
    with write_atomic(run.predictions) as temporary:
        predictions.to_parquet(temporary, index=False)
    report = report_predictions(config, prepared, predictor, predictions, prepared.of(Split.train), name=config.name)
    write_json(run.report, report.to_dict())
    _write_page(context, prepared, predictions, report)
    return [run.predictions, run.report, run.report_page, run.figures]


def predict_rows(context: RunContext, predictor: Predictor, cache: PixelCache, rows: pd.DataFrame) -> pd.DataFrame:
    """Answers for some rows, beside what is known of them: row 7 of the data flow.

    Args:
        context: Settings.
        predictor: The model.
        cache: Squares of the rows.
        rows: Rows of the manifest joined with a split, numbered from 0.
    """
    config = context.config
    answers = predict_table(
        predictor,
        cache.pixels,
        cache.rows(rows[SHA256]),
        covariates=read_columns(rows),
        batch_size=config.evaluate.batch_size,
        progress=context.progress,
    )
    answer = LABEL if config.data.task is Task.classification else TARGET
    more = {target.name: target.unit for target in predictor.meaning.targets[1:]}
    known = add_more_targets(rows, more)[
        [SAMPLE_ID, PATH, GROUP_ID, SPLIT, answer, GREEN_PX, *(TARGET_PREFIX + name for name in more)]
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
    return evaluate_predictions(
        predictions,
        task=config.data.task,
        class_names=predictor.description.class_names,
        target_name=predictor.description.target_name,
        unit=prepared.unit,
        name=name,
        data_hash=prepared.data_hash,
        split_hash=prepared.split_hash,
        train_rows=add_more_targets(train_rows, more),
        more_targets=more,
        deciles=config.evaluate.deciles,
        confusions=config.evaluate.confusions,
    )


def add_more_targets(rows: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """The rows of a manifest with the true values of further targets as `target/<name>`, missing where unknown."""
    return rows.assign(**{TARGET_PREFIX + name: rows[META_PREFIX + name].astype(float) for name in names})


def _write_page(
    context: RunContext, prepared: PreparedData, predictions: pd.DataFrame, report: EvaluationReport
) -> None:
    config, run = context.config, context.run
    history = pd.read_csv(run.history)
    path_of = dict(zip(prepared.rows[SAMPLE_ID], prepared.rows[PATH], strict=True))
    context.progress.start("Drawing the report", None)
    figures = draw_figures(
        report,
        predictions=predictions,
        history=history,
        manifest=prepared.rows,
        find_image=lambda sample_id: Path(path_of[sample_id]),
    )
    page = render_report(
        report,
        predictions=predictions,
        history=history,
        manifest=prepared.rows,
        rejected=pd.read_csv(run.rejected),
        figures=save_figures(figures, run.figures),
        facts=_facts(config, run),
    )
    with write_atomic(run.report_page) as temporary:
        temporary.write_text(page, encoding="utf-8")
    context.progress.finish()


def _facts(config: RunConfig, run: RunFolder) -> dict[str, str]:
    about = read_json(run.model)
    preprocess = Preprocess.from_dict(about["preprocess"])
    augment = config.data.augment
    facts = {
        "backbone": f"{config.model.backbone}, {about['weights_origin']}",
        "trained": f"{config.adapt.kind.value}, {about['mode']}, at most {about['planned_epochs']} epochs, "
        f"seed {config.seed}",
        "input": f"{preprocess.size_px} x {preprocess.size_px} px, {preprocess.resize.value}",
        "augmentation": "none" if augment is AugmentPreset.none else augment.value,
        "settings": " ".join(config.overrides),
        "phytoscope": __version__,
    }
    meaning = Meaning.from_dict(about["meaning"])
    if meaning.targets:
        curves = ", ".join(f"{target.name} {target.scale.transform.value}" for target in meaning.targets)
        curve = meaning.targets[0].scale.transform.value if len(meaning.targets) == 1 else curves
        facts["target learned as"] = f"{curve}, standardised on the training rows"
    if meaning.covariates is not None:
        known = ", ".join(f"{name} ({words})" for name, words in meaning.covariates.describe().items())
        facts["seen beside the image"] = known
    return facts
