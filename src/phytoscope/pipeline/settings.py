"""The settings of a run as Dagster's launchpad shows them: built from the same dataclasses as the command line's."""

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import Any, TypeVar, get_type_hints

import dagster as dg
from pydantic import Field, create_model

from phytoscope.configs import list_groups
from phytoscope.configs.words import quote_text
from phytoscope.schema.config import SCHEMA_OF_GROUP, RunConfig

PRESET = "preset"
"""Field that names a preset of a group."""
GROUPS_OF_ASSET: dict[str, tuple[str, ...]] = {
    "raw_dataset": ("seed", "data", "engine"),
    "preprocessed_data": (),
    "trained_model": ("model", "adapt", "task", "trainer"),
    "model_evaluation": ("evaluate",),
    "packaged_model": ("package",),
    "registered_model": ("track",),
    "promoted_model": ("promote",),
    "drift_report": ("monitor", "track"),
}
"""Asset -> what of `RunConfig` can be set there; the assets after it go on with what was set."""
NOT_OFFERED: dict[str, str] = {
    "name": "a run is called like its data set",
    "audit": "read by `phytoscope inspect` alone",
    "sweep": "read by `phytoscope sweep` alone",
    "serve": "read by `phytoscope serve` alone",
    "paths": "the workspace says where things lie",
    "overrides": "these are the words that all others become",
}
"""What of `RunConfig` cannot be set in the launchpad, and why."""

# Which presets there are is only known when it runs.
_make_enum: Any = StrEnum
_FIELD_TEXT = re.compile(r"^ {4}(\w+): (.*(?:\n {8,}\S.*)*)", re.MULTILINE)
_Function = TypeVar("_Function", bound=Callable[..., Any])


class AssetSettings(dg.Config):
    """What can be set for one asset; what is left out is as the data set's file says.

    Attributes:
        further: Any other settings as on the command line.
    """

    further: list[str] = Field(
        default=[],
        description="Any other settings as on the command line, for example trainer.max_epochs=null. They win.",
    )

    def to_words(self) -> list[str]:
        """The settings that were given, as the words of a command line."""
        words: list[str] = []
        for name in type(self).model_fields:
            if name != "further":
                words += _spell(name, getattr(self, name))
        return [*words, *self.further]


def set_in_launchpad(function: _Function) -> _Function:
    """Gives the parameter `config` of an asset the form that `GROUPS_OF_ASSET` names for it."""
    function.__annotations__["config"] = build_asset_settings(function.__name__)
    return function


@functools.cache
def build_asset_settings(asset: str) -> type[AssetSettings]:
    """Builds the form of one asset.

    Args:
        asset: Its name, one of `GROUPS_OF_ASSET`.
    """
    texts, hints = read_field_texts(RunConfig), get_type_hints(RunConfig)
    fields: dict[str, Any] = {}
    for name in GROUPS_OF_ASSET[asset]:
        if name in SCHEMA_OF_GROUP:
            fields[name] = _offer_group(build_settings(SCHEMA_OF_GROUP[name], name), SCHEMA_OF_GROUP[name])
        else:
            fields[name] = _offer(hints[name], texts.get(name, ""))
    title = "".join(part.capitalize() for part in asset.split("_"))
    return create_model(f"{title}Settings", __base__=AssetSettings, **fields)


def build_settings(schema: type[Any], group: str = "") -> type[dg.Config]:
    """Builds the form of a dataclass of settings.

    Args:
        schema: Dataclass, perhaps with dataclasses in it.
        group: Its group, whose presets are offered; empty for a dataclass inside another one.

    Returns:
        A class whose fields have the same names and types and are None when they are not given.
    """
    texts, hints = read_field_texts(schema), get_type_hints(schema)
    fields: dict[str, Any] = {}
    if presets := list_groups().get(group):
        kind = _make_enum(f"{group}_{PRESET}", {name: name for name in presets})
        fields[PRESET] = _offer(kind, f"Preset of the group {group}; what is set beside it wins.")
    for entry in dataclasses.fields(schema):
        kind = hints[entry.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            fields[entry.name] = _offer_group(build_settings(kind), kind)
        else:
            fields[entry.name] = _offer(kind, texts.get(entry.name, ""))
    return create_model(f"{schema.__name__.removesuffix('Config')}Settings", __base__=dg.Config, **fields)


def read_field_texts(schema: type[Any]) -> dict[str, str]:
    """What the docstring of a dataclass says of its fields; nothing where Python was told to leave docstrings out."""
    attributes = inspect.cleandoc(schema.__doc__ or "").partition("Attributes:")[2]
    return {name: " ".join(text.split()) for name, text in _FIELD_TEXT.findall(attributes)}


def _offer(kind: Any, text: str) -> tuple[Any, Any]:
    return kind | None, Field(default=None, description=text or None)


def _offer_group(kind: type[dg.Config], schema: type[Any]) -> tuple[Any, Any]:
    return kind, Field(default=kind(), description=(inspect.cleandoc(schema.__doc__ or "")).partition("\n")[0] or None)


def _spell(key: str, value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, dg.Config):
        return [f"{key}={_to_text(value)}"]
    words: list[str] = []
    for name in type(value).model_fields:
        inner = getattr(value, name)
        if name == PRESET:
            words += _spell(key, inner)
        else:
            words += _spell(f"{key}.{name}", inner)
    return words


def _to_text(value: Any) -> str:
    match value:
        case Enum():
            return str(value.value)
        case bool():
            return str(value).lower()
        case list():
            return "[" + ",".join(_quote(item) for item in value) + "]"
        case Mapping():
            return "{" + ",".join(f"{key}: {_quote(item)}" for key, item in value.items()) + "}"
        case _:
            return str(value)


def _quote(value: Any) -> str:
    return quote_text(value) if isinstance(value, str) and not isinstance(value, StrEnum) else _to_text(value)
