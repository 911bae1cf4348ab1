"""Experiments outside of the package: a YAML file in Hydra's form, named by its path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from phytoscope.configs.words import quote_text
from phytoscope.errors import ConfigError
from phytoscope.schema.artifact import resolve_path, write_atomic
from phytoscope.schema.config import SCHEMA_OF_GROUP

_SUFFIXES = (".yaml", ".yml")
_HEAD = "# @package _global_\n"


def expand_experiment(words: Sequence[str]) -> list[str]:
    """Replaces `experiment=FILE.yaml` by the settings in that file; words that were given beside it win.

    Args:
        words: Words of a command line; `experiment=NAME` of a preset is left as it is.

    Returns:
        The words, those of the file first.

    Raises:
        ConfigError: The file does not exist, cannot be read or is not an experiment.
    """
    named = [word for word in words if _is_file_word(word)]
    if not named:
        return list(words)
    rest = [word for word in words if not word.startswith("experiment=")]
    path = resolve_path(named[-1].partition("=")[2].strip("'\""), "experiment")
    return [*_read_words(path), *rest]


def write_experiment(path: Path, settings: dict[str, Any], remark: str) -> None:
    """Writes settings as an experiment that `experiment=FILE.yaml` reads, and that Hydra reads among the presets.

    Args:
        path: File to write, `.yaml`.
        settings: Group -> key -> plain value.
        remark: One line on where it comes from.

    Raises:
        StorageError: The file cannot be written.
    """
    # OmegaConf's writer puts quotes around texts that its reader would take for numbers.
    content = OmegaConf.to_yaml(OmegaConf.create(settings))
    with write_atomic(path) as temporary:
        temporary.write_text(f"{_HEAD}# {remark}\n{content}", encoding="utf-8")


def _is_file_word(word: str) -> bool:
    key, _, value = word.partition("=")
    return key == "experiment" and value.strip("'\"").endswith(_SUFFIXES)


def _read_words(path: Path) -> list[str]:
    if not path.is_file():
        message = f"experiment={str(path)!r}: there is no such file; name a preset or the path of a YAML file."
        raise ConfigError(message)
    try:
        # OmegaConf's reader takes 1e-3 for a number, as the presets do.
        content: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        message = f"experiment={str(path)!r} cannot be read as YAML ({str(error).splitlines()[0]}): mend that line."
        raise ConfigError(message) from error
    if not isinstance(content, dict):
        message = f"experiment={str(path)!r} must hold settings such as `trainer: {{max_epochs: 5}}`."
        raise ConfigError(message)
    presets = _read_presets(path, content.pop("defaults", []))
    return [*presets, *_flatten(content)]


def _read_presets(path: Path, defaults: Any) -> list[str]:
    words = []
    for entry in defaults if isinstance(defaults, list) else [defaults]:
        if entry == "_self_":
            continue
        key, value = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else ("", None)
        group = str(key).removeprefix("override ").strip().removeprefix("/")
        if group not in SCHEMA_OF_GROUP or not isinstance(value, str):
            message = f"experiment={str(path)!r}: defaults must be lines such as `- override /model: resnet18`."
            raise ConfigError(message)
        words.append(f"{group}={value}")
    return words


def _flatten(content: dict[str, Any]) -> list[str]:
    words = []
    for group, value in content.items():
        entries = value if isinstance(value, dict) else None
        if entries is None:
            words.append(f"{group}={_word(value)}")
            continue
        for key, inner in entries.items():
            if (group, key) == ("data", "split") and isinstance(inner, dict):
                words += [f"data.split.{name}={_word(item)}" for name, item in inner.items()]
            else:
                words.append(f"{group}.{key}={_word(inner)}")
    return words


def _word(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(_quoted(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}: {_quoted(item)}" for key, item in value.items()) + "}"
    return str(value)


def _quoted(value: Any) -> str:
    if not isinstance(value, str):
        return _word(value)
    return quote_text(value)
