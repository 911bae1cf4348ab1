"""The arrows of the data flow, in order, as functions over a run folder.

Each step writes its artefacts whole or not at all, records the hash of what it was made from, and is skipped when
nothing it depends on has changed.
"""

import dataclasses
import datetime
import glob
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pandas as pd
import yaml

from phytoscope import __version__
from phytoscope.data.cache import PixelCache, open_pixel_cache
from phytoscope.data.datamodule import PlantDataModule, Samples
from phytoscope.data.read import read_source
from phytoscope.data.source import Source
from phytoscope.data.split import hash_manifest, hash_split, split_by_group
from phytoscope.data.validate import check_learnable, summarise_rejected, validate_source
from phytoscope.errors import ArtifactError, storage_error
from phytoscope.evaluate.checks import check_predictions
from phytoscope.evaluate.report import evaluate_predictions
from phytoscope.models.network import build_network, read_backbone_input
from phytoscope.models.target import TargetScale, fit_target_scale
from phytoscope.predict.package import save_package, state_hash, verify_package
from phytoscope.predict.predictor import Predictor, predict_table
from phytoscope.schema.artifact import hash_content, hash_file, read_json, write_atomic, write_json
from phytoscope.schema.config import AugmentPreset, ClassWeighting, RunConfig
from phytoscope.schema.package import ModelDescription
from phytoscope.schema.progress import Progress, SilentProgress
from phytoscope.schema.report import EvaluationReport
from phytoscope.schema.run_folder import RunFolder
from phytoscope.schema.table import (
    GREEN_PX,
    GROUP_ID,
    HEIGHT_PX,
    LABEL,
    MODEL_ID,
    PATH,
    SAMPLE_ID,
    SHA256,
    SPLIT,
    TARGET,
    WIDTH_PX,
    Split,
    Task,
)
from phytoscope.train.fit import (
    BEST_NAME,
    LAST_NAME,
    can_continue,
    choose_num_workers,
    fit_task,
    load_network_state,
)
from phytoscope.train.plan import plan_training
from phytoscope.train.tasks import SMOOTHED, ClassificationTask, PlantTask, RegressionTask, balance_classes
from phytoscope.transforms.augment import build_augmentation
from phytoscope.transforms.preprocess import Preprocess, choose_resize
from phytoscope.visualize.figures import draw_figures
from phytoscope.visualize.html import render_report
from phytoscope.visualize.style import save_figures

_NOT_LEARNED_FROM = ("num_workers", "accelerator")
"""Training settings that change the speed and not the result."""


