"""Settings that are numbers are checked against what is possible, all of them before anything starts."""

import math
import re
from collections.abc import Callable
from functools import reduce
from typing import Any

from phytoscope.configs.external import list_external_faults
from phytoscope.errors import ConfigError
from phytoscope.schema.choices import (
    AugmentPreset,
    CalibrationKind,
    ClassWeighting,
    DataKind,
    IntervalKind,
    NoveltyKind,
    RegressionLoss,
    Sampling,
    SetKind,
)
from phytoscope.schema.config import RunConfig
from phytoscope.schema.table import Task

_Rule = tuple[Callable[[float], bool], str]
_POSITIVE: _Rule = (lambda value: value > 0, "above 0")
_NOT_NEGATIVE: _Rule = (lambda value: value >= 0, "0 or above")
_SHARE: _Rule = (lambda value: 0 <= value < 1, "at least 0 and below 1")

_RULES: dict[str, _Rule] = {
    "seed": (lambda value: 0 <= value < 2**32, "from 0 to 4294967295"),
    "data.max_megapixels": _POSITIVE,
    "data.split.val": (lambda value: 0 < value < 1, "above 0 and below 1: training stops by the validation metric"),
    "data.split.calibration": _SHARE,
    "data.split.test": _SHARE,
    "data.split.folds": (lambda value: value > 1, "above 1"),
    "data.rule_tolerance": _SHARE,
    "data.workers": _POSITIVE,
    "model.dropout": _SHARE,
    "model.input_size_px": (lambda value: 32 <= value <= 2048, "from 32 to 2048"),
    "adapt.backbone_lr_factor": _NOT_NEGATIVE,
    "adapt.frozen_epochs": _NOT_NEGATIVE,
    "adapt.layer_decay": (lambda value: 0 < value <= 1, "above 0 and at most 1"),
    "adapt.rank": _POSITIVE,
    "adapt.alpha": _POSITIVE,
    "adapt.dropout": _SHARE,
    "adapt.stages": _POSITIVE,
    "task.label_smoothing": _SHARE,
    "task.focal_gamma": _NOT_NEGATIVE,
    "task.logit_adjustment": _NOT_NEGATIVE,
    "task.mixup": _NOT_NEGATIVE,
    "task.cutmix": _NOT_NEGATIVE,
    "task.quantile": (lambda value: 0 < value < 1, "above 0 and below 1"),
    "task.tweedie_power": (lambda value: 1 < value < 2, "above 1 and below 2; at 2 it is loss=gamma"),
    "task.pseudo_threshold": (lambda value: 0 < value <= 1, "above 0 and at most 1"),
    "trainer.views": _NOT_NEGATIVE,
    "trainer.average_decay": _SHARE,
    "trainer.smallest_size": (lambda value: 0.25 <= value <= 1, "from 0.25 to 1"),
    "trainer.checkpoint_minutes": _POSITIVE,
    "trainer.threads": _POSITIVE,
    "engine.workers": _POSITIVE,
    "engine.cores": _POSITIVE,
    "engine.gpus": _NOT_NEGATIVE,
    "engine.rows_per_task": _POSITIVE,
    "engine.retries": _NOT_NEGATIVE,
    "trainer.devices": _POSITIVE,
    "trainer.num_nodes": _POSITIVE,
    "trainer.max_epochs": _POSITIVE,
    "trainer.batch_size": (lambda value: value > 1, "above 1: one image has no batch statistics"),
    "trainer.learning_rate": _POSITIVE,
    "trainer.weight_decay": _NOT_NEGATIVE,
    "trainer.warmup_fraction": _SHARE,
    "trainer.patience": _POSITIVE,
    "trainer.gradient_clip": _POSITIVE,
    "trainer.num_workers": _NOT_NEGATIVE,
    "trainer.limit_batches": _POSITIVE,
    "track.system_seconds": _NOT_NEGATIVE,
    "track.wait_seconds": _NOT_NEGATIVE,
    "promote.margin": _NOT_NEGATIVE,
    "promote.slice_margin": _NOT_NEGATIVE,
    "promote.min_groups": (lambda value: value > 1, "above 1: one group says nothing about others"),
    "promote.calibration_margin": _SHARE,
    "promote.coverage_margin": _SHARE,
    "promote.confidence": (lambda value: 0.5 <= value < 1, "at least 0.5 and below 1"),
    "monitor.false_alarm": (lambda value: 0 < value < 0.5, "above 0 and below 0.5"),
    "monitor.max_images": _POSITIVE,
    "monitor.min_images": (lambda value: value > 1, "above 1"),
    "monitor.draws": (lambda value: value >= 99, "99 or above: fewer cannot show a small chance"),
    "evaluate.deciles": _POSITIVE,
    "evaluate.confusions": _NOT_NEGATIVE,
    "evaluate.batch_size": _POSITIVE,
    "evaluate.bootstrap": _NOT_NEGATIVE,
    "evaluate.confidence": (lambda value: 0.5 <= value < 1, "at least 0.5 and below 1"),
    "evaluate.coverage": (lambda value: 0.5 <= value < 1, "at least 0.5 and below 1"),
    "evaluate.false_reject": (lambda value: 0 < value < 0.5, "above 0 and below 0.5"),
    "evaluate.error_rate": (lambda value: 0 < value < 1, "above 0 and below 1"),
    "evaluate.tolerance": _POSITIVE,
    "evaluate.views": (lambda value: value in (1, 2, 4, 8), "1, 2, 4 or 8"),
    "evaluate.explanations": _NOT_NEGATIVE,
    "evaluate.robustness": _NOT_NEGATIVE,
    "package.golden": (lambda value: 1 <= value <= 1000, "from 1 to 1000"),
    "package.max_loss": _SHARE,
    "package.calibration_images": (lambda value: value >= 8, "8 or above: the ranges are measured on them"),
    "serve.port": (lambda value: 0 <= value <= 65535, "from 0 to 65535"),
    "serve.workers": _POSITIVE,
    "serve.threads": _POSITIVE,
    "serve.decoders": _POSITIVE,
    "serve.max_files": _POSITIVE,
    "serve.max_mb": _POSITIVE,
    "serve.max_megapixels": _POSITIVE,
    "serve.memory_mb": _POSITIVE,
    "serve.decoder_memory_mb": (lambda value: value >= 64, "64 or above: a photograph of 12 megapixels needs so much"),
    "serve.decoder_timeout_s": _POSITIVE,
    "serve.queue_size": _POSITIVE,
    "serve.deadline_s": _POSITIVE,
    "serve.header_timeout_s": _POSITIVE,
    "serve.body_timeout_s": _POSITIVE,
    "serve.keep_alive_s": _POSITIVE,
    "serve.max_connections": _POSITIVE,
    "serve.explain_queue": _POSITIVE,
    "serve.retention_days": (lambda value: 0 < value <= 36_500, "above 0 and at most 36500 (a hundred years)"),
    "serve.records_buffer": _POSITIVE,
    "serve.reload_s": (lambda value: value >= 0.1, "0.1 or above, or null"),
    "serve.drain_s": _NOT_NEGATIVE,
    "serve.stop_s": _POSITIVE,
    "audit.max_images": _POSITIVE,
    "audit.folds": (lambda value: value > 1, "above 1"),
    "audit.examples": _NOT_NEGATIVE,
    "sweep.n_trials": _POSITIVE,
    "sweep.startup_trials": _POSITIVE,
    "sweep.n_workers": _POSITIVE,
    "sweep.timeout_minutes": _POSITIVE,
    "paths.cache_max_gb": _POSITIVE,
}


