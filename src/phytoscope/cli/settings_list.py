"""Every setting with its default and what it does, read from the classes that define them and from the presets."""

import dataclasses
import enum
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=\.) ")
_NOTHING = re.compile(r"\bNone\b")
# Beside the settings lies the code that composes them, whose libraries take their time.
_PRESETS = Path(__file__).resolve().parents[1] / "configs"


@dataclass(frozen=True)
class SettingRow:
    """One setting.

    Attributes:
        key: What to write, `group.name`, or `name` of those without a group.
        value: What it is when nobody says another; None when it is chosen from the data or the machine, and where
            `is_required`.
        is_required: Whether it has no default of its own: the preset sets it, or the user must.
        meaning: What it does.
    """

    key: str
    value: Any
    is_required: bool
    meaning: str

    @property
    def shown_default(self) -> str:
        """The default as one writes it."""
        if self.is_required:
            return "by the preset"
        value = self.value
        if isinstance(value, bool):
            return str(value).lower()
        return "null" if value is None else '""' if value == "" else str(value).replace("'", "")

    @property
    def short(self) -> str:
        """The first sentence of what it does."""
        return _SENTENCE.split(self.meaning, maxsplit=1)[0].rstrip(".")


def list_settings(group: str | None) -> list[SettingRow]:
    """The settings of one group, or those of none, in the order in which they are defined.

    Args:
        group: Name of the group; None for those that stand alone.

    Returns:
        One row a setting.
    """
    from phytoscope.schema.config import SCHEMA_OF_GROUP, RunConfig

    if group is None:
        alone = ("name", "seed")
        return [row for row in _list_fields(RunConfig, "", {"name": ...}) if row.key in alone]
    return _list_fields(SCHEMA_OF_GROUP[group], f"{group}.", _read_preset(group))


def _list_fields(schema: type[Any], prefix: str, preset: dict[str, Any]) -> list[SettingRow]:
    meanings = {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(inspect.getdoc(schema) or "")}
    rows = []
    for field in dataclasses.fields(schema):
        own = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        default = preset.get(field.name, own)
        is_required = default in (dataclasses.MISSING, "???", ...) or isinstance(default, dict)
        plain = None if is_required else default.value if isinstance(default, enum.Enum) else default
        # What is None in the code is null in a setting.
        meaning = _NOTHING.sub("null", meanings.get(field.name, ""))
        rows.append(SettingRow(f"{prefix}{field.name}", plain, is_required, meaning))
    return rows


def _read_preset(group: str) -> dict[str, Any]:
    """What the preset that a group has by itself says beyond the defaults of its settings."""
    import yaml

    chosen: dict[str, str | None] = {}
    for entry in yaml.safe_load((_PRESETS / "config.yaml").read_text(encoding="utf-8"))["defaults"]:
        chosen |= entry if isinstance(entry, dict) else {}
    if chosen.get(group) is None:
        return {}
    content = yaml.safe_load((_PRESETS / group / f"{chosen[group]}.yaml").read_text(encoding="utf-8"))
    return {name: value for name, value in content.items() if name != "defaults"}