def _ignore(message: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class RunContext:
    """What every step receives.

    Attributes:
        config: Settings.
        run: Folder of the run.
        progress: Receiver of progress.
        say: Receiver of sentences for the user.
    """

    config: RunConfig
    run: RunFolder
    progress: Progress = field(default_factory=SilentProgress)
    say: Callable[[str], None] = _ignore


def choose_run_folder(config: RunConfig, *, fresh: bool = False) -> RunFolder:
    """Finds the folder of a run: the one that was named, else the latest one with the same settings, else a new one.

    Args:
        config: `paths` and `overrides` are read.
        fresh: Never continue an earlier run.

    Returns:
        The folder; it need not exist yet.
    """
    if config.paths.run_dir is not None:
        return RunFolder(Path(config.paths.run_dir).expanduser().absolute())
    runs = Path(config.paths.runs_dir).expanduser().absolute()
    wanted = _settings(config)
    for candidate in sorted(runs.glob(f"*-{glob.escape(config.name)}*/config.yaml"), reverse=True) if not fresh else []:
        if _read_settings(candidate) == wanted:
            return RunFolder(candidate.parent)
    stamp = datetime.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    place = runs / f"{stamp}-{config.name}"
    count = 1
    while place.exists():
        count += 1
        place = runs / f"{stamp}-{config.name}-{count}"
    return RunFolder(place)


def _read_settings(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        # A folder whose settings cannot be read is not the run that is looked for.
        return None


def run_all(context: RunContext) -> EvaluationReport:
    """Takes the data the whole way: prepare, train, evaluate, package. Finished steps are skipped.

    Raises:
        PhytoscopeError: Anything the user can mend; what was finished is kept.
    """
    with context.run.locked():
        for step in (_prepare, _train, _evaluate, _package):
            step(context)
    return read_report(context.run)


def run_step(context: RunContext, name: str) -> None:
    """Takes one step alone.

    Args:
        context: Settings and folder.
        name: `prepare`, `train`, `evaluate` or `package`.

    Raises:
        ArtifactError: An earlier step is missing, or was made with other settings.
        PhytoscopeError: Anything else the user can mend.
    """
    steps = {"prepare": _prepare, "train": _train, "evaluate": _evaluate, "package": _package}
    with context.run.locked():
        steps[name](context)


def read_report(run: RunFolder) -> EvaluationReport:
    """Reads the report of a run.

    Raises:
        ArtifactError: The run was not evaluated, or by another version.
    """
    return EvaluationReport.from_dict(read_json(run.report))


def _take(context: RunContext, step: str, inputs: str, work: Callable[[], list[Path]]) -> None:
    run = context.run
    if run.is_done(step, inputs):
        context.say(f"{step}: reused, nothing it depends on has changed")
        return
    started = time.monotonic()
    run.mark_undone(step)
    _write_config(context)
    outputs = work()
    run.mark_done(step, inputs, outputs, seconds=time.monotonic() - started)
    context.say(f"{step}: done in {time.monotonic() - started:.0f} s")


def _settings(config: RunConfig) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value.value if hasattr(value, "value") else value

    settings = plain(dataclasses.asdict(config))
    # The folder is where the settings lie, and may be moved.
    settings["paths"].pop("run_dir")
    return dict(settings)


def _write_config(context: RunContext) -> None:
    with write_atomic(context.run.config) as temporary:
        temporary.write_text(
            yaml.safe_dump(_settings(context.config), sort_keys=False, allow_unicode=True), encoding="utf-8"
        )


# --- prepare: rows 1 to 3 ---


def _prepare(context: RunContext) -> None:
    config = context.config
    source = read_source(config.data)
    data = _settings(config)["data"]
    for key in ("resize", "augment", "workers", "unit"):
        del data[key]
    inputs = hash_content({"data": data, "seed": config.seed, "files": _fingerprint(source), "version": __version__})
    _take(context, "prepare", inputs, lambda: _write_prepared(context, source))


def _fingerprint(source: Source) -> str:
    def stamp(path: str) -> list[int]:
        try:
            status = Path(path).stat()
        except (OSError, ValueError):
            return []
        return [status.st_size, status.st_mtime_ns]

    stamps = [stamp(path) for path in source.rows[PATH]]
    rows = source.rows.astype(str).to_numpy().tolist()
    return hash_content(
        [stamps, rows, list(map(str, source.rows.columns)), [dataclasses.asdict(fault) for fault in source.faults]]
    )


def _write_prepared(context: RunContext, source: Source) -> list[Path]:
    config, run = context.config, context.run
    validated = validate_source(source, config.data, context.progress)
    # The reasons are written first: they are what the user needs when nothing is left.
    with write_atomic(run.rejected) as temporary:
        validated.rejected.to_csv(temporary, index=False)
    if len(validated.rejected):
        context.say(f"rejected: {summarise_rejected(validated.rejected)} (listed in {run.rejected})")
    check_learnable(validated, source)
    manifest = validated.manifest
    split = split_by_group(manifest, source.task, config.data.split, config.seed)
    for path, table in ((run.manifest, manifest), (run.split, split)):
        with write_atomic(path) as temporary:
            table.to_parquet(temporary, index=False)
    groups = split.groupby(SPLIT)[GROUP_ID].nunique()
    shares = ", ".join(
        f"{name} {int((split[SPLIT] == name).sum())} ({groups[name]} groups)" for name in Split if name in groups
    )
    context.say(f"data {hash_manifest(manifest)[:12]}: {len(manifest)} images, split by group: {shares}")
    return [run.rejected, run.manifest, run.split]


@dataclass(frozen=True)
class _Prepared:
    """Manifest joined with the split, and their hashes."""

    rows: pd.DataFrame
    split: pd.DataFrame
    data_hash: str
    split_hash: str

    def of(self, split: Split) -> pd.DataFrame:
        return self.rows[self.rows[SPLIT] == split.value]


def _read_prepared(context: RunContext) -> _Prepared:
    run = context.run
    _check_whole(run, "prepare")
    manifest, split = pd.read_parquet(run.manifest), pd.read_parquet(run.split)
    # The group of the split is the joined one; it is the one that counts from here on.
    rows = manifest.drop(columns=GROUP_ID).merge(split, on=SAMPLE_ID, validate="one_to_one")
    return _Prepared(rows, split, hash_manifest(manifest), hash_split(split))


# --- train: rows 4 to 6 ---


def _train(context: RunContext) -> None:
    prepared = _read_prepared(context)
    inputs, run = _training_inputs(context.config, prepared), context.run
    # A finished training that is no longer as it was must not be taken for an interrupted one and continued.
    if run.record("train").exists() and not run.is_done("train", inputs):
        _clear_training(run)
    _take(context, "train", inputs, lambda: _write_trained(context, prepared))


def _check_whole(run: RunFolder, step: str) -> None:
    if not run.is_done(step, run.read_inputs(step)):
        message = (
            f"files that the step {step!r} wrote in {str(run.root)!r} were changed or are missing: run "
            f"`phytoscope {step}` again."
        )
        raise ArtifactError(message)


def _training_inputs(config: RunConfig, prepared: _Prepared) -> str:
    settings = _settings(config)
    data = {key: settings["data"][key] for key in ("resize", "augment", "target_min", "max_megapixels")}
    trainer = {key: value for key, value in settings["trainer"].items() if key not in _NOT_LEARNED_FROM}
    weights = Path(config.model.weights)
    return hash_content(
        {
            "split": [prepared.data_hash, prepared.split_hash],
            "settings": [data, trainer, settings["model"], settings["adapt"], settings["task"], config.seed],
            "weights": hash_file(weights) if weights.is_file() else "",
        }
    )


def _write_trained(context: RunContext, prepared: _Prepared) -> list[Path]:
    config, run = context.config, context.run
    _clear_other_training(context, _training_inputs(config, prepared))
    preprocess = _fit_preprocess(config, prepared.of(Split.train))
    cache = _open_cache(context, prepared, preprocess)
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
    meaning = {
        "class_names": class_names,
        "target_scale": None if scale is None else scale.to_dict(),
        "preprocess": preprocess.to_dict(),
        "weights_origin": origin,
        "planned_epochs": trainer.max_epochs,
    }
    write_json(run.model, meaning)
    planned = dataclasses.replace(config, trainer=trainer, adapt=adapt)
    task = _build_task(planned, network, _targets(train, class_names, scale), class_names, scale)
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


def _clear_other_training(context: RunContext, inputs: str) -> None:
    run = context.run
    try:
        known = read_json(run.training_inputs) if run.training_inputs.exists() else None
    except ArtifactError:
        known = None
    if known == inputs:
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


def _open_cache(context: RunContext, prepared: _Prepared, preprocess: Preprocess) -> PixelCache:
    paths = context.config.paths
    folder = Path(paths.cache_dir) if paths.cache_dir is not None else Path(paths.runs_dir) / "cache"
    workers = context.config.data.workers
    return open_pixel_cache(
        prepared.rows, preprocess, folder.expanduser().absolute(), workers=workers, progress=context.progress
    )


def _targets(rows: pd.DataFrame, class_names: list[str], scale: TargetScale | None) -> np.ndarray:
    if scale is None:
        index = {name: position for position, name in enumerate(class_names)}
        return rows[LABEL].map(index).to_numpy(dtype=np.int64)
    return scale.forward(rows[TARGET].to_numpy(dtype=np.float64)).astype(np.float32)


def _build_task(
    config: RunConfig, network: Any, target: np.ndarray, class_names: list[str], scale: TargetScale | None
) -> PlantTask:
    if scale is not None:
        return RegressionTask(
            network,
            config.adapt,
            config.trainer,
            seed=config.seed,
            loss=config.task.loss,
            scale=scale,
            unit=config.data.unit,
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
    prepared: _Prepared,
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


# --- evaluate: rows 7 and 8 ---


def _evaluate(context: RunContext) -> None:
    prepared = _read_prepared(context)
    _check_trained(context, prepared)
    checkpoint = context.run.checkpoints / BEST_NAME
    settings = _settings(context.config)
    inputs = hash_content(
        [
            hash_file(checkpoint),
            prepared.split_hash,
            settings["evaluate"],
            settings["data"]["unit"],
            settings["name"],
            __version__,
        ]
    )
    _take(context, "evaluate", inputs, lambda: _write_evaluated(context, prepared))


def _check_trained(context: RunContext, prepared: _Prepared) -> None:
    if context.run.read_inputs("train") != _training_inputs(context.config, prepared):
        message = (
            f"the checkpoint in {str(context.run.root)!r} was trained with other data or settings: run "
            "`phytoscope train` with these settings first, or leave out the settings that changed."
        )
        raise ArtifactError(message)
    _check_whole(context.run, "train")


def build_predictor(config: RunConfig, run: RunFolder, *, data_hash: str, split_hash: str) -> Predictor:
    """Builds the predictor of a trained run from its best checkpoint.

    Args:
        config: Settings of the run.
        run: Its folder.
        data_hash: Content hash of the manifest.
        split_hash: Content hash of the split.

    Raises:
        ArtifactError: The run is not trained.
        TrainingError: The checkpoint is damaged.
    """
    meaning = read_json(run.model)
    state = load_network_state(run.checkpoints / BEST_NAME)
    description = ModelDescription(
        name=config.name,
        model_id=state_hash(state),
        task=config.data.task,
        backbone=config.model.backbone,
        class_names=meaning["class_names"],
        target_name="class" if meaning["class_names"] else str(config.data.target),
        unit=config.data.unit,
        preprocess=meaning["preprocess"],
        target_scale=meaning["target_scale"],
        weights_origin=meaning["weights_origin"],
        data_hash=data_hash,
        split_hash=split_hash,
        licence=config.package.licence,
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        version=__version__,
    )
    return Predictor(description, state)


def _write_evaluated(context: RunContext, prepared: _Prepared) -> list[Path]:
    config, run = context.config, context.run
    predictor = build_predictor(config, run, data_hash=prepared.data_hash, split_hash=prepared.split_hash)
    cache = _open_cache(context, prepared, predictor.preprocess)
    rows = prepared.rows[prepared.rows[SPLIT] != Split.train.value].reset_index(drop=True)
    answers = predict_table(
        predictor,
        cache.pixels,
        cache.rows(rows[SHA256]),
        batch_size=config.evaluate.batch_size,
        progress=context.progress,
    )
    answer = LABEL if config.data.task is Task.classification else TARGET
    known = rows[[SAMPLE_ID, PATH, GROUP_ID, SPLIT, answer, GREEN_PX]]
    predictions = pd.concat([known, answers], axis=1).assign(**{MODEL_ID: predictor.description.model_id})
    check_predictions(predictions, prepared.split)
    with write_atomic(run.predictions) as temporary:
        predictions.to_parquet(temporary, index=False)
    report = evaluate_predictions(
        predictions,
        task=config.data.task,
        class_names=predictor.description.class_names,
        target_name=predictor.description.target_name,
        unit=config.data.unit,
        name=config.name,
        data_hash=prepared.data_hash,
        split_hash=prepared.split_hash,
        train_rows=prepared.of(Split.train),
        deciles=config.evaluate.deciles,
        confusions=config.evaluate.confusions,
    )
    write_json(run.report, report.to_dict())
    _write_page(context, prepared, predictions, report)
    return [run.predictions, run.report, run.report_page, run.figures]


def _write_page(context: RunContext, prepared: _Prepared, predictions: pd.DataFrame, report: EvaluationReport) -> None:
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
    meaning = read_json(run.model)
    preprocess = Preprocess.from_dict(meaning["preprocess"])
    augment = config.data.augment
    facts = {
        "backbone": f"{config.model.backbone}, {meaning['weights_origin']}",
        "trained": f"{config.adapt.kind.value}, at most {meaning['planned_epochs']} epochs, seed {config.seed}",
        "input": f"{preprocess.size_px} x {preprocess.size_px} px, {preprocess.resize.value}",
        "augmentation": "none" if augment is AugmentPreset.none else augment.value,
        "settings": " ".join(config.overrides),
        "phytoscope": __version__,
    }
    if meaning["target_scale"] is not None:
        facts["target learned as"] = f"{meaning['target_scale']['transform']}, standardised on the training rows"
    return facts


# --- package: row 9 ---


def _package(context: RunContext) -> None:
    prepared = _read_prepared(context)
    _check_trained(context, prepared)
    run = context.run
    _check_whole(run, "evaluate")
    settings = _settings(context.config)
    inputs = hash_content(
        [hash_file(run.checkpoints / BEST_NAME), hash_file(run.report), settings["package"], __version__]
    )
    _take(context, "package", inputs, lambda: _write_package(context, prepared))


def _write_package(context: RunContext, prepared: _Prepared) -> list[Path]:
    config, run = context.config, context.run
    context.progress.start("Packaging the model", None)
    report = read_report(run)
    predictor = build_predictor(config, run, data_hash=prepared.data_hash, split_hash=prepared.split_hash)
    test = report.splits.get(Split.test.value)
    metrics = {f"test/{metric.name}": metric.value for metric in test.metrics} if test is not None else {}
    predictor.description = dataclasses.replace(predictor.description, metrics=metrics)
    rows = prepared.of(Split.test) if test is not None else prepared.of(Split.val)
    step = max(1, len(rows) // config.package.golden)
    golden = [Path(path) for path in rows[PATH].iloc[::step][: config.package.golden]]
    remarks = save_package(predictor, golden, run.package, onnx=config.package.onnx, limitations=report.warnings)
    difference = verify_package(run.package)
    context.progress.finish()
    for remark in remarks:
        context.say(remark)
    context.say(
        f"package {predictor.description.model_id} reproduces its golden answers (largest difference {difference:.1g})"
    )
    return [run.package]