def describe_ranges() -> dict[str, str]:
    """Setting -> what its number may be, in words, for the reference."""
    return {key: allowed for key, (_, allowed) in _RULES.items()}


def check_ranges(config: RunConfig) -> None:
    """Refuses numbers that cannot work.

    Raises:
        ConfigError: A number is out of range or not finite; the text lists every one.
    """
    faults = []
    for key, (fits, allowed) in _RULES.items():
        value = _get(config, key)
        if value is not None and not (math.isfinite(value) and fits(value)):
            faults.append(f"{key}={value} must be {allowed}")
    if not re.fullmatch(r"[^/\\\0]*[^/\\\0.\s][^/\\\0]*", config.name):
        faults.append(f"name={config.name!r} must be the name of a folder, without slashes")
    faults += [*_list_unread(config), *list_external_faults(config)]
    faults += (
        [*_list_counted_twice(config), *_list_for_numbers(config)]
        if config.data.task is Task.classification
        else _list_for_classes(config)
    )
    split = config.data.split
    total = split.val + split.calibration + split.test
    if total >= 1:
        faults.append(
            f"data.split.val + calibration + test={total:g} must be below 1, so that training receives the rest"
        )
    low, high = config.data.target_min, config.data.target_max
    faults += [
        f"{key}={bound} must be a finite number or null"
        for key, bound in (("data.target_min", low), ("data.target_max", high))
        if bound is not None and not math.isfinite(bound)
    ]
    if low is not None and high is not None and low >= high:
        faults.append(f"data.target_min={low} must be below data.target_max={high}")
    if faults:
        raise ConfigError("; ".join(faults) + ".")


