"""The page of all settings, from their schema, their presets and the limits of their numbers."""

import dataclasses
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

import yaml
from writers.tables import quote_code, read_attributes, read_summary, render_table, word_kind

_UNITS: Final = {
    "_px": "pixels",
    "_mb": "megabytes",
    "_gb": "gigabytes",
    "_megapixels": "megapixels",
    "_s": "seconds",
    "_seconds": "seconds",
    "_minutes": "minutes",
    "_days": "days",
}
_HEAD: Final = """\
# Settings

Settings are words of the command line. `group=preset` chooses a preset, `group.key=value` one value, and a later word
wins over an earlier one: `phytoscope run data=folder data.root=leaves model=resnet18 trainer.max_epochs=5`. The same
words stand in the `settings` of the Python functions. `null` takes a value away; where it is the default, the value is
chosen from the data or the network. Lists are written `[a,b]`. Shares run from 0 to 1. A word that is no setting, or
has a value that cannot be, is refused before anything starts.

| key | default | value | meaning |
| --- | --- | --- | --- |
"""


def write_settings() -> str:
    """Writes the page."""
    from phytoscope.configs import CONFIG_DIR, compose_config, list_groups
    from phytoscope.configs.ranges import describe_ranges
    from phytoscope.schema.config import SCHEMA_OF_GROUP, RunConfig
    from phytoscope.schema.data_config import SplitConfig

    ranges, config = describe_ranges(), compose_config(["data=folder"])
    meanings = read_attributes(RunConfig)
    general = [
        ["`name`", "data and backbone", "text", meanings["name"]],
        ["`seed`", "`0`", f"whole number, {ranges['seed']}", meanings["seed"]],
    ]
    parts = [_HEAD + "".join(f"| {' | '.join(row)} |\n" for row in general)]
    presets = list_groups()
    for group, schema in SCHEMA_OF_GROUP.items():
        defaults = None if group == "data" else getattr(config, group)
        parts.append(f"\n## {group}\n\n{read_summary(schema)}\n")
        parts.append(_write_presets(CONFIG_DIR / group, presets[group]))
        parts.append(_write_keys(group, schema, defaults, ranges))
        if group == "data":
            parts.append(f"\n### data.split {{#data-split}}\n\n{read_summary(SplitConfig)}\n")
            parts.append(_write_keys("data.split", SplitConfig, None, ranges))
    for group in [name for name in presets if name not in SCHEMA_OF_GROUP]:
        parts.append(f"\n## {group}\n\n{_ABOUT.get(group, '')}\n")
        parts.append(_write_presets(CONFIG_DIR / group, presets[group]))
    return "\n".join(parts)


_ABOUT: Final = {
    "experiment": "Starting points that set several groups at once. `experiment=FILE.yaml` takes a file of your own, "
    "such as the best trial of a [sweep](../guides/sweeps.md).",
    "debug": "For finding faults.",
}


def _write_keys(group: str, schema: type[Any], defaults: Any, ranges: dict[str, str]) -> str:
    meanings, kinds = read_attributes(schema), get_type_hints(schema)
    rows: list[list[str]] = []
    choices: dict[str, str] = {}
    for entry in dataclasses.fields(schema):
        kind = kinds[entry.name]
        if dataclasses.is_dataclass(kind):
            continue
        key = f"{group}.{entry.name}"
        default = _read_default(entry) if defaults is None else getattr(defaults, entry.name)
        rows.append(
            [
                f'<span id="{key}"></span>`{key}`',
                _word_value(default),
                _word_allowed(key, kind, ranges),
                meanings.get(entry.name, ""),
            ]
        )
        named = [part for part in (kind, *get_args(kind)) if isinstance(part, type) and issubclass(part, Enum)]
        if named:
            choices[key] = read_summary(named[0])
    table = "\n" + render_table(["key", "default", "value", "meaning"], rows)
    explained = [f"`{key}`\n:   {' '.join(text.split())}\n" for key, text in choices.items()]
    return table + ("\n" + "\n".join(explained) if explained else "")


def _word_allowed(key: str, kind: Any, ranges: dict[str, str]) -> str:
    words = [word_kind(kind)]
    if any(part in (int, float) for part in (kind, *get_args(kind))):
        words += [unit for ending, unit in _UNITS.items() if key.endswith(ending)][:1]
    return ", ".join([*words, *([ranges[key]] if key in ranges else [])])


def _read_default(entry: dataclasses.Field[Any]) -> Any:
    return entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()


def _word_value(value: Any) -> str:
    if value == "???":
        return "by the preset"
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return quote_code(str(value).lower())
    if isinstance(value, list):
        return quote_code("[" + ",".join(str(part) for part in value) + "]")
    if isinstance(value, Enum):
        return quote_code(str(value.value))
    return quote_code(str(value)) if value != "" else "empty"


def _write_presets(folder: Path, names: list[str]) -> str:
    rows = []
    for name in names:
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        remarks = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
        content = yaml.safe_load(text) or {}
        prefix = "" if remarks[:1] == ["@package _global_"] else f"{folder.name}."
        words = [*_list_overrides(content.pop("defaults", [])), *_flatten(content, prefix)]
        if words or len(names) > 1:
            remark = " ".join(line for line in remarks if not line.startswith("@package"))
            rows.append([f"`{folder.name}={name}`", remark, ", ".join(quote_code(word) for word in words)])
    return "\n" + render_table(["preset", "for", "sets"], rows) if rows else ""


def _list_overrides(defaults: list[Any]) -> list[str]:
    return [
        f"{key.removeprefix('override /')}={value}"
        for entry in defaults
        if isinstance(entry, dict)
        for key, value in entry.items()
    ]


def _flatten(content: dict[str, Any], prefix: str) -> list[str]:
    words: list[str] = []
    for key, value in content.items():
        if isinstance(value, dict) and prefix + key != "sweep.space":
            words += _flatten(value, f"{prefix}{key}.")
        else:
            words.append(f"{prefix}{key}={_word_plain(value)}")
    return words


def _word_plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_word_plain(part) for part in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_word_plain(part)}" for key, part in value.items()) + "}"
    return "null" if value is None else str(value)
