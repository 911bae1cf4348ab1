"""Settings that name a place on this computer, and what a relative one is relative to."""

from collections.abc import Sequence
from pathlib import Path

from phytoscope.configs.external import EXTERNAL, split_external
from phytoscope.configs.words import quote_text
from phytoscope.errors import ConfigError
from phytoscope.schema.address import word_refusal
from phytoscope.schema.artifact import resolve_path
from phytoscope.schema.config import RunConfig
from phytoscope.storage.place import as_local, is_url

PLACE_KEYS = (
    "data.root",
    "data.table",
    "data.images",
    "data.backgrounds",
    "data.split.ledger",
    "paths.run_dir",
    "paths.runs_dir",
    "paths.cache_dir",
    "sweep.storage",
    "monitor.incoming",
    "adapt.start_from",
)
_LOCAL_KEYS = ("data.split.ledger", "sweep.storage", "monitor.incoming", "adapt.start_from")
_WEIGHTS = "model.weights"
_KINDS_OF_WEIGHTS = ("auto", "pypi", "random")


def resolve_places(words: Sequence[str], folder: Path) -> list[str]:
    """Makes the paths among settings absolute, because settings are kept and read again, perhaps from elsewhere.

    Args:
        words: Words such as `data.root=leaves`.
        folder: Folder that relative paths are relative to.

    Returns:
        The words in the same order. `evaluate.external` is left to `resolve_external`.

    Raises:
        ConfigError: A path names a home directory that does not exist, or is an address and may not be one.
    """
    result = []
    for word in words:
        key, _, value = word.partition("=")
        if key in _LOCAL_KEYS and is_url(value.strip("'\"")):
            message = word_refusal(value.strip("'\""), key)
            raise ConfigError(message)
        if value in ("", "null") or key not in (*PLACE_KEYS, _WEIGHTS) or is_url(value.strip("'\"")):
            result.append(word)
            continue
        path = _place(value.strip("'\""), key, folder)
        is_name = key == _WEIGHTS and (value in _KINDS_OF_WEIGHTS or not path.is_file())
        result.append(word if is_name else f"{key}={path}")
    return result


def resolve_external(config: RunConfig, folder: Path) -> None:
    """Makes the places of further sets absolute, in the settings and in the words they were composed from.

    Args:
        config: Settings; changed in place.
        folder: Folder that relative paths are relative to.

    Raises:
        ConfigError: An entry cannot be read, names a home directory that does not exist, or is an address.
    """
    named = split_external(config.evaluate.external)
    for name, place in named.items():
        if is_url(place):
            message = word_refusal(place, f"{EXTERNAL} {name}")
            raise ConfigError(message)
    entries = [f"{name}={_place(place, EXTERNAL, folder)}" for name, place in named.items()]
    if entries != config.evaluate.external:
        config.evaluate.external = entries
        words = [word for word in config.overrides if not word.startswith(f"{EXTERNAL}=")]
        config.overrides = [*words, f"{EXTERNAL}=[{','.join(map(quote_text, entries))}]"]


def _place(value: str, key: str, folder: Path) -> Path:
    value = as_local(value)
    path = resolve_path(value, key) if value.startswith("~") else Path(value)
    # `..` at the beginning is taken off the folder, so that the path is one that people recognise.
    while path.parts[:1] == ("..",):
        folder, path = folder.parent, Path(*path.parts[1:])
    return folder / path
