"""Parameters of an estimator as the settings that training reads, all of them checked before anything is computed."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from numbers import Integral, Real
from typing import Any, Final, TypeVar

from phytoscope.errors import ConfigError, suggest
from phytoscope.models.weights import RANDOM
from phytoscope.schema.choices import (
    AdaptKind,
    AugmentPreset,
    ClassWeighting,
    CompileChoice,
    DataKind,
    RegressionLoss,
    ResizeMode,
    TargetTransform,
    TrainMode,
)
from phytoscope.schema.config import PathsConfig, RunConfig
from phytoscope.schema.data_config import DataConfig
from phytoscope.schema.engine import EngineConfig
from phytoscope.schema.train_config import AdaptConfig, ModelConfig, TaskConfig, TrainerConfig

PRESETS: Final = {
    AdaptKind.head: AdaptConfig(kind=AdaptKind.head),
    AdaptKind.bitfit: AdaptConfig(kind=AdaptKind.bitfit, backbone_lr_factor=1.0, frozen_epochs=0),
    AdaptKind.norm: AdaptConfig(kind=AdaptKind.norm, running_statistics=True, backbone_lr_factor=10.0, frozen_epochs=0),
    AdaptKind.se: AdaptConfig(kind=AdaptKind.se, backbone_lr_factor=1.0, frozen_epochs=0),
    AdaptKind.lora: AdaptConfig(kind=AdaptKind.lora, running_statistics=True, backbone_lr_factor=1.0, frozen_epochs=0),
    AdaptKind.ssf: AdaptConfig(kind=AdaptKind.ssf, running_statistics=True, backbone_lr_factor=10.0, frozen_epochs=0),
    AdaptKind.last_stages: AdaptConfig(kind=AdaptKind.last_stages),
    AdaptKind.full: AdaptConfig(kind=AdaptKind.full),
}
"""What `adapt=` means on the command line, too."""

_Rule = tuple[type[Any], Callable[[Any], bool], str, bool]
_RULES: Final[dict[str, _Rule]] = {
    "image_size": (Integral, lambda value: 32 <= value <= 2048, "a whole number from 32 to 2048", True),
    "views": (Integral, lambda value: value >= 0, "a whole number, 0 or above", True),
    "penalty": (Real, lambda value: value > 0, "a number above 0", True),
    "validation_share": (Real, lambda value: 0 < value < 1, "a number above 0 and below 1", False),
    "max_epochs": (Integral, lambda value: value > 0, "a whole number above 0", True),
    "batch_size": (Integral, lambda value: value > 1, "a whole number above 1", False),
    "learning_rate": (Real, lambda value: value > 0, "a number above 0", False),
    "weight_decay": (Real, lambda value: value >= 0, "a number, 0 or above", False),
    "target_min": (Real, lambda _: True, "a finite number", True),
    "target_max": (Real, lambda _: True, "a finite number", True),
}
_ACCELERATORS: Final = ("auto", "cpu")
_Choice = TypeVar("_Choice", bound=StrEnum)


def read_settings(params: Mapping[str, Any], seed: int) -> RunConfig:
    """Turns the parameters of an estimator into the settings of a training.

    Args:
        params: What `get_params` gives.
        seed: Seed of everything that is random.

    Raises:
        ConfigError: A parameter is unknown to what reads it, of the wrong type or out of range; the text lists every
            such number.
    """
    _check_numbers(params)
    for name in ("backbone", "weights", "accelerator"):
        if not isinstance(params[name], str):
            message = f"{name}={params[name]!r} must be a text."
            raise ConfigError(message)
    if params["accelerator"] not in _ACCELERATORS:
        message = f"accelerator={params['accelerator']!r} is unknown; {suggest(params['accelerator'], _ACCELERATORS)}"
        raise ConfigError(message)
    return RunConfig(
        name="estimator",
        seed=seed,
        data=_read_data(params),
        model=ModelConfig(params["backbone"], params["weights"], _whole(params["image_size"])),
        adapt=_read_adapt(params),
        task=_read_task(params),
        trainer=TrainerConfig(
            mode=TrainMode.plain,
            views=_whole(params["views"]),
            max_epochs=_whole(params["max_epochs"]),
            batch_size=int(params["batch_size"]),
            learning_rate=float(params["learning_rate"]),
            weight_decay=float(params["weight_decay"]),
            # Whoever runs several estimators at once starts the processes.
            num_workers=0,
            compile=CompileChoice.never,
            accelerator=params["accelerator"],
        ),
        engine=EngineConfig(),
        paths=PathsConfig(),
    )


def _read_adapt(params: Mapping[str, Any]) -> AdaptConfig:
    preset = PRESETS[_choose(AdaptKind, "adapt", params["adapt"])]
    if params["weights"] != RANDOM:
        return preset
    # A head fitted to features that nobody has scaled yet is far off as soon as the norms have seen pictures.
    return dataclasses.replace(preset, frozen_epochs=0)


def _read_data(params: Mapping[str, Any]) -> DataConfig:
    is_class = "class_weighting" in params
    return DataConfig(
        kind=DataKind.folder if is_class else DataKind.table,
        target=None if is_class else "value",
        resize=_choose(ResizeMode, "resize", params["resize"]),
        augment=_choose(AugmentPreset, "augment", params["augment"]),
        target_min=None if params.get("target_min") is None else float(params["target_min"]),
        target_max=None if params.get("target_max") is None else float(params["target_max"]),
    )


def _read_task(params: Mapping[str, Any]) -> TaskConfig:
    if "class_weighting" in params:
        return TaskConfig(class_weighting=_choose(ClassWeighting, "class_weighting", params["class_weighting"]))
    return TaskConfig(
        loss=_choose(RegressionLoss, "loss", params["loss"]),
        target_transform=_choose(TargetTransform, "target_transform", params["target_transform"]),
    )


def _check_numbers(params: Mapping[str, Any]) -> None:
    faults = []
    for name, (kind, fits, allowed, may_be_open) in _RULES.items():
        value: Any = params.get(name)
        if name not in params or (value is None and may_be_open):
            continue
        is_number = isinstance(value, kind) and not isinstance(value, bool)
        if not (is_number and math.isfinite(float(value)) and fits(value)):
            faults.append(f"{name}={value!r} must be {allowed}{' or None' if may_be_open else ''}")
    low, high = params.get("target_min"), params.get("target_max")
    if not faults and low is not None and high is not None and low >= high:
        faults.append(f"target_min={low} must be below target_max={high}")
    if faults:
        raise ConfigError("; ".join(faults) + ".")


def _choose(choices: type[_Choice], name: str, value: Any) -> _Choice:
    names = [choice.value for choice in choices]
    if value not in names:
        message = f"{name}={value!r} is unknown; {suggest(str(value), names)}"
        raise ConfigError(message)
    return choices(value)


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
