"""Options that several commands share, so that the same thing has the same name and the same words everywhere."""

from pathlib import Path
from typing import Annotated

import typer
from typer.models import OptionInfo

from phytoscope.cli.addresses import keep_here
from phytoscope.errors import ConfigError

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]
Uri = Annotated[
    str | None,
    typer.Option(
        "--uri",
        help="Registry of models, sqlite:///FILE or http://HOST:PORT; else MLFLOW_TRACKING_URI, else runs/mlflow.",
        metavar="URI",
    ),
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Images per step.")]


def write_to(meaning: str, metavar: str) -> OptionInfo:
    """The option `--output`, for a place on this computer.

    Args:
        meaning: What is written.
        metavar: `FILE` or `DIR`.
    """
    info: OptionInfo = typer.Option("--output", "-o", callback=keep_here, help=meaning, metavar=metavar)
    return info


def refuse_existing(output: Path) -> ConfigError:
    """The error for an output that is there already and shall not be replaced."""
    message = f"the output {str(output)!r} exists: choose another name, or add --overwrite to replace it."
    return ConfigError(message)
