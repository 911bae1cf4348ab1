"""From the words of the command line to settings."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from phytoscope.cli.terminal import out
from phytoscope.errors import ConfigError
from phytoscope.schema.artifact import resolve_path

if TYPE_CHECKING:
    from phytoscope.schema.config import RunConfig

_PATH_KEYS = (
    "data.root",
    "data.table",
    "data.images",
    "data.backgrounds",
    "paths.run_dir",
    "paths.runs_dir",
    "paths.cache_dir",
    "sweep.storage",
    "monitor.incoming",
    "adapt.start_from",
)
_SETTINGS_HELP = (
    "Settings as key=value, for example data=plantvillage data.root=DIR model=resnet18 trainer.max_epochs=5. "
    "`phytoscope settings` lists them all."
)
Settings = Annotated[list[str] | None, typer.Argument(help=_SETTINGS_HELP, metavar="[KEY=VALUE]...")]


def _absolute_paths(words: Sequence[str]) -> list[str]:
    # Settings are kept in the run folder and read again, perhaps from another place.
    result = []
    for word in words:
        key, _, value = word.partition("=")
        if value in ("", "null") or key not in (*_PATH_KEYS, "model.weights"):
            result.append(word)
            continue
        path = resolve_path(value.strip("'\""), key)
        is_name = key == "model.weights" and (value in ("auto", "pypi", "random") or not path.is_file())
        result.append(word if is_name else f"{key}={path}")
    return result


def compose(settings: Sequence[str] | None) -> "RunConfig":
    """Composes the settings; the folder of a run that was named brings its own along.

    Raises:
        ConfigError: A word is no setting, or the folder does not hold the settings of a run.
    """
    import yaml

    from phytoscope.configs import compose_config

    words = _absolute_paths(settings or [])
    folder = next((word.partition("=")[2] for word in reversed(words) if word.startswith("paths.run_dir=")), None)
    saved = Path(folder) / "config.yaml" if folder else None
    if saved is not None and saved.is_file():
        try:
            words = [*yaml.safe_load(saved.read_text(encoding="utf-8"))["overrides"], *words]
        except (yaml.YAMLError, KeyError, TypeError, OSError, UnicodeDecodeError) as error:
            message = (
                f"{str(saved)!r} is not the settings of a run, or is damaged ({type(error).__name__}: {error}): choose "
                "another paths.run_dir, or move the file away and give all settings."
            )
            raise ConfigError(message) from error
    elif saved is not None and not any(word.startswith("data=") for word in words):
        message = (
            f"there is no run in {folder!r} and no data were named: name the folder of a run, or start one with "
            "`phytoscope run data=...`."
        )
        raise ConfigError(message)
    config = compose_config(words)
    _resolve_external(config)
    return config


def _resolve_external(config: "RunConfig") -> None:
    from phytoscope.configs.external import EXTERNAL, split_external
    from phytoscope.configs.words import quote_text

    named = split_external(config.evaluate.external)
    entries = [f"{name}={resolve_path(place, EXTERNAL)}" for name, place in named.items()]
    if entries != config.evaluate.external:
        config.evaluate.external = entries
        words = [word for word in config.overrides if not word.startswith(f"{EXTERNAL}=")]
        config.overrides = [*words, f"{EXTERNAL}=[{','.join(map(quote_text, entries))}]"]


def settings() -> None:
    """List the groups of settings with their presets, and every key with its default."""
    from phytoscope.configs import list_groups
    from phytoscope.schema.config import SCHEMA_OF_GROUP, RunConfig

    out.print("[bold]Presets[/] (group=preset)")
    for group, presets in list_groups().items():
        out.print(f"  {group:<11}{', '.join(presets)}")
    out.print("\n[bold]Keys[/] (key=value; a preset may set another default, None is chosen from the data)")
    out.print(f"  {'name':<30}data and backbone\n  {'seed':<30}{RunConfig.seed}")
    for group, schema in SCHEMA_OF_GROUP.items():
        for entry in dataclasses.fields(schema):
            default = entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()
            shown = "set by the preset" if default == "???" else default
            out.print(escape(f"  {f'{group}.{entry.name}':<30}{shown}"))
