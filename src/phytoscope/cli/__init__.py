"""The `phytoscope` command: arguments in, sentences and exit codes out. Heavy imports wait until they are needed."""

import os
import re
import sys
from typing import Annotated

import typer

from phytoscope import __version__
from phytoscope.cli.adapters_command import adapters
from phytoscope.cli.cache_commands import cache_app
from phytoscope.cli.command import CommandApp
from phytoscope.cli.compare_command import compare
from phytoscope.cli.completion import complete_in_bash
from phytoscope.cli.cross_validate_command import cross_validate
from phytoscope.cli.data_commands import data_app
from phytoscope.cli.demo_command import demo
from phytoscope.cli.doctor_command import doctor
from phytoscope.cli.drift_commands import drift_app
from phytoscope.cli.ending import run_to_end
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
from phytoscope.cli.settings_command import settings
from phytoscope.cli.suggest_command import suggest
from phytoscope.cli.sweep_command import sweep
from phytoscope.cli.terminal import EXIT_CODES, out, show_log
from phytoscope.cli.track_commands import track_app

_HELP = """From plant photographs to answers: leaf diseases and plant weights, on a laptop, without a network.

Examples:
    phytoscope doctor
    phytoscope demo
    phytoscope inspect leaves/
    phytoscope run data=folder data.root=leaves
    phytoscope predict runs/TIME-NAME/package photos/ --output answers.csv
    phytoscope models --json
"""
_CODES = "; ".join(f"{code} {re.split('[;:.]', meaning)[0]}" for code, meaning in EXIT_CODES.items())
app = CommandApp(name="phytoscope", help=_HELP, epilog=f"Exit codes: {_CODES}.")
data_app.command("list")(list_datasets)
data_app.command("fetch")(fetch)
data_app.command("import")(import_labels)
# In the order in which a stranger needs them.
for _panel, _commands in (
    ("Begin", (demo, doctor, settings)),
    ("Data", (inspect, ("data", data_app), ("cache", cache_app))),
    ("Train and measure", (run, prepare, train, evaluate, cross_validate, compare)),
    ("Choose settings", (sweep, ("find", find_app), adapters)),
    ("Hand on and answer", (("package", package_app), export, predict, explain, suggest)),
    ("Serve and watch", (serve, ("serve-keys", keys_app), ("records", records_app), ("drift", drift_app))),
    ("Many models", (register, promote, rollback, models, ("track", track_app), ("pipeline", pipeline_app))),
):
    for _command in _commands:
        if isinstance(_command, tuple):
            app.add_typer(_command[1], name=_command[0], rich_help_panel=_panel)
        else:
            app.command(rich_help_panel=_panel)(_command)


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
    """Runs the command line; `terminal.EXIT_CODES` says what its exit codes mean."""
    if complete_in_bash():
        return
    if "GITHUB_ACTIONS" in os.environ and "FORCE_COLOR" not in os.environ:
        from typer import rich_utils

        # The library would colour its help for a log file there.
        rich_utils.FORCE_TERMINAL = None
    sys.exit(run_to_end(app))
