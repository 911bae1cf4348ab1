"""From prepared rows to a training job, and from a trained job to the files that the later steps read."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import safetensors.torch
import torch
from numpy.typing import NDArray

from phytoscope.data.cache.pixel_cache import PixelCache
from phytoscope.data.datamodule import Samples
from phytoscope.data.readers.more_columns import find_more_columns
from phytoscope.data.readers.units import is_amount
from phytoscope.data.validate.more_columns import find_near_copies
from phytoscope.errors import ConfigError, DataValidationError
from phytoscope.models.adapters import adapt_network, merge_adapters
from phytoscope.models.covariate_dropout import CovariateDropout
from phytoscope.models.covariates import fit_covariates
from phytoscope.models.meaning import Meaning, TargetMeaning
from phytoscope.models.network import PlantNetwork, build_network, read_backbone_input
from phytoscope.models.sums import read_sums
from phytoscope.models.target import TargetScale, fit_scale
from phytoscope.models.weights import read_state_dict
from phytoscope.schema.artifact import write_atomic, write_json
from phytoscope.schema.choices import TrainMode
from phytoscope.schema.config import RunConfig
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import GROUP_ID, HEIGHT_PX, LABEL, META_PREFIX, PATH, SHA256, TARGET, WIDTH_PX, Task
from phytoscope.steps.adapter_files import start_from_adapter, write_adapter
from phytoscope.steps.context import RunContext
from phytoscope.steps.look import find_cache_folder
from phytoscope.train.features.extraction import FeatureExtraction
from phytoscope.train.features.work import divide
from phytoscope.train.job import TrainingJob
from phytoscope.train.plan import plan_training
from phytoscope.train.scales.meanings import choose_scales
from phytoscope.train.speed.device import choose_device
from phytoscope.train.squares import build_preprocess
from phytoscope.transforms.augment import Augmentation, build_augmentation
from phytoscope.transforms.backgrounds import read_backgrounds
from phytoscope.transforms.preprocess import Preprocess, choose_resize


def build_job(
    context: RunContext,
    train: pd.DataFrame,
    val: pd.DataFrame,
    cache: PixelCache,
    preprocess: Preprocess,
    *,
    unit: str,
) -> tuple[TrainingJob, str]:
    """Builds what one training needs; everything that is fitted is fitted on the training rows alone.

    Args:
        context: Settings and folders.
        train: Rows to learn from.
        val: Rows to choose by.
        cache: Squares of both.
        preprocess: How the squares were made.
        unit: Unit of the main target.

    Returns:
        The job, and where the pre-trained weights came from in words.

    Raises:
        ConfigError: A setting does not fit the data or the backbone.
        DataValidationError: The target cannot be learned on the scale that was asked for.
        WeightsError: The weights do not fit.
        WeightsUnavailableError: The weights cannot be had.
    """
    config, run = context.config, context.run
    augmentation = _build_changes(config, preprocess.size_px)
    meaning = fit_meaning(config, train, unit)
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    network, origin = build_network(config.model, meaning.outputs, meaning.covariate_dim)
    if meaning.covariates is not None:
        network.covariate_dropout = CovariateDropout(meaning.covariates.sizes)
        _warn_of_copies(train, meaning, context.say)
    meaning = choose_scales(
        config.task,
        meaning,
        read_targets(train, meaning),
        tuple(train[GROUP_ID].astype(str)),
        bounds=bound_targets(config, train, meaning),
        features=lambda: _read_features(context, network, build_samples(train, cache, meaning), preprocess),
        seed=config.seed,
        say=context.say,
    )
    # Whether features were computed or read from a cache must not change what adapters begin with.
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    adaptation = adapt_network(network, config.adapt)
    start_from_adapter(context, network, adaptation, meaning)
    batches = -(-len(train) // config.trainer.batch_size)
    trainer, adapt = plan_training(config.trainer, config.adapt, batches)
    job = TrainingJob(
        config=dataclasses.replace(config, trainer=trainer, adapt=adapt),
        network=network,
        adaptation=dataclasses.replace(adaptation, config=adapt),
        meaning=meaning,
        preprocess=preprocess,
        train=build_samples(train, cache, meaning),
        val=build_samples(val, cache, meaning),
        unlabelled=None,
        augmentation=augmentation,
        cache_dir=find_cache_folder(context),
        folder=run.checkpoints,
        history_path=run.history,
        progress=context.progress,
        say=context.say,
        engine=context.engine,
    )
    return job, origin


def _read_features(
    context: RunContext, network: PlantNetwork, samples: Samples, preprocess: Preprocess
) -> NDArray[np.float32]:
    trainer = context.config.trainer
    extraction = FeatureExtraction(
        network,
        preprocess,
        find_cache_folder(context),
        runtime=trainer.runtime,
        device=choose_device(trainer),
        progress=context.progress,
        say=context.say,
        division=divide(context.engine, context.config.engine),
    )
    return extraction.read_view(samples).astype(np.float32)


def _build_changes(config: RunConfig, size_px: int) -> Augmentation:
    backgrounds = read_backgrounds(config.data.backgrounds, size_px=size_px, max_megapixels=config.data.max_megapixels)
    return build_augmentation(config.data.augment, size_px=size_px, seed=config.seed, backgrounds=backgrounds)


def fit_meaning(config: RunConfig, train: pd.DataFrame, unit: str) -> Meaning:
    """Fits class names or target scales, and the encoder of the covariates, on the training rows.

    Args:
        config: Settings.
        train: Rows to learn from.
        unit: Unit of the main target.

    Raises:
        ConfigError: A column is not there, a covariate cannot be used, or a loss or a sum does not fit.
        DataValidationError: A target cannot be learned on the scale that was asked for.
    """
    columns = read_columns(train)
    more = find_more_columns([str(name) for name in columns], config.data)
    covariates = fit_covariates(columns, more.covariates) if more.covariates else None
    if config.data.task is Task.classification:
        return Meaning(class_names=tuple(sorted(train[LABEL].unique())), covariates=covariates)
    units = {str(config.data.target): unit, **more.targets}
    targets: list[TargetMeaning] = []
    for name, own_unit in units.items():
        values = _read_target(train, name, is_main=len(targets) == 0)
        bounds = _bound(config, name, own_unit, values, is_main=len(targets) == 0)
        targets.append(TargetMeaning(name, own_unit, _fit_scale(name, values, config, bounds)))
    spreads = [float(np.nanvar(_read_target(train, name, is_main=place == 0))) for place, name in enumerate(units)]
    return Meaning(targets=tuple(targets), covariates=covariates, sums=read_sums(config.task, list(units), spreads))


def read_targets(rows: pd.DataFrame, meaning: Meaning) -> NDArray[np.float64]:
    """True values of all targets, shape (N, targets), in the users' units; NaN where a row lacks one."""
    columns = [_read_target(rows, target.name, is_main=place == 0) for place, target in enumerate(meaning.targets)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0))


