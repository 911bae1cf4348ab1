"""Rows 4 to 6 of the data flow: from the split to a checkpoint."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd

from phytoscope import __version__
from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.data.datamodule import PlantDataModule, Samples
from phytoscope.errors import ArtifactError, storage_error
from phytoscope.models.network import build_network, read_backbone_input
from phytoscope.models.target import TargetScale, fit_target_scale
from phytoscope.schema.artifact import hash_content, hash_file, read_json, resolve_path, write_json
from phytoscope.schema.config import ClassWeighting, RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import HEIGHT_PX, LABEL, SHA256, TARGET, WIDTH_PX, Split, Task
from phytoscope.steps.context import Begin, RunContext, check_whole, plain_settings, take_step
from phytoscope.steps.prepared import PreparedData, open_cache, read_prepared
from phytoscope.train.fit import LAST_NAME, can_continue, choose_num_workers, fit_task
from phytoscope.train.plan import plan_training
from phytoscope.train.tasks import SMOOTHED, ClassificationTask, PlantTask, RegressionTask, balance_classes
from phytoscope.transforms.augment import build_augmentation
from phytoscope.transforms.preprocess import Preprocess, choose_resize

_NOT_LEARNED_FROM = ("num_workers", "accelerator")
"""Training settings that change the speed and not the result."""


def run_train(context: RunContext) -> None:
    """Trains, or goes on training where an interrupted run stopped.

    Raises:
        ArtifactError: The data are not prepared.
        PhytoscopeError: Weights cannot be had, the loss is not finite, the disk is full.
    """
    prepared = read_prepared(context)
    inputs, run = hash_training_inputs(context.config, prepared), context.run
    # A finished training that is no longer as it was must not be taken for an interrupted one and continued.
    start_over = run.record("train").exists() and not run.is_done("train", inputs)
    take_step(context, "train", inputs, lambda begin: _write(context, prepared, begin, start_over=start_over))


def hash_training_inputs(config: RunConfig, prepared: PreparedData) -> str:
    """Hash of everything the trained weights depend on.

    Raises:
        ConfigError: The path of the weights names a home directory that does not exist.
    """
    settings = plain_settings(config)
    data = {key: settings["data"][key] for key in ("resize", "augment", "target_min", "max_megapixels")}
    trainer = {key: value for key, value in settings["trainer"].items() if key not in _NOT_LEARNED_FROM}
    weights = resolve_path(config.model.weights, "model.weights")
    return hash_content(
        {
            "version": __version__,
            "split": [prepared.data_hash, prepared.split_hash],
            "settings": [data, trainer, settings["model"], settings["adapt"], settings["task"], config.seed],
            "weights": hash_file(weights) if weights.is_file() else "",
        }
    )


def check_trained(context: RunContext, prepared: PreparedData) -> None:
    """Makes sure that the checkpoint belongs to these data and settings and is as it was.

    Raises:
        ArtifactError: It does not, or a file was changed or is missing.
    """
    if context.run.read_inputs("train") != hash_training_inputs(context.config, prepared):
        message = (
            f"the checkpoint in {str(context.run.root)!r} was trained with other data or settings: run "
            "`phytoscope train` with these settings first, or leave out the settings that changed."
        )
        raise ArtifactError(message)
    check_whole(context.run, "train")


def _write(context: RunContext, prepared: PreparedData, begin: Begin, *, start_over: bool) -> list[Path]:
    config, run = context.config, context.run
    preprocess = _fit_preprocess(config, prepared.of(Split.train))
    cache = open_cache(context, prepared, preprocess)
    train = prepared.of(Split.train)
    scale = None
    class_names: list[str] = []
    if config.data.task is Task.classification:
        class_names = sorted(prepared.rows[LABEL].unique())
    else:
        target = train[TARGET].to_numpy(dtype=np.float64)
        scale = fit_target_scale(target, config.task.target_transform, config.data.target_min)
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    network, origin = build_network(config.model, len(class_names) if class_names else 1)
    data = _build_datamodule(config, prepared, cache, class_names, scale, preprocess)
    trainer, adapt = plan_training(config.trainer, config.adapt, len(data.train_sampler))
    # Weights that cannot be had or a full disk have shown themselves by now: only here may an older training go.
    begin()
    _clear_other_training(context, hash_training_inputs(config, prepared), start_over=start_over)
    meaning = {
        "class_names": class_names,
        "target_scale": None if scale is None else scale.to_dict(),
        "preprocess": preprocess.to_dict(),
        "weights_origin": origin,
        "planned_epochs": trainer.max_epochs,
    }
    write_json(run.model, meaning)
    planned = dataclasses.replace(config, trainer=trainer, adapt=adapt)
    task = _build_task(planned, network, _targets(train, class_names, scale), class_names, scale, prepared.unit)
    fit_task(
        task,
        data,
        trainer,
        monitor=SMOOTHED,
        higher_is_better=False,
        folder=run.checkpoints,
        history_path=run.history,
        progress=context.progress,
    )
    return [run.checkpoints, run.history]


def _clear_other_training(context: RunContext, inputs: str, *, start_over: bool) -> None:
    run = context.run
    try:
        known = read_json(run.training_inputs) if run.training_inputs.exists() else None
    except ArtifactError:
        known = None
    if known == inputs and not start_over:
        begun = (run.checkpoints / LAST_NAME).exists()
        if not begun or can_continue(run.checkpoints, run.history):
            return
        context.say("train: a checkpoint or the history is damaged or missing; training starts over")
    # Checkpoints of other data or settings must not be continued.
    _clear_training(run)
    write_json(run.training_inputs, inputs)


def _clear_training(run: RunFolder) -> None:
    try:
        if run.checkpoints.exists():
            shutil.rmtree(run.checkpoints)
        run.history.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(run.checkpoints, error) from error


def _fit_preprocess(config: RunConfig, train: pd.DataFrame) -> Preprocess:
    spec = read_backbone_input(config.model)
    sides = train[[WIDTH_PX, HEIGHT_PX]].max(axis=1).to_numpy(dtype=np.int64)
    resize, scale = choose_resize(config.data.resize, sides, spec.size_px)
    return Preprocess(
        size_px=spec.size_px,
        resize=resize,
        interpolation=spec.interpolation,
        mean=spec.mean,
        std=spec.std,
        crop_pct=spec.crop_pct,
        scale=scale,
        max_megapixels=config.data.max_megapixels,
    )


def _targets(rows: pd.DataFrame, class_names: list[str], scale: TargetScale | None) -> np.ndarray:
    if scale is None:
        index = {name: position for position, name in enumerate(class_names)}
        return rows[LABEL].map(index).to_numpy(dtype=np.int64)
    return scale.forward(rows[TARGET].to_numpy(dtype=np.float64)).astype(np.float32)


def _build_task(
    config: RunConfig,
    network: Any,
    target: np.ndarray,
    class_names: list[str],
    scale: TargetScale | None,
    unit: str,
) -> PlantTask:
    if scale is not None:
        return RegressionTask(
            network,
            config.adapt,
            config.trainer,
            seed=config.seed,
            loss=config.task.loss,
            scale=scale,
            unit=unit,
        )
    weights = balance_classes(target, len(class_names))
    if config.task.class_weighting is ClassWeighting.none:
        weights = (weights > 0).float()
    return ClassificationTask(
        network,
        config.adapt,
        config.trainer,
        seed=config.seed,
        class_weights=weights,
        label_smoothing=config.task.label_smoothing,
    )


def _build_datamodule(
    config: RunConfig,
    prepared: PreparedData,
    cache: PixelCache,
    class_names: list[str],
    scale: TargetScale | None,
    preprocess: Preprocess,
) -> PlantDataModule:
    train, val = (
        Samples(cache.pixels, cache.rows(rows[SHA256]), _targets(rows, class_names, scale))
        for rows in (prepared.of(Split.train), prepared.of(Split.val))
    )
    trainer = config.trainer
    return PlantDataModule(
        train,
        val,
        augmentation=build_augmentation(config.data.augment, size_px=preprocess.size_px, seed=config.seed),
        batch_size=trainer.batch_size,
        seed=config.seed,
        num_workers=choose_num_workers(trainer, -(-len(train) // trainer.batch_size)),
        limit_batches=trainer.limit_batches,
    )