def _list_counted_twice(config: RunConfig) -> list[str]:
    # Each of these three alone lets rare classes count like frequent ones; two of them let them count more.
    task = config.task
    given = {
        f"task.class_weighting={task.class_weighting.value}": task.class_weighting is not ClassWeighting.none,
        f"task.sampling={task.sampling.value}": task.sampling is Sampling.balanced,
        f"task.logit_adjustment={task.logit_adjustment:g}": task.logit_adjustment > 0,
    }
    names = [name for name, is_given in given.items() if is_given]
    if len(names) < 2:
        return []
    fault = (
        f"{' and '.join(names)} together make up for rare classes more than once: keep one of them "
        "(task.class_weighting=none, task.sampling=shuffle, task.logit_adjustment=0)"
    )
    return [fault]


def _list_for_numbers(config: RunConfig) -> list[str]:
    wanted = config.evaluate
    given = {
        f"evaluate.tolerance={wanted.tolerance}": wanted.tolerance is not None,
        f"evaluate.intervals={wanted.intervals.value}": wanted.intervals is not IntervalKind.auto,
    }
    return [f"{name} is for numbers, but classes are learned here" for name, is_given in given.items() if is_given]


def _list_for_classes(config: RunConfig) -> list[str]:
    task, wanted = config.task, config.evaluate
    given = {
        f"evaluate.novelty={wanted.novelty.value}": wanted.novelty is NoveltyKind.energy,
        f"evaluate.sets={wanted.sets.value}": wanted.sets is not SetKind.raps,
        "evaluate.class_conditional=true": wanted.class_conditional,
        f"evaluate.calibration={wanted.calibration.value}": wanted.calibration is CalibrationKind.vector,
        f"task.sampling={task.sampling.value}": task.sampling is Sampling.balanced,
        f"task.focal_gamma={task.focal_gamma:g}": task.focal_gamma > 0,
        f"task.logit_adjustment={task.logit_adjustment:g}": task.logit_adjustment > 0,
        f"task.cutmix={task.cutmix:g}": task.cutmix > 0,
    }
    faults = [f"{name} is for classes, but numbers are learned here" for name, is_given in given.items() if is_given]
    if task.mixup > 0 and task.loss not in (RegressionLoss.mse, RegressionLoss.huber):
        faults.append(
            f"task.mixup={task.mixup:g} with task.loss={task.loss.value}: numbers are mixed only for mse and huber"
        )
    return faults


def _get(config: RunConfig, key: str) -> Any:
    return reduce(getattr, key.split("."), config)


_READ_BY_KIND = {
    DataKind.folder: {"root", "group_pattern"},
    DataKind.plantvillage: {"root", "group_pattern"},
    DataKind.table: {"table", "images", "image_column", "target", "label", "group_by", "group_pattern", "rules"},
    DataKind.farmbot_biomass: {
        "root",
        "table",
        "images",
        "image_column",
        "target",
        "label",
        "group_by",
        "group_pattern",
        "rules",
    },
}
_INSTEAD = {
    "group_by": "name the plant or leaf in the file names with data.group_pattern",
    "target": "numbers come from a spreadsheet: data=table",
    "label": "the folders are the classes",
    "root": "name data.table and data.images",
    "rules": "rules are about the columns of a table",
}


def _list_unread(config: RunConfig) -> list[str]:
    # A setting that does nothing is worse than an error: the user believes that plants are kept together.
    data = config.data
    read = _READ_BY_KIND[data.kind]
    given = [
        key
        for key in ("root", "table", "images", "image_column", "target", "label", "group_by", "group_pattern", "rules")
        if getattr(data, key) not in (None, [])
    ]
    faults = [
        f"data.{key} is not read with data={data.kind.value}" + (f" ({_INSTEAD[key]})" if key in _INSTEAD else "")
        for key in given
        if key not in read
    ]
    if data.backgrounds is not None and data.augment is not AugmentPreset.field:
        faults.append(
            f"data.backgrounds is not read with data.augment={data.augment.value} (data.augment=field sets leaves "
            "before other backgrounds)"
        )
    if data.group_by and data.group_pattern is not None:
        faults.append("data.group_by and data.group_pattern are both given; one of them names the plant")
    return faults