def bound_targets(config: RunConfig, train: pd.DataFrame, meaning: Meaning) -> list[tuple[float | None, float | None]]:
    """Smallest and largest value that is possible for each target, in the users' units; None when any is."""
    values = read_targets(train, meaning)
    return [
        _bound(config, target.name, target.unit, values[:, place], is_main=place == 0)
        for place, target in enumerate(meaning.targets)
    ]


def _read_target(rows: pd.DataFrame, name: str, *, is_main: bool) -> NDArray[np.float64]:
    return rows[TARGET if is_main else META_PREFIX + name].to_numpy(dtype=np.float64)


def _bound(
    config: RunConfig, name: str, unit: str, values: NDArray[np.float64], *, is_main: bool
) -> tuple[float | None, float | None]:
    lower, upper = (config.data.target_min, config.data.target_max) if is_main else (None, None)
    # Nobody declares that a mass is not negative, and an answer below 0 g would help nobody.
    if lower is None and is_amount(name, unit) and not (values < 0).any():
        lower = 0.0
    return lower, upper


def _fit_scale(
    name: str, values: NDArray[np.float64], config: RunConfig, bounds: tuple[float | None, float | None]
) -> TargetScale:
    try:
        return fit_scale(values, config.task, *bounds)
    except (ConfigError, DataValidationError) as error:
        message = f"{name}: {error}"
        raise type(error)(message) from error


