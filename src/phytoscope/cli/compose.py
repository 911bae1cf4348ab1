"""From the words of the command line to settings."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from phytoscope.cli.terminal import out
from phytoscope.errors import ConfigError
from phytoscope.schema.address import as_url

if TYPE_CHECKING:
    from phytoscope.schema.config import RunConfig

_SETTINGS_HELP = (
    "Settings as key=value, for example data=plantvillage data.root=DIR model=resnet18 trainer.max_epochs=5. "
    "`phytoscope settings` lists them all."
)
Settings = Annotated[list[str] | None, typer.Argument(help=_SETTINGS_HELP, metavar="[KEY=VALUE]...")]


def compose(settings: Sequence[str] | None) -> "RunConfig":
    """Composes the settings; the folder of a run that was named brings its own along.

    Raises:
        ConfigError: A word is no setting, or the folder does not hold the settings of a run.
    """
    import yaml

    from phytoscope.configs import compose_config
    from phytoscope.configs.places import resolve_external, resolve_places

    words = resolve_places(settings or [], Path.cwd())
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
