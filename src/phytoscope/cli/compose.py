"""From the words of the command line to settings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from phytoscope.cli.completion import complete_settings

if TYPE_CHECKING:
    from phytoscope.schema.config import RunConfig

_SETTINGS_HELP = (
    "Settings as key=value, for example data=plantvillage data.root=DIR model=resnet18 trainer.max_epochs=5. "
    "`phytoscope settings` lists them all."
)
Settings = Annotated[
    list[str] | None,
    typer.Argument(help=_SETTINGS_HELP, metavar="KEY=VALUE", autocompletion=complete_settings),
]


def compose(settings: Sequence[str] | None) -> "RunConfig":
    """Composes the settings; the folder of a run that was named brings its own along.

    Raises:
        ConfigError: A word is no setting, or the folder does not hold the settings of a run.
    """
    from phytoscope.configs.run_words import compose_run

    return compose_run(settings or [])
