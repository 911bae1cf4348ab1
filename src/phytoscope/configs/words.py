"""From the words of a command line to overrides that mean exactly what was written, checked one by one."""

import re
from collections.abc import Sequence
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from phytoscope.errors import ConfigError, suggest
from phytoscope.schema.config import SCHEMA_OF_GROUP
from phytoscope.schema.data_config import SplitConfig

_UNREADABLE = object()
_WANTED = {int: ("no whole number", "4"), float: ("no number", "0.5"), bool: ("neither true nor false", "true")}
_TRUTHS = ("true", "false", "yes", "no", "on", "off", "y", "n", "1", "0")


def normalise_words(words: Sequence[str], groups: dict[str, list[str]]) -> list[str]:
    """Quotes what needs it, lets the last word of each key win, and checks every key, preset and closed choice.

    Args:
        words: Words such as `data=folder` or `data.root=my leaves`.
        groups: Group name -> names of its presets.

    Returns:
        Overrides in Hydra's grammar; normalising them again changes nothing.

    Raises:
        ConfigError: A word is not key=value, or a key, preset or choice is unknown; the text lists every such word.
    """
    last: dict[str, str] = {}
    for word in words:
        key, value = _cut(word)
        # Taken out first, because a word also counts by its place: data.split={...} would undo data.split.val.
        last.pop(key, None)
        last[key] = value
    faults = [fault for key, value in last.items() if (fault := _fault(key, value, groups)) is not None]
    if faults:
        raise ConfigError(" ".join(faults))
    # A group without a preset is how it is when nobody names it.
    return [_to_override(key, value) for key, value in last.items() if not (key in groups and value == "null")]


def _cut(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][\w.]*", key):
        message = f"{word!r} is not a setting: write it as key=value, for example trainer.max_epochs=5."
        raise ConfigError(message)
    # Users name the command where the settings name its tool.
    return re.sub(r"\Atrain\.", "trainer.", key), value


def _fault(key: str, value: str, groups: dict[str, list[str]]) -> str | None:
    types = list_types()
    if key in groups:
        optional = key in ("data", "experiment", "debug") and value == "null"
        if value in groups[key] or optional:
            return None
        return f"'{key}={value}': there is no preset {value!r} in the group {key!r}; {suggest(value, groups[key])}"
    if key not in types:
        return f"unknown setting {key!r}; {suggest(key, [*types, *groups])}"
    kind = types[key]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        choices = [choice.value for choice in kind]
        parsed = _parse(key, value)
        if parsed not in choices:
            return f"{key}={value!r} is not one of {', '.join(choices)}; {suggest(value, choices)}"
    elif kind in _WANTED and not _fits(kind, _parse(key, value)):
        wanted, example = _WANTED[kind]
        group, _, name = key.partition(".")
        usual = getattr(SCHEMA_OF_GROUP.get(group), name, None)
        shown = usual if type(usual) in (int, float) else example
        return f"{key}={value!r} is {wanted}: write for example {key}={shown}."
    return None


def _fits(kind: type, parsed: Any) -> bool:
    # Whether null and ${...} are right is known only when everything is composed.
    if parsed is None or (isinstance(parsed, str) and "${" in parsed):
        return True
    if kind is bool:
        return isinstance(parsed, int) or str(parsed).lower() in _TRUTHS
    if isinstance(parsed, bool) or not isinstance(parsed, (int, float, str)):
        return False
    if kind is int:
        return isinstance(parsed, int)
    try:
        float(parsed)
    except ValueError:
        return False
    return True


def list_types() -> dict[str, Any]:
    """Key of every setting -> its type; of an optional one the type it has when it is given."""
    types: dict[str, Any] = {"name": str, "seed": int}
    for prefix, schema in (*SCHEMA_OF_GROUP.items(), ("data.split", SplitConfig)):
        types |= {f"{prefix}.{name}": _without_none(kind) for name, kind in get_type_hints(schema).items()}
    return types


def _without_none(kind: Any) -> Any:
    given = [part for part in get_args(kind) if part is not NoneType]
    return given[0] if get_origin(kind) is UnionType and len(given) == 1 else kind


def _to_override(key: str, value: str) -> str:
    kind = list_types().get(key)
    parsed = _parse(key, value)
    if kind is str:
        return f"{key}={value}" if _stays_text(value, parsed) else f"{key}={quote_text(value)}"
    if kind == list[str]:
        return f"{key}={_to_list(key, value, parsed)}"
    if parsed is _UNREADABLE:
        if value.startswith(("[", "{", "'", '"')):
            message = (
                f"the value of {key!r} cannot be read: {value!r}. Names with special characters need quotes: 'a b'."
            )
            raise ConfigError(message)
        return f"{key}={quote_text(value)}"
    return f"{key}={value}"


def _stays_text(value: str, parsed: Any) -> bool:
    # A folder may be called 2024_01, 1e5 or true: Hydra would read these as numbers and truth values.
    quoted = value.startswith(("'", '"')) and isinstance(parsed, str)
    return value == "null" or quoted or parsed == value


def _to_list(key: str, value: str, parsed: Any) -> str:
    if isinstance(parsed, list) and all(isinstance(item, str) for item in parsed):
        return value
    bracketed = value.startswith("[") and value.endswith("]")
    if "'" in value or '"' in value or (value.startswith(("[", "{")) and not bracketed):
        message = (
            f"the value of {key!r} cannot be read: {value!r}. Lists are written [a,b], with special characters ['a b']."
        )
        raise ConfigError(message)
    items = [item.strip() for item in (value[1:-1] if bracketed else value).split(",")]
    return "[" + ",".join(quote_text(item) for item in items if item) + "]"


def _parse(key: str, value: str) -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        override = OverridesParser.create().parse_override(f"{key}={value}")
        # Hydra's sweeps (a,b) and functions of them mean several runs; here they are text with a comma.
        return _UNREADABLE if override.is_sweep_override() else override.value()
    except HydraException:
        return _UNREADABLE


def quote_text(value: str) -> str:
    """A text in quotes, so that Hydra reads it as it is."""
    # Backslashes count only in front of a quote, so that those of a Windows path stay single.
    inner = re.sub(r"(\\*)'", lambda match: 2 * match[1] + "\\'", value)
    inner = re.sub(r"\\+\Z", lambda match: 2 * match[0], inner)
    return f"'{inner}'"
