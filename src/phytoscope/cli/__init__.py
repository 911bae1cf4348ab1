"""The `phytoscope` command: arguments in, sentences and exit codes out. Heavy imports wait until they are needed."""

import os
import sys
import traceback
from typing import Annotated

import typer
from rich.markup import escape

from phytoscope import __version__
from phytoscope.cli.adapters_command import adapters
from phytoscope.cli.cache_commands import cache_app
from phytoscope.cli.compare_command import compare
from phytoscope.cli.compose import settings
from phytoscope.cli.cross_validate_command import cross_validate
from phytoscope.cli.data_commands import data_app
from phytoscope.cli.demo_command import demo
from phytoscope.cli.drift_commands import drift_app
from phytoscope.cli.explain_command import explain
from phytoscope.cli.export_command import export
from phytoscope.cli.fetch_commands import fetch, import_labels, list_datasets
from phytoscope.cli.find_commands import find_app
from phytoscope.cli.inspect_command import inspect
from phytoscope.cli.package_commands import package_app
from phytoscope.cli.pipeline_commands import pipeline_app
from phytoscope.cli.predict_command import predict
from phytoscope.cli.records_commands import records_app
from phytoscope.cli.registry_commands import models, promote, register, rollback
from phytoscope.cli.run_commands import evaluate, prepare, run, train
from phytoscope.cli.serve_commands import keys_app, serve
from phytoscope.cli.suggest_command import suggest
from phytoscope.cli.sweep_command import sweep
from phytoscope.cli.terminal import EXIT_BUG, EXIT_INTERRUPTED, EXIT_USER, err, out, show_log
from phytoscope.cli.track_commands import track_app
from phytoscope.errors import PhytoscopeError

app = typer.Typer(
    name="phytoscope",
    help="From plant photographs to answers: leaf diseases and plant weights, on a laptop, without a network.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for _command in (
    inspect,
    run,
    prepare,
    train,
    evaluate,
    export,
    predict,
    explain,
    compare,
    suggest,
    cross_validate,
    sweep,
    adapters,
    register,
    promote,
    rollback,
    models,
    serve,
    demo,
    settings,
):
    app.command()(_command)
data_app.command("list")(list_datasets)
data_app.command("fetch")(fetch)
data_app.command("import")(import_labels)
app.add_typer(package_app, name="package")
app.add_typer(cache_app, name="cache")
app.add_typer(data_app, name="data")
app.add_typer(find_app, name="find")
app.add_typer(track_app, name="track")
app.add_typer(drift_app, name="drift")
app.add_typer(records_app, name="records")
app.add_typer(pipeline_app, name="pipeline")
app.add_typer(keys_app, name="serve-keys")


def _show_version(value: bool) -> None:
    if value:
        out.print(f"phytoscope {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[  # noqa: ARG001 (its callback has already answered)
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    # The library asks the network for a newer version of itself whenever it is imported.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    # Threads that wait by spinning take the cores away from the processes that prepare batches, and from other work:
    # two trainings side by side on two cores were twenty times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    show_log()


def main() -> None:
    """Runs the command line: exit code 0 on success, 2 on a user's mistake, 130 after Ctrl-C, 1 on a bug of ours."""
    try:
        app()
    except PhytoscopeError as error:
        err.print(f"[red]Error:[/] {escape(str(error))}")
        sys.exit(EXIT_USER)
    except SystemExit as stop:
        # The command-line library turns Ctrl-C into this exit code without a word.
        if stop.code == EXIT_INTERRUPTED:
            err.print("Interrupted. Finished steps and epochs are kept: the same command continues.")
        raise
    except Exception:
        err.print(escape(traceback.format_exc()))
        err.print(f"[red]This is a bug of phytoscope {__version__}.[/] Please report it with the text above.")
        sys.exit(EXIT_BUG)