def _warn_of_copies(train: pd.DataFrame, meaning: Meaning, say: Callable[[str], None]) -> None:
    names = () if meaning.covariates is None else meaning.covariates.names
    values = read_targets(train, meaning)
    targets = {target.name: pd.Series(values[:, place]) for place, target in enumerate(meaning.targets)}
    for sentence in find_near_copies(read_columns(train), names, targets):
        say(sentence)


def read_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """The user's own columns of a manifest under the user's names."""
    names = [name for name in rows.columns if name.startswith(META_PREFIX)]
    return rows[names].rename(columns=lambda name: name.removeprefix(META_PREFIX))


def build_samples(rows: pd.DataFrame, cache: PixelCache, meaning: Meaning) -> Samples:
    """Images, answers and covariates of some rows.

    Args:
        rows: Rows of the manifest.
        cache: Squares of their images.
        meaning: How answers and covariates become numbers.

    Raises:
        DataValidationError: A row shows a class that the network does not know.
    """
    covariates = np.zeros((0, 0), dtype=np.float32)
    if meaning.covariates is not None:
        covariates = meaning.covariates.encode(read_columns(rows))
    return Samples(
        cache.pixels,
        cache.rows(rows[SHA256]),
        _targets(rows, meaning),
        covariates,
        tuple(rows[SHA256].astype(str)),
        tuple(rows[GROUP_ID].astype(str)),
        tuple(rows[PATH].astype(str)),
    )


def _targets(rows: pd.DataFrame, meaning: Meaning) -> NDArray[Any]:
    if meaning.task is Task.classification:
        index = {name: position for position, name in enumerate(meaning.class_names)}
        unknown = sorted(set(rows[LABEL]) - set(index))
        if unknown:
            message = (
                f"no training image shows {', '.join(map(repr, unknown))}, but a validation image does: add plants of "
                "that class or leave the class out; with data.split.column, give train some of its plants."
            )
            raise DataValidationError(message)
        return rows[LABEL].map(index).to_numpy(dtype=np.int64)
    values = read_targets(rows, meaning)
    scaled = [target.scale.forward(values[:, place]) for place, target in enumerate(meaning.targets)]
    return np.stack(scaled, axis=1).astype(np.float32)


def fit_preprocess(config: RunConfig, train: pd.DataFrame) -> Preprocess:
    """Chooses how images become the squares of the backbone.

    Args:
        config: Settings.
        train: Rows to learn from; their sizes are read.

    Raises:
        ConfigError: timm knows no such backbone.
    """
    spec = read_backbone_input(config.model)
    sides = train[[WIDTH_PX, HEIGHT_PX]].max(axis=1).to_numpy(dtype=np.int64)
    resize, scale = choose_resize(config.data.resize, sides, spec.size_px)
    return build_preprocess(spec, config.data, resize, scale)


def save_trained(job: TrainingJob, run: RunFolder, *, origin: str, mode: TrainMode) -> None:
    """Folds the adapters into the trained network, and writes it with what its outputs mean.

    Args:
        job: The trained job; its network is a plain one afterwards.
        run: Folder of the run.
        origin: Where the pre-trained weights came from.
        mode: The way of training that was taken.

    Raises:
        StorageError: The folder cannot be written.
    """
    write_adapter(job, run)
    merge_adapters(job.network)
    state = {name: value.detach().cpu().contiguous() for name, value in job.network.state_dict().items()}
    with write_atomic(run.weights) as temporary:
        safetensors.torch.save_file(state, temporary)
    about = {
        "meaning": job.meaning.to_dict(),
        "preprocess": job.preprocess.to_dict(),
        "weights_origin": origin,
        "planned_epochs": job.config.trainer.max_epochs,
        "mode": mode.value,
    }
    write_json(run.model, about)


def load_trained(run: RunFolder) -> dict[str, torch.Tensor]:
    """Reads the trained network, adapters folded in.

    Returns:
        Parameter name -> tensor of the parameter's shape.

    Raises:
        WeightsError: The file is damaged.
    """
    return read_state_dict(Path(run.weights))
