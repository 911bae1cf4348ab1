"""YAML groups of settings, and the one function that composes them into a `RunConfig`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.config import SCHEMA_OF_GROUP, RunConfig

CONFIG_DIR = Path(__file__).resolve().parent


def list_groups() -> dict[str, list[str]]:
    """Group name -> names of the presets in it, for help texts and error messages."""
    return {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(CONFIG_DIR.iterdir())
        if folder.is_dir() and not folder.name.startswith("_")
    }


def compose_config(overrides: Sequence[str]) -> RunConfig:
    """Composes the settings from the YAML groups and the words of a command line.

    Args:
        overrides: Words such as `data=folder`, `data.root=leaves`, `trainer.max_epochs=5`. A later word wins over an
            earlier one for the same key. Values with spaces, parentheses or commas need no quotes.

    Returns:
        The resolved settings; `overrides` in them holds the words.

    Raises:
        ConfigError: A key or a value is unknown, of the wrong type or missing; the text says what would work.
    """
    words = _deduplicate([_quote_where_needed(word) for word in overrides])
    GlobalHydra.instance().clear()
    store = ConfigStore.instance()
    store.store(name="schema_run", node=RunConfig)
    for group, schema in SCHEMA_OF_GROUP.items():
        store.store(group=group, name=f"schema_{group}", node=schema)
    if not any(_key(word) == "data" for word in words):
        message = (
            "no data were named. Add data=folder data.root=DIR (a folder of class folders), data=plantvillage data.root=DIR, "
            "data=table data.table=FILE data.images=DIR data.target=COLUMN, or data=farmbot_biomass data.root=DIR."
        )
        raise ConfigError(message)
    try:
        with initialize_config_dir(version_base="1.3", config_dir=str(CONFIG_DIR)):
            composed = compose(config_name="config", overrides=words)
        composed.overrides = words
        OmegaConf.resolve(composed)
        config = OmegaConf.to_object(composed)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, words)) from error
    finally:
        GlobalHydra.instance().clear()
    if not isinstance(config, RunConfig):
        message = f"the composed settings are a {type(config).__name__}, expected RunConfig: config.yaml must list schema_run."
        raise ConfigError(message)
    _check_ranges(config)
    return config


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~").partition("@")[0]


def _deduplicate(words: Sequence[str]) -> list[str]:
    last = {_key(word): word for word in words}
    return list(last.values())


def _parse(word: str) -> Override:
    return OverridesParser.create().parse_override(word)


def _quote_where_needed(word: str) -> str:
    key, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[+~]{0,2}[A-Za-z_][\w./@]*", key):
        message = f"{word!r} is not a setting: write it as key=value, for example trainer.max_epochs=5."
        raise ConfigError(message)
    looks_structured = value.startswith(("[", "{", "'", '"'))
    if looks_structured or value == "" or re.fullmatch(r"[\w.+/:-]+", value):
        try:
            _parse(word)
        except HydraException as error:
            if looks_structured:
                message = f"the value of {key!r} cannot be read: {value!r}. Lists are written [a,b], names with special characters ['a b']."
                raise ConfigError(message) from error
        else:
            return word
    escaped = value.replace("\\", "\\\\").replace("'", "\\'") if "'" in value else value
    return f"{key}='{escaped}'"


def _all_keys() -> list[str]:
    keys = ["name", "seed"]
    for group, schema in SCHEMA_OF_GROUP.items():
        keys += [f"{group}.{name}" for name in schema.__dataclass_fields__]
    keys += [f"data.split.{name}" for name in ("val", "calibration", "test")]
    return keys


def _explain(error: Exception, words: Sequence[str]) -> str:
    groups = list_groups()
    for word in words:
        key, _, value = word.partition("=")
        if key in groups:
            if value not in groups[key] and value not in ("null", "None"):
                return f"{word!r}: there is no preset {value!r} in the group {key!r}; {suggest(value, groups[key])}"
        elif "." not in key and key not in ("name", "seed") and not key.startswith(("+", "~")):
            return f"unknown setting {key!r}; {suggest(key, [*_all_keys(), *groups])}"
        elif key.lstrip("+") not in _all_keys() and not key.startswith("~"):
            return f"unknown setting {key!r}; {suggest(key.lstrip('+'), _all_keys())}"
    cause: Any = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("full_key:")), "")
    return f"{named + ': ' if named else ''}{lines[0] if lines else type(error).__name__}"


def _check_ranges(config: RunConfig) -> None:
    faults: list[str] = []

    def check(key: str, value: float, *, ok: bool, allowed: str) -> None:
        if not ok:
            faults.append(f"{key}={value} must be {allowed}")

    split, trainer = config.data.split, config.trainer
    for name, share in (("val", split.val), ("calibration", split.calibration), ("test", split.test)):
        check(f"data.split.{name}", share, ok=0 <= share < 1, allowed="at least 0 and below 1")
    total = split.val + split.calibration + split.test
    check(
        "data.split.val + calibration + test",
        total,
        ok=total < 1,
        allowed="below 1, so that training receives the rest",
    )
    check("data.split.val", split.val, ok=split.val > 0, allowed="above 0: training stops by the validation metric")
    check("data.max_megapixels", config.data.max_megapixels, ok=config.data.max_megapixels > 0, allowed="above 0")
    check("model.dropout", config.model.dropout, ok=0 <= config.model.dropout < 1, allowed="at least 0 and below 1")
    if config.model.input_size_px is not None:
        size = config.model.input_size_px
        check("model.input_size_px", size, ok=32 <= size <= 2048, allowed="from 32 to 2048")
    smoothing = config.task.label_smoothing
    check("task.label_smoothing", smoothing, ok=0 <= smoothing < 1, allowed="at least 0 and below 1")
    check("seed", config.seed, ok=0 <= config.seed < 2**32, allowed="from 0 to 4294967295")
    positive = {
        "trainer.max_epochs": trainer.max_epochs,
        "trainer.batch_size": trainer.batch_size,
        "trainer.learning_rate": trainer.learning_rate,
        "trainer.patience": trainer.patience,
        "evaluate.batch_size": config.evaluate.batch_size,
        "evaluate.deciles": config.evaluate.deciles,
        "package.golden": config.package.golden,
    }
    for key, number in positive.items():
        check(key, number, ok=number > 0, allowed="above 0")
    check(
        "trainer.warmup_fraction",
        trainer.warmup_fraction,
        ok=0 <= trainer.warmup_fraction < 1,
        allowed="at least 0 and below 1",
    )
    if faults:
        raise ConfigError("; ".join(faults) + ".")
