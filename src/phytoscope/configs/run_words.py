"""From words to settings, where the words may name the folder of a run that has settings of its own."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from phytoscope.configs import compose_config
from phytoscope.configs.places import resolve_external, resolve_places
from phytoscope.errors import ConfigError
from phytoscope.schema.address import as_url
from phytoscope.schema.config import RunConfig


def compose_run(words: Sequence[str]) -> RunConfig:
    """Composes the settings; the folder of a run that was named brings its own along.

    Args:
        words: Words such as `data.root=leaves`; relative paths are relative to the current folder.

    Raises:
        ConfigError: A word is no setting, or the folder does not hold the settings of a run.
    """
    words = resolve_places(words, Path.cwd())
    folder = next((word.partition("=")[2] for word in reversed(words) if word.startswith("paths.run_dir=")), None)
    saved = Path(folder) / "config.yaml" if folder else None
    content = None if saved is None else _read_saved(saved)
    if content is not None:
        try:
            words = [*yaml.safe_load(content.decode("utf-8"))["overrides"], *words]
        except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
            raise _refuse_saved(saved, error) from error
    elif saved is not None and not any(word.startswith("data=") for word in words):
        message = (
            f"there is no run in {folder!r} and no data were named: name the folder of a run, or start one with "
            "`phytoscope run data=...`."
        )
        raise ConfigError(message)
    return _compose(words)


def compose_here(words: Sequence[str]) -> RunConfig:
    """Composes the settings from the words alone, whatever an earlier run in the same folder was made with.

    Args:
        words: Words such as `data.root=leaves`; relative paths are relative to the current folder.

    Raises:
        ConfigError: A word is no setting.
    """
    return _compose(resolve_places(words, Path.cwd()))


def _compose(words: Sequence[str]) -> RunConfig:
    # What an earlier run has kept means what it meant there, wherever this command is called from.
    config = compose_config(words)
    resolve_external(config, Path.cwd())
    return config


def _read_saved(place: Path) -> bytes | None:
    """Settings of a run that was named; None when there are none. Of one at an address, those last published."""
    url = as_url(place.parent)
    if url is None:
        try:
            return place.read_bytes() if place.is_file() else None
        except OSError as error:
            raise _refuse_saved(place, error) from error
    from phytoscope.storage.publishing import ObjectFolder

    return ObjectFolder(url).read(place.name)


def _refuse_saved(place: Path | None, error: Exception) -> ConfigError:
    message = (
        f"{str(place)!r} is not the settings of a run, or is damaged ({type(error).__name__}: {error}): choose "
        "another paths.run_dir, or move the file away and give all settings."
    )
    return ConfigError(message)
