"""Rows 4 to 6 of the data flow: from the split to a checkpoint."""

import dataclasses
import shutil
from pathlib import Path

from lightning.pytorch.callbacks import Callback

from phytoscope import __version__
from phytoscope.errors import ArtifactError, storage_error
from phytoscope.schema.artifact import hash_content, hash_file, read_json, resolve_path, write_json
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import GROUP_ID, SAMPLE_ID, SHA256, Split
from phytoscope.steps.adapter_files import hash_start
from phytoscope.steps.context import Begin, RunContext, check_whole, plain_settings, take_step
from phytoscope.steps.prepare import run_prepare
from phytoscope.steps.prepared import PreparedData, open_cache, read_prepared
from phytoscope.steps.pseudo_labels import clear_teacher, learn_from_unlabelled
from phytoscope.steps.ranks import call_others, check_divided
from phytoscope.steps.ray_ranks import check_ray_training, fit_on_ray, trains_on_ray
from phytoscope.steps.telling import tell_training, training_told
from phytoscope.steps.training_job import build_job, fit_preprocess, save_trained
from phytoscope.train.checkpoints import LAST_NAME, can_continue
from phytoscope.train.modes import check_mode, fit_job
from phytoscope.train.scales.meanings import settle_meaning
from phytoscope.transforms.preprocess import Preprocess

_NOT_LEARNED_FROM = (
    *("num_workers", "threads", "accelerator", "checkpoint_minutes", "profile"),
    *("devices", "num_nodes", "strategy"),
)
"""Training settings that change the speed and not the result."""
_LEARNED_FROM = (
    *("resize", "augment", "max_megapixels", "reduced_decoding", "covariates"),
    *("target_min", "target_max", "more_targets", "more_units"),
)
"""Settings of the data that are read after the data are prepared."""


def run_train(context: RunContext) -> None:
    """Trains, or goes on training where an interrupted run stopped; prepares the data when nobody has.

    Raises:
        ArtifactError: What was prepared is damaged.
        PhytoscopeError: Weights cannot be had, the loss is not finite, the disk is full.
    """
    if not context.run.record("prepare").exists():
        run_prepare(context)
    train_prepared(context, read_prepared(context))


def train_prepared(
    context: RunContext,
    prepared: PreparedData,
    watchers: tuple[Callback, ...] = (),
    preprocess: Preprocess | None = None,
) -> None:
    """Trains on data that were prepared here or elsewhere, or goes on where an interrupted training stopped.

    Args:
        context: Settings and folder; only `checkpoints/` and the history are written into it.
        prepared: The rows with their split.
        watchers: Further Lightning callbacks, for the ways of training that go by epochs.
        preprocess: How images become squares; fitted on the training rows when None.

    Raises:
        PhytoscopeError: Weights cannot be had, the loss is not finite, the disk is full.
    """
    inputs, run = hash_training_inputs(context.config, prepared), context.run
    # A finished training that is no longer as it was must not be taken for an interrupted one and continued.
    start_over = run.record("train").exists() and not run.is_done("train", inputs)
    if run.is_done("train", inputs):
        call_others(context.config.trainer, None)
    take_step(
        context,
        "train",
        inputs,
        lambda begin: _write(context, prepared, begin, watchers, preprocess, start_over=start_over),
    )
    tell_training(context, prepared)


def hash_training_inputs(config: RunConfig, prepared: PreparedData) -> str:
    """Hash of everything the trained weights depend on.

    Raises:
        ConfigError: The path of the weights names a home directory that does not exist.
    """
    settings = plain_settings(config)
    data = {key: settings["data"][key] for key in _LEARNED_FROM}
    trainer = {key: value for key, value in settings["trainer"].items() if key not in _NOT_LEARNED_FROM}
    weights = resolve_path(config.model.weights, "model.weights")
    return hash_content(
        {
            "version": __version__,
            "split": [prepared.data_hash, prepared.split_hash],
            "settings": [data, trainer, settings["model"], settings["adapt"], settings["task"], config.seed],
            "weights": hash_file(weights) if weights.is_file() else "",
            "unlabelled": _hash_unlabelled(prepared) if config.task.pseudo_labels else "",
            "adapter": hash_start(config),
        }
    )


def _hash_unlabelled(prepared: PreparedData) -> str:
    rows = prepared.unlabelled
    known = [] if rows.empty else rows[[SAMPLE_ID, SHA256, GROUP_ID]].astype(str).to_numpy().tolist()
    return hash_content(sorted(known))


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


def _write(
    context: RunContext,
    prepared: PreparedData,
    begin: Begin,
    watchers: tuple[Callback, ...],
    preprocess: Preprocess | None,
    *,
    start_over: bool,
) -> list[Path]:
    config, run = context.config, context.run
    if trains_on_ray(config):
        check_ray_training(context, watched=bool(watchers))
    check_divided(config)
    if preprocess is None:
        preprocess = fit_preprocess(config, prepared.of(Split.train))
    cache = open_cache(context, prepared, preprocess)
    job, origin = build_job(
        context, prepared.of(Split.train), prepared.of(Split.val), cache, preprocess, unit=prepared.unit
    )
    check_mode(job)
    # Weights that cannot be had or a full disk have shown themselves by now: only here may an older training go.
    begin()
    _clear_other_training(context, hash_training_inputs(config, prepared), start_over=start_over)
    if config.task.pseudo_labels:
        job = learn_from_unlabelled(context, prepared, preprocess, job)
    call_others(config.trainer, run)
    with training_told(context, job.config, prepared, hash_training_inputs(config, prepared)):
        if trains_on_ray(config):
            mode = fit_on_ray(context, job)
        else:
            mode = fit_job(dataclasses.replace(job, watchers=watchers, journal=context.journal))
    job = dataclasses.replace(job, meaning=settle_meaning(job))
    save_trained(job, run, origin=origin, mode=mode)
    clear_teacher(run)
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
